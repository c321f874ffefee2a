import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { readPasswordStdin } from '../../../src/cli/index.ts';
import { writeAll } from '../../../src/cli/stdio.ts';

test.each([
  [['geheim\n'], 'geheim'],
  [['geheim\r\n'], 'geheim'],
  [['geh', 'eim'], 'geheim'],
  [['gehe\n', 'not the password\n'], 'gehe'],
  [[' spaces stay \n'], ' spaces stay '],
  [['gr\u00fc\u00dfe\n'], 'gr\u00fc\u00dfe'],
])('the password is the first line of %j', async (chunks, password) => {
  expect(await readPasswordStdin(Readable.from(chunks))).toBe(password);
});

test('a character that was cut in two is put together', async () => {
  const bytes = Buffer.from('grüße\n');
  expect(await readPasswordStdin(Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]))).toBe('grüße');
});

test('it does not wait for more than the line', async () => {
  const open = new PassThrough();
  open.write('geheim\n');
  expect(await readPasswordStdin(open)).toBe('geheim');
});

test.each([[[]], [['\n']], [['\r\n']]])('nothing is no password: %j', async (chunks) => {
  await expect(readPasswordStdin(Readable.from(chunks))).rejects.toMatchObject({ code: 'USAGE' });
});

test('a terminal is not read, and neither is a flood', async () => {
  const terminal = Object.assign(Readable.from(['x\n']), { isTTY: true });
  await expect(readPasswordStdin(terminal)).rejects.toThrow('a terminal');
  const flood = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(16_384, 'x');
    })(),
  );
  await expect(readPasswordStdin(flood)).rejects.toThrow('more than 64 KiB');
});

test('writing waits until a slow reader has taken everything', async () => {
  const pipe = new PassThrough({ highWaterMark: 16 });
  let taken = '';
  let done = false;
  const written = writeAll(pipe, 'x'.repeat(1000)).then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toBe(false);
  pipe.on('data', (chunk) => {
    taken += chunk;
  });
  await written;
  expect(taken.length).toBe(1000);
});
