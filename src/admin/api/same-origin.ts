/**
 * Whether a call with a cookie comes from the approvals page itself.
 *
 * Law: what a browser says of where a call comes from, and nothing that a page can
 * choose. Behind a proxy that ends TLS the scheme is another one than here, so hosts
 * are compared.
 */
import type { IncomingHttpHeaders } from 'node:http';

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Browsers send Sec-Fetch-Site to https and to loopback, and the page cannot set it;
 * a proxy may rewrite Host, so where the one is there the other is not asked. Of reading
 * without either nothing is known: the page sends no Origin with it. The session's
 * key stands before that, which no other site's page can send.
 */
export function fromSameOrigin(headers: IncomingHttpHeaders, method: string): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  if (origin === undefined) return READING.has(method);
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** Whether the browser reached this by TLS, wherever that ended. */
export function overTls({ origin }: IncomingHttpHeaders): boolean {
  return origin !== undefined && origin.toLowerCase().startsWith('https://');
}
