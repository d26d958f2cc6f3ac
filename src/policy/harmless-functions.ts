/**
 * Functions of well-known extensions that are volatile because their answer is a
 * different one each time, or is about the server's own state, and not because they
 * change anything.
 *
 * Law: a literal table, by extension. A function of the same name that does not
 * belong to the extension is somebody else's and is not meant.
 */
import type { CatalogFunction } from '../catalog/catalog.js';

const HARMLESS: Readonly<Record<string, ReadonlySet<string>>> = {
  'uuid-ossp': new Set(['uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4']),
  pgcrypto: new Set([
    'fips_mode',
    'gen_random_bytes',
    'gen_random_uuid',
    'gen_salt',
    'pgp_pub_encrypt',
    'pgp_pub_encrypt_bytea',
    'pgp_sym_encrypt',
    'pgp_sym_encrypt_bytea',
  ]),
  pg_uuidv7: new Set(['uuid_generate_v7']),
  // What monitoring reads; pg_stat_statements_reset() is not among them.
  pg_stat_statements: new Set(['pg_stat_statements', 'pg_stat_statements_info']),
  pg_buffercache: new Set([
    'pg_buffercache_numa_pages',
    'pg_buffercache_pages',
    'pg_buffercache_summary',
    'pg_buffercache_usage_counts',
  ]),
  pg_freespacemap: new Set(['pg_freespace']),
  pg_visibility: new Set([
    'pg_check_frozen',
    'pg_check_visible',
    'pg_visibility',
    'pg_visibility_map',
    'pg_visibility_map_summary',
  ]),
  pgstattuple: new Set([
    'pg_relpages',
    'pgstatginindex',
    'pgstathashindex',
    'pgstatindex',
    'pgstattuple',
    'pgstattuple_approx',
  ]),
  pgrowlocks: new Set(['pgrowlocks']),
  postgres_fdw: new Set(['postgres_fdw_get_connections']),
  tablefunc: new Set(['normal_rand']),
  postgis: new Set(['st_generatepoints']),
};

/** Whether a volatile function is known to change nothing. */
export function isHarmless({ extension, name }: CatalogFunction): boolean {
  return extension !== null && Object.hasOwn(HARMLESS, extension) && HARMLESS[extension]?.has(name) === true;
}
