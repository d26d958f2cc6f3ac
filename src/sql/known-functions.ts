/**
 * PostgreSQL's own functions that do something, and those known to do nothing.
 *
 * Law of this file: data, drawn from pg_proc of PostgreSQL 14 to 18. Every function
 * there that is marked VOLATILE and can be called stands in one of these lists or is
 * judged by its arguments (functions.ts); test/sql/functions.test.ts asks a server.
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
    names: `pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir
      pg_ls_archive_statusdir pg_ls_tmpdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir
      pg_ls_summariesdir pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings
      pg_available_wal_summaries pg_wal_summary_contents`,
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'reads or writes files of the server',
    hint: null,
    anySchema: true,
    names:
      'pg_file_read pg_file_write pg_file_rename pg_file_unlink pg_file_sync pg_file_length pg_logdir_ls pg_logfile_rotate',
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
    names: 'pg_stat_statements_reset pg_stat_kcache_reset pg_wait_sampling_reset_profile pg_qualstats_reset',
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
    names: 'pg_background_launch pg_background_result pg_background_detach',
  },
  {
    access: 'admin',
    effect: 'admin',
    why: 'changes or reads storage behind the back of the server',
    hint: null,
    anySchema: true,
    names: `heap_force_kill heap_force_freeze pg_truncate_visibility_map pg_buffercache_evict
      pg_buffercache_evict_relation pg_buffercache_evict_all get_raw_page page_header
      heap_page_items heap_page_item_attrs brin_page_items bt_page_items gin_leafpage_items
      gist_page_items hash_page_items fsm_page_contents pg_prewarm autoprewarm_start_worker
      autoprewarm_dump_now pg_get_wal_record_info pg_get_wal_records_info
      pg_get_wal_records_info_till_end_of_wal pg_get_wal_stats pg_get_wal_stats_till_end_of_wal
      pg_get_wal_block_info pg_get_wal_fpi_info`,
  },
];

/** Volatile, yet nothing but reading: what psql, pg_dump, drivers and dashboards call. */
export const HARMLESS_VOLATILE: ReadonlySet<string> = new Set(
  `amvalidate array_sample array_shuffle bernoulli system clock_timestamp timeofday current_query
  currtid2 currval lastval random random_normal setseed gen_random_uuid uuidv4 uuidv7 txid_status
  lo_close lo_get lo_lseek lo_lseek64 lo_tell lo_tell64 loread dsnowball_init dsnowball_lexize
  pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
  pg_blocking_pids pg_safe_snapshot_blocking_pids pg_collation_actual_version
  pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system pg_current_logfile
  pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn
  pg_database_collation_actual_version pg_database_size pg_export_snapshot pg_get_aios
  pg_get_backend_memory_contexts pg_get_loaded_modules pg_get_multixact_members
  pg_get_sequence_data pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events
  pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_get_wal_summarizer_state
  pg_indexes_size pg_is_in_backup pg_backup_start_time pg_is_in_recovery pg_is_wal_replay_paused
  pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn
  pg_last_xact_replay_timestamp pg_lock_status pg_notification_queue_usage pg_partition_ancestors
  pg_partition_tree pg_prepared_xact pg_relation_size pg_replication_origin_progress
  pg_replication_origin_session_is_setup pg_replication_origin_session_progress
  pg_sequence_last_value pg_show_replication_origin_status pg_stat_clear_snapshot
  pg_stat_force_next_flush pg_stat_get_backend_io pg_stat_get_backend_wal pg_stat_get_io
  pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit
  pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time
  pg_stat_get_xact_function_total_time pg_stat_get_xact_numscans
  pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched
  pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted
  pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_returned
  pg_stat_get_xact_tuples_updated pg_stat_have_stats pg_table_size pg_tablespace_size
  pg_total_relation_size pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status`.split(
    /\s+/,
  ),
);

