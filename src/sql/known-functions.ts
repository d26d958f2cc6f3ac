/**
 * PostgreSQL's own functions that do something.
 *
 * Law of this file: data, drawn from pg_proc of PostgreSQL 14 to 18. Every function
 * there that is marked VOLATILE and can be called stands here, in harmless-functions.ts
 * or is judged by its arguments (functions.ts); test/sql/functions.test.ts asks a server.
 * What a newer server brings is in none of them, and what is in none but begins with
 * `pg_` or another name that PostgreSQL keeps to itself needs admin access. STABLE
 * and IMMUTABLE functions without such a beginning change nothing and need no entry.
 */
import type { Access, Effect } from './facts.js';

export interface FunctionClass {
  readonly access: Access;
  readonly effect: Effect;
  /** Completes "it calls f(), which …". */
  readonly why: string;
  readonly hint: string | null;
  /** Part of a contrib module, and therefore in whatever schema that was installed in. */
  readonly anySchema?: true;
  readonly names: string;
}

export const FUNCTION_CLASSES: readonly FunctionClass[] = [
  { access: 'write', effect: 'write', why: 'advances a sequence', hint: null, names: 'nextval' },
  { access: 'write', effect: 'write', why: 'sets a sequence', hint: null, names: 'setval' },
  {
    access: 'write',
    effect: 'write',
    why: 'creates or changes a large object',
    hint: null,
    names: 'lo_creat lo_create lo_from_bytea lo_put lo_truncate lo_truncate64 lowrite',
  },
  { access: 'write', effect: 'write', why: 'deletes a large object', hint: null, names: 'lo_unlink' },
  {
    access: 'write',
    effect: 'write',
    why: 'may open a large object for writing',
    hint: 'Use lo_get(), or lo_open(…, 262144), to read.',
    names: 'lo_open',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'reads or writes files of the server',
    hint: null,
    names: 'lo_import lo_export',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'reads files of the server',
    hint: null,
    names: `pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_dir pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings
      pg_available_wal_summaries pg_wal_summary_contents`,
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'reads or writes files of the server',
    hint: null,
    anySchema: true,
    names:
      'pg_get_logical_snapshot_meta pg_get_logical_snapshot_info pg_file_read pg_file_write pg_file_rename pg_file_unlink pg_file_sync pg_file_length pg_logdir_ls pg_logfile_rotate',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'interferes with the sessions of others',
    hint: null,
    names: `pg_terminate_backend pg_cancel_backend pg_log_backend_memory_contexts pg_get_process_memory_contexts`,
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'controls the server',
    hint: null,
    names: `pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote pg_switch_wal
      pg_create_restore_point pg_wal_replay_pause pg_wal_replay_resume pg_log_standby_snapshot
      pg_stop_making_pinned_objects pg_nextoid pg_import_system_collations`,
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'starts or stops a base backup',
    hint: null,
    names: 'pg_start_backup pg_stop_backup pg_backup_start pg_backup_stop',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'changes or consumes replication slots or origins',
    hint: null,
    names: `pg_create_physical_replication_slot pg_create_logical_replication_slot
      pg_copy_physical_replication_slot pg_copy_logical_replication_slot pg_drop_replication_slot
      pg_replication_slot_advance pg_sync_replication_slots
      pg_logical_slot_get_changes pg_logical_slot_get_binary_changes
      pg_logical_slot_peek_changes pg_logical_slot_peek_binary_changes
      pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_advance
      pg_replication_origin_session_setup pg_replication_origin_session_reset
      pg_replication_origin_xact_setup pg_replication_origin_xact_reset`,
  },
  {
    access: 'write',
    effect: 'write',
    why: 'writes a message to the write-ahead log',
    hint: null,
    names: 'pg_logical_emit_message',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'resets statistics that monitoring and autovacuum rely on',
    hint: null,
    names: `pg_stat_reset pg_stat_reset_shared pg_stat_reset_slru pg_stat_reset_single_table_counters
      pg_stat_reset_single_function_counters pg_stat_reset_replication_slot
      pg_stat_reset_subscription_stats pg_stat_reset_backend_stats
      pg_clear_attribute_stats pg_clear_relation_stats pg_restore_attribute_stats
      pg_restore_relation_stats pg_clear_extended_stats pg_restore_extended_stats`,
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'resets statistics that monitoring relies on',
    hint: null,
    anySchema: true,
    names:
      'pg_stat_statements_reset pg_stat_monitor_reset pg_stat_kcache_reset pg_wait_sampling_reset_profile pg_qualstats_reset',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'is meant for pg_upgrade and extensions only',
    hint: null,
    names: `binary_upgrade_add_sub_rel_state binary_upgrade_create_empty_extension
      binary_upgrade_logical_slot_has_caught_up binary_upgrade_replorigin_advance
      binary_upgrade_set_missing_value binary_upgrade_set_next_array_pg_type_oid
      binary_upgrade_set_next_heap_pg_class_oid binary_upgrade_set_next_heap_relfilenode
      binary_upgrade_set_next_index_pg_class_oid binary_upgrade_set_next_index_relfilenode
      binary_upgrade_set_next_multirange_array_pg_type_oid
      binary_upgrade_set_next_multirange_pg_type_oid binary_upgrade_set_next_pg_authid_oid
      binary_upgrade_set_next_pg_enum_oid binary_upgrade_set_next_pg_tablespace_oid
      binary_upgrade_set_next_pg_type_oid binary_upgrade_set_next_toast_pg_class_oid
      binary_upgrade_set_next_toast_relfilenode binary_upgrade_set_record_init_privs
      pg_extension_config_dump`,
  },
  {
    access: 'ddl',
    effect: 'ddl',
    why: 'rewrites parts of an index',
    hint: null,
    names: `brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list`,
  },
  { access: 'write', effect: 'write', why: 'notifies other sessions', hint: null, names: 'pg_notify' },
  {
    access: 'write',
    effect: 'write',
    why: 'keeps the connection busy without reading anything',
    hint: 'Wait in the client.',
    names: 'pg_sleep pg_sleep_for pg_sleep_until pg_isolation_test_session_is_blocked',
  },
  {
    access: 'write',
    effect: 'write',
    why: 'takes an advisory lock that others may wait for',
    hint: null,
    names: `pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared
      pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
      pg_try_advisory_xact_lock_shared`,
  },
  {
    access: 'write',
    effect: 'opaque',
    why: 'runs SQL that Holdfast cannot see',
    hint: 'Run the inner statement itself.',
    names: `query_to_xml query_to_xml_and_xmlschema query_to_xmlschema cursor_to_xml cursor_to_xmlschema
      table_to_xml table_to_xml_and_xmlschema table_to_xmlschema schema_to_xml
      schema_to_xml_and_xmlschema schema_to_xmlschema database_to_xml database_to_xml_and_xmlschema
      database_to_xmlschema ts_stat`,
  },
  {
    access: 'write',
    effect: 'opaque',
    why: 'runs SQL that Holdfast cannot see',
    hint: 'Run the inner statement itself.',
    anySchema: true,
    names: `crosstab crosstab2 crosstab3 crosstab4 crosstabn crosstab_hash connectby connectby_text
      connectby_text_serial xpath_table`,
  },
  {
    access: 'admin',
    effect: 'opaque',
    why: 'runs SQL over a connection that Holdfast cannot see',
    hint: 'Connect to that server through Holdfast instead.',
    anySchema: true,
    names: `dblink dblink_connect dblink_connect_u dblink_disconnect dblink_exec dblink_open dblink_fetch
      dblink_close dblink_get_connections dblink_error_message dblink_send_query dblink_is_busy
      dblink_get_notify dblink_get_result dblink_cancel_query dblink_get_pkey
      dblink_build_sql_insert dblink_build_sql_delete dblink_build_sql_update dblink_current_query
      dblink_fdw_validator postgres_fdw_disconnect postgres_fdw_disconnect_all`,
  },
  {
    access: 'admin',
    effect: 'opaque',
    why: 'runs SQL in another process, which no read-only mode of this session holds back',
    hint: 'Run the inner statement itself.',
    anySchema: true,
    names: `pg_background_launch pg_background_result pg_background_detach pg_background_launch_v2
      pg_background_submit_v2 pg_background_result_v2 pg_background_wait_v2 pg_background_cancel_v2
      pg_background_detach_v2`,
  },
  {
    access: 'admin',
    effect: 'opaque',
    why: 'runs SQL on other servers',
    hint: 'Connect to that server through Holdfast instead.',
    anySchema: true,
    names: `run_command_on_workers run_command_on_coordinator run_command_on_all_nodes
      run_command_on_shards run_command_on_placements run_command_on_colocated_placements`,
  },
  {
    access: 'write',
    effect: 'opaque',
    why: 'sends requests to other servers',
    hint: null,
    anySchema: true,
    names: 'http http_get http_post http_put http_patch http_delete http_head',
  },
  {
    access: 'ddl',
    effect: 'ddl',
    why: 'changes or drops tables',
    hint: null,
    anySchema: true,
    names: `addgeometrycolumn dropgeometrycolumn dropgeometrytable updategeometrysrid
      populate_geometry_columns create_hypertable drop_chunks compress_chunk decompress_chunk
      add_retention_policy create_distributed_table create_reference_table
      undistribute_table alter_distributed_table truncate_local_data_after_distributing_table`,
  },
  {
    access: 'ddl',
    effect: 'ddl',
    why: 'checks an index while nobody can write to its table',
    hint: 'Use bt_index_check().',
    anySchema: true,
    names: 'bt_index_parent_check',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'changes or reads storage behind the back of the server',
    hint: null,
    anySchema: true,
    names: `heap_force_kill heap_force_freeze pg_truncate_visibility_map pg_buffercache_evict
      pg_buffercache_evict_relation pg_buffercache_evict_all pg_buffercache_mark_dirty
      pg_buffercache_mark_dirty_relation pg_buffercache_mark_dirty_all get_raw_page page_header page_checksum
      heap_page_items heap_page_item_attrs tuple_data_split heap_tuple_infomask_flags
      brin_page_type brin_metapage_info brin_revmap_data brin_page_items bt_metap bt_page_stats
      bt_multi_page_stats bt_page_items gin_metapage_info gin_page_opaque_info gin_leafpage_items
      gist_page_opaque_info gist_page_items gist_page_items_bytea hash_page_type hash_page_stats
      hash_metapage_info hash_bitmap_info hash_page_items fsm_page_contents pg_prewarm autoprewarm_start_worker
      autoprewarm_dump_now pg_get_wal_record_info pg_get_wal_records_info
      pg_get_wal_records_info_till_end_of_wal pg_get_wal_stats pg_get_wal_stats_till_end_of_wal
      pg_get_wal_block_info pg_get_wal_fpi_info`,
  },
];

