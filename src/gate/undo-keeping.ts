/**
 * What all keeping of old rows has in common: when the server is asked, how what it
 * answers is taken, and the storing of the document.
 *
 * Law: the settings that values are printed by are the session's own again before
 * anything else runs, whatever became of the storing.
 */
import type { Refusal } from '../errors.js';
import type { Impact } from '../impact/impact.js';
import type { Asking, BeforeAnswer, CountedAnswer, Counts, Question } from '../session/ports.js';
import { UndoError } from '../undo/document.js';
import type { UndoDocument, UndoHeader } from '../undo/document.js';
import { settingsTo } from '../undo/questions.js';
import type { Query } from '../undo/questions.js';
import type { UndoStore } from '../undo/store.js';

/** What the header of a document says beside its tables. */
export type UndoOf = Pick<
  UndoHeader,
  'decision' | 'hold' | 'at' | 'environment' | 'database' | 'user' | 'role' | 'sql'
>;

/** A run that may stay, if its old rows are kept. */
export interface RunToKeep {
  /** For the document's header. */
  readonly of: UndoOf;
  /** What it changed, by the server's count. */
  readonly impact: Impact;
  readonly transaction: string | null;
  /** The connection is to be asked again. */
  readonly ready: () => void;
}

/** Says what becomes of a statement, by why its rows could not be kept; null: they are. */
export type KeptOrNot = (problem: string | null) => CountedAnswer;

/** The keeping of one run's old rows. */
export interface UndoKeeping {
  /** What is asked before the statement runs. @param refuse says why it may not */
  before(refuse: (problem: string) => Refusal): Asking<BeforeAnswer>;
  /** What is asked when the statement has run and may stay. */
  after(run: RunToKeep, then: KeptOrNot): CountedAnswer;
}

/** Bytes that the description of tables may take. */
export const DESCRIPTION_LIMIT = 4_194_304;

export const run = ({ sql, parameters }: Query): Question => ({ kind: 'run', sql, parameters });

/**
 * Stores the document.
 * @param settings what the settings are to be then; a question all the same where they are that already, for what was waited for goes on with one
 */
export function keepDocument(
  store: UndoStore,
  document: UndoDocument,
  settings: readonly (string | null)[],
  ready: () => void,
  then: KeptOrNot,
): CountedAnswer {
  let ended: { readonly problem: string | null } | null = null;
  store.save(document).then(
    () => {
      ended = { problem: null };
      ready();
    },
    (error: unknown) => {
      ended = { problem: storingProblem(error) };
      ready();
    },
  );
  const look = (): CountedAnswer => {
    if (ended === null) return { kind: 'wait', then: look };
    const { problem } = ended;
    return {
      kind: 'ask',
      questions: [run(settingsTo(settings))],
      limit: DESCRIPTION_LIMIT,
      then: () => then(problem),
    };
  };
  return look();
}

export type Attempt<Value> = { readonly value: Value } | { readonly problem: string };

export function attempt<Value>(what: () => Value): Attempt<Value> {
  try {
    return { value: what() };
  } catch (error) {
    if (!(error instanceof UndoError)) throw error;
    return { problem: error.message };
  }
}

export function answerTo(answers: readonly Counts[] | null, at: number): Counts {
  const answer = answers?.[at];
  if (answer === undefined) throw new UndoError('the server has said more than can be kept');
  return answer;
}

function storingProblem(error: unknown): string {
  if (error instanceof UndoError) return error.message;
  return `they could not be stored: ${error instanceof Error ? error.message : String(error)}`;
}
