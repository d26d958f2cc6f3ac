/**
 * What the commands do that define, change and drop objects.
 *
 * Law of this file: one handler a node type, each looking at its own node only. The
 * commands that need no more than a row stand in statements-ddl-table.ts.
 */
import {
  inside,
  isTemporary,
  qualifiedName,
  quoted,
  quotedList,
  rangeName,
  type Context,
} from './collect.js';
import type { RelationName } from './facts.js';
import { objectKind } from './objects.js';
import { creation, creates } from './statements-dml.js';
import { codeOf, needsForLanguage } from './statements-session.js';
import { child, isTree, list, stringNode, text, typeOf, unwrap, type Tree } from './tree.js';
import { command, targetContext, withMode, type Visit } from './visit.js';

/** The name of the object of a DROP, COMMENT, RENAME …, in whichever of its shapes the grammar gives it. */
function objectName(object: unknown): RelationName {
  switch (typeOf(object)) {
    case 'ObjectWithArgs':
      return qualifiedName(child(unwrap(object, 'ObjectWithArgs'))['objname']);
    case 'TypeName':
      return qualifiedName(child(unwrap(object, 'TypeName'))['names']);
    case 'RangeVar':
      return rangeName(child(unwrap(object, 'RangeVar')));
    case 'RoleSpec':
      return { schema: null, name: text(child(unwrap(object, 'RoleSpec'))['rolename']) };
    case 'List':
      return qualifiedName(object);
    default:
      return { schema: null, name: stringNode(object) };
  }
}

/** Objects that are named by their table and then by themselves: `shop.orders.audit_trigger`. */
const ON_A_TABLE: ReadonlySet<unknown> = new Set(['OBJECT_TRIGGER', 'OBJECT_RULE', 'OBJECT_POLICY']);

/** The object of a DROP, whose shape depends on its kind more than that of any other command. */
function dropped(kind: unknown, object: unknown): RelationName {
  const parts = list(child(unwrap(object, 'List'))['items']);
  switch (kind) {
    case 'OBJECT_CAST':
      return { schema: null, name: parts.map((part) => objectName(part).name).join(' AS ') };
    case 'OBJECT_TRANSFORM':
      return { schema: null, name: parts.map((part) => objectName(part).name).join(' FOR ') };
    case 'OBJECT_OPCLASS':
    case 'OBJECT_OPFAMILY':
      // The access method comes first.
      return qualifiedName(parts.slice(1));
    default:
      return objectName(object);
  }
}

const dropStmt: Visit = (node, context, collect) => {
  const kind = objectKind(node['removeType']);
  const targets: RelationName[] = [];
  for (const object of list(node['objects'])) {
    if (ON_A_TABLE.has(node['removeType'])) {
      const parts = list(child(unwrap(object, 'List'))['items']);
      const table = qualifiedName(parts.slice(0, -1));
      targets.push({ schema: null, name: stringNode(parts[parts.length - 1]) });
      if (table.name !== '') collect.relation(withMode(context, 'ddl'), table.schema, table.name);
      continue;
    }
    const target = dropped(node['removeType'], object);
    targets.push(target);
    if (kind.relation === true) collect.relation(withMode(context, 'ddl'), target.schema, target.name);
  }
  const access = kind.admin === true ? 'admin' : 'ddl';
  collect.act(context, {
    operation: `drop_${kind.operation}`,
    effect: access,
    targets,
    cascade: node['behavior'] === 'DROP_CASCADE',
  });
  collect.need(context, access, `drops the ${kind.words} ${quotedList(targets)}`);
  return undefined;
};

/** ALTER TABLE commands that lose data or safety, and so are actions of their own. */
const NOTABLE_COMMANDS: Readonly<Record<string, readonly [operation: string, words: string]>> = {
  AT_DropColumn: ['alter_table_drop_column', 'drops the column'],
  AT_DropConstraint: ['alter_table_drop_constraint', 'drops the constraint'],
  AT_AlterColumnType: ['alter_table_alter_column_type', 'changes the type of the column'],
  AT_DetachPartition: ['alter_table_detach_partition', 'detaches a partition'],
  AT_DisableTrig: ['alter_table_disable_trigger', 'disables the trigger'],
  AT_DisableTrigAll: ['alter_table_disable_trigger', 'disables all triggers'],
  AT_DisableTrigUser: ['alter_table_disable_trigger', 'disables all user triggers'],
  AT_DisableRule: ['alter_table_disable_rule', 'disables the rule'],
  AT_DisableRowSecurity: ['alter_table_disable_row_security', 'disables row security'],
  AT_NoForceRowSecurity: ['alter_table_disable_row_security', 'stops enforcing row security for the owner'],
};

