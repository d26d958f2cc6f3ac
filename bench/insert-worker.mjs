/** Worker thread of insert.mjs: one INSERT of `bytes` bytes on a session of its own, and how long it took. */
import { parentPort, workerData } from 'node:worker_threads';

import { connect } from './wire.mjs';

await send(workerData);

/** @param {{ port: number, user: string, database: string, bytes: number }} job */
async function send({ port, user, database, bytes }) {
  const sql = insertText(bytes);
  const session = await connect({ port, user, database });
  parentPort?.postMessage('ready');
  const begin = performance.now();
  const error = await session.query(sql).then(
    () => null,
    (reason) => (reason instanceof Error ? reason.message : String(reason)),
  );
  session.end();
  parentPort?.postMessage({ ms: performance.now() - begin, error });
}

/** @param {number} bytes */
function insertText(bytes) {
  const rows = [];
  let length = 0;
  for (let id = 0; length < bytes; id++) {
    const row = `(${id}, 'a value that is long enough to look like one of a bulk load, ${id}')`;
    rows.push(row);
    length += row.length + 2;
  }
  return Buffer.from(`INSERT INTO bench_insert (id, note) VALUES\n${rows.join(',\n')}`);
}
