/**
 * `holdfast holds`: approvals from a terminal.
 */
import { holdListSchema, holdSchema, listQuerySchema } from '../admin/api/schemas.js';
import type { HoldView } from '../admin/api/schemas.js';
import { OperatorError } from '../errors.js';
import { HOLD_ID } from '../holds/hold.js';
import { createHoldsClient } from './holds-client.js';
import type { HoldsClient } from './holds-client.js';
import { changeLine, holdPage, holdsTable, votesWords } from './holds-text.js';
import type { TextOptions } from './holds-text.js';
import { watchHolds } from './holds-watch.js';
import type { ExitStatus, Terminal } from './terminal.js';
import { jsonLine, visible } from './visible.js';

export interface HoldsOptions {
  readonly url?: string;
  readonly json?: boolean;
}

export interface HoldsListOptions extends HoldsOptions {
  readonly state?: string;
  readonly watch?: boolean;
}

export interface HoldsVoteOptions extends HoldsOptions {
  readonly reason?: string;
  readonly totp?: string;
}

export interface HoldsSurroundings {
  readonly terminal: Terminal;
  /** HOLDFAST_TOKEN. */
  readonly token: string | undefined;
  /** Ends --watch; left out: nothing but the end of the process does. */
  readonly signal?: AbortSignal;
}

export function clientOf({ url }: HoldsOptions, { terminal, token }: HoldsSurroundings): HoldsClient {
  return createHoldsClient({ url, token, warn: terminal.complain });
}

export function textOptions({ terminal }: HoldsSurroundings): TextOptions {
  return { color: terminal.color, now: Date.now() };
}

/** A hold's path. @throws OperatorError (wrong usage) for what cannot be an id */
function holdPath(id: string): string {
  if (!HOLD_ID.test(id)) throw new OperatorError(`"${visible(id)}" is no id of a hold`, 2);
  return `holds/${id}`;
}

export async function holdsListCommand(
  options: HoldsListOptions,
  surroundings: HoldsSurroundings,
): Promise<ExitStatus> {
  const { terminal } = surroundings;
  const state = listQuerySchema.shape.state.safeParse(options.state);
  if (!state.success) {
    throw new OperatorError(
      `--state ${visible(options.state ?? '')}: expected one of ${listQuerySchema.shape.state.unwrap().options.join(', ')}`,
      2,
    );
  }
  if (options.watch === true) {
    if (options.state !== undefined) {
      throw new OperatorError('--watch follows what is open; it takes no --state', 2);
    }
    return watch(options, surroundings);
  }
  const list = await clientOf(options, surroundings).get(`holds?state=${state.data}`, holdListSchema);
  await terminal.print(options.json === true ? jsonLine(list) : holdsTable(list, textOptions(surroundings)));
  return 0;
}

async function watch(options: HoldsListOptions, surroundings: HoldsSurroundings): Promise<ExitStatus> {
  const { terminal, signal = new AbortController().signal } = surroundings;
  await watchHolds(clientOf(options, surroundings), {
    signal,
    onBroken: (why) => {
      terminal.complain(`${why}; trying again`);
    },
    onEvent: async (happened) => {
      const now = textOptions(surroundings);
      if (options.json === true) await terminal.print(jsonLine(happened));
      else if (happened.event === 'open') await terminal.print(holdsTable(happened.data, now));
      else await terminal.print(changeLine(happened.data, now));
    },
  });
  return 0;
}

export async function holdsShowCommand(
  id: string,
  options: HoldsOptions,
  surroundings: HoldsSurroundings,
): Promise<ExitStatus> {
  const path = holdPath(id);
  const hold = await clientOf(options, surroundings).get(path, holdSchema);
  const text = options.json === true ? jsonLine(hold) : holdPage(hold, textOptions(surroundings));
  await surroundings.terminal.print(text);
  return 0;
}

export async function holdsVoteCommand(
  choice: 'approve' | 'deny',
  id: string,
  options: HoldsVoteOptions,
  surroundings: HoldsSurroundings,
): Promise<ExitStatus> {
  const path = holdPath(id);
  const { reason, totp } = options;
  const body = { ...(reason === undefined ? {} : { reason }), ...(totp === undefined ? {} : { totp }) };
  const hold = await clientOf(options, surroundings).post(`${path}/${choice}`, body, holdSchema);
  await surroundings.terminal.print(options.json === true ? jsonLine(hold) : outcomeWords(choice, hold));
  return 0;
}

function outcomeWords(choice: 'approve' | 'deny', hold: HoldView): string {
  const id = visible(hold.id);
  if (choice === 'deny') return `hold ${id}: denied; it will not run`;
  if (hold.state === 'requested') return `hold ${id}: your approval counts; ${votesWords(hold)}`;
  return hold.style === 'ticket'
    ? `hold ${id}: approved; it passes once when it is sent again`
    : `hold ${id}: approved; it runs now`;
}
