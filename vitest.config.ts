import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';
import { ALONE, LongestFirst } from './test/support/order.js';

const TESTS = 'test/**/*.test.ts';

/** What both groups of files have; the globalSetup is not among it, for it runs once for both. */
const SAME: TestProjectInlineConfiguration['test'] = {
  environment: 'node',
  // Processes, not threads: the code under test starts worker threads of its own.
  pool: 'forks',
  maxWorkers: 2,
  testTimeout: 20_000,
  hookTimeout: 60_000,
  teardownTimeout: 30_000,
};

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    sequence: { sequencer: LongestFirst },
    maxWorkers: 2,
    projects: [
      // One process for many files: to load the whole product anew for each of them would take a third of the time.
      { test: { ...SAME, name: 'together', isolate: false, include: [TESTS], exclude: [...ALONE] } },
      { test: { ...SAME, name: 'alone', isolate: true, include: [...ALONE] } },
    ],
  },
});
