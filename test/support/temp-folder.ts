import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';

/**
 * A folder that every test of the file gets empty and that is gone afterwards.
 * Gives a function that joins a name to it.
 */
export function useTempFolder(): (...names: string[]) => string {
  let folder: string | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regops-test-'));
  });
  afterEach(async () => {
    if (folder) await rm(folder, { recursive: true, force: true });
    folder = undefined;
  });
  return (...names) => {
    if (!folder) throw new Error('a temporary folder exists only while a test runs');
    return join(folder, ...names);
  };
}
