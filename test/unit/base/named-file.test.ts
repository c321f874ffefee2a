import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { RegopsError, readNamedFile } from '../../../src/base/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const LIMIT = { maxBytes: 5, tooLarge: () => new RegopsError('INPUT_INVALID', 'more than 5 bytes') };

const folder = useTempFolder();

test.each(['', 'abc', 'abcde'])('gives all of %j', async (text) => {
  const path = folder('file');
  await writeFile(path, text);
  expect((await readNamedFile(path, LIMIT)).toString()).toBe(text);
});

test('refuses a byte too many', async () => {
  const path = folder('file');
  await writeFile(path, 'abcdef');
  await expect(readNamedFile(path, LIMIT)).rejects.toThrow('more than 5 bytes');
});

test('reads a pipe, and not to an end that never comes', async () => {
  const path = folder('pipe');
  await once(spawn('mkfifo', [path]), 'exit');
  const [content] = await Promise.all([
    readNamedFile(path, LIMIT),
    once(spawn('sh', ['-c', `printf abc > ${path}`]), 'exit'),
  ]);
  expect(content.toString()).toBe('abc');
  const endless = spawn('sh', ['-c', `exec yes > ${path}`], { stdio: 'ignore' });
  onTestFinished(() => void endless.kill());
  const ended = once(endless, 'exit');
  await expect(readNamedFile(path, LIMIT)).rejects.toThrow('more than 5 bytes');
  // The pipe is closed behind it.
  await ended;
});

test('says which file is missing, and what kept it from being read', async () => {
  const path = folder();
  await expect(readNamedFile(`${path}/none`, LIMIT)).rejects.toMatchObject({
    code: 'FILE_NOT_FOUND',
    message: `no such file: ${path}/none`,
  });
  await expect(readNamedFile(path, LIMIT)).rejects.toMatchObject({
    code: 'IO_FAILED',
    message: expect.stringContaining(`cannot read ${path}: EISDIR`),
  });
  await expect(readNamedFile(path, { ...LIMIT, unreadable: 'CONFIG_INVALID' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});
