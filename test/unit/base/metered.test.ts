import { once } from 'node:events';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { metered } from '../../../src/base/index.ts';

test('the same bytes pass, and every one is told', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { maxLength: 10 }),
      async (chunks) => {
        let told = 0;
        const passed = await buffer(
          metered(Readable.from(chunks, { objectMode: false }), (bytes) => {
            told += bytes;
          }),
        );
        expect(passed).toEqual(Buffer.concat(chunks));
        expect(told).toBe(passed.length);
      },
    ),
  );
});

test('an error of the source reaches the reader', async () => {
  const source = Readable.from(
    (function* () {
      yield Buffer.from('some');
      throw new Error('the disk is gone');
    })(),
    { objectMode: false },
  );
  await expect(buffer(metered(source, () => {}))).rejects.toThrow('the disk is gone');
});

test('a reader who leaves ends the source', async () => {
  const source = new Readable({ read() {} });
  source.push('some');
  const meter = metered(source, () => {});
  const closed = once(source, 'close').catch(() => {});
  meter.destroy();
  await closed;
  expect(source.destroyed).toBe(true);
});
