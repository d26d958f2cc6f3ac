/**
 * Holdfast as it is built, that kills itself at one point of a hold's life:
 * killed-holdfast.mjs SETTINGS POINT. POINT is one of holds-postgres/faults.ts;
 * `before forward`: the release is recorded and the statement about to leave;
 * `after forward`: it has just left.
 */
import { Socket } from 'node:net';
import { loadPolicy } from '../../dist/config/policy-file.js';
import { loadSettings } from '../../dist/config/settings.js';
import { createLogger } from '../../dist/log.js';
import { startHoldfast } from '../../dist/net/holdfast.js';

const [settingsPath, point] = process.argv.slice(2);
let released = false;

function reach(reached) {
  if (reached === 'after release') released = true;
  if (reached === point) process.kill(process.pid, 'SIGKILL');
}

const write = Socket.prototype.write;
Socket.prototype.write = function (chunk, ...rest) {
  const statement = released && Buffer.isBuffer(chunk) && chunk.includes('INSERT INTO guarded');
  if (statement) reach('before forward');
  const flowing = write.call(this, chunk, ...rest);
  if (statement) reach('after forward');
  return flowing;
};

const settings = await loadSettings(settingsPath, process.env);
const holdfast = await startHoldfast({
  settings,
  policy: await loadPolicy(settings.policy, process.env),
  logger: createLogger({ level: 'error' }),
  holdFaults: reach,
  // On a loaded machine too, a deadline passes in the store, where the points of it are.
  holdPace: { graceMs: 20_000 },
});
process.stdout.write(`${holdfast.port} ${holdfast.adminPort}\n`);
