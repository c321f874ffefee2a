import { stat, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { makeFolder } from '../../../src/base/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const folder = useTempFolder();

describe('makeFolder', () => {
  test('makes what is missing, for the owner alone', async () => {
    await makeFolder(folder('a', 'b', 'c'));
    for (const path of [folder('a'), folder('a', 'b'), folder('a', 'b', 'c')]) {
      expect(((await stat(path)).mode & 0o777).toString(8)).toBe('700');
    }
    await makeFolder(folder('a', 'b', 'c'));
  });

  test('many at once make the same one', async () => {
    await Promise.all(Array.from({ length: 20 }, () => makeFolder(folder('x', 'y', 'z'))));
    expect((await stat(folder('x', 'y', 'z'))).isDirectory()).toBe(true);
  });

  test('a file in the way is an error', async () => {
    await writeFile(folder('file'), '');
    await expect(makeFolder(folder('file'))).rejects.toThrow('EEXIST');
    await expect(makeFolder(folder('file', 'below'))).rejects.toThrow('ENOTDIR');
  });

  test('ends where nothing can be made', async () => {
    await expect(makeFolder('/proc/regops/uploads')).rejects.toThrow(/ENOENT|EACCES/);
  });
});