const alterTableStmt: Visit = (node, context, collect) => {
  const kind = objectKind(node['objtype']);
  const range = child(node['relation']);
  const target = rangeName(range);
  const location = range['location'] ?? 0;
  const commands = list(node['cmds']).map((entry) => child(unwrap(entry, 'AlterTableCmd')));
  collect.act(context, {
    operation: `alter_${kind.operation}`,
    effect: 'ddl',
    targets: [target],
    cascade: commands.some(
      (part) => part['behavior'] === 'DROP_CASCADE' && !(text(part['subtype']) in NOTABLE_COMMANDS),
    ),
    location,
  });
  collect.need(context, 'ddl', `changes the ${kind.words} ${quoted(target)}`, null, location);
  for (const part of commands) {
    const notable = NOTABLE_COMMANDS[text(part['subtype'])];
    if (notable === undefined) continue;
    const composite = node['objtype'] === 'OBJECT_TYPE';
    const operation =
      composite && part['subtype'] === 'AT_DropColumn' ? 'alter_type_drop_attribute'
      : composite && part['subtype'] === 'AT_AlterColumnType' ? 'alter_type_alter_attribute'
      : notable[0]; // prettier-ignore
    const cascade = part['behavior'] === 'DROP_CASCADE';
    const name = text(part['name']);
    const columns = operation === 'alter_table_drop_column' ? [name] : [];
    collect.act(context, { operation, effect: 'ddl', targets: [target], cascade, columns, location });
    const words = name === '' ? `${notable[1]} of` : `${notable[1]} "${name}" of`;
    collect.need(context, 'ddl', `${words} ${quoted(target)}`, null, location);
  }
  return { rest: targetContext(context, 'ddl') };
};

/** A foreign key's target is only looked at; everything else that ALTER TABLE names is changed. */
const constraint: Visit = (_node, context) => ({ fields: { pktable: withMode(context, 'read') } });

const createStmt: Visit = (node, context, collect) => {
  const range = child(node['relation']);
  creates('create_table', 'table', range, context, collect);
  // PARTITION OF changes the parent, INHERITS hangs something below it.
  const parents = withMode(context, isTree(node['partbound']) ? 'ddl' : 'read');
  // Defaults, checks and generated columns run when there are rows; bounds of partitions run now. What a temporary
  // table would run later is taken as run now: no catalog that others read will know it.
  const columns = { ...withMode(context, 'read'), stored: context.stored || !isTemporary(range) };
  return {
    rest: withMode(context, 'read'),
    fields: {
      relation: creation(range, context),
      inhRelations: parents,
      tableElts: columns,
      constraints: columns,
    },
  };
};

const createForeignTableStmt: Visit = (node, context, collect) => {
  const target = rangeName(child(child(node['base'])['relation']));
  collect.act(context, { operation: 'create_foreign_table', effect: 'ddl', targets: [target] });
  return { fields: { base: { ...context, within: inside(context, 'in CREATE FOREIGN TABLE') } } };
};

const viewStmt: Visit = (node, context, collect) => {
  const range = child(node['view']);
  creates('create_view', 'view', range, context, collect);
  if (isTemporary(range)) {
    const why = `creates the temporary view ${quoted(rangeName(range))}, a name that no policy knows for other tables`;
    collect.need(context, 'ddl', why, 'Use a CTE, or a view that everybody sees.');
  }
  const body: Context = {
    ...context,
    within: inside(context, `in the view "${text(range['relname'])}"`),
    stored: true,
  };
  return { rest: body, fields: { view: creation(range, context) } };
};

const createSeqStmt: Visit = (node, context, collect) => {
  const range = child(node['sequence']);
  creates('create_sequence', 'sequence', range, context, collect);
  return { fields: { sequence: creation(range, context) } };
};

const ruleStmt: Visit = (node, context, collect) => {
  const target = rangeName(child(node['relation']));
  collect.act(context, { operation: 'create_rule', effect: 'ddl', targets: [target] });
  collect.need(context, 'ddl', `creates a rule on ${quoted(target)}`);
  const body: Context = {
    ...context,
    within: inside(context, `in the rule "${text(node['rulename'])}"`),
    stored: true,
  };
  for (const action of list(node['actions'])) command(action, body, collect);
  return { rest: body, fields: { relation: targetContext(context, 'ddl') } };
};

