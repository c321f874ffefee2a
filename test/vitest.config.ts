import { defineConfig } from 'vitest/config';

const project = (name: string, extra: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    // Captured output is '' otherwise: vitest replaces console, oclif writes through it.
    disableConsoleIntercept: true,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      project('unit'),
      project('commands'),
      project('contract', { testTimeout: 60_000 }),
      project('e2e', { testTimeout: 60_000 }),
      project('real', {
        testTimeout: 120_000,
        hookTimeout: 180_000,
        fileParallelism: false,
        globalSetup: 'test/support/servers/shared-folder.ts',
      }),
    ],
  },
});
