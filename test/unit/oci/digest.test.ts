import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import {
  Digester,
  digestMismatch,
  digestOf,
  digestParts,
  isDigest,
  parseDigest,
  shortDigest,
  verifyingStream,
} from '../../../src/oci/index.ts';

const HEX = '0123456789abcdef'.repeat(4);

describe('a digest', () => {
  test.each([`sha256:${HEX}`, `sha512:${HEX}${HEX}`])('%s', (text) => {
    expect(isDigest(text)).toBe(true);
    expect(parseDigest(text)).toBe(text);
  });

  test.each([
    '',
    ':',
    'sha256',
    'sha256:',
    HEX,
    `:${HEX}`,
    `sha256:${HEX.slice(1)}`,
    `sha256:${HEX}0`,
    `sha256:${HEX}${HEX}`,
    `sha512:${HEX}`,
    `sha256:${HEX.toUpperCase()}`,
    `SHA256:${HEX}`,
    `sha256:${'g'.repeat(64)}`,
    `sha256:../${HEX.slice(3)}`,
    `sha256:${HEX.slice(1)}\n`,
    ` sha256:${HEX}`,
    `sha384:${HEX}${HEX.slice(32)}`,
    `md5:${HEX.slice(32)}`,
    `sha256+b64:${HEX}`,
    `constructor:${HEX}`,
    `__proto__:${HEX}`,
    `toString:${HEX}`,
  ])('not %j', (text) => {
    expect(isDigest(text)).toBe(false);
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }));
  });

  test.each([undefined, null, 7, {}, [`sha256:${HEX}`]])('nor %j', (value) => {
    expect(isDigest(value)).toBe(false);
  });

  test('a long wrong one is not repeated whole', () => {
    expect(() => parseDigest('x'.repeat(100_000))).toThrow(/^.{1,200}$/);
  });

  test('has two halves and a short form', () => {
    const digest = parseDigest(`sha256:${HEX}`);
    expect(digestParts(digest)).toEqual({ algorithm: 'sha256', hex: HEX });
    expect(shortDigest(digest)).toBe('0123456789ab');
  });
});

describe('computing', () => {
  test.each(['sha256', 'sha512'] as const)(
    '%s of any bytes, in any pieces, is what Node says',
    (algorithm) => {
      fc.assert(
        fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), (pieces) => {
          const whole = Buffer.concat(pieces);
          const digester = new Digester(algorithm);
          for (const piece of pieces) digester.update(piece);
          expect(digester.size).toBe(whole.length);
          const digest = digester.digest();
          expect(digest).toBe(`${algorithm}:${createHash(algorithm).update(whole).digest('hex')}`);
          expect(digest).toBe(digestOf(whole, algorithm));
          expect(isDigest(digest)).toBe(true);
        }),
      );
    },
  );

  test('the digest of no bytes is the known one', () => {
    expect(digestOf('')).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });
});

describe('verifyingStream', () => {
  const content = Buffer.from('the bytes that were promised');
  const digest = digestOf(content);

  /** What arrives behind the check, and the error's code if it failed. */
  async function pass(
    pieces: readonly Uint8Array[],
    expected: Parameters<typeof verifyingStream>[0],
  ): Promise<{ code?: string; message?: string; bytes: Buffer }> {
    const arrived: Buffer[] = [];
    try {
      await pipeline(
        Readable.from(pieces, { objectMode: false }),
        verifyingStream(expected, 'blob x'),
        async (source) => {
          for await (const chunk of source) arrived.push(chunk as Buffer);
        },
      );
      return { bytes: Buffer.concat(arrived) };
    } catch (error) {
      if (!isRegopsError(error)) throw error;
      return { code: error.code, message: error.message, bytes: Buffer.concat(arrived) };
    }
  }

  test('lets the right bytes through', async () => {
    expect((await pass([content], { digest, size: content.length })).bytes).toEqual(content);
    expect((await pass([content], { digest })).bytes).toEqual(content);
    const long = digestOf(content, 'sha512');
    expect(await pass([content], { digest: long, size: content.length })).toEqual({ bytes: content });
  });

  test('right bytes in pieces of any size too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 1, max: 100 }),
        async (bytes, piece) => {
          const pieces: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += piece) pieces.push(bytes.subarray(at, at + piece));
          const passed = await pass(pieces, { digest: digestOf(bytes), size: bytes.length });
          expect(passed).toEqual({ bytes: Buffer.from(bytes) });
        },
      ),
    );
  });

  test('one wrong bit is a DIGEST_MISMATCH that names the blob', async () => {
    const wrong = Buffer.from(content);
    wrong.writeUInt8(wrong.readUInt8(3) ^ 1, 3);
    const result = await pass([wrong], { digest, size: content.length });
    expect(result.code).toBe('DIGEST_MISMATCH');
    expect(result.message).toMatch(/^blob x: expected sha256:.* got sha256:/);
  });

  test('too few bytes are a SIZE_MISMATCH', async () => {
    const result = await pass([content.subarray(1)], { digest, size: content.length });
    expect(result.code).toBe('SIZE_MISMATCH');
    expect(result.message).toContain(`expected ${content.length} bytes, got ${content.length - 1}`);
  });

  test('too many bytes fail at once, and none beyond the size gets through', async () => {
    let asked = 0;
    const endless = Readable.from(
      (function* () {
        for (; asked < 10_000; asked++) yield Buffer.alloc(1000);
      })(),
      { objectMode: false },
    );
    const arrived = buffer(
      endless.pipe(verifyingStream({ digest, size: 2500 }, 'blob x')).on('error', () => {}),
    );
    await expect(arrived).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(asked).toBeLessThan(1000);
    const result = await pass([Buffer.alloc(1000), Buffer.alloc(1000), Buffer.alloc(1000)], {
      digest,
      size: 2500,
    });
    expect(result.code).toBe('SIZE_MISMATCH');
    expect(result.bytes.length).toBeLessThanOrEqual(2500);
  });

  test('an empty stream is checked like any other', async () => {
    expect((await pass([], { digest, size: 0 })).code).toBe('DIGEST_MISMATCH');
    expect((await pass([], { digest: digestOf('') })).bytes).toHaveLength(0);
  });

  test('the error carries both digests for scripts', () => {
    const other = digestOf('other');
    expect(digestMismatch('it', digest, other).details).toEqual({ expected: digest, actual: other });
  });
});
