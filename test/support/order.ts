/**
 * Which test files have a process of their own, and in which order all of them begin.
 */
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** They put something else in the place of a module (vi.mock), and other files are to have the real one. */
export const ALONE: readonly string[] = ['test/bypass/backstop.test.ts', 'test/demo/incidents-open.test.ts'];

/**
 * What takes longest begins first, so that no worker is left alone with it at the end.
 * Vitest would go by the durations of the last run, which a fresh clone has not got, or
 * by the files' sizes, which say little: the longest are short files that wait for other
 * programs. A file that is missing here costs seconds, no more.
 */
export const LONGEST: readonly string[] = [
  'test/e2e/shared-holds.test.ts',
  'test/bypass/depth.test.ts',
  'test/impact/crash.test.ts',
  'test/e2e/large.test.ts',
  'test/admin/page-browser.test.ts',
  'test/e2e/tools.test.ts',
  'test/impact/truth-table.test.ts',
  'test/cli/cli.test.ts',
  'test/admin/page-pictures.test.ts',
];

// Those with a process of their own one after another: a process for many files does not outlive its turn.
const ORDER = [...ALONE, ...LONGEST];

function rank({ moduleId }: TestSpecification): number {
  const found = ORDER.findIndex((file) => moduleId.endsWith(`/${file}`));
  return found < 0 ? ORDER.length : found;
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
