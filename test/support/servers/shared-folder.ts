import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder for what the test files of one run make once and share; it is gone when the run ends. */
    readonly sharedFolder: string;
  }
}

/** Ends the name of the folder that says that a test file makes what is named so; others wait for it. */
export const CLAIMED = '.claimed';

/**
 * Vitest's global set-up of the real tests: makes the shared folder. A developer who runs them again and again may
 * name one that stays: REGOPS_TEST_CACHE.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const lasting = process.env['REGOPS_TEST_CACHE'];
  if (lasting) {
    await mkdir(lasting, { recursive: true });
    // What a run that was killed had begun to make, nobody makes any more.
    for (const name of await readdir(lasting)) {
      if (name.endsWith(CLAIMED)) await rmdir(join(lasting, name));
    }
    project.provide('sharedFolder', lasting);
    return async () => {};
  }
  const folder = await mkdtemp(join(tmpdir(), 'regops-shared-'));
  project.provide('sharedFolder', folder);
  return () => rm(folder, { recursive: true, force: true });
}