const createFunctionStmt: Visit = (node, place, collect) => {
  const target = qualifiedName(node['funcname']);
  const procedure = node['is_procedure'] === true;
  const words = procedure ? 'procedure' : 'function';
  collect.act(place, { operation: `create_${words}`, effect: 'ddl', targets: [target] });
  collect.need(place, 'ddl', `creates the ${words} ${quoted(target)}`);
  const context: Context = {
    ...place,
    within: inside(place, `in the body of the ${words} ${quoted(target)}`),
    stored: true,
    defined: true,
  };
  // BEGIN ATOMIC and RETURN are parsed with the statement; a body in a string is not.
  const as = list(node['options']).some((entry) => text(unwrap(entry, 'DefElem')?.['defname']) === 'as');
  if (as) {
    const code = codeOf(node['options'], 'sql');
    const parameters = list(node['parameters']).map((entry) =>
      text(unwrap(entry, 'FunctionParameter')?.['name']),
    );
    const reading = code === null ? null : collect.body({ ...code, context, name: target.name, parameters });
    // Code that nobody has read. SQL that the code puts together is read when the function runs, or never.
    if (reading?.unread !== null) collect.effect('opaque');
  }
  needsForLanguage(node['options'], place, collect);
  return { rest: context };
};

/** SET clauses of ALTER FUNCTION, ALTER ROLE, ALTER DATABASE and ALTER SYSTEM are for later sessions. */
function stores(operation: string, access: 'ddl' | 'admin', why: string): Visit {
  return (_node, context, collect) => {
    collect.act(context, { operation, effect: access });
    collect.need(context, access, why);
    return { rest: { ...context, stored: true } };
  };
}

const grantStmt: Visit = (node, context, collect) => {
  const grants = node['is_grant'] === true;
  const kind = objectKind(node['objtype']);
  const targets = list(node['objects'])
    .map(objectName)
    .filter((target) => target.name !== '');
  const access = kind.operation === 'parameter' ? 'admin' : 'ddl';
  collect.act(context, {
    operation: grants ? 'grant' : 'revoke',
    effect: access,
    targets,
    cascade: node['behavior'] === 'DROP_CASCADE',
  });
  collect.need(context, access, `${grants ? 'grants' : 'revokes'} privileges on a ${kind.words}`);
  return { rest: targetContext(context, 'ddl') };
};

const grantRoleStmt: Visit = (node, context, collect) => {
  const grants = node['is_grant'] === true;
  collect.act(context, {
    operation: grants ? 'grant_role' : 'revoke_role',
    effect: 'admin',
    cascade: node['behavior'] === 'DROP_CASCADE',
  });
  collect.need(context, 'admin', `${grants ? 'grants' : 'revokes'} membership in a role`);
  return undefined;
};

/** RENAME COLUMN and RENAME CONSTRAINT are changes of the relation that they belong to; only tables rename constraints. */
function relationKind(node: Tree, typeField: string): unknown {
  if (node[typeField] === 'OBJECT_COLUMN') return node['relationType'];
  return node[typeField] === 'OBJECT_TABCONSTRAINT' ? 'OBJECT_TABLE' : node[typeField];
}

/** ALTER … RENAME, SET SCHEMA, OWNER TO, DEPENDS ON EXTENSION. */
function alters(typeField: string, how: string): Visit {
  return (node, context, collect) => {
    const kind = objectKind(isTree(node['relation']) ? relationKind(node, typeField) : node[typeField]);
    const target = isTree(node['relation']) ? rangeName(node['relation']) : objectName(node['object']);
    const named = target.name === '' ? { schema: null, name: text(node['subname']) } : target;
    const access = kind.admin === true ? 'admin' : 'ddl';
    collect.act(context, {
      operation: `alter_${kind.operation}`,
      effect: access,
      targets: [named],
      cascade: node['behavior'] === 'DROP_CASCADE',
    });
    collect.need(context, access, `${how} the ${kind.words} ${quoted(named)}`);
    return { rest: targetContext(context, 'ddl') };
  };
}

const commentStmt: Visit = (node, context, collect) => {
  const kind = objectKind(node['objtype']);
  collect.act(context, { operation: 'comment', effect: 'ddl', targets: [objectName(node['object'])] });
  collect.need(context, 'ddl', `comments on a ${kind.words}`);
  return undefined;
};

const defineStmt: Visit = (node, context, collect) => {
  const kind = objectKind(node['kind']);
  const target = qualifiedName(node['defnames']);
  collect.act(context, { operation: `create_${kind.operation}`, effect: 'ddl', targets: [target] });
  collect.need(context, 'ddl', `creates the ${kind.words} ${quoted(target)}`);
  return undefined;
};

