/**
 * What /readyz asks: is a policy loaded, can the audit log be written, can the
 * server be reached. The last is a TCP connection (and the TLS handshake that the
 * settings ask for), no login. The store of holds is shown and does not count: all
 * that share it lose it at once, and what needs no approval still passes.
 */
import type { AuditLog } from '../audit/writer.js';
import type { Readiness } from '../admin/server.js';
import type { PolicyStore } from '../gate/policy-store.js';
import { connectUpstream } from './upstream.js';
import type { UpstreamOptions } from './upstream.js';

/** Longer than this and a check of the server counts as failed, milliseconds. */
const UPSTREAM_CHECK_MS = 1_500;

export async function checkReadiness(
  policies: PolicyStore,
  audit: AuditLog,
  upstream: UpstreamOptions,
  holds: { readonly problem: string | null },
  draining: boolean,
): Promise<Readiness> {
  const checks: Record<string, string> = {
    policy: policies.current.policy.roles.length > 0 ? 'ok' : 'no roles',
    audit: audit.healthy ? 'ok' : 'the last records could not be written',
    upstream: await checkUpstream(upstream),
  };
  if (draining) checks['shutdown'] = 'shutting down';
  const ok = Object.values(checks).every((check) => check === 'ok');
  return { ok, checks: { ...checks, holds: holds.problem ?? 'ok' } };
}

async function checkUpstream(upstream: UpstreamOptions): Promise<string> {
  try {
    const options = { ...upstream, timeout: Math.min(upstream.timeout, UPSTREAM_CHECK_MS) };
    const { socket } = await connectUpstream(options, new AbortController().signal);
    socket.on('error', () => {
      // The server may well hang up on a connection that says nothing.
    });
    socket.destroy();
    return 'ok';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
