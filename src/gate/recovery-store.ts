/**
 * What is known of the way back: what the server said of its WAL archiving, and what
 * the policy's commands ended with. The server is asked by sessions, on their own
 * upstream connections, one at a time; commands are run by whoever was handed in.
 *
 * Law: what could not be asked, or was asked too long ago, is `unknown`. It runs no
 * query and no command itself, and knows no session.
 */
import type { RecoveryAsk } from '../policy/live-facts.js';
import { READY, archiverRecovery } from '../policy/recovery.js';
import type { ArchiverFacts, Recovery } from '../policy/recovery.js';
import { periodWords } from '../policy/words.js';
import type { CatalogAdvice, ReadingEnd } from './catalog-store.js';

/** How a command ended. */
export type CommandEnd =
  | { readonly kind: 'exited'; readonly status: number; readonly lastLine: string }
  | { readonly kind: 'killed'; readonly signal: string; readonly lastLine: string }
  | { readonly kind: 'late'; readonly lastLine: string }
  /** It could not be started. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface RecoveryServices {
  /** Runs a program without a shell; ends in time. Never rejects. */
  readonly run: (command: readonly string[], deadlineMs: number) => Promise<CommandEnd>;
  /** Milliseconds on a clock that never goes back. */
  readonly clock: () => number;
}

/** A reading under way. One of its ends must be called, once. */
export interface ArchiverReading {
  done(facts: ArchiverFacts): void;
  failed(reason: string): void;
  abandoned(): void;
}

export interface RecoveryStore {
  /** What is known now. */
  recovery(ask: RecoveryAsk): Recovery;
  /** What a statement that asks the archiver is to do first. */
  advice(ask: RecoveryAsk): CatalogAdvice;
  /** Begins a reading; only after advice `read`, with nothing waited for in between. */
  begin(): ArchiverReading;
  /** Calls back once, when the reading under way has come to an end; at once where there is none. */
  whenRead(callback: (end: ReadingEnd) => void): void;
  /**
   * Has the command run, unless its last answer is still good or it has none.
   * @param callback called once, when it has ended
   * @returns whether it is running, so that the callback is to be waited for
   */
  mustRun(ask: RecoveryAsk, callback: () => void): boolean;
}

/** An answer that refuses is asked again this soon: somebody is at it. Milliseconds. */
const REFUSAL_GOOD_MS = 5_000;
/** What was waited for counts, however short its time is. */
const GRACE_MS = 5_000;
/** Commands come from policies; those of earlier ones are forgotten. */
const MOST_COMMANDS = 100;

interface Command {
  running: boolean;
  answer: { readonly recovery: Recovery; readonly at: number } | null;
  waiting: (() => void)[];
}

