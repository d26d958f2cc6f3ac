/**
 * How Holdfast refuses: it lets the server fail. Instead of what was refused, the
 * server is sent something that must fail; its ErrorResponse is swallowed and
 * Holdfast's stands in its place. So the server itself aborts the transaction
 * block, rolls back the pipeline's implicit transaction and skips to Sync, and no
 * transaction state is ever made up.
 */
import { randomBytes } from 'node:crypto';
import { execute, query } from '../protocol/encode.js';

/** A Query that no PostgreSQL grammar accepts, worded for whoever reads the server's log. */
export const FAILING_QUERY = query('holdfast refused this statement');

/**
 * Execute of a portal that does not exist (SQLSTATE 34000); it leaves all prepared statements alone.
 * The name is random for this process, so that no client can create a portal of that name.
 */
export const FAILING_EXECUTE = execute(`holdfast_refused_${randomBytes(16).toString('hex')}`);
