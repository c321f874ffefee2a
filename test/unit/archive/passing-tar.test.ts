import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { type PassingFile, passTar } from '../../../src/archive/passing-tar.ts';

/** A tar of these files, each beside a folder and a link to it. */
async function tarOf(files: readonly (readonly [name: string, content: Uint8Array])[]): Promise<Buffer> {
  const tar = pack();
  for (const [at, [name, content]] of files.entries()) {
    tar.entry({ name: `folder-${at}/`, type: 'directory' });
    tar.entry({ name }, Buffer.from(content));
    tar.entry({ name: `link-${at}`, type: 'symlink', linkname: name });
  }
  tar.finalize();
  return buffer(tar);
}

/** The same bytes in pieces of this length. */
function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

function passing(bytes: Buffer, length: number, take: (file: PassingFile) => Promise<void>): Promise<void> {
  return passTar(Readable.from(cut(bytes, length)), 'the archive', take);
}

async function left(): Promise<void> {}

test('what tar-stream writes passes file by file, however it is cut, read or left', async () => {
  const names = fc.oneof(
    fc.stringMatching(/^[a-z]{1,20}$/),
    fc.stringMatching(/^[a-z][a-zé/]{101,300}[a-z]$/),
  );
  const files = fc.uniqueArray(fc.tuple(names, fc.uint8Array({ maxLength: 3000 }), fc.boolean()), {
    maxLength: 4,
    selector: ([name]) => name,
  });
  await fc.assert(
    fc.asyncProperty(files, fc.integer({ min: 1, max: 2000 }), async (wanted, length) => {
      const bytes = await tarOf(wanted.map(([name, content]) => [name, content]));
      const seen: [string, number, Uint8Array | undefined][] = [];
      await passing(bytes, length, async (file) => {
        const [, content, read] = wanted[seen.length] ?? [];
        expect(file.head).toEqual(Buffer.from(content?.subarray(0, 512) ?? []));
        seen.push([file.name, file.size, read ? new Uint8Array(await buffer(file.bytes())) : undefined]);
      });
      expect(seen).toEqual(
        wanted.map(([name, content, read]) => [
          posix.normalize(name),
          content.length,
          read ? content : undefined,
        ]),
      );
    }),
    { numRuns: 60 },
  );
});

test.each([0, 100, 511, 512 + 512 + 100])('a tar that ends after %i bytes is cut short', async (length) => {
  const bytes = (await tarOf([['a', new Uint8Array(2000)]])).subarray(0, length);
  await expect(passing(bytes, 700, left)).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' });
});

test('what is no tar is refused at its first block', async () => {
  let asked = 0;
  async function* film(): AsyncGenerator<Buffer> {
    for (;;) {
      asked++;
      yield Buffer.alloc(512, 'film');
    }
  }
  await expect(passTar(film(), 'the film', left)).rejects.toMatchObject({
    code: 'ARCHIVE_INVALID',
    message: expect.stringContaining('the film: '),
  });
  expect(asked).toBe(1);
});

test('leaving it lets go of the source', async () => {
  const source = Readable.from(cut(await tarOf([['a', new Uint8Array(5000)]]), 100));
  const leaving = passTar(source, 'the archive', async (file) => {
    for await (const _ of file.bytes()) break;
    throw new Error('enough');
  });
  await expect(leaving).rejects.toThrow('enough');
  expect(source.destroyed).toBe(true);
});

test('an extended header without end is not read', async () => {
  const bytes = await tarOf([[`${'long/'.repeat(60)}é`, new Uint8Array(1)]]);
  const at = bytes.indexOf('PaxHeader');
  expect(at).toBeGreaterThan(0);
  const header = bytes.subarray(at - (at % 512));
  header.write('77777777777\0', 124);
  header.write('        ', 148);
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  await expect(passing(bytes, 700, left)).rejects.toThrow('an extended header of 8589934591 bytes');
});
