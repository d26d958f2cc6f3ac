/**
 * Keeps the old rows of a statement that was approved, before what it changed is
 * committed: what the server is asked around it, and what is stored of the answers.
 *
 * Law: the statement stays only when every row that it changed is stored, durably. Whatever
 * is in the way of that refuses it, if it can be known already when it is tried, before
 * anybody is asked to approve it. What is asked stands in undo/, when it is sent in
 * session/guarded-requests.ts.
 */
import type { Refusal } from '../errors.js';
import { changed, total } from '../impact/impact.js';
import type { Approved, Impact } from '../impact/impact.js';
import { tooLarge } from '../undo/document.js';
import type { UndoDocument } from '../undo/document.js';
import {
  ONE_STATE,
  SETTINGS_NOW,
  describeTables,
  followRows,
  madeRows,
  settingsTo,
  touchedRows,
} from '../undo/questions.js';
import type { ChangedTable } from '../undo/questions.js';
import { changedRows, readDescription } from '../undo/rows.js';
import type { Described } from '../undo/rows.js';
import { changesWholeTables } from '../policy/measured.js';
import type { StatementFacts } from '../sql/facts.js';
import type { UndoStore } from '../undo/store.js';
import type { Asking, BeforeAnswer, CountedAnswer, Counts, Question } from '../session/ports.js';
import { DESCRIPTION_LIMIT, answerTo, attempt, keepDocument, run } from './undo-keeping.js';
import type { Attempt, KeptOrNot, RunToKeep, UndoKeeping } from './undo-keeping.js';

/** Isolation levels at which a transaction sees one state throughout. */
const ONE_STATE_LEVELS: ReadonlySet<string> = new Set(['repeatable read', 'serializable']);

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

/** The keeping of the old rows of what one run changes. */
export class ChangedRowsKeeping implements UndoKeeping {
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

  after({ of, impact, transaction, ready }: RunToKeep, then: KeptOrNot): CountedAnswer {
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
            sequences: [],
            ...of,
            transaction,
            tables,
            triggers,
            rows: followed.value,
          };
          return keepDocument(this.#store, document, settings ?? [], ready, then);
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
}
