/**
 * Numbers and message types of the frontend/backend protocol, under the names that
 * PostgreSQL's sources give them (src/include/libpq/pqcomm.h, protocol.h).
 */

/** Largest startup packet, its length word included (pqcomm.h). */
export const MAX_STARTUP_PACKET_LENGTH = 10_000;
/** Smallest startup packet: length and protocol version. */
export const MIN_STARTUP_PACKET_LENGTH = 8;
/** Largest message of the types that carry no query or data (libpq/libpq.h). */
export const PQ_SMALL_MESSAGE_LIMIT = 10_000;
/** Largest message of the other types (libpq/libpq.h: MaxAllocSize - 1). */
export const PQ_LARGE_MESSAGE_LIMIT = 0x3fff_ffff - 1;
/** Largest message a client may send while it authenticates (libpq/auth.h). */
export const PG_MAX_AUTH_TOKEN_LENGTH = 65_535;
/** Identifiers hold at most NAMEDATALEN - 1 bytes (pg_config_manual.h). */
export const NAMEDATALEN = 64;
/** Cancel keys of protocol 3.2 are 4 to 256 bytes long; those of 3.0 always 4. */
export const MIN_CANCEL_KEY_LENGTH = 4;
export const MAX_CANCEL_KEY_LENGTH = 256;

/** Protocol versions and request codes that stand in the first packet. */
export const PG_PROTOCOL_MAJOR = 3;
/** The latest minor version that Holdfast speaks. */
export const PG_PROTOCOL_LATEST_MINOR = 2;
export const CANCEL_REQUEST_CODE = 80_877_102;
export const NEGOTIATE_SSL_CODE = 80_877_103;
export const NEGOTIATE_GSS_CODE = 80_877_104;
/** First byte of a TLS handshake record: a client that speaks TLS at once ("direct SSL"). */
export const TLS_HANDSHAKE_BYTE = 0x16;
/** The name that direct TLS connections must ask for by ALPN. */
export const ALPN_PROTOCOL = 'postgresql';

/** Message types that a frontend sends after start-up. */
export const FRONTEND = {
  Bind: 0x42, // B
  Close: 0x43, // C
  Describe: 0x44, // D
  Execute: 0x45, // E
  FunctionCall: 0x46, // F
  Flush: 0x48, // H
  Parse: 0x50, // P
  Query: 0x51, // Q
  Sync: 0x53, // S
  Terminate: 0x58, // X
  CopyFail: 0x66, // f
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  /** PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse. */
  AuthenticationResponse: 0x70, // p
} as const;
export type FrontendName = keyof typeof FRONTEND;

/** Message types that a backend sends. */
export const BACKEND = {
  ParseComplete: 0x31, // 1
  BindComplete: 0x32, // 2
  CloseComplete: 0x33, // 3
  NotificationResponse: 0x41, // A
  CommandComplete: 0x43, // C
  DataRow: 0x44, // D
  ErrorResponse: 0x45, // E
  CopyInResponse: 0x47, // G
  CopyOutResponse: 0x48, // H
  EmptyQueryResponse: 0x49, // I
  BackendKeyData: 0x4b, // K
  NoticeResponse: 0x4e, // N
  Authentication: 0x52, // R
  ParameterStatus: 0x53, // S
  RowDescription: 0x54, // T
  FunctionCallResponse: 0x56, // V
  CopyBothResponse: 0x57, // W
  ReadyForQuery: 0x5a, // Z
  CopyDone: 0x63, // c
  CopyData: 0x64, // d
  NoData: 0x6e, // n
  PortalSuspended: 0x73, // s
  ParameterDescription: 0x74, // t
  NegotiateProtocolVersion: 0x76, // v
} as const;
export type BackendName = keyof typeof BACKEND;

function byCode<T extends string>(table: Readonly<Record<T, number>>): readonly (T | undefined)[] {
  const names: (T | undefined)[] = new Array<T | undefined>(256).fill(undefined);
  for (const [name, code] of Object.entries(table) as [T, number][]) names[code] = name;
  return names;
}

/** Type byte → name; undefined for a byte that is no message type. */
export const FRONTEND_NAMES = byCode(FRONTEND);
export const BACKEND_NAMES = byCode(BACKEND);

/** Kinds of Authentication message (int32 that follows the length). */
export const AUTH = {
  Ok: 0,
  CleartextPassword: 3,
  MD5Password: 5,
  GSS: 7,
  GSSContinue: 8,
  SSPI: 9,
  SASL: 10,
  SASLContinue: 11,
  SASLFinal: 12,
} as const;

/** ReadyForQuery's transaction status: idle, in a transaction block, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';
