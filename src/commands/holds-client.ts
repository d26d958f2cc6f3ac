/**
 * The approvals API as the command line calls it.
 *
 * Law: every failure is an OperatorError with words that say what to do. The token
 * goes to the server that was named and nowhere else: redirects are not followed.
 */
import type { z } from 'zod';
import { problemSchema } from '../admin/api/schemas.js';
import { OperatorError } from '../errors.js';
import { visible } from './visible.js';

export interface HoldsClient {
  readonly url: string;
  /** `path` under /api/. @throws OperatorError for everything but a success that the schema describes */
  get<T>(path: string, schema: z.ZodType<T>): Promise<T>;
  post<T>(path: string, body: object, schema: z.ZodType<T>): Promise<T>;
  /** An open stream. @param signal ends it */
  stream(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

const DEFAULT_URL = 'http://127.0.0.1:9432';
const TIMEOUT_MS = 10_000;

type Call = Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> };

export interface HoldsClientOptions {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly warn: (line: string) => void;
}

/** @throws OperatorError (wrong usage) without a token or with an address that is none */
export function createHoldsClient({ url = DEFAULT_URL, token = '', warn }: HoldsClientOptions): HoldsClient {
  const base = baseUrl(url);
  if (token === '') {
    throw new OperatorError(
      'no token: set HOLDFAST_TOKEN to the token of an approver (its SHA-256 stands in the policy as token_sha256)',
      2,
    );
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new OperatorError('HOLDFAST_TOKEN holds a character that no token has (a space or a line end?)', 2);
  }
  if (base.protocol === 'http:' && !isLoopback(base.hostname)) {
    warn(`warning: the token goes to ${base.host} unencrypted; use https or an SSH tunnel`);
  }
  const shown = base.href.replace(/\/$/, '');

  async function call(path: string, { headers, ...init }: Call): Promise<Response> {
    const target = new URL(`api/${path}`, base);
    let response: Response;
    try {
      response = await fetch(target, {
        ...init,
        redirect: 'manual',
        headers: { ...headers, authorization: `Bearer ${token}` },
      });
    } catch (error) {
      throw new OperatorError(unreachable(shown, error));
    }
    if (!response.ok) throw new OperatorError(await refusal(shown, response));
    return response;
  }

  async function answer<T>(path: string, init: Call, schema: z.ZodType<T>): Promise<T> {
    const response = await call(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = await bodyOf(response);
    const parsed = schema.safeParse(body);
    if (!parsed.success) throw new OperatorError(notHoldfast(shown));
    return parsed.data;
  }

  return {
    url: shown,
    get: (path, schema) => answer(path, {}, schema),
    post: (path, body, schema) =>
      answer(
        path,
        { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
        schema,
      ),
    async stream(path, signal) {
      const { body } = await call(path, { signal, headers: { accept: 'text/event-stream' } });
      if (body === null) throw new OperatorError(notHoldfast(shown));
      return body as ReadableStream<Uint8Array>;
    },
  };
}

function baseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new OperatorError(`--url ${text}: expected an address such as ${DEFAULT_URL}`, 2);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new OperatorError('--url takes an address without user, password, ? or #', 2);
  }
  // A relative path replaces what is behind the last slash.
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function unreachable(url: string, error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `${url} gave no answer in time`;
  const cause: unknown = error instanceof Error ? (error.cause ?? error) : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const words =
    REASONS[code] ?? (code === '' ? String(cause instanceof Error ? cause.message : cause) : code);
  return `${url} cannot be reached: ${words}; --url names another address of Holdfast's admin port`;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'its name cannot be resolved',
  ECONNRESET: 'it closed the connection',
  UND_ERR_SOCKET: 'it closed the connection',
};

function notHoldfast(url: string): string {
  return `${url} answered, but not as Holdfast's approvals API does; is it the admin port?`;
}

async function bodyOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

async function refusal(url: string, response: Response): Promise<string> {
  const problem = problemSchema.safeParse(await bodyOf(response));
  if (!problem.success) {
    return response.status === 404 ? `${url} has no approvals API` : notHoldfast(url);
  }
  const { code, message, hint } = problem.data.error;
  if (code === 'unauthenticated') return `${url} does not accept the token in HOLDFAST_TOKEN`;
  if (code === 'totp_required') return `${message} Give it with --totp.`;
  // A message may name a database user, and those are named by strangers.
  return visible(hint === null ? message : `${message} ${hint}`);
}
