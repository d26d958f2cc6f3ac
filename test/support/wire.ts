/**
 * A client that speaks the wire protocol byte by byte, for tests that must see
 * exactly which messages come back and in which order.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Parser } from 'pg-protocol/dist/parser.js';
import type { BackendMessage } from 'pg-protocol/dist/messages.js';

/** One message from the server, as a line of a transcript: `ErrorResponse 42501`, `ReadyForQuery I`, `DataRow 1,x`. */
export type Line = string;

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: string;
  readonly routine?: string;
  readonly severity?: string;
}

export interface WireClient {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly lines: readonly Line[];
  readonly errors: readonly WireError[];
  readonly notices: readonly WireError[];
  /** BackendKeyData. */
  readonly key: { processId: number; secretKey: number } | null;
  /** Sends bytes; with `split`, in two writes, the second in a later turn of the event loop. */
  send(bytes: Buffer, split?: number): Promise<void>;
  /** Lines received since the last call, up to and with the `count`th ReadyForQuery among them. */
  untilReady(count?: number): Promise<readonly Line[]>;
  /** Lines since the last call up to and with the first that begins with `prefix`. */
  until(prefix: string): Promise<readonly Line[]>;
  /** Lines since the last call up to the end of the connection. */
  untilClosed(): Promise<readonly Line[]>;
  close(): void;
}

export interface WireOptions {
  readonly host?: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly parameters?: Readonly<Record<string, string>>;
  /** 3.0 unless said otherwise. */
  readonly minor?: number;
}

/** The bytes of a StartupMessage. */
export function startup(minor: number, parameters: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(
    Object.entries(parameters)
      .map(([name, value]) => `${name}\0${value}\0`)
      .join('') + '\0',
  );
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head.writeUInt32BE((3 << 16) | minor, 4);
  return Buffer.concat([head, body]);
}

function line(message: BackendMessage): Line {
  const fields = message as unknown as Record<string, unknown>;
  switch (message.name) {
    case 'error':
      return `ErrorResponse ${String(fields['code'])}`;
    case 'notice':
      return `NoticeResponse ${String(fields['code'])}`;
    case 'readyForQuery':
      return `ReadyForQuery ${String(fields['status'])}`;
    case 'commandComplete':
      return `CommandComplete ${String(fields['text'])}`;
    case 'dataRow':
      return `DataRow ${(fields['fields'] as (string | null)[]).map((value) => value ?? 'NULL').join(',')}`;
    case 'parameterStatus':
      return `ParameterStatus ${String(fields['parameterName'])}=${String(fields['parameterValue'])}`;
    case 'notification':
      return `NotificationResponse ${String(fields['channel'])} ${String(fields['payload'])}`;
    default:
      return message.name.charAt(0).toUpperCase() + message.name.slice(1);
  }
}

function immediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Wraps a connected socket that has not said anything yet, or whose start-up the caller does. */
export function wire(socket: Socket): WireClient {
  const lines: Line[] = [];
  const errors: WireError[] = [];
  const notices: WireError[] = [];
  let key: WireClient['key'] = null;
  let taken = 0;
  let closed = false;
  let wake: () => void = () => undefined;
  const parser = new Parser();
  socket.on('data', (bytes: Buffer) => {
    parser.parse(bytes, (message) => {
      lines.push(line(message));
      const fields = message as unknown as WireError;
      if (message.name === 'error') errors.push(fields);
      if (message.name === 'notice') notices.push(fields);
      if (message.name === 'backendKeyData') {
        const { processID, secretKey } = message as unknown as { processID: number; secretKey: number };
        key = { processId: processID, secretKey };
      }
    });
    wake();
  });
  const onEnd = (): void => {
    closed = true;
    wake();
  };
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onEnd);

  async function take(end: () => number | null): Promise<readonly Line[]> {
    for (;;) {
      const index = end();
      if (index !== null) {
        const result = lines.slice(taken, index);
        taken = index;
        return result;
      }
      if (closed) throw new Error(`the connection ended after:\n${lines.slice(taken).join('\n')}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  return {
    socket,
    lines,
    errors,
    notices,
    get key() {
      return key;
    },
    async send(bytes, split) {
      if (split === undefined || split <= 0 || split >= bytes.length) {
        socket.write(bytes);
        return;
      }
      await new Promise<void>((resolve) => {
        socket.write(bytes.subarray(0, split), () => {
          resolve();
        });
      });
      // The proxy reads in the poll phase of the event loop, which comes between two immediates: without the second
      // one it would find both parts at once.
      await immediate();
      await immediate();
      socket.write(bytes.subarray(split));
    },
    untilReady: (count = 1) =>
      take(() => {
        let seen = 0;
        for (let index = taken; index < lines.length; index++) {
          if (lines[index]?.startsWith('ReadyForQuery') === true && ++seen === count) return index + 1;
        }
        return null;
      }),
    until: (prefix) =>
      take(() => {
        const index = lines.findIndex((text, at) => at >= taken && text.startsWith(prefix));
        return index < 0 ? null : index + 1;
      }),
    untilClosed: () => take(() => (closed ? lines.length : null)),
    close() {
      socket.destroy();
    },
  };
}

/** A connected socket. */
export function connected(port: number, host = '127.0.0.1'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** Logs a user in that needs no password, and reads up to the first ReadyForQuery. */
export async function wireLogin(options: WireOptions): Promise<WireClient> {
  const client = wire(await connected(options.port, options.host));
  await client.send(
    startup(options.minor ?? 0, { user: options.user, database: options.database, ...options.parameters }),
  );
  await client.untilReady();
  return client;
}
