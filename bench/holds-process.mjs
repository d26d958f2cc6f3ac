/**
 * `holdfast serve` whose memory and CPU time can be asked for. Memory: what is still in use after a collection, so
 * that sessions are counted and not the garbage that opening them leaves behind.
 * Run by holds.mjs as `node --expose-gc holds-process.mjs CONFIG`, with a channel to it.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { serve } from '../dist/net/serve.js';

const collect = /** @type {() => void} */ (globalThis.gc);

/** @returns {Promise<number>} bytes */
async function memory() {
  for (let each = 0; each < 3; each++) {
    collect();
    // Finalizers and what sockets have put off.
    await sleep(100);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** @returns {number} µs */
function cpu() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

process.on('message', async (what) => {
  process.send?.(what === 'memory' ? await memory() : cpu());
});

await serve({ settingsPath: String(process.argv[2]), logLevel: 'error' });
process.disconnect();