const createSchemaStmt: Visit = (node, context, collect) => {
  const target = { schema: null, name: text(node['schemaname']) };
  collect.act(context, { operation: 'create_schema', effect: 'ddl', targets: [target] });
  collect.need(context, 'ddl', `creates the schema ${quoted(target)}`);
  return { rest: { ...context, within: inside(context, 'in CREATE SCHEMA') } };
};

/** VACUUM, ANALYZE, CLUSTER and REINDEX: they change no rows, but hold locks and rewrite files. */
function maintains(operation: string, why: string): Visit {
  return (node, context, collect) => {
    const ranges = [
      node['relation'],
      ...list(node['rels']).map((entry) => child(unwrap(entry, 'VacuumRelation'))['relation']),
    ];
    const targets = ranges.filter(isTree).map(rangeName);
    const name = operation === 'vacuum' && node['is_vacuumcmd'] !== true ? 'analyze' : operation;
    collect.act(context, { operation: name, effect: 'ddl', targets });
    const full =
      name === 'vacuum' &&
      list(node['options']).some((entry) => text(child(unwrap(entry, 'DefElem'))['defname']) === 'full');
    collect.need(context, 'ddl', full ? 'rewrites tables while nobody can use them (VACUUM FULL)' : why);
    return { rest: targetContext(context, 'ddl') };
  };
}

/** Roles, subscriptions, servers and user mappings: their statements may hold passwords. */
export function secretly(place: 'role' | 'options' | 'connection', visit: Visit): Visit {
  return (node, context, collect) => {
    collect.secretPlaces.add(place);
    return visit(node, context, collect);
  };
}

/** A command that a row describes: what it is called, what it needs, and where its node keeps the name. */
export function plain(
  operation: string,
  access: 'ddl' | 'admin',
  why: string,
  nameField: string | null = null,
): Visit {
  return (node, context, collect) => {
    const name = nameField === null ? null : nameOf(node[nameField]);
    collect.act(context, {
      operation,
      effect: access,
      targets: name === null ? [] : [name],
      cascade: node['behavior'] === 'DROP_CASCADE',
    });
    collect.need(context, access, name === null ? why : `${why} ${quoted(name)}`);
    return { rest: targetContext(context, 'ddl') };
  };
}

function nameOf(value: unknown): RelationName | null {
  if (typeof value === 'string') return { schema: null, name: value };
  if (Array.isArray(value)) return value.length > 0 ? qualifiedName(value) : null;
  if (!isTree(value)) return null;
  const node: Tree = value;
  if (typeof node['relname'] === 'string') return rangeName(node);
  if (typeof node['rolename'] === 'string') return { schema: null, name: node['rolename'] };
  return Array.isArray(node['objname']) ? qualifiedName(node['objname']) : null;
}

export const DDL: Readonly<Record<string, Visit>> = {
  DropStmt: dropStmt,
  AlterTableStmt: alterTableStmt,
  Constraint: constraint,
  CreateStmt: createStmt,
  CreateForeignTableStmt: createForeignTableStmt,
  ViewStmt: viewStmt,
  CreateSeqStmt: createSeqStmt,
  RuleStmt: ruleStmt,
  CreateFunctionStmt: createFunctionStmt,
  AlterFunctionStmt: stores('alter_function', 'ddl', 'changes a function or procedure'),
  AlterRoleSetStmt: stores('alter_role', 'admin', 'changes the settings that a role starts with'),
  AlterDatabaseSetStmt: stores(
    'alter_database',
    'admin',
    'changes the settings that sessions of a database start with',
  ),
  AlterSystemStmt: stores('alter_system', 'admin', 'changes the configuration of the server'),
  GrantStmt: grantStmt,
  GrantRoleStmt: grantRoleStmt,
  RenameStmt: alters('renameType', 'renames'),
  AlterObjectSchemaStmt: alters('objectType', 'moves to another schema'),
  AlterOwnerStmt: alters('objectType', 'changes the owner of'),
  AlterObjectDependsStmt: alters('objectType', 'changes what depends on an extension of'),
  CommentStmt: commentStmt,
  DefineStmt: defineStmt,
  CreateSchemaStmt: createSchemaStmt,
  VacuumStmt: maintains('vacuum', 'vacuums or analyzes tables'),
  ClusterStmt: maintains('cluster', 'rewrites tables while nobody can use them (CLUSTER)'),
  ReindexStmt: maintains('reindex', 'rebuilds indexes'),
};
