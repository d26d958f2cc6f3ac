/**
 * Keeps the rows of tables that an approved TRUNCATE empties, before it runs.
 *
 * Law: as in changed-rows-keeping.ts: it stays only when every row that it removed is stored,
 * durably, and nothing else was changed. What is asked stands in undo/emptied.ts.
 */
import type { Catalog } from '../catalog/catalog.js';
import type { Refusal } from '../errors.js';
import type { Impact } from '../impact/impact.js';
import { emptiedTogether } from '../policy/reach.js';
import type { StatementFacts } from '../sql/facts.js';
import type { Asking, BeforeAnswer, CountedAnswer, Counts } from '../session/ports.js';
import { UndoError, tooLarge } from '../undo/document.js';
import type { UndoDocument, UndoSequence } from '../undo/document.js';
import {
  LATEST_STATE,
  allRows,
  emptiedTables,
  lockTables,
  ownedSequences,
  stillHold,
} from '../undo/emptied.js';
import type { Emptying } from '../undo/emptied.js';
import { SETTINGS_NOW, describeTables, settingsTo } from '../undo/questions.js';
import type { ChangedTable } from '../undo/questions.js';
import { readDescription } from '../undo/rows.js';
import type { Described } from '../undo/rows.js';
import type { UndoStore } from '../undo/store.js';
import { DESCRIPTION_LIMIT, answerTo, attempt, keepDocument, run } from './undo-keeping.js';
import type { KeptOrNot, RunToKeep, UndoKeeping } from './undo-keeping.js';

/** The isolation level at which a query sees everything that was committed before it began. */
const LATEST_LEVEL = 'read committed';

/** The TRUNCATE that a statement is; null: it is none. */
export function emptyingOf(facts: StatementFacts | null): Emptying | null {
  const [action, ...others] = facts?.actions ?? [];
  return action?.operation === 'truncate' && others.length === 0 ? action : null;
}

/** What a value takes at least in a document: quotes, a comma, a character or two. */
const VALUE_BYTES = 5;

/**
 * Whether the rows that a TRUNCATE removes may be few enough to be kept, as far as the catalogs tell: how large they are is
 * known only when they are read.
 * @param limit bytes
 */
export function mayBeKept(emptying: Emptying, catalog: Catalog | null, limit: number): boolean {
  if (catalog === null) return true;
  const bytes = emptiedTogether(catalog, emptying).map(
    ({ rows, columns }) => (rows ?? 0) * columns.length * VALUE_BYTES,
  );
  return bytes.reduce((all, one) => all + one, 0) <= limit;
}

/** Whether a TRUNCATE that was tried changed nothing but by emptying tables: what a trigger of it changes is not kept. */
export function isAllEmptied(impact: Impact): boolean {
  return impact.every(({ emptied }) => emptied);
}

/** What was read before the TRUNCATE. */
interface Read {
  readonly described: Described;
  /** The rows of each of the tables. */
  readonly rows: readonly Counts[];
  readonly sequences: readonly UndoSequence[];
  readonly settings: readonly (string | null)[];
}

export class EmptiedTablesKeeping implements UndoKeeping {
  readonly #emptying: Emptying;
  readonly #store: UndoStore;
  readonly #alone: boolean;
  /** null: there was no table to empty. */
  #read: Read | null = null;

  /** @param alone it is a transaction of its own, whose isolation level may be lowered */
  constructor(emptying: Emptying, store: UndoStore, alone: boolean) {
    this.#emptying = emptying;
    this.#store = store;
    this.#alone = alone;
  }

