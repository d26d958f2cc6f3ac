/**
 * Which server settings there are, of PostgreSQL 14 to 18, sorted by who may change
 * them in a session (`context` in pg_settings).
 *
 * Law of this file: data. What a setting means for a session behind Holdfast is
 * judged in settings.ts.
 */

/** Settings of context `user`: every login may change them for itself. */
export const USER_SETTINGS: ReadonlySet<string> = new Set(
  `application_name array_nulls backend_flush_after backslash_quote bytea_output
  check_function_bodies client_connection_check_interval client_encoding client_min_messages
  commit_siblings constraint_exclusion cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost
  createrole_self_grant cursor_tuple_fraction datestyle debug_logical_replication_streaming
  debug_parallel_query debug_pretty_print debug_print_parse debug_print_plan debug_print_rewritten
  default_statistics_target default_table_access_method default_tablespace
  default_text_search_config default_toast_compression default_transaction_deferrable
  default_transaction_isolation default_transaction_read_only default_with_oids
  effective_cache_size effective_io_concurrency enable_async_append enable_bitmapscan
  enable_distinct_reordering enable_gathermerge enable_group_by_reordering enable_hashagg
  enable_hashjoin enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material
  enable_memoize enable_mergejoin enable_nestloop enable_parallel_append enable_parallel_hash
  enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join
  enable_presorted_aggregate enable_self_join_elimination enable_seqscan enable_sort
  enable_tidscan escape_string_warning exit_on_error extra_float_digits file_copy_method
  force_parallel_mode from_collapse_limit geqo geqo_effort geqo_generations geqo_pool_size
  geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit gin_pending_list_limit
  hash_mem_multiplier icu_validation_level idle_in_transaction_session_timeout
  idle_session_timeout intervalstyle io_combine_limit jit jit_above_cost jit_expressions
  jit_inline_above_cost jit_optimize_above_cost jit_tuple_deforming join_collapse_limit
  lc_monetary lc_numeric lc_time lock_timeout log_parameter_max_length_on_error
  logical_decoding_mode logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem
  max_parallel_maintenance_workers max_parallel_workers max_parallel_workers_per_gather
  md5_password_warnings min_parallel_index_scan_size min_parallel_table_scan_size
  operator_precedence_warning parallel_leader_participation parallel_setup_cost
  parallel_tuple_cost password_encryption plan_cache_mode quote_all_identifiers random_page_cost
  recursive_worktable_factor restrict_nonsystem_relation_kind role row_security scram_iterations
  search_path seed seq_page_cost session_authorization sort_mem standard_conforming_strings
  statement_timeout stats_fetch_consistency synchronize_seqscans synchronous_commit
  tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout temp_buffers
  temp_tablespaces timezone timezone_abbreviations trace_notify trace_sort transaction_deferrable
  transaction_isolation transaction_read_only transaction_timeout transform_null_equals
  vacuum_buffer_usage_limit vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty
  vacuum_cost_page_hit vacuum_cost_page_miss vacuum_failsafe_age vacuum_freeze_min_age
  vacuum_freeze_table_age vacuum_max_eager_freeze_failure_rate vacuum_mem
  vacuum_multixact_failsafe_age vacuum_multixact_freeze_min_age
  vacuum_multixact_freeze_table_age vacuum_truncate wal_sender_timeout wal_skip_threshold
  work_mem xmlbinary xmloption`.split(/\s+/),
);

/**
 * Settings that only privileged logins may change, and what changing them does:
 * Holdfast asks for admin access because the login behind it may well be privileged.
 */
export const ADMIN_SETTINGS: ReadonlyMap<string, string> = new Map([
  ['session_replication_role', 'switches triggers and foreign keys off for the session'],
  ['local_preload_libraries', 'loads code into the server process'],
  ['session_preload_libraries', 'loads code into the server process'],
  ['shared_preload_libraries', 'loads code into the server process'],
  ['dynamic_library_path', 'changes where the server looks for code to load'],
  ['extension_control_path', 'changes where the server looks for extensions'],
  ['extension_destdir', 'changes where the server looks for extensions'],
  ['jit_provider', 'changes which library the server loads for compilation'],
  ['allow_system_table_mods', 'permits changes to the system catalogs'],
  ['allow_in_place_tablespaces', 'permits tablespaces for testing inside the data directory'],
  ['ignore_checksum_failure', 'makes the server read damaged pages as if they were whole'],
  ['zero_damaged_pages', 'makes the server overwrite damaged pages with zeros'],
  ['ignore_system_indexes', 'makes the server read the catalogs without their indexes'],
  ['lo_compat_privileges', 'switches privilege checks of large objects off'],
  ['event_triggers', 'switches event triggers off'],
  ['backtrace_functions', 'changes what the server logs'],
  ['compute_query_id', 'changes what the server measures'],
  ['log_connections', 'changes what the server logs'],
  ['log_disconnections', 'changes what the server logs'],
  ['log_duration', 'changes what the server logs'],
  ['log_error_verbosity', 'changes what the server logs'],
  ['log_executor_stats', 'changes what the server logs'],
  ['log_lock_failures', 'changes what the server logs'],
  ['log_lock_waits', 'changes what the server logs'],
  ['log_min_duration_sample', 'changes what the server logs'],
  ['log_min_duration_statement', 'changes what the server logs'],
  ['log_min_error_statement', 'changes what the server logs'],
  ['log_min_messages', 'changes what the server logs'],
  ['log_parameter_max_length', 'changes what the server logs'],
  ['log_parser_stats', 'changes what the server logs'],
  ['log_planner_stats', 'changes what the server logs'],
  ['log_replication_commands', 'changes what the server logs'],
  ['log_statement', 'changes what the server logs'],
  ['log_statement_sample_rate', 'changes what the server logs'],
  ['log_statement_stats', 'changes what the server logs'],
  ['log_temp_files', 'changes what the server logs'],
  ['log_transaction_sample_rate', 'changes what the server logs'],
  ['lc_messages', 'changes the language of the server log'],
  ['max_stack_depth', 'changes how deep the server may recurse before it protects itself'],
  ['temp_file_limit', 'lifts the limit on temporary files'],
  ['commit_delay', 'changes when commits reach the disk'],
  ['deadlock_timeout', 'changes when the server looks for deadlocks'],
  ['track_activities', 'changes what the server shows of sessions'],
  ['track_counts', 'changes the statistics that autovacuum relies on'],
  ['wal_compression', 'changes how the server writes its log'],
  ['wal_consistency_checking', 'changes how the server writes its log'],
  ['wal_init_zero', 'changes how the server writes its log'],
  ['wal_recycle', 'changes how the server writes its log'],
]);

/** Beginnings of custom (dotted) settings that guard something, although their name alone would pass. */
export const ADMIN_PREFIXES: ReadonlyMap<string, string> = new Map([
  ['pgaudit.', 'changes what the audit extension records'],
  ['plperl.on_', 'runs Perl code in the server'],
  ['pltcl.start_proc', 'runs Tcl code in the server'],
  ['pltclu.start_proc', 'runs Tcl code in the server'],
  ['pljava.', 'changes how the server runs Java code'],
  ['supautils.', 'changes which privileges are withheld'],
]);
