/**
 * Collecting the facts of one statement while its tree is walked.
 *
 * Law of this file: appends and removes duplicates; it decides nothing. What a node
 * means is the business of the statements-*.ts files.
 */
import {
  EFFECTS,
  type Access,
  type Action,
  type Assignment,
  type Effect,
  type FunctionCall,
  type NameUse,
  type Need,
  type Prohibition,
  type RelationName,
  type RelationUse,
  type SettingChange,
  type StatementFacts,
  type Tautology,
  type WhereClause,
} from './facts.js';
import type { Offsets } from './offsets.js';
import type { SettingJudgement } from './settings.js';
import type { Source } from './source.js';
import { integer, list, optionalText, stringNode, text, unwrap, type Tree } from './tree.js';

/** CTE names that hide relations of the same name; innermost first. */
export interface Scope {
  /** Name → its place in the WITH clause. */
  readonly names: ReadonlyMap<string, number>;
  /** Only the first so many are visible: without RECURSIVE, a CTE sees those before it. */
  readonly visible: number;
  readonly outer: Scope | null;
}

/** What a node needs to know of its place in the statement. Never changed, only replaced. */
export interface Context {
  /** For Action.within. */
  readonly within: string;
  readonly scope: Scope | null;
  /** What a RangeVar found here means; `alias` for names that repeat one of FROM. */
  readonly mode: RelationUse['mode'] | 'alias';
  /** False under EXPLAIN without ANALYZE: planned, not executed. */
  readonly executes: boolean;
  /** Under EXPLAIN of either kind, where DECLARE makes no cursor. */
  readonly explained: boolean;
  /** True in what is stored for later (bodies of functions, views, rules, defaults, settings of roles): this session's names and settings stay as they are, and what is called there is no call of this statement. */
  readonly stored: boolean;
  /** In a function that is only defined: its code does not run now. */
  readonly defined?: true;
  /** The value that a WHERE clause gives to the column `name`: what `set_config(name, …) … WHERE name = 'x'` sets. */
  readonly named?: string;
}

export const TOP: Context = Object.freeze({
  within: '',
  scope: null,
  mode: 'read',
  executes: true,
  explained: false,
  stored: false,
});

/** Places that may hold a password, for secrets.ts: decided by the statements that are there. */
export type SecretPlace = 'role' | 'options' | 'connection' | 'body';

export interface ActionDraft {
  readonly operation: string;
  readonly effect: Effect;
  readonly targets?: readonly RelationName[];
  readonly cascade?: boolean;
  readonly where?: WhereClause;
  readonly tautology?: Tautology | null;
  readonly assignments?: readonly Assignment[];
  readonly columns?: readonly string[];
  /** Byte offset as the tree gives it; undefined where it gives none. */
  readonly location?: unknown;
}

/** The code of a DO, a function or a procedure, in a string. */
export interface Body {
  readonly language: string;
  readonly text: string;
  /** Of the string, or of something before it, in bytes of the source. */
  readonly location: number;
  /** For what is found in it. */
  readonly context: Context;
  /** Of the function, by which its parameters are qualified; '' for DO. */
  readonly name: string;
  readonly parameters: readonly string[];
}

/** What of a body could not be read, as the rest of a sentence about it; null: everything was. */
export interface BodyReading {
  readonly unread: string | null;
  /** SQL that is put together when it runs. */
  readonly dynamic: string | null;
}

export interface Collector {
  /** What is being walked. */
  source(): Source;
  /** Of the source: from the tree's byte offsets to those of facts. */
  readonly offsets: Offsets;
  readonly secretPlaces: Set<SecretPlace>;
  /** A statement in a body would change the names of prepared statements and cursors, or not, as the code goes. */
  namesInBodies(): boolean;
  /** Collects from another text for as long as `visit` runs. */
  enter<T>(source: Source, visit: () => T): T;
  /** Walks a body. */
  body(body: Body): BodyReading;
  /** Gives a number for turnOpaque(). */
  act(context: Context, draft: ActionDraft): number;
  /** What the action runs turned out not to be known from the text. */
  turnOpaque(action: number): void;
  /** Needed only if the statement is executed, not if it is only planned. */
  need(context: Context, access: Access, why: string, hint?: string | null, location?: unknown): void;
  /** Needed even under EXPLAIN: the planner runs some functions, and EXECUTE its parameters. */
  needAlways(access: Access, why: string, hint: string | null, location: unknown, opaque?: boolean): void;
  effect(effect: Effect): void;
  relation(context: Context, schema: string | null, name: string): void;
  /** `count` of arguments; null where it cannot be told. */
  calls(schema: string | null, name: string, count: number | null, location: unknown): void;
  /** `x.name`, which is a column or the call name(x). */
  selects(name: string, location: unknown): void;
  setting(context: Context, change: SettingChange, judgement: SettingJudgement, location?: unknown): void;
  name(use: NameUse): void;
  /** The facts of a statement inside this one, as if it stood alone (PREPARE, DECLARE). */
  inner(query: unknown): StatementFacts;
  /** The facts so far. The operation is the first action's: the outermost command notes itself first. */
  finish(span: readonly [number, number], secrets: StatementFacts['secrets']): StatementFacts;
}

/** Every statement needs to be allowed anything at all: a role with access `none` runs nothing. */
const ANYTHING: readonly Need[] = Object.freeze([
  Object.freeze({ access: 'read', why: 'runs a statement', hint: null, offset: null }),
]);

const NONE: readonly never[] = Object.freeze([]);

/** What a collector asks of others. */
export interface Readers {
  readonly inner: Collector['inner'];
  readonly body: (body: Body, collect: Collector) => BodyReading;
}

