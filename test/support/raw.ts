/**
 * Bytes and messages of one connection, read on demand: for what a client library
 * would never send or would hide, such as the single bytes that answer SSLRequest.
 */
import type { Socket } from 'node:net';
import { connected } from './wire.js';

export interface RawMessage {
  /** The type byte as a character. */
  readonly type: string;
  readonly body: Buffer;
}

export interface Raw {
  readonly socket: Socket;
  write(bytes: Buffer): void;
  /** Exactly `count` bytes. */
  bytes(count: number): Promise<Buffer>;
  /** One message, type byte and length word taken off. */
  message(): Promise<RawMessage>;
  /** Messages up to and with the first of this type. */
  until(type: string): Promise<readonly RawMessage[]>;
  /** What comes until the other side ends the connection. */
  rest(): Promise<Buffer>;
}

/** Reads a socket that nobody else reads. */
export function raw(socket: Socket): Raw {
  let pending: Buffer = Buffer.alloc(0);
  let closed = false;
  let wake: () => void = () => undefined;
  const onEnd = (): void => {
    closed = true;
    wake();
  };
  socket.on('data', (bytes: Buffer) => {
    pending = Buffer.concat([pending, bytes]);
    wake();
  });
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onEnd);

  async function more(): Promise<void> {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }

  async function bytes(count: number): Promise<Buffer> {
    while (pending.length < count) {
      if (closed)
        throw new Error(`the connection ended after ${String(pending.length)} of ${String(count)} bytes`);
      await more();
    }
    const taken = pending.subarray(0, count);
    pending = pending.subarray(count);
    return taken;
  }

  async function message(): Promise<RawMessage> {
    const head = await bytes(5);
    return { type: head.toString('latin1', 0, 1), body: await bytes(head.readUInt32BE(1) - 4) };
  }

  return {
    socket,
    write: (chunk) => {
      socket.write(chunk);
    },
    bytes,
    message,
    async until(type) {
      const messages: RawMessage[] = [];
      for (;;) {
        const next = await message();
        messages.push(next);
        if (next.type === type) return messages;
      }
    },
    async rest() {
      while (!closed) await more();
      const taken = pending;
      pending = Buffer.alloc(0);
      return taken;
    },
  };
}

/** A new connection, read raw. */
export async function rawConnection(port: number): Promise<Raw> {
  return raw(await connected(port));
}

/** Fields of an ErrorResponse or NoticeResponse by their codes: `S` severity, `C` SQLSTATE, `M` message, … */
export function fieldsOf(body: Buffer): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const field of body.toString('utf8').split('\0'))
    if (field !== '') fields[field.charAt(0)] = field.slice(1);
  return fields;
}

/** The fields of the one ErrorResponse that `bytes` consist of. */
export function onlyError(bytes: Buffer): Readonly<Record<string, string>> {
  if (bytes[0] !== 0x45 || bytes.readUInt32BE(1) !== bytes.length - 1) {
    throw new Error(`expected one ErrorResponse, got ${JSON.stringify(bytes.toString('latin1'))}`);
  }
  return fieldsOf(bytes.subarray(5));
}

/** A packet of the start-up: its length, a request code, and what follows. */
export function packet(code: number, rest: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + rest.length, 0);
  head.writeUInt32BE(code, 4);
  return Buffer.concat([head, rest]);
}

export const SSL_REQUEST = packet(80_877_103);
export const GSSENC_REQUEST = packet(80_877_104);

/** A CancelRequest. */
export function cancelPacket(processId: number, secret: Buffer): Buffer {
  const body = Buffer.alloc(4);
  body.writeInt32BE(processId, 0);
  return packet(80_877_102, Buffer.concat([body, secret]));
}
