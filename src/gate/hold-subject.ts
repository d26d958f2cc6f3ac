/**
 * What approvers are shown of a message that is held, and what its fingerprint is
 * taken from.
 *
 * Law: pure, and the same message gives the same subject each time that it is asked
 * about. Nothing is left out that decides what would run.
 */
import { hash } from 'node:crypto';
import type { Catalog } from '../catalog/catalog.js';
import type { HeldMatch, HeldParameter, HeldRelation, Measured, OldRows, Subject } from '../holds/hold.js';
import type { HoldSetting, Login, Match } from '../policy/types.js';
import { changedBeside } from '../policy/reach.js';
import { named } from '../policy/words.js';
import type { RelationUse, StatementFacts } from '../sql/facts.js';
import type { JudgedText } from './judged-text.js';
import { rulesOf } from './words.js';

/** The session that a message is held in. */
export interface HoldingSession {
  readonly id: string;
  readonly login: Login;
}

/** A message that people must approve. */
export interface HeldMessage {
  /** The text as it would be forwarded. */
  readonly judged: JudgedText;
  /** Its bytes within the message at hand; null: the message has only a name for it. */
  readonly text: Uint8Array | null;
  /** What names in it stand for (EXECUTE, FETCH) that must be approved as well. */
  readonly reached: readonly JudgedText[];
  readonly parameters: readonly HeldParameter[];
  readonly inTransaction: Subject['inTransaction'];
  readonly searchPath: string | null;
  /** What was measured, and why that is to be approved; null: nothing was. */
  readonly trial: Trial | null;
  readonly oldRows: OldRows;
}

/** What a statement, or a transaction, turned out to change. */
export interface Trial {
  readonly measured: Measured;
  /** Strictest first; none where the statement is held whatever it changes. */
  readonly matches: readonly Match[];
  /** When it runs again, once approved, the old rows of what it changes are kept. */
  readonly keepsOldRows: boolean;
}

/** Relations beyond these are not listed: nobody would read them. */
const MOST_RELATIONS = 200;

/** A shorter text is shown as the characters that it was judged by, which all sessions share that send it; bytes. */
const SHARED_TEXT_BYTES = 512;

/** The bytes that a long text is shown from: they must stay as they are. null: it is shown otherwise. */
export function shownBytes({ text }: Pick<HeldMessage, 'text'>): Uint8Array | null {
  return text !== null && text.length > SHARED_TEXT_BYTES ? text : null;
}

/** What is shown of a text whoever sends it. */
type Shown = Pick<Subject, 'sqlSha256' | 'operations' | 'matches' | 'relations'>;

/** What is shown of texts, found out once for each; a thousand sessions that send one have it once. */
export type ShownTexts = (judged: JudgedText) => Shown;

export function createShownTexts(): ShownTexts {
  const known = new WeakMap<JudgedText, Shown>();
  return (judged) => {
    const shown = known.get(judged) ?? {
      sqlSha256: sha256Of(judged),
      operations: judged.statements.map(({ operation }) => operation),
      matches: rulesOf(judged.judgement).map(heldMatch),
      relations: relationsOf([judged], judged.scope.catalog),
    };
    known.set(judged, shown);
    return shown;
  };
}

/** @param decision the id of the decision that holds it */
export function subjectOf(
  message: HeldMessage,
  shownTexts: ShownTexts,
  session: HoldingSession,
  setting: HoldSetting,
  environment: string,
  decision: string,
): Subject {
  const { judged, reached, parameters, inTransaction, searchPath, trial, oldRows } = message;
  const { scope, sql } = judged;
  const bytes = shownBytes(message);
  const shown = shownTexts(judged);
  const alone = trial === null && reached.length === 0;
  const { user, database, application, address } = session.login;
  return {
    decision,
    sql: bytes ?? sql,
    sqlSha256: shown.sqlSha256,
    sqlBytes: bytes?.length ?? Buffer.byteLength(sql),
    operations: shown.operations,
    parameters,
    user,
    role: scope.role.name,
    database,
    session: session.id,
    application,
    client: address,
    searchPath,
    policy: scope.policy.sha256,
    environment,
    inTransaction,
    matches: alone
      ? shown.matches
      : [...(trial?.matches.map(heldMatch) ?? []), ...shown.matches, ...reached.flatMap(matchesOfReached)],
    relations: reached.length === 0 ? shown.relations : relationsOf([judged, ...reached], scope.catalog),
    measured: trial?.measured ?? null,
    oldRows,
    style: setting.style,
  };
}

/** A text with a password in it is hashed as it is recorded: otherwise the hash would let anybody try passwords. */
function sha256Of({ sql, statements }: JudgedText): string {
  if (!statements.some((statement) => statement.sql.redacted)) return hash('sha256', sql, 'hex');
  const [only] = statements;
  if (statements.length === 1 && only !== undefined) return only.sql.sha256;
  return hash('sha256', statements.map((statement) => statement.sql.sha256).join(), 'hex');
}

function heldMatch({ rule, action, message, hint, detail }: Match): HeldMatch {
  return { rule, action, message, hint, ...(detail === undefined ? {} : { detail }) };
}

/** Matches of a text that only a name in the statement stands for: the detail says what it is. */
function matchesOfReached(text: JudgedText): readonly HeldMatch[] {
  return rulesOf(text.judgement).map((match) => {
    const more = match.detail === undefined ? '' : ` ${match.detail}`;
    return heldMatch({ ...match, detail: `What would run: ${text.sql}${more}` });
  });
}

/** Everything that the texts name or reach by the catalogs, each once. */
function relationsOf(texts: readonly JudgedText[], catalog: Catalog | null): readonly HeldRelation[] {
  const found = new Map<string, HeldRelation>();
  const add = (relation: HeldRelation): void => {
    const key = JSON.stringify([relation.schema, relation.name, relation.mode]);
    if (found.size < MOST_RELATIONS && !found.has(key)) found.set(key, relation);
  };
  const facts = texts.flatMap((text) => text.statements.flatMap((statement) => statement.facts ?? []));
  for (const { relations } of facts) {
    for (const { schema, name, mode } of relations)
      add({ schema, name, mode, estimatedRows: estimate({ schema, name, mode }, catalog) });
  }
  if (catalog !== null) for (const statement of facts) addBeside(statement, catalog, add);
  return [...found.values()];
}

function addBeside(statement: StatementFacts, catalog: Catalog, add: (relation: HeldRelation) => void): void {
  const changed = statement.relations.filter(({ mode }) => mode !== 'read');
  for (const { relation, action, how } of changedBeside(catalog, statement, changed)) {
    const mode = action.effect === 'ddl' || action.effect === 'admin' ? 'ddl' : 'write';
    const { schema, name, rows } = relation;
    add({ schema, name, mode, estimatedRows: rows, beside: `${how(named(relation))}.` });
  }
}

/** The planner's estimate, where the name can mean one relation only. */
function estimate(use: RelationUse, catalog: Catalog | null): number | null {
  const relations = catalog?.relationsNamed(use) ?? [];
  return relations.length === 1 ? (relations[0]?.rows ?? null) : null;
}
