/**
 * Fuzzing of the machines that bytes from outside reach first. The cases depend on
 * their numbers alone; HOLDFAST_FUZZ_CASES says how many, HOLDFAST_FUZZ_FROM where
 * to begin:
 *
 *   HOLDFAST_FUZZ_CASES=200000 npx vitest run test/fuzz
 *
 * A failing case is named by its number. What was ever found is kept in corpus/, one
 * file each, and is replayed first.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Conversation } from '../../src/session/conversation.js';
import { backend, frontend } from '../session/messages.js';
import { ScriptedGate } from '../session/scripted-gate.js';
import { caseOf, play } from './cases.js';
import type { Side, Step, Target } from './cases.js';

const CASES = Number(process.env['HOLDFAST_FUZZ_CASES'] ?? 20_000);
const FROM = Number(process.env['HOLDFAST_FUZZ_FROM'] ?? 1);
/** No case may take longer than this, milliseconds: none needs more than a few. */
const SLOWEST = 2_000;

interface Kept {
  readonly found: string;
  readonly target: Target;
  /** Side, and bytes in hexadecimal. */
  readonly steps: readonly (readonly [Side, string])[];
}

describe('what was found before', () => {
  const directory = new URL('corpus/', import.meta.url);
  for (const file of readdirSync(directory)) {
    const { found, target, steps } = JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as Kept;
    test(`${file}: ${found}`, () => {
      const bytes = steps.map(([side, hex]): Step => [side, Buffer.from(hex.replaceAll(' ', ''), 'hex')]);
      play(target, bytes);
    });
  }
});

test(
  `${CASES} damaged sessions from ${FROM}`,
  () => {
    let slowest = 0;
    for (let number = FROM; number < FROM + CASES; number++) {
      const { target, steps } = caseOf(number);
      const started = performance.now();
      try {
        play(target, steps);
      } catch (error) {
        const kept = {
          found: String(error),
          target,
          steps: steps.map(([side, bytes]) => [side, bytes.toString('hex')]),
        };
        throw new Error(`case ${number}: ${String(error)}\n${JSON.stringify(kept)}`, { cause: error });
      }
      slowest = Math.max(slowest, performance.now() - started);
    }
    expect(slowest).toBeLessThan(SLOWEST);
  },
  60_000 + CASES * 5,
);

describe('what a session keeps', () => {
  function session(): Conversation {
    const nothing = (): void => undefined;
    const gate = new ScriptedGate();
    gate.outcomes.push = () => 0;
    gate.seen.push = () => 0;
    const ports = {
      gate,
      toServer: nothing,
      toClient: nothing,
      terminated: nothing,
      requestEnded: nothing,
      failed: nothing,
    };
    return new Conversation(ports, { message: 10_000, names: 100, outstanding: 1000 }, 'I');
  }

  function growth(rounds: number, round: (conversation: Conversation, index: number) => void): number {
    const conversation = session();
    for (let index = 0; index < rounds; index++) round(conversation, index);
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < rounds * 4; index++) round(conversation, rounds + index);
    return process.memoryUsage().heapUsed - before;
  }

  const replies = (...lines: string[]): Buffer => Buffer.concat(lines.map(backend));
  const requests = (...lines: string[]): Buffer => Buffer.concat(lines.map(frontend));
  const pairs: Readonly<Record<string, readonly [Buffer, Buffer]>> = {
    'a pipeline': [
      requests('Parse "" "SELECT 1"', 'Bind "" ""', 'Execute "" 0', 'Sync'),
      replies('ParseComplete', 'BindComplete', 'CommandComplete "SELECT 1"', 'ReadyForQuery I'),
    ],
    'a failing PREPARE': [
      requests('Query "PREPARE s AS SELECT 1"'),
      replies('ErrorResponse 42P05', 'ReadyForQuery I'),
    ],
    'ends of copy data that nobody asked for': [
      requests('CopyDone', 'CopyData "1"', 'CopyDone', 'Query "SELECT 1"'),
      replies('CommandComplete "SELECT 1"', 'ReadyForQuery I'),
    ],
    'a COPY with a Sync within that fails': [
      requests('Execute "" 0', 'Sync', 'CopyData "1"', 'CopyDone', 'Sync'),
      replies('ErrorResponse 42P01', 'ReadyForQuery I', 'ReadyForQuery I'),
    ],
    refusals: [
      requests('Parse "s" "DROP"', 'Bind "" "s"', 'Sync', 'Query "DROP"'),
      replies('ErrorResponse 34000', 'ReadyForQuery I', 'ErrorResponse 42601', 'ReadyForQuery I'),
    ],
  };
  for (const [what, [request, reply]] of Object.entries(pairs)) {
    test(`does not grow with ${what}`, () => {
      const grown = growth(5_000, (conversation) => {
        conversation.receiveClient(request);
        conversation.sent(conversation.requested);
        conversation.receiveServer(reply);
      });
      // 20,000 rounds: an entry left behind in each would be more.
      expect(grown).toBeLessThan(30_000_000);
    });
  }

  test('a client that never hears an answer is congested before it has sent much', () => {
    const conversation = session();
    const request = requests('Parse "" "SELECT 1"', 'Bind "" ""', 'Execute "" 0');
    let rounds = 0;
    while (!conversation.congested && rounds < 10_000) {
      conversation.receiveClient(request);
      rounds += 1;
    }
    expect(rounds).toBeLessThan(1_000);
  });
});
