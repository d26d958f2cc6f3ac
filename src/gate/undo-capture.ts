/**
 * Keeps the old rows of a statement that was approved, before what it changed is
 * committed: what the server is asked around it, and what is stored of the answers.
 *
 * Law: the statement stays only when every row that it changed is stored, durably. Whatever
 * is in the way of that refuses it, if it can be known already when it is tried, before
 * anybody is asked to approve it. What is asked stands in undo/, when it is sent in
 * session/guarding.ts.
 */
import type { Refusal } from '../errors.js';
import { changed, total } from '../impact/impact.js';
import type { Approved, Impact } from '../impact/impact.js';
import { UndoError, tooLarge } from '../undo/document.js';
import type { UndoDocument, UndoHeader } from '../undo/document.js';
import {
  ONE_STATE,
  SETTINGS_NOW,
  describeTables,
  followRows,
  madeRows,
  settingsTo,
  touchedRows,
} from '../undo/questions.js';
import type { ChangedTable, Query } from '../undo/questions.js';
import { changedRows, readDescription } from '../undo/rows.js';
import type { Described } from '../undo/rows.js';
import { changesWholeTables } from '../policy/measured.js';
import type { StatementFacts } from '../sql/facts.js';
import type { UndoStore } from '../undo/store.js';
import type { Asking, BeforeAnswer, CountedAnswer, Counts, Question } from '../session/ports.js';

/** What the header of a document says beside its tables. */
export type UndoOf = Omit<UndoHeader, 'version' | 'tables' | 'triggers' | 'transaction'>;

/** Bytes that the description of tables may take. */
const DESCRIPTION_LIMIT = 4_194_304;
/** Isolation levels at which a transaction sees one state throughout. */
const ONE_STATE_LEVELS: ReadonlySet<string> = new Set(['repeatable read', 'serializable']);

const run = ({ sql, parameters }: Query): Question => ({ kind: 'run', sql, parameters });

function changedTables(tables: readonly Approved[]): ChangedTable[] {
  return tables
    .filter((table) => changed(table) > 0)
    .map(({ schema, name, inserted }) => ({ schema, name, inserted: inserted > 0 }));
}

/**
 * Whether the rows that a statement was seen to change can be followed when it runs again: not those of tables that it
 * empties, drops or makes, since a query that is open on a table keeps the server from emptying it.
 */
export function canBeFollowed(impact: Impact, facts: StatementFacts | null): boolean {
  return (
    total(impact) > 0 &&
    !impact.some(({ emptied }) => emptied) &&
    (facts === null || !changesWholeTables(facts))
  );
}

/**
 * Asks whether the rows of these tables can be kept at all, for a statement that was only tried.
 * @param then is told why they cannot, or null, and at which isolation level the transaction runs
 */
export function askWhetherKept<Next>(
  tables: readonly Approved[],
  then: (problem: string | null, isolation: string) => Next,
): Asking<Next> {
  const asked = changedTables(tables);
  return {
    kind: 'ask',
    questions: [run(describeTables(asked))],
    limit: DESCRIPTION_LIMIT,
    then: (answers) => {
      const read = attempt(() => readDescription(asked, answerTo(answers, 0)));
      return 'problem' in read ? then(read.problem, '') : then(null, read.value.isolation);
    },
  };
}

/** The keeping of one run's old rows. */
export class UndoCapture {
  readonly #asked: readonly ChangedTable[];
  readonly #store: UndoStore;
  readonly #alone: boolean;
  readonly #isolation: string;
  #described: Described | null = null;

  /**
   * @param tables what was approved
   * @param alone it is a transaction of its own, whose isolation level may be raised
   * @param isolation the level that a transaction has here by itself
   */
  constructor(tables: readonly Approved[], store: UndoStore, alone: boolean, isolation: string) {
    this.#asked = changedTables(tables);
    this.#store = store;
    this.#alone = alone;
    this.#isolation = isolation;
  }

