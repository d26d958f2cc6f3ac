/**
 * Messages as words and back: `Parse "s" "SELECT 1"` ⇄ bytes. The tests' own
 * encoder and decoder, written from the documentation's "Message Formats" and not
 * from src/protocol, which they test; where pg-protocol covers a message, that is
 * what writes or reads it.
 */
import { serialize } from 'pg-protocol';
import { Parser } from 'pg-protocol/dist/parser.js';

const FRONTEND_TYPES: Readonly<Record<string, string>> = {
  Bind: 'B',
  Close: 'C',
  Describe: 'D',
  Execute: 'E',
  FunctionCall: 'F',
  Flush: 'H',
  Parse: 'P',
  Query: 'Q',
  Sync: 'S',
  Terminate: 'X',
  CopyFail: 'f',
  CopyData: 'd',
  CopyDone: 'c',
  Password: 'p',
};

const BACKEND_TYPES: Readonly<Record<string, string>> = {
  ParseComplete: '1',
  BindComplete: '2',
  CloseComplete: '3',
  NotificationResponse: 'A',
  CommandComplete: 'C',
  DataRow: 'D',
  ErrorResponse: 'E',
  CopyInResponse: 'G',
  CopyOutResponse: 'H',
  EmptyQueryResponse: 'I',
  BackendKeyData: 'K',
  NoticeResponse: 'N',
  Authentication: 'R',
  ParameterStatus: 'S',
  RowDescription: 'T',
  FunctionCallResponse: 'V',
  CopyBothResponse: 'W',
  ReadyForQuery: 'Z',
  CopyDone: 'c',
  CopyData: 'd',
  NoData: 'n',
  PortalSuspended: 's',
  ParameterDescription: 't',
  NegotiateProtocolVersion: 'v',
};

/** A message of any type with this body. */
export function raw(type: string, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.concat([Buffer.from(`${type}\0\0\0\0`, 'latin1'), Buffer.from(body as string)]);
  bytes.writeUInt32BE(bytes.length - 1, 1);
  return bytes;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** `0x` and hexadecimal digits, blanks allowed: bytes as they are. */
function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/[^0-9a-f]/gi, ''), 'hex');
}

/** The words of a line: JSON strings and bare words. */
function words(line: string): string[] {
  return Array.from(line.matchAll(/"(?:[^"\\]|\\.)*"|\S+/g), ([word]) =>
    word.startsWith('"') ? (JSON.parse(word) as string) : word,
  );
}

/** The bytes of a message that a client sends, from its words. */
export function frontend(line: string): Buffer {
  if (line.startsWith('0x')) return hex(line.slice(2));
  const [name = '', first = '', second = '', ...more] = words(line);
  switch (name) {
    case 'Query':
      return serialize.query(first);
    case 'Parse':
      return raw('P', Buffer.concat([Buffer.from(`${first}\0${second}\0`), int16(0)]));
    case 'Bind':
      return raw(
        'B',
        Buffer.concat([
          Buffer.from(`${first}\0${second}\0`),
          int16(0),
          int16(more.length),
          ...more.flatMap((value) => [int32(Buffer.byteLength(value)), Buffer.from(value)]),
          int16(0),
        ]),
      );
    case 'Describe':
      return serialize.describe({ type: first as 'S' | 'P', name: second });
    case 'Close':
      return serialize.close({ type: first as 'S' | 'P', name: second });
    case 'Execute':
      return serialize.execute({ portal: first, rows: Number(second) });
    case 'Sync':
      return serialize.sync();
    case 'Flush':
      return serialize.flush();
    case 'CopyData':
      return serialize.copyData(Buffer.from(first));
    case 'CopyDone':
      return serialize.copyDone();
    case 'CopyFail':
      return serialize.copyFail(first);
    case 'Terminate':
      return serialize.end();
    case 'Password':
      return serialize.password(first);
    case 'FunctionCall':
      // Int32 oid, no formats, no arguments, text result.
      return raw('F', Buffer.concat([int32(2000), int16(0), int16(0), int16(0)]));
    default:
      throw new Error(`a client sends no ${name}`);
  }
}

function fields(severity: string, code: string, message: string): Buffer {
  return Buffer.from(`S${severity}\0V${severity}\0C${code}\0M${message}\0\0`);
}

