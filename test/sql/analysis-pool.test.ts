/** The pool of worker threads that analyse large statements, as it ships: from dist. */
import { afterEach, describe, expect, it } from 'vitest';
import { createAnalysisPool, sharedText, type AnalysisPoolOptions } from '../../src/gate/analysis-pool.js';
import type { Analysis } from '../../src/sql/facts.js';

const workerUrl = new URL('../../dist/sql/worker.js', import.meta.url);
/** A worker out of a string. */
const script = (code: string) => new URL(`data:text/javascript,${encodeURIComponent(code)}`);
const READY = "import { parentPort } from 'node:worker_threads'; parentPort.postMessage({ kind: 'ready' });";
/** A worker that takes a text and never answers. */
const SILENT = `${READY} parentPort.on('message', () => {});`;

interface Pool {
  readonly analyze: (sql: string) => Promise<Analysis>;
  readonly close: () => Promise<void>;
}

let pool: Pool | null = null;
function create(options: Partial<AnalysisPoolOptions> = {}): Pool {
  const created = createAnalysisPool({ size: 2, workerUrl, deadlineMs: 15_000, stackSizeMb: 64, ...options });
  pool = {
    analyze: async (sql) => (await created.analyze(sharedText(Buffer.from(sql)))).analysis,
    close: () => created.close(),
  };
  return pool;
}
afterEach(async () => {
  await pool?.close();
  pool = null;
});

describe('the analysis pool', () => {
  it('analyses as analyze() does', async () => {
    const { analyze } = create();
    expect(await analyze('DELETE FROM t')).toMatchObject({
      kind: 'statements',
      statements: [{ operation: 'delete', actions: [{ where: 'none' }] }],
    });
    expect(await analyze('SELEC 1')).toEqual({
      kind: 'syntax_error',
      message: 'syntax error at or near "SELEC"',
      position: 1,
    });
  });

  it('answers many texts at once, each with its own answer', async () => {
    const { analyze } = create();
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => analyze(`TABLE t${index}`)));
    for (const [index, answer] of answers.entries()) {
      expect(answer).toMatchObject({ statements: [{ relations: [{ name: `t${index}` }] }] });
    }
  });

  it('parses what would overflow the stack of the main thread', async () => {
    const { analyze } = create();
    const answer = await analyze(`SELECT 1${'+1'.repeat(50_000)}; DELETE FROM t`);
    expect(answer).toMatchObject({ statements: [{ operation: 'select' }, { operation: 'delete' }] });
  });

  it('replaces a worker whose parser broke, and goes on', async () => {
    const { analyze } = create({ size: 1, stackSizeMb: 4 });
    const deep = `SELECT 1${'+1'.repeat(200_000)}`;
    expect(await analyze(deep)).toMatchObject({ kind: 'too_complex', sqlstate: '54001' });
    expect(await analyze('SELECT 1')).toMatchObject({ kind: 'statements' });
    const both = await Promise.all([analyze(deep), analyze('SELECT 1')]);
    expect(both).toMatchObject([{ kind: 'too_complex' }, { kind: 'statements' }]);
  });

  it('answers too_complex at the deadline', async () => {
    const { analyze } = create({ workerUrl: script(SILENT), deadlineMs: 20 });
    expect(await analyze('SELECT 1')).toMatchObject({
      kind: 'too_complex',
      message: expect.stringContaining('too long') as string,
    });
    expect(await analyze('SELECT 1')).toMatchObject({ kind: 'too_complex' });
  });

  it('answers too_complex when a worker dies, exits, or cannot start', async () => {
    for (const code of [
      `${READY} parentPort.on('message', () => { throw new Error('no') })`,
      `${READY} parentPort.on('message', () => { process.exit(0) })`,
      'throw new Error("no")',
      'syntax error',
    ]) {
      const { analyze, close } = create({ workerUrl: script(code) });
      const answers = await Promise.all([analyze('a'), analyze('b'), analyze('c')]);
      expect(answers.map((answer) => answer.kind)).toEqual(['too_complex', 'too_complex', 'too_complex']);
      await close();
    }
  });

  it('says that a text was too large when the heap was too small', async () => {
    const grow = `${READY} parentPort.on('message', () => { const all = []; for (;;) all.push(new Array(100000).fill({})) })`;
    const { analyze } = create({ workerUrl: script(grow), heapMb: 32 });
    expect(await analyze('x')).toMatchObject({ kind: 'too_complex', sqlstate: '54000' });
  });

  it('answers what waits when it is closed, and everything afterwards', async () => {
    const { analyze, close } = create({ workerUrl: script(SILENT), size: 1 });
    const waiting = [analyze('a'), analyze('b')];
    await close();
    expect((await Promise.all(waiting)).map((answer) => answer.kind)).toEqual(['too_complex', 'too_complex']);
    expect(await analyze('c')).toMatchObject({ kind: 'too_complex' });
    await close();
  });
});
