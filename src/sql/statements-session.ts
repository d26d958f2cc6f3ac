/**
 * What the commands do that concern the session, its transaction, its settings and
 * its names, and the wrappers that run other commands.
 *
 * Law of this file: one handler a node type, each looking at its own node only.
 */
import { inside, quoted, rangeName, type BodyReading, type Collector, type Context } from './collect.js';
import type { Effect } from './facts.js';
import { foldSettingName, judgeSetting, UNKNOWN_VALUE } from './settings.js';
import { child, constant, integer, list, optionalText, text, unwrap, type Tree } from './tree.js';
import { creation, creates } from './statements-dml.js';
import { command, targetContext, withMode, type Visit } from './visit.js';

/** A command that does one thing and needs no more than read access. */
function simple(operation: string, effect: Effect): Visit {
  return (_node, context, collect) => {
    collect.act(context, { operation, effect });
    return undefined;
  };
}

const explainStmt: Visit = (node, context, collect) => {
  const executes = list(node['options']).some((entry) => {
    const option = child(unwrap(entry, 'DefElem'));
    return text(option['defname']) === 'analyze' && !isOff(option['arg']);
  });
  collect.act(context, { operation: 'explain', effect: 'read' });
  const within = inside(context, executes ? 'under EXPLAIN ANALYZE' : 'under EXPLAIN');
  const inner: Context = { ...context, within, executes: context.executes && executes, explained: true };
  command(node['query'], inner, collect);
  return { rest: inner };
};

/** defGetBoolean: only these switch an option off; anything unclear counts as on. */
function isOff(arg: unknown): boolean {
  const value = constant(arg);
  return typeof value === 'string' && ['off', 'false', '0'].includes(value.toLowerCase());
}

const prepareStmt: Visit = (node, context, collect) => {
  const name = text(node['name']);
  collect.act(context, { operation: 'prepare', effect: 'session' });
  const inner: Context = { ...context, within: inside(context, `under PREPARE "${name}"`) };
  command(node['query'], inner, collect);
  if (!context.stored) collect.name({ kind: 'prepare', name, statement: collect.inner(node['query']) });
  return { rest: inner };
};

const executeStmt: Visit = (node, context, collect) => {
  collect.act(context, { operation: 'execute', effect: 'session' });
  // Under a plain EXPLAIN too: the name is looked up and the parameters are computed.
  if (!context.stored) collect.name({ kind: 'execute', name: text(node['name']) });
  return undefined;
};

const deallocateStmt: Visit = (node, context, collect) => {
  collect.act(context, { operation: 'deallocate', effect: 'session' });
  if (!context.stored)
    collect.name({ kind: 'deallocate', name: node['isall'] === true ? null : text(node['name']) });
  return undefined;
};

/** CURSOR_OPT_HOLD (parsenodes.h). */
const CURSOR_OPT_HOLD = 0x20;

const declareCursorStmt: Visit = (node, context, collect) => {
  const name = text(node['portalname']);
  collect.act(context, { operation: 'declare', effect: 'session' });
  const inner: Context = { ...context, within: inside(context, `in the cursor "${name}"`) };
  command(node['query'], inner, collect);
  if (!context.stored && !context.explained) {
    const hold = (integer(node['options']) & CURSOR_OPT_HOLD) !== 0;
    collect.name({ kind: 'declare', name, hold, statement: collect.inner(node['query']) });
  }
  return { rest: inner };
};

const fetchStmt: Visit = (node, context, collect) => {
  collect.act(context, { operation: node['ismove'] === true ? 'move' : 'fetch', effect: 'read' });
  if (!context.stored) collect.name({ kind: 'fetch', name: text(node['portalname']) });
  return undefined;
};

const closePortalStmt: Visit = (node, context, collect) => {
  collect.act(context, { operation: 'close', effect: 'session' });
  if (!context.stored) collect.name({ kind: 'close', name: optionalText(node['portalname']) });
  return undefined;
};

const createTableAsStmt: Visit = (node, context, collect) => {
  const materialized = node['objtype'] === 'OBJECT_MATVIEW';
  const range = child(child(node['into'])['rel']);
  const operation = materialized ? 'create_materialized_view' : 'create_table_as';
  creates(operation, materialized ? 'materialized view' : 'table', range, context, collect);
  const inner: Context = {
    ...context,
    within: inside(context, materialized ? 'under CREATE MATERIALIZED VIEW' : 'under CREATE TABLE AS'),
  };
  command(node['query'], inner, collect);
  return { rest: inner, fields: { into: creation(range, context) } };
};

const refreshMatViewStmt: Visit = (node, context, collect) => {
  const range = child(node['relation']);
  const target = rangeName(range);
  const location = range['location'] ?? 0;
  collect.act(context, {
    operation: 'refresh_materialized_view',
    effect: 'ddl',
    targets: [target],
    location,
  });
  collect.need(context, 'ddl', `rebuilds the materialized view ${quoted(target)}`, null, location);
  return { rest: targetContext(context, 'ddl') };
};

