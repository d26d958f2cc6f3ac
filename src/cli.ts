#!/usr/bin/env node
/**
 * The command line: arguments in, text and an exit status out.
 *
 * Law: what the arguments mean is in commands/program.ts; here is only the process
 * that they were given to. The only file that writes to the console.
 */
import { once } from 'node:events';
import { runProgram } from './commands/program.js';
import type { Terminal } from './commands/terminal.js';

const terminal: Terminal = {
  print: async (line) => {
    if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain');
  },
  complain: (line) => {
    console.error(line);
  },
  color: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
  // A terminal that does not know its size says 0.
  columns: process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : null,
  input: process.stdin,
};

// A reader that went away (`| head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  const status = await runProgram(process.argv.slice(2), terminal);
  if (status !== null) process.exitCode = status;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
