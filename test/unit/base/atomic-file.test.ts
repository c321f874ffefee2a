import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeFileAtomically } from '../../../src/base/index.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regops-atomic-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

describe('writeFileAtomically', () => {
  test('writes a new file, and nothing beside it', async () => {
    const path = join(folder, 'new');
    await writeFileAtomically(path, 'content');
    expect(await readFile(path, 'utf8')).toBe('content');
    expect(await modeOf(path)).toBe('644');
    expect(await readdir(folder)).toEqual(['new']);
  });

  test('the mode holds whatever the umask says', async () => {
    const previous = process.umask(0o077);
    try {
      await writeFileAtomically(join(folder, 'public'), 'x', 0o644);
    } finally {
      process.umask(previous);
    }
    expect(await modeOf(join(folder, 'public'))).toBe('644');
  });

  test('replaces a file whole, and its mode', async () => {
    const path = join(folder, 'secret');
    await writeFile(path, 'a much longer content than before');
    await chmod(path, 0o666);
    await writeFileAtomically(path, Buffer.from('short'), 0o600);
    expect(await readFile(path, 'utf8')).toBe('short');
    expect(await modeOf(path)).toBe('600');
  });

  test('a reader who has the old file open keeps it', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'old');
    const { ino } = await stat(path);
    await writeFileAtomically(path, 'new');
    expect((await stat(path)).ino).not.toBe(ino);
  });

  test('makes missing folders, for the owner alone', async () => {
    await writeFileAtomically(join(folder, 'a', 'b', 'file'), 'x');
    expect(await modeOf(join(folder, 'a'))).toBe('700');
    expect(await modeOf(join(folder, 'a', 'b'))).toBe('700');
  });

  test('follows a link and leaves it one', async () => {
    await mkdir(join(folder, 'real'));
    await writeFile(join(folder, 'real', 'config'), 'old');
    await symlink(join('real', 'config'), join(folder, 'link'));
    await writeFileAtomically(join(folder, 'link'), 'new');
    expect((await lstat(join(folder, 'link'))).isSymbolicLink()).toBe(true);
    expect(await readFile(join(folder, 'real', 'config'), 'utf8')).toBe('new');
    expect(await readdir(join(folder, 'real'))).toEqual(['config']);
  });

  test('writes into a pipe instead of replacing it', async () => {
    const pipe = join(folder, 'pipe');
    await once(spawn('mkfifo', [pipe]), 'close');
    const reader = spawn('cat', [pipe]);
    try {
      const [read] = await Promise.all([text(reader.stdout), writeFileAtomically(pipe, 'through')]);
      expect(read).toBe('through');
      expect((await lstat(pipe)).isFIFO()).toBe(true);
    } finally {
      reader.kill();
    }
  });

  test.each(['/proc/self/fd', '/dev/fd'])('writes on into what is open already: %s', async (names) => {
    const path = join(folder, 'log');
    await writeFile(path, 'before\n');
    const log = await open(path, 'a');
    try {
      await writeFileAtomically(join(names, String(log.fd)), 'through\n');
      await log.write('after\n');
    } finally {
      await log.close();
    }
    expect(await readFile(path, 'utf8')).toBe('before\nthrough\nafter\n');
    expect(await readdir(folder)).toEqual(['log']);
  });

  test('a failure leaves what was there, and no temporary file', async () => {
    await mkdir(join(folder, 'occupied'));
    await expect(writeFileAtomically(join(folder, 'occupied'), 'x')).rejects.toThrow(
      /EISDIR|ENOTEMPTY|EEXIST/,
    );
    expect(await readdir(folder)).toEqual(['occupied']);
    await writeFile(join(folder, 'file'), 'old');
    await expect(writeFileAtomically(join(folder, 'file', 'below'), 'x')).rejects.toThrow(/ENOTDIR|EEXIST/);
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('old');
  });

  test('many writers at once: the file is one of theirs, whole', async () => {
    const path = join(folder, 'shared');
    const contents = Array.from({ length: 20 }, (_, writer) => String(writer).repeat(10_000));
    await Promise.all(contents.map((content) => writeFileAtomically(path, content)));
    expect(contents).toContain(await readFile(path, 'utf8'));
    expect(await readdir(folder)).toEqual(['shared']);
  });
});