const TRANSACTIONS: Readonly<Record<string, readonly [operation: string, needsWrite: boolean]>> = {
  TRANS_STMT_BEGIN: ['begin', false],
  TRANS_STMT_START: ['begin', false],
  TRANS_STMT_COMMIT: ['commit', false],
  TRANS_STMT_ROLLBACK: ['rollback', false],
  TRANS_STMT_SAVEPOINT: ['savepoint', false],
  TRANS_STMT_RELEASE: ['release_savepoint', false],
  TRANS_STMT_ROLLBACK_TO: ['rollback_to_savepoint', false],
  TRANS_STMT_PREPARE: ['prepare_transaction', true],
  TRANS_STMT_COMMIT_PREPARED: ['commit_prepared', true],
  TRANS_STMT_ROLLBACK_PREPARED: ['rollback_prepared', true],
};

const transactionStmt: Visit = (node, context, collect) => {
  const [operation, needsWrite] = TRANSACTIONS[text(node['kind'])] ?? ['transaction', true];
  collect.act(context, { operation, effect: 'transaction' });
  if (needsWrite) {
    collect.need(
      context,
      'write',
      'is part of a two-phase commit, which outlives the session',
      'Use COMMIT or ROLLBACK.',
    );
  }
  for (const [name, value, location] of modes(node['options'])) {
    for (const { access, why, hint } of judgeSetting(name, value).needs)
      collect.needAlways(access, why, hint, location);
  }
  return undefined;
};

/** Transaction modes: DefElems named after the settings they change. */
function modes(options: unknown): (readonly [name: string, value: string | null, location: unknown])[] {
  return list(options).map((entry) => {
    const mode = child(unwrap(entry, 'DefElem'));
    return [text(mode['defname']), constant(mode['arg']) ?? null, mode['location'] ?? 0];
  });
}

const variableSetStmt: Visit = (node, context, collect) => {
  const kind = text(node['kind']);
  const local = node['is_local'] === true;
  const name = foldSettingName(text(node['name']));
  // SET TRANSACTION … and friends carry their location in the modes.
  const location = integer(node['location']) > 0 ? node['location'] : undefined;
  if (!context.stored) {
    const operation = kind === 'VAR_RESET' || kind === 'VAR_RESET_ALL' ? 'reset' : 'set';
    collect.act(context, { operation, effect: kind === 'VAR_SET_MULTI' ? 'transaction' : 'session' });
  }
  switch (kind) {
    case 'VAR_RESET_ALL':
      if (!context.stored) collect.setting(context, { name: '*', value: null, local: false }, NOTHING);
      break;
    case 'VAR_SET_MULTI':
      setMulti(text(node['name']), node['args'], context, collect);
      break;
    case 'VAR_RESET':
    case 'VAR_SET_DEFAULT':
    case 'VAR_SET_CURRENT': {
      // FROM CURRENT keeps what is, and what is has been judged.
      const judgement = kind === 'VAR_SET_CURRENT' ? NOTHING : judgeSetting(name, null);
      collect.setting(context, { name, value: null, local }, judgement, location);
      break;
    }
    default: {
      const values = list(node['args']).map(constant);
      const known = values.every((value) => typeof value === 'string');
      const value = known ? values.join(', ') : UNKNOWN_VALUE;
      collect.setting(
        context,
        { name, value: known ? values.join(', ') : null, local },
        judgeSetting(name, value),
        location,
      );
    }
  }
  return undefined;
};

const NOTHING = { needs: [], prohibitions: [] } as const;

/** SET TRANSACTION, SET SESSION CHARACTERISTICS and SET TRANSACTION SNAPSHOT. */
function setMulti(what: string, args: unknown, context: Context, collect: Collector): void {
  if (what === 'TRANSACTION SNAPSHOT') return;
  const session = what === 'SESSION CHARACTERISTICS';
  for (const [mode, value, location] of modes(args)) {
    const name = session ? `default_${mode}` : mode;
    collect.setting(context, { name, value, local: !session }, judgeSetting(name, value), location);
  }
}

const DISCARDS = {
  DISCARD_ALL: 'all',
  DISCARD_PLANS: 'plans',
  DISCARD_SEQUENCES: 'sequences',
  DISCARD_TEMP: 'temp',
} as const;

const discardStmt: Visit = (node, context, collect) => {
  const target = text(node['target']);
  const what = target in DISCARDS ? DISCARDS[target as keyof typeof DISCARDS] : 'all';
  collect.act(context, { operation: 'discard', effect: 'session' });
  if (context.stored) return undefined;
  if (what === 'all') collect.setting(context, { name: '*', value: null, local: false }, NOTHING);
  collect.name({ kind: 'discard', what });
  return undefined;
};

const notifyStmt: Visit = (node, context, collect) => {
  collect.act(context, { operation: 'notify', effect: 'write' });
  collect.need(context, 'write', `notifies other sessions on "${text(node['conditionname'])}"`);
  return undefined;
};

