import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { decodeTarHeader } from '../../../src/archive/tar-header.ts';
import { tarStream } from '../../../src/archive/tar-stream.ts';

function file(name: string, content: Uint8Array) {
  return { name, size: content.length, open: async () => [content] };
}

test('what is written, tar-stream reads', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.stringMatching(/^[a-z0-9.]{1,90}$/), fc.uint8Array({ maxLength: 2000 })), {
        maxLength: 5,
      }),
      async (files) => {
        const bytes = await buffer(tarStream(files.map(([name, content]) => file(name, content))));
        expect(bytes.length % 512).toBe(0);
        const seen: [string, Uint8Array][] = [];
        for await (const entry of Readable.from([bytes]).pipe(extract())) {
          seen.push([entry.header.name, new Uint8Array(await buffer(entry))]);
        }
        expect(seen).toEqual(files);
      },
    ),
    { numRuns: 50 },
  );
});

test('a size beyond eight gigabytes', async () => {
  const size = 8 ** 11 + 5;
  const stream = tarStream([{ name: 'big', size, open: async () => [] }]);
  const [header] = await stream.take(1).toArray();
  expect(decodeTarHeader(header)).toMatchObject({ name: 'big', size });
});

test.each([
  [3, 'aa'],
  [1, 'aa'],
])('a file of %i bytes that turns out to be %j ends the stream', async (size, text) => {
  const stream = tarStream([{ name: 'x', size, open: async () => [Buffer.from(text)] }]);
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
});

test('what keeps a file from being opened ends the stream', async () => {
  const stream = tarStream([{ name: 'x', size: 1, open: () => Promise.reject(new Error('gone')) }]);
  await expect(buffer(stream)).rejects.toThrow('gone');
});
