/** The command line as it is built, without a process of its own: for all that is the same in either. */
import { Readable } from 'node:stream';
import type { runProgram } from '../../src/commands/program.js';
import type { Finished, RunOptions } from './run.js';

const PROGRAM = new URL('../../dist/commands/program.js', import.meta.url).href;

/** Like run(); one at a time, for the process has one working directory. */
export async function runHere(
  args: readonly string[],
  { input = '', cwd = process.cwd() }: Omit<RunOptions, 'env'> = {},
): Promise<Finished> {
  const program = (await import(PROGRAM)) as { runProgram: typeof runProgram };
  const stdout: string[] = [];
  const stderr: string[] = [];
  const before = process.cwd();
  process.chdir(cwd);
  try {
    const status = await program.runProgram(args, {
      print: (line) => {
        stdout.push(`${line}\n`);
        return Promise.resolve();
      },
      complain: (line) => {
        stderr.push(`${line}\n`);
      },
      color: false,
      columns: null,
      input: Readable.from([Buffer.from(input)]) as unknown as NodeJS.ReadStream,
    });
    return { status, stdout: stdout.join(''), stderr: stderr.join('') };
  } finally {
    process.chdir(before);
  }
}