/** Schemas of extensions whose functions are dangerous, or whose names say too little to be listed without the schema. */
export const FUNCTION_SCHEMAS: Readonly<Record<string, Omit<FunctionClass, 'names' | 'anySchema'>>> = {
  cron: {
    access: 'admin',
    effect: 'opaque',
    why: 'runs SQL later in another session, which no policy of this one holds back',
    hint: 'Run the inner statement itself.',
  },
  pglogical: { access: 'admin', effect: 'admin', why: 'changes replication', hint: null },
  repack: { access: 'admin', effect: 'admin', why: 'is meant for pg_repack only', hint: null },
  partman: { access: 'ddl', effect: 'ddl', why: 'creates, detaches or drops partitions', hint: null },
  aws_s3: { access: 'admin', effect: 'opaque', why: 'moves data between the server and a store', hint: null },
  aws_lambda: { access: 'admin', effect: 'opaque', why: 'runs code elsewhere', hint: null },
  net: { access: 'write', effect: 'opaque', why: 'sends requests to other servers', hint: null },
};

/** Tables of pg_catalog that DML can reach, and pg_settings, whose UPDATE calls set_config(). */
export const CATALOG_TABLES: ReadonlySet<string> = new Set(
  `pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_authid pg_cast
  pg_class pg_collation pg_constraint pg_conversion pg_database pg_db_role_setting pg_default_acl
  pg_depend pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper
  pg_foreign_server pg_foreign_table pg_index pg_inherits pg_init_privs pg_language pg_largeobject
  pg_largeobject_metadata pg_namespace pg_opclass pg_operator pg_opfamily pg_parameter_acl
  pg_partitioned_table pg_policy pg_proc pg_publication pg_publication_namespace
  pg_publication_rel pg_range pg_replication_origin pg_rewrite pg_seclabel pg_sequence pg_settings
  pg_shdepend pg_shdescription pg_shseclabel pg_statistic pg_statistic_ext pg_statistic_ext_data
  pg_subscription pg_subscription_rel pg_tablespace pg_transform pg_trigger pg_ts_config
  pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user_mapping`.split(/\s+/),
);
