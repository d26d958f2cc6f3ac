/**
 * A raw PostgreSQL client that costs as little as possible: trust login and the simple
 * protocol. Knows frames, not contents. Message formats: PostgreSQL's documentation,
 * "Frontend/Backend Protocol", "Message Formats".
 */
import { connect as connectSocket } from 'node:net';

/** A contestant that is silent for this long while an answer is due has failed. */
const SILENCE_MS = 60_000;
const PROTOCOL_3_0 = 196608;
const READY_FOR_QUERY = 0x5a;
const ERROR_RESPONSE = 0x45;
const AUTHENTICATION = 0x52;

/**
 * @typedef {object} Session
 * @property {(sql: string | Buffer) => Promise<void>} query resolves at ReadyForQuery; rejects with the server's error
 * @property {() => void} end sends Terminate and closes
 */

/**
 * @param {{ port: number, user: string, database: string }} target on 127.0.0.1
 * @returns {Promise<Session>}
 */
export function connect({ port, user, database }) {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true });
    /** @type {{ resolve: () => void, reject: (error: Error) => void } | null} */
    let waiting = { resolve: () => resolve({ query, end }), reject };
    /** @type {Error | null} */
    let failure = null;
    const frames = frameReader((type, body) => {
      if (type === ERROR_RESPONSE) failure = new Error(errorText(body));
      else if (type === AUTHENTICATION && body.readInt32BE(0) !== 0)
        failure = new Error('the server wants a password; the bench logs in by trust');
      if (type !== READY_FOR_QUERY) return;
      const settled = waiting;
      const error = failure;
      waiting = null;
      failure = null;
      if (error) settled?.reject(error);
      else settled?.resolve();
    });

    const lost = (/** @type {Error} */ error) => {
      waiting?.reject(failure ?? error);
      waiting = null;
      socket.destroy();
    };
    socket.on('data', frames);
    socket.on('error', lost);
    socket.on('close', () => lost(new Error('the connection was closed')));
    socket.setTimeout(SILENCE_MS, () => {
      if (waiting !== null) lost(new Error(`no answer within ${SILENCE_MS / 1000} s`));
    });
    socket.once('connect', () => socket.write(startupMessage(user, database)));

    /** @param {string | Buffer} sql @returns {Promise<void>} */
    function query(sql) {
      return new Promise((done, failed) => {
        waiting = { resolve: done, reject: failed };
        socket.write(queryMessage(sql));
      });
    }

    function end() {
      waiting = null;
      socket.end(Buffer.from([0x58, 0, 0, 0, 4]));
    }
  });
}

/** @param {string} user @param {string} database */
function startupMessage(user, database) {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0application_name\0bench\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(PROTOCOL_3_0, 4);
  return Buffer.concat([head, body]);
}

/** @param {string | Buffer} sql */
function queryMessage(sql) {
  const text = typeof sql === 'string' ? Buffer.from(sql) : sql;
  const message = Buffer.allocUnsafe(text.length + 6);
  message[0] = 0x51;
  message.writeInt32BE(text.length + 5, 1);
  text.copy(message, 5);
  message[text.length + 5] = 0;
  return message;
}

/**
 * Calls back for each whole message. Only what a caller looks at is collected; the rest of a
 * message is skipped as it comes.
 * @param {(type: number, body: Buffer) => void} onMessage
 * @returns {(chunk: Buffer) => void}
 */
function frameReader(onMessage) {
  /** @type {Buffer} */
  let rest = Buffer.alloc(0);
  let skip = 0;
  return (chunk) => {
    let bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    rest = Buffer.alloc(0);
    for (;;) {
      if (skip > 0) {
        const dropped = Math.min(skip, bytes.length);
        skip -= dropped;
        bytes = bytes.subarray(dropped);
      }
      if (bytes.length < 5) break;
      const type = bytes.readUInt8(0);
      const length = bytes.readInt32BE(1);
      const wanted = type === READY_FOR_QUERY || type === ERROR_RESPONSE || type === AUTHENTICATION;
      if (!wanted) {
        skip = length + 1;
        continue;
      }
      if (bytes.length < length + 1) break;
      onMessage(type, bytes.subarray(5, length + 1));
      bytes = bytes.subarray(length + 1);
    }
    rest = bytes;
  };
}

/** @param {Buffer} body of an ErrorResponse @returns {string} its SQLSTATE and message */
function errorText(body) {
  const fields = body.toString().split('\0');
  const field = (/** @type {string} */ code) => fields.find((each) => each.startsWith(code))?.slice(1) ?? '';
  return `${field('C')} ${field('M')}`;
}