  before(refuse: (problem: string) => Refusal): Asking<BeforeAnswer> {
    const lower = this.#alone ? [run(LATEST_STATE)] : [];
    return {
      kind: 'ask',
      questions: [...lower, run(emptiedTables(this.#emptying))],
      limit: DESCRIPTION_LIMIT,
      then: (answers) => {
        const tables = attempt(() => tablesIn(answerTo(answers, lower.length)));
        if ('problem' in tables) return { kind: 'refuse', refusal: refuse(tables.problem) };
        // What it names is not there, or temporary: the server says so, or there is nothing that others miss.
        return tables.value.length === 0 ? { kind: 'run' } : this.#lock(tables.value, refuse);
      },
    };
  }

  #lock(tables: readonly ChangedTable[], refuse: (problem: string) => Refusal): Asking<BeforeAnswer> {
    return {
      kind: 'ask',
      questions: [
        run(lockTables(tables)),
        run(emptiedTables(this.#emptying)),
        run(describeTables(tables)),
        run(SETTINGS_NOW),
        run(settingsTo(null)),
      ],
      limit: DESCRIPTION_LIMIT,
      then: (answers) => {
        const described = attempt(() => {
          const now = tablesIn(answerTo(answers, 1));
          if (JSON.stringify(now) !== JSON.stringify(tables))
            throw new UndoError('the schema was changed in the same moment, and it would empty other tables');
          const description = readDescription(tables, answerTo(answers, 2));
          if (description.isolation !== LATEST_LEVEL)
            throw new UndoError(
              `its transaction is of isolation level ${description.isolation.toUpperCase()}, and does not see rows that others have added since it began`,
            );
          return description;
        });
        if ('problem' in described) return { kind: 'refuse', refusal: refuse(described.problem) };
        const [settings = []] = answers?.[3] ?? [];
        return this.#readAll(described.value, settings, refuse);
      },
    };
  }

  #readAll(
    described: Described,
    settings: readonly (string | null)[],
    refuse: (problem: string) => Refusal,
  ): Asking<BeforeAnswer> {
    const { tables } = described;
    const { limit } = this.#store;
    return {
      kind: 'ask',
      questions: [
        ...tables.map((table) => run(allRows(table))),
        run(ownedSequences(tables)),
        run(settingsTo(settings)),
      ],
      limit,
      then: (answers) => {
        if (answers === null) return { kind: 'refuse', refusal: refuse(tooLarge(limit).message) };
        const sequences = answerTo(answers, tables.length).map(([schema, name, last]) => ({
          schema: schema ?? '',
          name: name ?? '',
          last: last ?? '',
        }));
        this.#read = { described, rows: answers.slice(0, tables.length), sequences, settings };
        return { kind: 'run' };
      },
    };
  }

  after({ of, impact, transaction, ready }: RunToKeep, then: KeptOrNot): CountedAnswer {
    const read = this.#read;
    if (read === null) return then(nothingElse([], impact));
    const { described, rows, sequences, settings } = read;
    const { tables, triggers } = described;
    return {
      kind: 'ask',
      questions: [run(stillHold(tables))],
      limit: DESCRIPTION_LIMIT,
      then: (answers) => {
        const [holds] = answerTo(answers, 0);
        const emptied = tables.filter((_, at) => holds?.[at] === 'f');
        const problem = nothingElse(emptied, impact);
        if (problem !== null) return then(problem);
        const document: UndoDocument = {
          version: 1,
          ...of,
          transaction,
          tables: emptied,
          triggers,
          sequences,
          rows: emptied.flatMap((table, index) =>
            (rows[tables.indexOf(table)] ?? []).map((was) => ({ table: index, was, left: null })),
          ),
        };
        return keepDocument(this.#store, document, settings, ready, then);
      },
    };
  }
}

function tablesIn(rows: Counts): readonly ChangedTable[] {
  return rows.map(([schema, name]) => ({ schema: schema ?? '', name: name ?? '', inserted: false }));
}

/** Why what was read before is not all that it changed; null: it is. @param emptied tables that hold no row now, all rows of which were read */
function nothingElse(
  emptied: readonly { readonly schema: string; readonly name: string }[],
  impact: Impact,
): string | null {
  const other = impact.find(
    (one) => !one.emptied || !emptied.some(({ schema, name }) => schema === one.schema && name === one.name),
  );
  return other === undefined
    ? null
    : `something that it ran (a trigger) has changed rows of "${other.schema}"."${other.name}", too`;
}
