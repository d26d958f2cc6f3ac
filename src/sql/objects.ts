/**
 * PostgreSQL's kinds of objects: what operations and messages call them.
 *
 * Law of this file: a total table over ObjectType of the grammar; a kind that is not
 * here needs admin access.
 */

export interface ObjectKind {
  /** As part of an operation: `drop_table`. */
  readonly operation: string;
  /** For a person: "drops the table". */
  readonly words: string;
  /** Its names are names of relations (pg_class). */
  readonly relation?: true;
  /** Concerns the whole server, other servers or other people's privileges: creating, changing or dropping one needs admin access. */
  readonly admin?: true;
}

export const OBJECT_KINDS: Readonly<Record<string, ObjectKind>> = {
  OBJECT_ACCESS_METHOD: { operation: 'access_method', words: 'access method', admin: true },
  OBJECT_AGGREGATE: { operation: 'aggregate', words: 'aggregate' },
  OBJECT_AMOP: { operation: 'operator_family_member', words: 'member of an operator family' },
  OBJECT_AMPROC: { operation: 'operator_family_member', words: 'member of an operator family' },
  OBJECT_ATTRIBUTE: { operation: 'type', words: 'attribute of the type' },
  OBJECT_CAST: { operation: 'cast', words: 'cast' },
  OBJECT_COLUMN: { operation: 'column', words: 'column' },
  OBJECT_COLLATION: { operation: 'collation', words: 'collation' },
  OBJECT_CONVERSION: { operation: 'conversion', words: 'conversion' },
  OBJECT_DATABASE: { operation: 'database', words: 'database', admin: true },
  OBJECT_DEFAULT: { operation: 'default', words: 'default' },
  OBJECT_DEFACL: { operation: 'default_privileges', words: 'default privileges' },
  OBJECT_DOMAIN: { operation: 'domain', words: 'domain' },
  OBJECT_DOMCONSTRAINT: { operation: 'domain', words: 'constraint of the domain' },
  OBJECT_EVENT_TRIGGER: { operation: 'event_trigger', words: 'event trigger', admin: true },
  OBJECT_EXTENSION: { operation: 'extension', words: 'extension', admin: true },
  OBJECT_FDW: { operation: 'foreign_data_wrapper', words: 'foreign-data wrapper', admin: true },
  OBJECT_FOREIGN_SERVER: { operation: 'server', words: 'foreign server', admin: true },
  OBJECT_FOREIGN_TABLE: { operation: 'foreign_table', words: 'foreign table', relation: true },
  OBJECT_FUNCTION: { operation: 'function', words: 'function' },
  OBJECT_INDEX: { operation: 'index', words: 'index', relation: true },
  OBJECT_LANGUAGE: { operation: 'language', words: 'language', admin: true },
  OBJECT_LARGEOBJECT: { operation: 'large_object', words: 'large object' },
  OBJECT_MATVIEW: { operation: 'materialized_view', words: 'materialized view', relation: true },
  OBJECT_OPCLASS: { operation: 'operator_class', words: 'operator class' },
  OBJECT_OPERATOR: { operation: 'operator', words: 'operator' },
  OBJECT_OPFAMILY: { operation: 'operator_family', words: 'operator family' },
  OBJECT_PARAMETER_ACL: { operation: 'parameter', words: 'configuration parameter', admin: true },
  OBJECT_POLICY: { operation: 'policy', words: 'row security policy' },
  OBJECT_PROCEDURE: { operation: 'procedure', words: 'procedure' },
  OBJECT_PUBLICATION: { operation: 'publication', words: 'publication', admin: true },
  OBJECT_PUBLICATION_NAMESPACE: { operation: 'publication', words: 'publication', admin: true },
  OBJECT_PUBLICATION_REL: { operation: 'publication', words: 'publication', admin: true },
  OBJECT_ROLE: { operation: 'role', words: 'role', admin: true },
  OBJECT_ROUTINE: { operation: 'routine', words: 'routine' },
  OBJECT_RULE: { operation: 'rule', words: 'rule' },
  OBJECT_SCHEMA: { operation: 'schema', words: 'schema' },
  OBJECT_SEQUENCE: { operation: 'sequence', words: 'sequence', relation: true },
  OBJECT_SUBSCRIPTION: { operation: 'subscription', words: 'subscription', admin: true },
  OBJECT_STATISTIC_EXT: { operation: 'statistics', words: 'extended statistics' },
  OBJECT_TABCONSTRAINT: { operation: 'constraint', words: 'constraint' },
  OBJECT_TABLE: { operation: 'table', words: 'table', relation: true },
  OBJECT_TABLESPACE: { operation: 'tablespace', words: 'tablespace', admin: true },
  OBJECT_TRANSFORM: { operation: 'transform', words: 'transform' },
  OBJECT_TRIGGER: { operation: 'trigger', words: 'trigger' },
  OBJECT_TSCONFIGURATION: { operation: 'text_search_configuration', words: 'text search configuration' },
  OBJECT_TSDICTIONARY: { operation: 'text_search_dictionary', words: 'text search dictionary' },
  OBJECT_TSPARSER: { operation: 'text_search_parser', words: 'text search parser' },
  OBJECT_TSTEMPLATE: { operation: 'text_search_template', words: 'text search template' },
  OBJECT_TYPE: { operation: 'type', words: 'type' },
  OBJECT_USER_MAPPING: { operation: 'user_mapping', words: 'user mapping', admin: true },
  OBJECT_VIEW: { operation: 'view', words: 'view', relation: true },
};

const UNKNOWN_KIND: ObjectKind = { operation: 'object', words: 'object', admin: true };

/** The kind of an ObjectType; one that is not in the table counts as an object that needs admin access. */
export function objectKind(objectType: unknown): ObjectKind {
  return (typeof objectType === 'string' ? OBJECT_KINDS[objectType] : undefined) ?? UNKNOWN_KIND;
}