/** The bytes of a message that the server sends, from its words. */
export function backend(line: string): Buffer {
  if (line.startsWith('0x')) return hex(line.slice(2));
  const [name = '', first = '', second = ''] = words(line);
  const type = BACKEND_TYPES[name];
  if (type === undefined) throw new Error(`the server sends no ${name}`);
  switch (name) {
    case 'ErrorResponse':
      return first === 'FATAL'
        ? raw(type, fields('FATAL', second, 'goodbye'))
        : raw(type, fields('ERROR', first, 'no'));
    case 'NoticeResponse':
      return raw(type, fields('NOTICE', first, 'mind'));
    case 'CommandComplete':
      return raw(type, `${first}\0`);
    case 'ReadyForQuery':
      return raw(type, first);
    case 'ParameterStatus':
      return raw(type, `${first}\0${second}\0`);
    case 'NotificationResponse':
      return raw(type, Buffer.concat([int32(7), Buffer.from(`${first}\0${second}\0`)]));
    case 'RowDescription':
      return raw(
        type,
        Buffer.concat([
          int16(1),
          Buffer.from('a\0'),
          int32(0),
          int16(0),
          int32(25),
          int16(65535),
          int32(-1),
          int16(0),
        ]),
      );
    case 'DataRow':
      return raw(type, Buffer.concat([int16(1), int32(Buffer.byteLength(first)), Buffer.from(first)]));
    case 'ParameterDescription':
      return raw(type, int16(0));
    case 'CopyInResponse':
    case 'CopyOutResponse':
    case 'CopyBothResponse':
      return raw(type, Buffer.from([0, 0, 0]));
    case 'CopyData':
      return raw(type, first);
    case 'FunctionCallResponse':
      return raw(type, int32(-1));
    case 'BackendKeyData':
      return raw(type, Buffer.concat([int32(Number(first)), Buffer.from(second, 'hex')]));
    case 'Authentication':
      return raw(type, Buffer.concat([int32(Number(first)), Buffer.from(second, 'latin1')]));
    case 'NegotiateProtocolVersion':
      return raw(type, Buffer.concat([int32((3 << 16) | Number(first)), int32(0)]));
    default:
      return raw(type);
  }
}

/** Cuts a stream of typed messages apart; what is not a whole message is the last piece. */
export function cut(stream: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let position = 0;
  while (position < stream.length) {
    const length = stream.length - position < 5 ? Number.NaN : stream.readUInt32BE(position + 1);
    const end = Number.isNaN(length)
      ? stream.length
      : Math.min(stream.length, position + 1 + Math.max(4, length));
    messages.push(stream.subarray(position, end));
    position = end;
  }
  return messages;
}

function isWhole(message: Buffer): boolean {
  return message.length >= 5 && message.readUInt32BE(1) === message.length - 1;
}

function nameOf(types: Readonly<Record<string, string>>, message: Buffer): string {
  const type = String.fromCharCode(message[0] ?? 0);
  return Object.keys(types).find((name) => types[name] === type) ?? `0x${message.toString('hex')}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/** A message to the server in words. The names of Holdfast's own, which are random, are `own`. */
export function frontendLine(message: Buffer): string {
  const name = nameOf(FRONTEND_TYPES, message);
  if (!isWhole(message)) return `${name} (cut) 0x${message.toString('hex')}`;
  const strings = message
    .toString('utf8', 5)
    .replaceAll(/holdfast_[0-9a-f]{24}(?![0-9a-f])/g, 'own')
    .split('\0');
  const [first = '', second = ''] = strings;
  switch (name) {
    case 'Query':
    case 'CopyFail':
      return `${name} ${quoted(first)}`;
    case 'CopyData':
      return `${name} ${quoted(message.toString('utf8', 5))}`;
    case 'Parse':
    case 'Bind':
      return `${name} ${quoted(first)} ${quoted(second)}`;
    case 'Execute':
      return first.startsWith('holdfast_refused_') ? 'Execute missing' : `${name} ${quoted(first)}`;
    case 'Describe':
    case 'Close':
      return `${name} ${first.charAt(0)} ${quoted(first.slice(1))}`;
    default:
      return name;
  }
}

/** A message to the client in words; read by pg-protocol, which node-postgres reads with. */
export function backendLine(message: Buffer): string {
  const name = nameOf(BACKEND_TYPES, message);
  if (!isWhole(message)) return `${name} (cut) 0x${message.toString('hex')}`;
  // pg-protocol knows neither of these.
  if (name === 'NegotiateProtocolVersion') {
    return `${name} ${message.readUInt16BE(7)} ${message.toString('utf8', 13).split('\0').join(' ')}`.trim();
  }
  if (name === 'CopyBothResponse' || name === 'FunctionCallResponse') return name;
  if (name === 'BackendKeyData') return `${name} ${message.readInt32BE(5)} ${message.length - 9} bytes`;
  if (name === 'Authentication')
    return `${name} ${message.readInt32BE(5)} ${quoted(message.toString('latin1', 9))}`;
  let line = name;
  new Parser().parse(message, (parsed) => {
    const read = parsed as unknown as Record<string, unknown>;
    const text = (key: string): string => String(read[key]);
    switch (name) {
      case 'ErrorResponse':
        line = read['severity'] === 'FATAL' ? `${name} FATAL ${text('code')}` : `${name} ${text('code')}`;
        break;
      case 'NoticeResponse':
        line = `${name} ${text('code')}`;
        break;
      case 'CommandComplete':
        line = `${name} ${quoted(text('text'))}`;
        break;
      case 'ReadyForQuery':
        line = `${name} ${text('status')}`;
        break;
      case 'ParameterStatus':
        line = `${name} ${quoted(text('parameterName'))} ${quoted(text('parameterValue'))}`;
        break;
      case 'NotificationResponse':
        line = `${name} ${quoted(text('channel'))} ${quoted(text('payload'))}`;
        break;
      case 'DataRow':
        line = `${name} ${(read['fields'] as string[]).map(quoted).join(' ')}`;
        break;
      case 'CopyData':
        line = `${name} ${quoted((read['chunk'] as Buffer).toString())}`;
        break;
      default:
    }
  });
  return line;
}
