/**
 * The analysis of statements for commands, as the proxy does it.
 */
import { analyze, loadParser } from '../sql/analyze.js';
import type { Analysis } from '../sql/facts.js';

export interface Analyzer {
  readonly analyze: (sql: string) => Promise<Analysis>;
  readonly close: () => Promise<void>;
}

export async function createAnalyzer(): Promise<Analyzer> {
  await loadParser();
  return { analyze: (sql) => Promise.resolve(analyze(sql)), close: () => Promise.resolve() };
}
