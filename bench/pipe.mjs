/**
 * The floor for a proxy in Node: a socket to a socket, nothing looked at. A process of its own:
 * node pipe.mjs data|onread LISTEN_PORT UPSTREAM_PORT
 */
import { Socket, connect, createServer } from 'node:net';

const BUFFER_BYTES = 65536;

const [mode, listenPort, upstreamPort] = process.argv.slice(2);
const upstreamAddress = { port: Number(upstreamPort), host: '127.0.0.1', noDelay: true };
const onClient = { data: pipeData, onread: pipeOnread }[String(mode)];
if (!onClient) throw new Error('usage: node pipe.mjs data|onread LISTEN_PORT UPSTREAM_PORT');
createServer({ noDelay: true, pauseOnConnect: mode === 'onread' }, onClient).listen(
  Number(listenPort),
  '127.0.0.1',
);

/** Streams as they come: Node allocates the memory of every read. @param {Socket} client */
function pipeData(client) {
  const upstream = connect(upstreamAddress);
  client.on('data', (chunk) => forward(client, upstream, chunk));
  upstream.on('data', (chunk) => forward(upstream, client, chunk));
  endTogether(client, upstream);
}

/** One buffer a socket, read into again and again. @param {Socket} accepted */
function pipeOnread(accepted) {
  /** @type {Socket} */
  const upstream = connect({ ...upstreamAddress, onread: reuse(() => [upstream, client]) });
  /** @type {Socket} */
  const client = adopt(
    accepted,
    reuse(() => [client, upstream]),
  );
  endTogether(client, upstream);
}

/**
 * net.Server offers no `onread` for the sockets that it accepts, so the accepted handle moves to a
 * socket of our own. `_handle` is no public interface of Node.
 * @param {any} accepted
 * @param {import('node:net').OnReadOpts} onread
 * @returns {Socket}
 */
function adopt(accepted, onread) {
  const handle = accepted._handle;
  accepted._handle = null;
  const options = { handle, onread, readable: true, writable: true };
  return new Socket(/** @type {any} */ (options));
}

/**
 * The buffer belongs to the pending write while the kernel has not taken all of it; only then is a
 * new one allocated.
 * @param {() => [Socket, Socket]} pair
 * @returns {any} net's onread options
 */
function reuse(pair) {
  /** @type {Buffer | undefined} undefined keeps the buffer that is in use */
  let next = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  return {
    buffer: () => next,
    callback: (/** @type {number} */ bytes, /** @type {Buffer} */ buffer) => {
      const [from, to] = pair();
      forward(from, to, buffer.subarray(0, bytes));
      next = to.writableLength > 0 ? Buffer.allocUnsafeSlow(BUFFER_BYTES) : undefined;
      return true;
    },
  };
}

/** @param {Socket} from @param {Socket} to @param {Uint8Array} chunk */
function forward(from, to, chunk) {
  if (to.write(chunk)) return;
  from.pause();
  to.once('drain', () => from.resume());
}

/** @param {Socket} one @param {Socket} other */
function endTogether(one, other) {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ]) {
    from?.on('end', () => to?.end());
    from?.on('error', () => to?.destroy());
    from?.on('close', () => to?.destroy());
  }
}