/** SET CONSTRAINTS names constraints; the tree spells them like relations. */
const constraintsSetStmt: Visit = (_node, context, collect) => {
  collect.act(context, { operation: 'set_constraints', effect: 'transaction' });
  return { rest: withMode(context, 'alias') };
};

const OPAQUE_HINT = 'Run its statements one by one, so that each can be judged.';

const doStmt: Visit = (node, context, collect) => {
  const action = collect.act(context, { operation: 'do', effect: 'read' });
  const body: Context = { ...context, within: inside(context, 'in the body of DO') };
  const code = codeOf(node['args'], 'plpgsql');
  const { unread, dynamic } = doReading(code, body, collect);
  const because = unread ?? dynamic;
  // In a function that is only defined, it does not run now.
  if (because !== null && context.defined !== true) {
    collect.turnOpaque(action);
    const why = `runs a block of code that Holdfast cannot see into (DO): ${because}`;
    collect.need(context, 'write', why, OPAQUE_HINT);
  }
  needsForLanguage(node['args'], context, collect);
  return undefined;
};

function doReading(code: Code | null, context: Context, collect: Collector): BodyReading {
  if (code === null) return { unread: 'its body cannot be found', dynamic: null };
  // The one language of PostgreSQL that runs in a DO and that can be read.
  if (code.language !== 'plpgsql') return { unread: `it is written in "${code.language}"`, dynamic: null };
  return collect.body({ ...code, context, name: '', parameters: [] });
}

/** A string of code among the options of a command. */
interface Code {
  readonly language: string;
  readonly text: string;
  readonly location: number;
}

/** The code in the options of a DO or a CREATE FUNCTION; null where there is none, or where it is not the only one. */
export function codeOf(options: unknown, defaultLanguage: string): Code | null {
  let language: string | null = null;
  let body: string | null = null;
  let location = 0;
  for (const entry of list(options)) {
    const option = child(unwrap(entry, 'DefElem'));
    const name = text(option['defname']);
    if (name === 'language') {
      if (language !== null) return null;
      language = (constant(option['arg']) ?? '').toLowerCase();
    }
    if (name === 'as') {
      if (body !== null) return null;
      const parts = list(child(unwrap(option['arg'], 'List'))['items']);
      body = constant(parts.length === 1 ? parts[0] : option['arg']) ?? null;
      if (body === null) return null;
      location = integer(option['location']);
    }
  }
  return body === null ? null : { language: language ?? defaultLanguage, text: body, location };
}

const callStmt: Visit = (node, context, collect) => {
  const call = child(node['funccall']);
  const location = call['location'];
  const runs = context.defined !== true;
  collect.act(context, { operation: 'call', effect: runs ? 'opaque' : 'read', location });
  if (runs) {
    const why = 'calls a procedure that Holdfast cannot see into (CALL)';
    collect.need(context, 'write', why, OPAQUE_HINT, location);
  }
  return undefined;
};

/** Procedural languages that confine their code; any other may reach into the server and its files. */
const TRUSTED_LANGUAGES: ReadonlySet<string> = new Set([
  'sql', 'plpgsql', 'plperl', 'pltcl', 'plv8', 'plcoffee', 'plls', 'pljs', 'pllua', 'plrust', 'java', 'pljava', 'plprql',
]); // prettier-ignore

/** DO … LANGUAGE and CREATE FUNCTION … LANGUAGE. */
export function needsForLanguage(options: unknown, context: Context, collect: Collector): void {
  for (const entry of list(options)) {
    const option: Tree = child(unwrap(entry, 'DefElem'));
    if (text(option['defname']) !== 'language') continue;
    // CREATE FUNCTION folds the name itself, so LANGUAGE 'C' is c.
    const language = (constant(option['arg']) ?? '').toLowerCase();
    if (TRUSTED_LANGUAGES.has(language)) continue;
    collect.need(
      context,
      'admin',
      `uses the language "${language}", whose code can reach into the server`,
      'Use sql or plpgsql.',
      option['location'] ?? 0,
    );
  }
}

export const SESSION: Readonly<Record<string, Visit>> = {
  ExplainStmt: explainStmt,
  PrepareStmt: prepareStmt,
  ExecuteStmt: executeStmt,
  DeallocateStmt: deallocateStmt,
  DeclareCursorStmt: declareCursorStmt,
  FetchStmt: fetchStmt,
  ClosePortalStmt: closePortalStmt,
  CreateTableAsStmt: createTableAsStmt,
  RefreshMatViewStmt: refreshMatViewStmt,
  TransactionStmt: transactionStmt,
  VariableSetStmt: variableSetStmt,
  VariableShowStmt: simple('show', 'read'),
  DiscardStmt: discardStmt,
  ListenStmt: simple('listen', 'session'),
  UnlistenStmt: simple('unlisten', 'session'),
  NotifyStmt: notifyStmt,
  ConstraintsSetStmt: constraintsSetStmt,
  DoStmt: doStmt,
  CallStmt: callStmt,
};
