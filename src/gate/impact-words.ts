/** What clients read of statements whose effect is counted. */
import type { Refusal } from '../errors.js';
import { total } from '../impact/impact.js';
import type { Impact } from '../impact/impact.js';
import { inNumbers, ofTables } from '../policy/impact-words.js';
import type { Match } from '../policy/types.js';
import type { Notice } from '../protocol/encode.js';
import type { Block } from './blocks.js';
import { INSUFFICIENT_PRIVILEGE } from './words.js';

/** What was counted is above a limit. */
export function impactRefusal(
  matches: readonly Match[],
  decisive: Match,
  decision: string,
  { unheld, environment }: { readonly unheld: string | null; readonly environment: string | null },
): Refusal {
  const hints = [
    decisive.hint,
    unheld,
    environment === null
      ? null
      : `If you mean ${environment}, say within five minutes before the statement: SET holdfast.target = '${environment}';`,
  ].filter((hint) => hint !== null);
  const more = environment === null ? '' : ` It must be confirmed: this is ${environment}.`;
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: ${decisive.message}${unheld === null ? more : ' It needs approval.'} It was rolled back.`,
    detail: detail(matches, decisive, decision),
    ...(hints.length === 0 ? {} : { hint: hints.join(' ') }),
    routine: `holdfast/${decisive.rule}`,
  };
}

/** For the HINT of what needs approval and cannot wait for it where it stands. */
export const CANNOT_BE_UNDONE =
  'It cannot wait for approval here, since what came before it would have to be undone with it. Send it by itself, or as a statement of its own within BEGIN and COMMIT; COPY FROM STDIN cannot wait at all.';

/** For the HINT of what would have to run a second time once it is approved, where the policy says that nothing does. */
export const NOT_RUN_TWICE =
  'It does not wait for approval, since it would have to run a second time then, and the policy wants nothing to run twice (preview: estimate).';
export const WAITS_AT_COMMIT = 'Within BEGIN and COMMIT it runs once, and waits for approval at its COMMIT.';

/** What must be tried before people decide about it, and cannot be taken back where it stands. */
export function cannotBeTried(decision: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: 'holdfast: this statement needs approval, and cannot wait for it here. It was rolled back.',
    detail: `Decision ${decision}.`,
    hint: CANNOT_BE_UNDONE,
    routine: 'holdfast/hold',
  };
}

/** Why what a transaction changed is held. `alone`: it is one statement that is committed by itself. */
export function atCommit(role: string, impact: Impact, alone: boolean): Match {
  const what = alone ? 'This statement' : 'This transaction';
  return {
    rule: 'commit',
    action: 'hold',
    message: `${what} changes ${inNumbers(total(impact))}; what role "${role}" changes is committed only with approval.`,
    hint: null,
    detail: ofTables(impact),
    offset: null,
  };
}

/** A run does more than was approved. */
export function exceeds(subject: string): Match {
  return {
    rule: 'row-limit',
    action: 'hold',
    message: `${subject} would now change more than what was approved.`,
    hint: 'The data have changed since it was tried. It needs approval anew.',
    offset: null,
  };
}

/** A string with a COMMIT in it, for a role whose commits people approve. */
export function commitAlone(): Block {
  return impactBlock(
    'a COMMIT that people must approve cannot stand in a string with other statements',
    'Send each statement by itself.',
  );
}

function impactBlock(
  message: string,
  hint: string,
  { rule, because }: { readonly rule: string; readonly because: string } = BY_ROW_LIMIT,
): Block {
  return {
    refusal: (decision) => ({
      severity: 'ERROR',
      sqlstate: INSUFFICIENT_PRIVILEGE,
      message: `holdfast: ${message}`,
      detail: `Decision ${decision}. ${because}`,
      hint,
      routine: `holdfast/${rule}`,
    }),
    match: { rule, action: 'deny', message, hint, offset: null },
  };
}

const BY_ROW_LIMIT = { rule: 'row-limit', because: 'Rule: row-limit (deny).' };
const BY_UNDO = { rule: 'undo', because: 'The role has undo: capture.' };

export function impactWarning(decisive: Match, decision: string): Notice {
  return {
    severity: 'WARNING',
    sqlstate: '01000',
    message: `holdfast: ${decisive.message}`,
    detail: detail([decisive], decisive, decision),
    ...(decisive.hint === null ? {} : { hint: decisive.hint }),
    routine: `holdfast/${decisive.rule}`,
  };
}

function detail(matches: readonly Match[], decisive: Match, decision: string): string {
  const rules = [...new Set(matches.map(({ rule, action }) => `${rule} (${action})`))].join(', ');
  return `${decisive.detail === undefined ? '' : `${decisive.detail} `}Decision ${decision}. Rule: ${rules}.`;
}

/** What a statement did could not be told. */
export function unmeasured(why: string, decision: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: 'holdfast: what this statement changes cannot be measured, so it was rolled back',
    detail: `The reason: ${why}. Decision ${decision}. Rule: row-limit.`,
    hint: 'If another session changed the schema at the same time, try again. Else ask for a role without row-limit.',
    routine: 'holdfast/row-limit',
  };
}

/** What helps where old rows cannot be kept: of rows that are changed, and of tables that are emptied. */
const KEPT_ELSE = {
  changed:
    'Send it by itself, outside of a transaction block, or in one of isolation level REPEATABLE READ. Else it needs a role without undo: capture.',
  emptied:
    'Send it by itself, outside of a transaction block, or delete the rows in parts. Else it needs a role without undo: capture.',
};

/** The old rows of what was approved, or is to be, cannot be kept. */
export function notKept(why: string, decision: string, of: keyof typeof KEPT_ELSE): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: 'holdfast: the old rows of what this statement changes cannot be kept, so it was rolled back',
    detail: `The reason: ${why}. Decision ${decision}. ${BY_UNDO.because}`,
    hint: KEPT_ELSE[of],
    routine: 'holdfast/undo',
  };
}

/** A string of several statements, for a role whose old rows are kept. */
export function undoAlone(): Block {
  return impactBlock(
    'the old rows of what needs approval are kept, and of a string of several statements they cannot be',
    'Send each statement by itself.',
    BY_UNDO,
  );
}

/** The server's own failure to show the rows that are to be kept. */
export function notShown(sqlstate: string, message: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate,
    message: `holdfast: the old rows of what this statement changes cannot be kept, so it was rolled back: ${message}`,
    hint: `Holdfast reads them as the session itself, in its transaction. ${BY_UNDO.because}`,
    routine: 'holdfast/undo',
  };
}

/** The server's own failure to count, where it is not the statement's or the session's own. */
export function notCounted(sqlstate: string, message: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate,
    message: `holdfast: what this statement changes cannot be measured, so it was rolled back: ${message}`,
    hint: 'Holdfast reads pg_catalog.pg_stat_get_xact_tuples_inserted, _updated and _deleted on this connection; the database user needs to be allowed to.',
    routine: 'holdfast/row-limit',
  };
}

const BLOCK_MESSAGE =
  'what this statement runs may commit by itself, before what it changes has been measured';
const BLOCK_HINT =
  'Run it within a transaction block: BEGIN; … COMMIT. There it may not commit by itself, and is measured as a whole.';

/** CALL and DO outside of a transaction block. */
export function needsBlock(): Block {
  return impactBlock(BLOCK_MESSAGE, BLOCK_HINT);
}

/** FunctionCall for a role whose writes are counted: the protocol has no place for that. */
export function functionCallUnmeasured(): Block {
  return impactBlock(
    'what a FunctionCall changes cannot be measured before it is committed',
    'Call the function by SELECT.',
  );
}

/** How the decision of a run is recorded that is only to be counted. */
export const TRIED: Match = {
  rule: 'preview',
  action: 'warn',
  message: 'it is tried and taken back, so that who approves it sees what it changes',
  hint: null,
  offset: null,
};