/** Starts the collection for one statement. */
export function createCollector(top: Source, readers: Readers): Collector {
  let source = top;
  let namesInBodies = false;
  const actions: Action[] = [];
  const needs = new Map<string, Need>();
  const prohibitions = new Map<string, Prohibition>();
  const relations = new Map<string, RelationUse>();
  const calls = new Map<string, FunctionCall>();
  const settings: SettingChange[] = [];
  const names: NameUse[] = [];
  const effects = new Set<Effect>();

  const at = (location: unknown): number | null => {
    if (location === undefined) return null;
    const byte = integer(location);
    return byte < 0 ? null : source.offsets.toUtf16(byte);
  };
  const needAlways: Collector['needAlways'] = (access, why, hint, location, opaque = false) => {
    const key = `${access} ${why}`;
    if (needs.has(key)) return;
    needs.set(key, { access, why, hint, offset: at(location), ...(opaque ? { opaque } : undefined) });
  };

  const collector: Collector = {
    source: () => source,
    offsets: { toUtf16: (byte) => source.offsets.toUtf16(byte) },
    secretPlaces: new Set(),
    namesInBodies: () => namesInBodies,
    enter(inner, visit) {
      const outer = source;
      source = inner;
      try {
        return visit();
      } finally {
        source = outer;
      }
    },
    body(body) {
      const before = collector.secretPlaces.size;
      const reading = readers.body(body, collector);
      if (collector.secretPlaces.size > before) collector.secretPlaces.add('body');
      return reading;
    },
    turnOpaque(index) {
      const action = actions[index];
      if (action === undefined) return;
      actions[index] = { ...action, effect: 'opaque' };
      effects.add('opaque');
    },
    act(context, draft) {
      if (!context.executes) return -1;
      effects.add(draft.effect);
      actions.push({
        operation: draft.operation,
        effect: draft.effect,
        targets: draft.targets ?? NONE,
        cascade: draft.cascade ?? false,
        where: draft.where ?? 'not_applicable',
        tautology: draft.tautology ?? null,
        assignments: draft.assignments ?? NONE,
        columns: draft.columns ?? NONE,
        within: context.within,
        offset: at(draft.location),
      });
      return actions.length - 1;
    },
    need(context, access, why, hint = null, location) {
      if (context.executes) needAlways(access, why, hint, location);
    },
    needAlways,
    effect(effect) {
      effects.add(effect);
    },
    relation(context, schema, name) {
      if (context.mode === 'alias') return;
      const mode = context.executes ? context.mode : 'read';
      const key = `${mode} ${schema ?? ''}\u0000${name}`;
      if (!relations.has(key)) relations.set(key, { schema, name, mode });
    },
    calls(schema, name, count, location) {
      const key = `${schema ?? ''}\u0000${name}\u0000${String(count)}`;
      if (!calls.has(key)) calls.set(key, { schema, name, arguments: count, offset: at(location) });
    },
    selects(name, location) {
      const key = `.${name}`;
      if (!calls.has(key))
        calls.set(key, { schema: null, name, arguments: 1, selection: true, offset: at(location) });
    },
    setting(context, change, judgement, location) {
      if (!context.stored) settings.push(change);
      for (const { access, why, hint } of judgement.needs) needAlways(access, why, hint, location);
      for (const prohibition of judgement.prohibitions) {
        if (!prohibitions.has(prohibition.why)) {
          prohibitions.set(prohibition.why, { ...prohibition, offset: at(location) });
        }
      }
    },
    name(use) {
      if (source.depth > 0) namesInBodies = true;
      else names.push(use);
    },
    inner: readers.inner,
    finish(span, secrets) {
      return {
        operation: actions[0]?.operation ?? 'empty',
        effects: EFFECTS.filter((effect) => effects.has(effect)),
        relations: [...relations.values()],
        actions,
        needs: needs.size === 0 ? ANYTHING : [...needs.values()],
        prohibitions: [...prohibitions.values()],
        settings,
        names,
        calls: [...calls.values()],
        secrets,
        literals: [],
        span,
      };
    },
  };
  return collector;
}

/** `in the CTE "d"` inside `under EXPLAIN ANALYZE` reads: in the CTE "d" under EXPLAIN ANALYZE. */
export function inside(context: Context, place: string): string {
  return context.within === '' ? place : `${place} ${context.within}`;
}

/** A relation's name from a RangeVar. */
export function rangeName(range: Tree): RelationName {
  return { schema: optionalText(range['schemaname']), name: text(range['relname']) };
}

/** A name from a list of String nodes (`schema`.`name`; a leading database name is dropped). */
export function qualifiedName(parts: unknown): RelationName {
  const names = list(unwrap(parts, 'List')?.['items'] ?? parts).map(stringNode);
  const name = names[names.length - 1] ?? '';
  return { schema: names.length > 1 ? (names[names.length - 2] ?? null) : null, name };
}

/** As messages show it: `"accounts"`, `"billing.invoices"`. */
export function quoted({ schema, name }: RelationName): string {
  return schema === null ? `"${name}"` : `"${schema}.${name}"`;
}

/** The first few of many, for a sentence. */
export function quotedList(names: readonly RelationName[]): string {
  const shown = names.slice(0, 3).map(quoted).join(', ');
  return names.length > 3 ? `${shown} and ${String(names.length - 3)} more` : shown;
}

/** Whether the relation lives in a temporary schema, by its declaration or by its name. */
export function isTemporary(range: Tree): boolean {
  return range['relpersistence'] === 't' || text(range['schemaname']) === 'pg_temp';
}
