/**
 * The messages that Holdfast itself originates. Towards the server they are
 * written by pg-protocol's serializer; towards the client, which that package
 * does not cover, by the functions here.
 */
import { serialize } from 'pg-protocol';
import type { Refusal } from '../errors.js';
import {
  BACKEND,
  CANCEL_REQUEST_CODE,
  FRONTEND,
  NEGOTIATE_SSL_CODE,
  PG_PROTOCOL_MAJOR,
} from './constants.js';
import type { TransactionStatus } from './constants.js';

function message(type: number, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(5 + body.length);
  bytes[0] = type;
  bytes.writeUInt32BE(4 + body.length, 1);
  body.copy(bytes, 5);
  return bytes;
}

type Field = readonly [code: string, value: string | undefined];

function fields(type: number, list: readonly Field[]): Buffer {
  let text = '';
  for (const [code, value] of list) {
    // A zero byte would end the field early and let its rest be read as other fields.
    if (value !== undefined) text += `${code}${value.replaceAll('\0', '')}\0`;
  }
  return message(type, Buffer.from(`${text}\0`, 'utf8'));
}

/** ErrorResponse. */
export function errorResponse(refusal: Refusal): Buffer {
  return fields(BACKEND.ErrorResponse, [
    ['S', refusal.severity],
    ['V', refusal.severity],
    ['C', refusal.sqlstate],
    ['M', refusal.message],
    ['D', refusal.detail],
    ['H', refusal.hint],
    ['P', refusal.position?.toString()],
    ['R', refusal.routine],
  ]);
}

export interface Notice {
  readonly severity: 'NOTICE' | 'WARNING';
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly routine: string;
}

/** NoticeResponse. */
export function noticeResponse(notice: Notice): Buffer {
  return fields(BACKEND.NoticeResponse, [
    ['S', notice.severity],
    ['V', notice.severity],
    ['C', notice.sqlstate],
    ['M', notice.message],
    ['D', notice.detail],
    ['H', notice.hint],
    ['R', notice.routine],
  ]);
}

/** ReadyForQuery. */
export function readyForQuery(status: TransactionStatus): Buffer {
  return message(BACKEND.ReadyForQuery, Buffer.from(status, 'latin1'));
}

/** BackendKeyData with Holdfast's own secret. */
export function backendKeyData(processId: number, secret: Buffer): Buffer {
  const body = Buffer.allocUnsafe(4 + secret.length);
  body.writeInt32BE(processId, 0);
  secret.copy(body, 4);
  return message(BACKEND.BackendKeyData, body);
}

/** NegotiateProtocolVersion: the newest minor version spoken here, and the extensions that were not understood. */
export function negotiateProtocolVersion(minor: number, unrecognized: readonly string[]): Buffer {
  const names = Buffer.from(unrecognized.map((name) => `${name}\0`).join(''), 'utf8');
  const body = Buffer.allocUnsafe(8 + names.length);
  body.writeInt32BE((PG_PROTOCOL_MAJOR << 16) | minor, 0);
  body.writeInt32BE(unrecognized.length, 4);
  names.copy(body, 8);
  return message(BACKEND.NegotiateProtocolVersion, body);
}

/** AuthenticationSASL with the given mechanisms. */
export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  const names = Buffer.from(`${mechanisms.map((name) => `${name}\0`).join('')}\0`, 'latin1');
  const body = Buffer.allocUnsafe(4 + names.length);
  body.writeInt32BE(10, 0);
  names.copy(body, 4);
  return message(BACKEND.Authentication, body);
}

/** StartupMessage for the server. */
export function startupMessage(minor: number, parameters: Iterable<readonly [string, string]>): Buffer {
  let text = '';
  for (const [name, value] of parameters) text += `${name}\0${value}\0`;
  const body = Buffer.from(`${text}\0`, 'utf8');
  const bytes = Buffer.allocUnsafe(8 + body.length);
  bytes.writeUInt32BE(8 + body.length, 0);
  bytes.writeUInt32BE((PG_PROTOCOL_MAJOR << 16) | minor, 4);
  body.copy(bytes, 8);
  return bytes;
}

/** SSLRequest for the server. */
export function sslRequest(): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(8, 0);
  bytes.writeUInt32BE(NEGOTIATE_SSL_CODE, 4);
  return bytes;
}

/** CancelRequest for the server; the secret is the server's own, 4 to 256 bytes. */
export function cancelRequest(processId: number, secret: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(12 + secret.length);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(CANCEL_REQUEST_CODE, 4);
  bytes.writeInt32BE(processId, 8);
  secret.copy(bytes, 12);
  return bytes;
}

/** Query. */
export function query(sql: string): Buffer {
  return serialize.query(sql);
}

/** Parse without declared parameter types; `text` without its terminating zero. */
export function parse(statement: string, text: Buffer): Buffer {
  const name = Buffer.from(`${statement}\0`, 'utf8');
  // The zero that ends the text, and Int16 zero: no parameter types.
  return message(FRONTEND.Parse, Buffer.concat([name, text, Buffer.alloc(3)]));
}

/** Bind, all parameters and results as text. */
export function bind(portal: string, statement: string, parameters: readonly (string | null)[] = []): Buffer {
  return serialize.bind({ portal, statement, values: [...parameters] });
}

/** Describe of a portal. */
export function describePortal(portal: string): Buffer {
  return serialize.describe({ type: 'P', name: portal });
}

/** Close of a prepared statement (`S`) or portal (`P`). */
export function close(type: 'S' | 'P', name: string): Buffer {
  return serialize.close({ type, name });
}

/** Execute without a row limit. */
export function execute(portal: string): Buffer {
  return serialize.execute({ portal });
}

/** Sync. */
export function sync(): Buffer {
  return serialize.sync();
}

/** Flush. */
export function flush(): Buffer {
  return serialize.flush();
}

/** CopyFail. */
export function copyFail(reason: string): Buffer {
  return serialize.copyFail(reason);
}