/** STABLE and IMMUTABLE functions whose names begin with `pg_`, of PostgreSQL itself and of common extensions. */
export const HARMLESS_PG: ReadonlySet<string> = new Set(
  `pg_available_extension_versions pg_available_extensions pg_backend_pid pg_basetype
  pg_char_to_encoding pg_client_encoding pg_collation_for pg_collation_is_visible
  pg_column_compression pg_column_is_updatable pg_column_size pg_column_toast_chunk_id
  pg_conf_load_time pg_config pg_conversion_is_visible pg_current_snapshot pg_current_xact_id
  pg_current_xact_id_if_assigned pg_cursor pg_ddl_command_in pg_ddl_command_out
  pg_ddl_command_recv pg_ddl_command_send pg_dependencies_in pg_dependencies_out
  pg_dependencies_recv pg_dependencies_send pg_describe_object pg_encoding_max_length
  pg_encoding_to_char pg_event_trigger_ddl_commands pg_event_trigger_dropped_objects
  pg_event_trigger_table_rewrite_oid pg_event_trigger_table_rewrite_reason
  pg_extension_update_paths pg_filenode_relation pg_function_is_visible pg_get_acl
  pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr pg_get_function_arg_default
  pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
  pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_object_address
  pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables
  pg_get_replica_identity_index pg_get_replication_slots pg_get_ruledef pg_get_serial_sequence
  pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions
  pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_identify_object
  pg_identify_object_as_address pg_index_column_has_property pg_index_has_property
  pg_indexam_has_property pg_indexam_progress_phasename pg_input_error_info pg_input_is_valid
  pg_is_other_temp_schema pg_listening_channels pg_lsn pg_lsn_cmp pg_lsn_eq pg_lsn_ge pg_lsn_gt
  pg_lsn_hash pg_lsn_hash_extended pg_lsn_in pg_lsn_larger pg_lsn_le pg_lsn_lt pg_lsn_mi
  pg_lsn_mii pg_lsn_ne pg_lsn_out pg_lsn_pli pg_lsn_recv pg_lsn_send pg_lsn_smaller pg_mcv_list_in
  pg_mcv_list_items pg_mcv_list_out pg_mcv_list_recv pg_mcv_list_send pg_my_temp_schema
  pg_ndistinct_in pg_ndistinct_out pg_ndistinct_recv pg_ndistinct_send pg_node_tree_in
  pg_node_tree_out pg_node_tree_recv pg_node_tree_send pg_numa_available pg_opclass_is_visible
  pg_operator_is_visible pg_opfamily_is_visible pg_options_to_table pg_partition_root
  pg_postmaster_start_time pg_prepared_statement pg_relation_filenode pg_relation_filepath
  pg_relation_is_publishable pg_relation_is_updatable pg_replication_origin_oid
  pg_sequence_parameters pg_settings_get_flags pg_show_all_settings pg_size_bytes pg_size_pretty
  pg_snapshot_in pg_snapshot_out pg_snapshot_recv pg_snapshot_send pg_snapshot_xip
  pg_snapshot_xmax pg_snapshot_xmin pg_split_walfile_name pg_statistics_obj_is_visible
  pg_table_is_visible pg_tablespace_databases pg_tablespace_location pg_timezone_abbrevs
  pg_timezone_abbrevs_abbrevs pg_timezone_abbrevs_zone pg_timezone_names pg_trigger_depth
  pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible
  pg_type_is_visible pg_typeof pg_visible_in_snapshot pg_wal_lsn_diff pg_walfile_name
  pg_walfile_name_offset pg_stat_get_activity pg_stat_get_analyze_count pg_stat_get_archiver
  pg_stat_get_autoanalyze_count pg_stat_get_autovacuum_count pg_stat_get_backend_activity
  pg_stat_get_backend_activity_start pg_stat_get_backend_client_addr
  pg_stat_get_backend_client_port pg_stat_get_backend_dbid pg_stat_get_backend_idset
  pg_stat_get_backend_pid pg_stat_get_backend_start pg_stat_get_backend_subxact
  pg_stat_get_backend_userid pg_stat_get_backend_wait_event pg_stat_get_backend_wait_event_type
  pg_stat_get_backend_xact_start pg_stat_get_bgwriter_buf_written_checkpoints
  pg_stat_get_bgwriter_buf_written_clean pg_stat_get_bgwriter_maxwritten_clean
  pg_stat_get_bgwriter_requested_checkpoints pg_stat_get_bgwriter_stat_reset_time
  pg_stat_get_bgwriter_timed_checkpoints pg_stat_get_blocks_fetched pg_stat_get_blocks_hit
  pg_stat_get_buf_alloc pg_stat_get_buf_fsync_backend pg_stat_get_buf_written_backend
  pg_stat_get_checkpoint_sync_time pg_stat_get_checkpoint_write_time
  pg_stat_get_checkpointer_buffers_written pg_stat_get_checkpointer_num_performed
  pg_stat_get_checkpointer_num_requested pg_stat_get_checkpointer_num_timed
  pg_stat_get_checkpointer_restartpoints_performed
  pg_stat_get_checkpointer_restartpoints_requested pg_stat_get_checkpointer_restartpoints_timed
  pg_stat_get_checkpointer_slru_written pg_stat_get_checkpointer_stat_reset_time
  pg_stat_get_checkpointer_sync_time pg_stat_get_checkpointer_write_time
  pg_stat_get_db_active_time pg_stat_get_db_blk_read_time pg_stat_get_db_blk_write_time
  pg_stat_get_db_blocks_fetched pg_stat_get_db_blocks_hit pg_stat_get_db_checksum_failures
  pg_stat_get_db_checksum_last_failure pg_stat_get_db_conflict_all
  pg_stat_get_db_conflict_bufferpin pg_stat_get_db_conflict_lock
  pg_stat_get_db_conflict_logicalslot pg_stat_get_db_conflict_snapshot
  pg_stat_get_db_conflict_startup_deadlock pg_stat_get_db_conflict_tablespace
  pg_stat_get_db_deadlocks pg_stat_get_db_idle_in_transaction_time pg_stat_get_db_numbackends
  pg_stat_get_db_parallel_workers_launched pg_stat_get_db_parallel_workers_to_launch
  pg_stat_get_db_session_time pg_stat_get_db_sessions pg_stat_get_db_sessions_abandoned
  pg_stat_get_db_sessions_fatal pg_stat_get_db_sessions_killed pg_stat_get_db_stat_reset_time
  pg_stat_get_db_temp_bytes pg_stat_get_db_temp_files pg_stat_get_db_tuples_deleted
  pg_stat_get_db_tuples_fetched pg_stat_get_db_tuples_inserted pg_stat_get_db_tuples_returned
  pg_stat_get_db_tuples_updated pg_stat_get_db_xact_commit pg_stat_get_db_xact_rollback
  pg_stat_get_dead_tuples pg_stat_get_function_calls pg_stat_get_function_self_time
  pg_stat_get_function_total_time pg_stat_get_ins_since_vacuum pg_stat_get_last_analyze_time
  pg_stat_get_last_autoanalyze_time pg_stat_get_last_autovacuum_time pg_stat_get_last_vacuum_time
  pg_stat_get_lastscan pg_stat_get_live_tuples pg_stat_get_mod_since_analyze pg_stat_get_numscans
  pg_stat_get_progress_info pg_stat_get_replication_slot pg_stat_get_slru
  pg_stat_get_snapshot_timestamp pg_stat_get_subscription pg_stat_get_subscription_stats
  pg_stat_get_total_analyze_time pg_stat_get_total_autoanalyze_time
  pg_stat_get_total_autovacuum_time pg_stat_get_total_vacuum_time pg_stat_get_tuples_deleted
  pg_stat_get_tuples_fetched pg_stat_get_tuples_hot_updated pg_stat_get_tuples_inserted
  pg_stat_get_tuples_newpage_updated pg_stat_get_tuples_returned pg_stat_get_tuples_updated
  pg_stat_get_vacuum_count pg_stat_get_wal pg_stat_get_wal_receiver pg_stat_get_wal_senders
  pg_snapshot pg_stat_statements pg_stat_statements_info pg_buffercache_pages pg_buffercache_summary
  pg_buffercache_usage_counts pg_buffercache_numa_pages pg_freespace pg_relpages pg_visibility
  pg_visibility_map pg_visibility_map_summary pg_check_frozen pg_check_visible pg_stat_kcache
  pg_wait_sampling_get_current pg_wait_sampling_get_profile pg_wait_sampling_get_history
  pg_qualstats pg_stat_monitor`.split(/\s+/),
);

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