  /** What is asked before the statement runs. @param refuse says why it may not */
  before(refuse: (problem: string) => Refusal): Asking<BeforeAnswer> {
    const raise = this.#alone && !ONE_STATE_LEVELS.has(this.#isolation) ? [run(ONE_STATE)] : [];
    return {
      kind: 'ask',
      questions: [...raise, run(describeTables(this.#asked))],
      limit: DESCRIPTION_LIMIT,
      then: (answers) => {
        const read = attempt(() => readDescription(this.#asked, answerTo(answers, raise.length)));
        if ('problem' in read) return { kind: 'refuse', refusal: refuse(read.problem) };
        this.#described = read.value;
        return this.#open(read.value);
      },
    };
  }

  #open({ tables, nextMulti }: Described): Asking<BeforeAnswer> {
    return {
      kind: 'ask',
      questions: tables.map((table, at) => ({
        kind: 'open',
        cursor: at.toString(),
        sql: touchedRows(table, this.#asked[at]?.inserted === true, nextMulti),
      })),
      limit: 0,
      then: () => ({ kind: 'run' }),
    };
  }

  /**
   * What is asked when the statement has run and may stay.
   * @param of for the document's header
   * @param impact what it changed, by the server's count
   * @param ready the connection is to be asked again
   * @param then says what becomes of the statement, by why its rows could not be kept; null: they are
   */
  after(
    of: UndoOf,
    impact: Impact,
    transaction: string | null,
    ready: () => void,
    then: (problem: string | null) => CountedAnswer,
  ): CountedAnswer {
    const described = this.#described;
    if (described === null) throw new Error('rows are to be kept of what was never described');
    const { tables, triggers } = described;
    const limit = this.#store.limit;
    return {
      kind: 'ask',
      questions: [
        run(SETTINGS_NOW),
        run(settingsTo(null)),
        ...tables.map((_, at): Question => ({ kind: 'read', cursor: at.toString() })),
      ],
      limit,
      then: (answers) => {
        if (answers === null) return then(tooLarge(limit).message);
        const [settings] = answerTo(answers, 0);
        const touched = tables.map((_, at) => answerTo(answers, at + 2));
        return this.#follow(described, touched, impact, (followed) => {
          if ('problem' in followed) return then(followed.problem);
          const document = {
            version: 1 as const,
            ...of,
            transaction,
            tables,
            triggers,
            rows: followed.value,
          };
          return this.#keep(document, settings ?? [], ready, then);
        });
      },
    };
  }

  #follow(
    described: Described,
    touched: readonly Counts[],
    impact: Impact,
    then: (rows: Attempt<UndoDocument['rows']>) => CountedAnswer,
  ): CountedAnswer {
    const { tables, nextMulti } = described;
    const questions: Question[] = [];
    const places = tables.map((table, at) => {
      const rows = (touched[at] ?? []).map(([ctid, xmax]) => [ctid ?? '', xmax ?? ''] as const);
      questions.push(run(followRows(table, rows, nextMulti)));
      const followed = questions.length - 1;
      if (this.#asked[at]?.inserted === true) questions.push(run(madeRows(table)));
      return { followed, made: questions.length - 1 };
    });
    const limit = this.#store.limit;
    return {
      kind: 'ask',
      questions,
      limit,
      then: (answers) => {
        if (answers === null) return then({ problem: tooLarge(limit).message });
        const oneState = ONE_STATE_LEVELS.has(described.isolation);
        return then(
          attempt(() =>
            tables.flatMap((table, at) => {
              const { followed, made } = places[at] ?? { followed: -1, made: -1 };
              const counted = impact.find(
                ({ schema, name }) => schema === table.schema && name === table.name,
              );
              return changedRows(
                at,
                {
                  table,
                  touched: touched[at] ?? [],
                  followed: answerTo(answers, followed),
                  made: made === followed ? null : answerTo(answers, made),
                  changes: counted === undefined ? 0 : counted.updated + counted.deleted,
                },
                oneState,
              );
            }),
          ),
        );
      },
    };
  }

  /** Stores the document; then the settings are what they were. */
  #keep(
    document: UndoDocument,
    settings: readonly (string | null)[],
    ready: () => void,
    then: (problem: string | null) => CountedAnswer,
  ): CountedAnswer {
    let ended: { readonly problem: string | null } | null = null;
    this.#store.save(document).then(
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
}

type Attempt<Value> = { readonly value: Value } | { readonly problem: string };

function attempt<Value>(what: () => Value): Attempt<Value> {
  try {
    return { value: what() };
  } catch (error) {
    if (!(error instanceof UndoError)) throw error;
    return { problem: error.message };
  }
}

function answerTo(answers: readonly Counts[] | null, at: number): Counts {
  const answer = answers?.[at];
  if (answer === undefined) throw new UndoError('the server has said more than can be kept');
  return answer;
}

function storingProblem(error: unknown): string {
  if (error instanceof UndoError) return error.message;
  return `they could not be stored: ${error instanceof Error ? error.message : String(error)}`;
}
