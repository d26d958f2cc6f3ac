/**
 * Reading plain sockets without allocating for every read. A Node socket takes a
 * fresh 64 KiB for each read and cuts it down afterwards, which costs time on every
 * query and memory on every session.
 *
 * Law: all sockets read into one buffer of the process, whose bytes are good only
 * until the handler returns; nothing that outlives the handler may point into it.
 * A socket that delivers much at a time reads into a buffer of its own instead,
 * whose bytes may be handed on as they are: it is replaced while somebody still
 * uses it.
 */
import { Socket } from 'node:net';
import type { OnReadOpts } from 'node:net';

const BUFFER_BYTES = 65_536;
/** A read of this size or more makes a socket read into a buffer of its own, one below the other ends that. */
const BULK_BYTES = 16_384;
const TRICKLE_BYTES = 2_048;

const shared = Buffer.allocUnsafeSlow(BUFFER_BYTES);

/**
 * @param bytes what was read
 * @param lasting whether `bytes` may be kept by reference until `inUse` is asked
 */
export type BytesHandler = (bytes: Buffer, lasting: boolean) => void;

/**
 * Reads `socket` from now on.
 * @param inUse whether lasting bytes that were handed out may still be needed, asked after each handler
 * @returns the socket to use in place of the one given, which must not be used any more: paused, without listeners
 */
export function readShared(socket: Socket, onBytes: BytesHandler, inUse: () => boolean): Socket {
  const handle = takeHandle(socket);
  if (handle === null) {
    socket.on('data', (bytes: Buffer) => {
      onBytes(bytes, true);
    });
    socket.pause();
    return socket;
  }
  let own: Buffer | null = null;
  let next: Buffer | undefined = shared;
  const onread: OnReadOpts = {
    // Called after each read for the buffer of the next; undefined keeps the one in use.
    buffer: (() => next) as () => Uint8Array,
    callback: (size, buffer) => {
      const bytes = buffer as Buffer;
      const lasting = own !== null;
      next = undefined;
      onBytes(bytes.subarray(0, size), lasting);
      if (own === null) {
        if (size >= BULK_BYTES) next = own = Buffer.allocUnsafeSlow(BUFFER_BYTES);
      } else if (size < TRICKLE_BYTES) {
        own = null;
        next = shared;
      } else if (inUse()) {
        next = own = Buffer.allocUnsafeSlow(BUFFER_BYTES);
      }
      return true;
    },
  };
  const options = {
    handle,
    onread,
    allowHalfOpen: true,
    pauseOnCreate: true,
    readable: true,
    writable: true,
  };
  return new Socket(options);
}

/**
 * net.Server offers no `onread` for the sockets that it accepts, so the handle moves to a socket of
 * our own. `_handle` is not part of Node's documented interface: where it is not what it is in the
 * releases known, the socket is read in the ordinary way.
 */
function takeHandle(socket: Socket): object | null {
  const holder = socket as unknown as { _handle?: { useUserBuffer?: unknown; readStop?: unknown } | null };
  const handle = holder._handle;
  if (handle === undefined || handle === null) return null;
  if (typeof handle.useUserBuffer !== 'function' || typeof handle.readStop !== 'function') return null;
  // What the old socket has read and not delivered would be lost with it.
  if (socket.readableLength > 0) return null;
  holder._handle = null;
  return handle;
}
