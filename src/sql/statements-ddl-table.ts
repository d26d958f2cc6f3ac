/**
 * The commands that a row describes: no parts of their own, no choice to make.
 *
 * Law of this file: a literal table. Admin access is for what concerns the whole
 * server, other servers, code of the server, or other people's privileges.
 */
import { plain, secretly } from './statements-ddl.js';
import type { Visit } from './visit.js';

export const DDL_TABLE: Readonly<Record<string, Visit>> = {
  // Schema objects.
  IndexStmt: plain('create_index', 'ddl', 'creates an index on', 'relation'),
  CreateTrigStmt: plain('create_trigger', 'ddl', 'creates a trigger on', 'relation'),
  CreatePolicyStmt: plain('create_policy', 'ddl', 'creates a row security policy on', 'table'),
  AlterPolicyStmt: plain('alter_policy', 'ddl', 'changes a row security policy on', 'table'),
  AlterSeqStmt: plain('alter_sequence', 'ddl', 'changes the sequence', 'sequence'),
  CreateStatsStmt: plain('create_statistics', 'ddl', 'creates the extended statistics', 'defnames'),
  AlterStatsStmt: plain('alter_statistics', 'ddl', 'changes the extended statistics', 'defnames'),
  CompositeTypeStmt: plain('create_type', 'ddl', 'creates the type', 'typevar'),
  CreateEnumStmt: plain('create_type', 'ddl', 'creates the type', 'typeName'),
  CreateRangeStmt: plain('create_type', 'ddl', 'creates the type', 'typeName'),
  AlterEnumStmt: plain('alter_type', 'ddl', 'changes the type', 'typeName'),
  AlterTypeStmt: plain('alter_type', 'ddl', 'changes the type', 'typeName'),
  CreateDomainStmt: plain('create_domain', 'ddl', 'creates the domain', 'domainname'),
  AlterDomainStmt: plain('alter_domain', 'ddl', 'changes the domain', 'typeName'),
  AlterCollationStmt: plain('alter_collation', 'ddl', 'changes the collation', 'collname'),
  AlterOperatorStmt: plain('alter_operator', 'ddl', 'changes the operator', 'opername'),
  CreateOpClassStmt: plain('create_operator_class', 'ddl', 'creates the operator class', 'opclassname'),
  CreateOpFamilyStmt: plain('create_operator_family', 'ddl', 'creates the operator family', 'opfamilyname'),
  AlterOpFamilyStmt: plain('alter_operator_family', 'ddl', 'changes the operator family', 'opfamilyname'),
  CreateConversionStmt: plain('create_conversion', 'ddl', 'creates the conversion', 'conversion_name'),
  CreateCastStmt: plain('create_cast', 'ddl', 'creates a cast'),
  CreateTransformStmt: plain('create_transform', 'ddl', 'creates a transform'),
  AlterTSDictionaryStmt: plain(
    'alter_text_search_dictionary',
    'ddl',
    'changes the text search dictionary',
    'dictname',
  ),
  AlterTSConfigurationStmt: plain(
    'alter_text_search_configuration',
    'ddl',
    'changes the text search configuration',
    'cfgname',
  ),
  AlterDefaultPrivilegesStmt: plain('alter_default_privileges', 'ddl', 'changes default privileges'),
  CreatedbStmt: plain('create_database', 'ddl', 'creates the database', 'dbname'),
  DropdbStmt: plain('drop_database', 'ddl', 'drops the database', 'dbname'),
  CheckPointStmt: plain('checkpoint', 'ddl', 'forces a checkpoint'),

  // The server, its code, its privileges, other servers.
  AlterDatabaseStmt: plain('alter_database', 'admin', 'changes the database', 'dbname'),
  AlterDatabaseRefreshCollStmt: plain('alter_database', 'admin', 'changes the database', 'dbname'),
  CreateRoleStmt: secretly('role', plain('create_role', 'admin', 'creates the role', 'role')),
  AlterRoleStmt: secretly('role', plain('alter_role', 'admin', 'changes the role', 'role')),
  DropRoleStmt: plain('drop_role', 'admin', 'drops roles'),
  DropOwnedStmt: plain('drop_owned', 'admin', 'drops everything that a role owns'),
  ReassignOwnedStmt: plain('reassign_owned', 'admin', 'gives everything that a role owns to another'),
  CreateTableSpaceStmt: plain('create_tablespace', 'admin', 'creates the tablespace', 'tablespacename'),
  DropTableSpaceStmt: plain('drop_tablespace', 'admin', 'drops the tablespace', 'tablespacename'),
  AlterTableSpaceOptionsStmt: plain('alter_tablespace', 'admin', 'changes the tablespace', 'tablespacename'),
  AlterTableMoveAllStmt: plain(
    'alter_table_all_in_tablespace',
    'admin',
    'moves everything in the tablespace',
    'orig_tablespacename',
  ),
  CreateExtensionStmt: plain('create_extension', 'admin', 'installs the extension', 'extname'),
  AlterExtensionStmt: plain('alter_extension', 'admin', 'changes the extension', 'extname'),
  AlterExtensionContentsStmt: plain('alter_extension', 'admin', 'changes the extension', 'extname'),
  CreateFdwStmt: secretly(
    'options',
    plain('create_foreign_data_wrapper', 'admin', 'creates the foreign-data wrapper', 'fdwname'),
  ),
  AlterFdwStmt: secretly(
    'options',
    plain('alter_foreign_data_wrapper', 'admin', 'changes the foreign-data wrapper', 'fdwname'),
  ),
  CreateForeignServerStmt: secretly(
    'options',
    plain('create_server', 'admin', 'creates the foreign server', 'servername'),
  ),
  AlterForeignServerStmt: secretly(
    'options',
    plain('alter_server', 'admin', 'changes the foreign server', 'servername'),
  ),
  CreateUserMappingStmt: secretly(
    'options',
    plain('create_user_mapping', 'admin', 'creates a user mapping for the server', 'servername'),
  ),
  AlterUserMappingStmt: secretly(
    'options',
    plain('alter_user_mapping', 'admin', 'changes a user mapping for the server', 'servername'),
  ),
  DropUserMappingStmt: plain(
    'drop_user_mapping',
    'admin',
    'drops a user mapping for the server',
    'servername',
  ),
  ImportForeignSchemaStmt: plain(
    'import_foreign_schema',
    'admin',
    'imports tables from the server',
    'server_name',
  ),
  CreateAmStmt: plain('create_access_method', 'admin', 'creates the access method', 'amname'),
  CreateEventTrigStmt: plain('create_event_trigger', 'admin', 'creates the event trigger', 'trigname'),
  AlterEventTrigStmt: plain('alter_event_trigger', 'admin', 'changes the event trigger', 'trigname'),
  CreatePLangStmt: plain('create_language', 'admin', 'creates the language', 'plname'),
  CreatePublicationStmt: plain('create_publication', 'admin', 'creates the publication', 'pubname'),
  AlterPublicationStmt: plain('alter_publication', 'admin', 'changes the publication', 'pubname'),
  CreateSubscriptionStmt: secretly(
    'connection',
    plain('create_subscription', 'admin', 'creates the subscription', 'subname'),
  ),
  AlterSubscriptionStmt: secretly(
    'connection',
    plain('alter_subscription', 'admin', 'changes the subscription', 'subname'),
  ),
  DropSubscriptionStmt: plain('drop_subscription', 'admin', 'drops the subscription', 'subname'),
  SecLabelStmt: plain('security_label', 'admin', 'changes a security label'),
  LoadStmt: plain('load', 'admin', 'loads code into the server process', 'filename'),
};
