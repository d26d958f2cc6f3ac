/**
 * A parameter's bytes as a person reads them.
 *
 * Law: what is shown is what the server would take. A binary value is read only
 * if its declared type is known here and its length is exactly that type's;
 * everything else stays hexadecimal (PostgreSQL: the send and receive functions of
 * src/backend/utils/adt).
 */
import type { HeldParameter } from '../../holds/hold.js';
import type { ParameterView } from './schemas.js';

interface BinaryType {
  readonly name: string;
  /** Bytes of every value; null: any number. */
  readonly length: number | null;
  readonly read: (bytes: Buffer) => string | null;
}

const asText = (bytes: Buffer): string | null => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
};

const uuid = (bytes: Buffer): string =>
  bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/** 2000-01-01, from which PostgreSQL counts days and microseconds. */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);
const DAY_MS = 86_400_000;

/** Years 1 to 9999, which ISO 8601 and PostgreSQL write alike. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;

/** null: infinity, or a year that is written differently. */
function iso(ms: number): string | null {
  return ms >= FIRST_MS && ms <= LAST_MS ? new Date(ms).toISOString() : null;
}

function date(bytes: Buffer): string | null {
  return iso(POSTGRES_EPOCH_MS + bytes.readInt32BE() * DAY_MS)?.slice(0, 10) ?? null;
}

function timestamp(zone: string): (bytes: Buffer) => string | null {
  return (bytes) => {
    const microseconds = bytes.readBigInt64BE();
    const rest = ((microseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
    const seconds = Number((microseconds - rest) / 1_000_000n);
    const second = iso(POSTGRES_EPOCH_MS + seconds * 1000)?.slice(0, 19);
    return second === undefined
      ? null
      : `${second.replace('T', ' ')}.${rest.toString().padStart(6, '0')}${zone}`;
  };
}

/** Signs of numeric_recv that are no numbers. */
const NUMERIC_SPECIAL: ReadonlyMap<number, string> = new Map([
  [0xc000, 'NaN'],
  [0xd000, 'Infinity'],
  [0xf000, '-Infinity'],
]);
const NUMERIC_NEGATIVE = 0x4000;

/**
 * numeric_recv: Int16 number of digits, Int16 weight of the first, Int16 sign,
 * Int16 decimals to show, then the digits, each of them four decimal ones.
 */
function numeric(bytes: Buffer): string | null {
  if (bytes.length < 8) return null;
  const count = bytes.readUInt16BE(0);
  const weight = bytes.readInt16BE(2);
  const sign = bytes.readUInt16BE(4);
  const decimals = bytes.readUInt16BE(6);
  if (bytes.length !== 8 + count * 2) return null;
  const special = NUMERIC_SPECIAL.get(sign);
  if (special !== undefined) return special;
  if (sign !== 0 && sign !== NUMERIC_NEGATIVE) return null;
  const digits = Array.from({ length: count }, (_, at) => bytes.readUInt16BE(8 + at * 2));
  if (digits.some((digit) => digit > 9_999)) return null;
  /** Four decimal digits of a weight; those that are not sent are zero. */
  const group = (of: number): string => (digits[weight - of] ?? 0).toString().padStart(4, '0');
  const groups = (from: number, to: number): string => {
    let text = '';
    for (let of = from; of >= to; of--) text += group(of);
    return text;
  };
  const whole = groups(Math.max(weight, 0), 0).replace(/^0+(?=.)/, '');
  // Digits beyond the decimals to show are cut off by the server too.
  const fraction = groups(-1, -Math.ceil(decimals / 4)).slice(0, decimals);
  return `${sign === NUMERIC_NEGATIVE ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** By OID (src/include/catalog/pg_type.dat). */
const TYPES: ReadonlyMap<number, BinaryType> = new Map([
  [16, { name: 'boolean', length: 1, read: (b) => (b[0] === 0 ? 'false' : 'true') }],
  [17, { name: 'bytea', length: null, read: () => null }],
  [20, { name: 'bigint', length: 8, read: (b) => b.readBigInt64BE().toString() }],
  [21, { name: 'smallint', length: 2, read: (b) => b.readInt16BE().toString() }],
  [23, { name: 'integer', length: 4, read: (b) => b.readInt32BE().toString() }],
  [25, { name: 'text', length: null, read: asText }],
  [26, { name: 'oid', length: 4, read: (b) => b.readUInt32BE().toString() }],
  [114, { name: 'json', length: null, read: asText }],
  [700, { name: 'real', length: 4, read: (b) => b.readFloatBE().toString() }],
  [701, { name: 'double precision', length: 8, read: (b) => b.readDoubleBE().toString() }],
  [1042, { name: 'character', length: null, read: asText }],
  [1043, { name: 'character varying', length: null, read: asText }],
  [1082, { name: 'date', length: 4, read: date }],
  [1114, { name: 'timestamp', length: 8, read: timestamp('') }],
  [1184, { name: 'timestamp with time zone', length: 8, read: timestamp('+00') }],
  [1700, { name: 'numeric', length: null, read: numeric }],
  [2950, { name: 'uuid', length: 16, read: uuid }],
  // jsonb_recv: one byte of version, which is 1, then text.
  [3802, { name: 'jsonb', length: null, read: (b) => (b[0] === 1 ? asText(b.subarray(1)) : null) }],
] satisfies [number, BinaryType][]);

export function parameterView({ type, format, value }: HeldParameter): ParameterView {
  const known = TYPES.get(type);
  const base = { type, type_name: known?.name ?? null, format };
  if (value === null) return { ...base, value: null, hex: null };
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const text = format === 0 ? asText(bytes) : readBinary(known, bytes);
  return { ...base, value: text, hex: format === 0 && text !== null ? null : bytes.toString('hex') };
}

function readBinary(type: BinaryType | undefined, bytes: Buffer): string | null {
  if (type === undefined || (type.length !== null && type.length !== bytes.length)) return null;
  return type.read(bytes);
}