export function createRecoveryStore({ run, clock }: RecoveryServices): RecoveryStore {
  let read:
    | { readonly facts: ArchiverFacts; readonly at: number }
    | { readonly problem: string; readonly at: number }
    | null = null;
  let reading = false;
  let waiting: ((end: ReadingEnd) => void)[] = [];
  const commands = new Map<string, Command>();

  function archiver(maxAgeMs: number): Recovery {
    if (read === null) return { kind: 'unknown', why: 'the server could not be asked yet', hint: ASK_ALONE };
    const since = clock() - read.at;
    if ('problem' in read) {
      return { kind: 'unknown', why: `the server did not say: ${read.problem}`, hint: ASK_LATER };
    }
    if (since > maxAgeMs) {
      return {
        kind: 'unknown',
        why: `the server was last asked ${periodWords(since)} ago, and cannot be asked within a transaction`,
        hint: ASK_ALONE,
      };
    }
    return archiverRecovery(read.facts, maxAgeMs, since);
  }

  function commandOf(ask: RecoveryAsk): Command {
    const name = JSON.stringify([ask.command, ask.deadlineMs]);
    const known = commands.get(name);
    if (known !== undefined) return known;
    for (const [oldest, { running }] of commands) {
      if (commands.size < MOST_COMMANDS) break;
      if (!running) commands.delete(oldest);
    }
    const command: Command = { running: false, answer: null, waiting: [] };
    commands.set(name, command);
    return command;
  }

  function ofCommand(ask: RecoveryAsk): Recovery {
    const { answer } = commandOf(ask);
    if (answer === null || clock() - answer.at > ask.cacheMs + GRACE_MS) {
      return { kind: 'unknown', why: 'the command of the policy has not answered', hint: ASK_LATER };
    }
    return answer.recovery;
  }

  return {
    recovery(ask) {
      const archived = ask.maxAgeMs === null ? READY : archiver(ask.maxAgeMs);
      if (archived.kind !== 'ready' || ask.command === null) return archived;
      return ofCommand(ask);
    },
    advice({ maxAgeMs, cacheMs }) {
      if (maxAgeMs === null) return 'judge';
      const good =
        read !== null &&
        clock() - read.at <=
          (archiver(maxAgeMs).kind === 'ready' ? cacheMs : Math.min(cacheMs, REFUSAL_GOOD_MS));
      if (good) return 'judge';
      return reading ? 'wait' : 'read';
    },
    begin() {
      if (reading) throw new Error('the archiver is being asked already');
      reading = true;
      let ended = false;
      const once = (how: ReadingEnd, settle: () => void): void => {
        if (ended) return;
        ended = true;
        settle();
        reading = false;
        const callbacks = waiting;
        waiting = [];
        for (const callback of callbacks) callback(how);
      };
      return {
        done: (facts) => {
          once('done', () => {
            read = { facts, at: clock() };
          });
        },
        failed: (problem) => {
          once('failed', () => {
            read = { problem, at: clock() };
          });
        },
        abandoned: () => {
          once('abandoned', () => undefined);
        },
      };
    },
    whenRead(callback) {
      if (reading) waiting.push(callback);
      else callback('abandoned');
    },
    mustRun(ask, callback) {
      if (ask.command === null) return false;
      const command = commandOf(ask);
      const { answer } = command;
      if (answer !== null) {
        const good = answer.recovery.kind === 'ready' ? ask.cacheMs : Math.min(ask.cacheMs, REFUSAL_GOOD_MS);
        if (clock() - answer.at <= good) return false;
      }
      command.waiting.push(callback);
      if (!command.running) {
        command.running = true;
        void run(ask.command, ask.deadlineMs).then((end) => {
          command.running = false;
          command.answer = { recovery: commandRecovery(end, ask.deadlineMs), at: clock() };
          const callbacks = command.waiting;
          command.waiting = [];
          for (const call of callbacks) call();
        });
      }
      return true;
    },
  };
}

function commandRecovery(end: CommandEnd, deadlineMs: number): Recovery {
  switch (end.kind) {
    case 'exited':
      return end.status === 0
        ? READY
        : {
            kind: 'not_ready',
            why: `the check of the backups failed (exit status ${end.status})${said(end.lastLine)}`,
            hint: FIX_CHECK,
          };
    case 'killed':
      return {
        kind: 'not_ready',
        why: `the check of the backups was ended by ${end.signal}${said(end.lastLine)}`,
        hint: FIX_CHECK,
      };
    case 'late':
      return {
        kind: 'unknown',
        why: `the check of the backups gave no answer within ${periodWords(deadlineMs)}${said(end.lastLine)}`,
        hint: FIX_CHECK,
      };
    case 'failed':
      return {
        kind: 'unknown',
        why: `the check of the backups could not be run: ${end.reason}`,
        hint: 'Whoever runs Holdfast finds the command in the policy, under recovery-ready.',
      };
  }
}

function said(lastLine: string): string {
  return lastLine === '' ? '' : `: ${lastLine}`;
}

const ASK_ALONE =
  'Send it outside of a transaction and by itself, or begin the transaction anew: the server is asked before BEGIN.';
const ASK_LATER = 'Whoever runs Holdfast finds the reason in its log.';
const FIX_CHECK = 'It passes again when the check succeeds.';
