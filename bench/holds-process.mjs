/**
 * `holdfast serve` whose memory can be asked for: what is still in use after a collection, so that
 * sessions are counted and not the garbage that opening them leaves behind.
 * Run by holds.mjs as `node --expose-gc holds-process.mjs CONFIG`, with a channel to it.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { serve } from '../dist/net/serve.js';

const collect = /** @type {() => void} */ (globalThis.gc);

process.on('message', async () => {
  for (let each = 0; each < 3; each++) {
    collect();
    // Finalizers and what sockets have put off.
    await sleep(100);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  process.send?.({ used: heapUsed + external, rss });
});

await serve({ settingsPath: String(process.argv[2]), logLevel: 'error' });
process.disconnect();
