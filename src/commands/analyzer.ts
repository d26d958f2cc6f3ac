/**
 * The analysis of statements for commands, as the proxy does it: small texts here,
 * large ones in a worker thread, whose stack is deep enough for them.
 */
import { createAnalysisPool, sharedText } from '../gate/analysis-pool.js';
import { INLINE_LIMIT_BYTES, analyze, loadParser } from '../sql/analyze.js';
import type { Analysis } from '../sql/facts.js';

const DEADLINE_MS = 30_000;

export interface Analyzer {
  readonly analyze: (sql: string) => Promise<Analysis>;
  readonly close: () => Promise<void>;
}

/** Loads the parser; the worker starts with the first large text. */
export async function createAnalyzer(): Promise<Analyzer> {
  await loadParser();
  const pool = createAnalysisPool({
    size: 1,
    workerUrl: new URL('../sql/worker.js', import.meta.url),
    deadlineMs: DEADLINE_MS,
    stackSizeMb: 64,
  });
  return {
    analyze: async (sql) => {
      if (Buffer.byteLength(sql) <= INLINE_LIMIT_BYTES) return analyze(sql);
      const { analysis } = await pool.analyze(sharedText(Buffer.from(sql)));
      return analysis;
    },
    close: () => pool.close(),
  };
}
