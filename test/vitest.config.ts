import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './support/longest-first.ts';

const project = (name: string, extra: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    // Captured output is '' otherwise: vitest replaces console, oclif writes through it.
    disableConsoleIntercept: true,
    // Only what hangs meets these, also on a machine that is very busy.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    setupFiles: 'test/support/seeded-properties.ts',
    expect: { poll: { timeout: 60_000 } },
    // Most files wait for servers, pauses and other processes much of their time.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    projects: [
      project('unit'),
      project('commands'),
      project('contract'),
      project('e2e'),
      project('real', {
        globalSetup: 'test/support/servers/shared-folder.ts',
      }),
    ],
  },
});
