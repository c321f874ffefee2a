import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decompress, detectPacking } from '../../../src/archive/compression.ts';
import { isZstdMagic, ZstdFrameScanner } from '../../../src/archive/zstd-frames.ts';
import { bytesOf, failure } from './support.ts';

/** RFC 8878, 3.1.2: bytes that a decompressor passes over. */
function skippable(content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a53, 0);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
}

async function unpacked(
  packed: Buffer,
  compression: 'gzip' | 'zstd',
  pieceBytes = packed.length,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < packed.length; at += pieceBytes) pieces.push(packed.subarray(at, at + pieceBytes));
  return bytesOf(Readable.from(decompress(Readable.from(pieces), compression, 'the file')));
}

describe('magic bytes', () => {
  it.each([
    ['gzip', gzipSync('x')],
    ['zstd', zstdCompressSync('x')],
    ['zstd', skippable(Buffer.from('first'))],
    ['none', Buffer.alloc(512)],
    ['none', Buffer.alloc(0)],
    ['none', Buffer.from('BZh9.txt')],
    ['none', Buffer.from('\x1f\x8b')],
  ])('tell %s', (packing, head) => {
    expect(detectPacking(head)).toBe(packing);
  });
});

describe('zstd files of many frames', () => {
  const text = randomBytes(300_000);
  const frames = [text.subarray(0, 100_000), text.subarray(100_000, 100_001), text.subarray(100_001)].map(
    (part) => zstdCompressSync(part),
  );

  it('are read whole, in any pieces', async () => {
    const file = Buffer.concat([
      skippable(Buffer.from('a table of contents')),
      ...frames.flatMap((frame) => [frame, skippable(Buffer.alloc(0))]),
      zstdCompressSync(''),
    ]);
    for (const pieceBytes of [file.length, 65_536, 1000, 97]) {
      expect((await unpacked(file, 'zstd', pieceBytes)).equals(text)).toBe(true);
    }
  });

  it('are refused when the last is cut short or followed by noise', async () => {
    const whole = Buffer.concat(frames);
    await expect(unpacked(whole.subarray(0, -1), 'zstd')).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'cut short'),
    );
    await expect(unpacked(Buffer.concat([whole, skippable(text).subarray(0, 100)]), 'zstd')).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'cut short'),
    );
    await expect(unpacked(Buffer.concat([whole, Buffer.from('noise')]), 'zstd')).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'damaged zstd data', 'the file'),
    );
  });

  it('are refused with a way around when their window is too large for us', async () => {
    // A frame of one empty block whose header asks for 2 GiB, as `zstd --long=31` may.
    const frame = Buffer.from('28b52ffd00a8010000', 'hex');
    await expect(unpacked(frame, 'zstd')).rejects.toThrow(failure('ARCHIVE_UNSUPPORTED', '--long=31'));
  });

  it('end where the scanner says, for every kind of content and header', () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }).map((bytes) => Buffer.from(bytes)),
      fc.nat(400_000).map((length) => Buffer.alloc(length, 'a')),
      fc.nat(400_000).map((length) => randomBytes(length)),
    );
    const options = fc.record({
      checksum: fc.boolean(),
      sized: fc.boolean(),
      level: fc.constantFrom(1, 3, 9),
    });
    fc.assert(
      fc.property(
        content,
        options,
        fc.integer({ min: 1, max: 100_000 }),
        (plain, { checksum, sized, level }, step) => {
          // ZSTD_c_compressionLevel, ZSTD_c_contentSizeFlag, ZSTD_c_checksumFlag
          const params = { 100: level, 200: Number(sized), 201: Number(checksum) };
          const frame = zstdCompressSync(plain, { params });
          const file = Buffer.concat([frame, Buffer.from('behind it')]);
          const scanner = new ZstdFrameScanner();
          let end = 0;
          while (!scanner.ended) end += scanner.scan(file.subarray(end, end + step), 0);
          expect(end).toBe(frame.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are told by their magic alone', () => {
    expect(isZstdMagic(Buffer.from('28b52ffd', 'hex'))).toBe(true);
    expect(isZstdMagic(Buffer.from('5f2a4d18', 'hex'))).toBe(true);
    expect(isZstdMagic(Buffer.from('602a4d18', 'hex'))).toBe(false);
    expect(isZstdMagic(Buffer.from('28b52f', 'hex'))).toBe(false);
  });
});

describe('zeros without end', () => {
  const zeros = Buffer.alloc(16 * 1024 ** 2);

  it.each([
    ['gzip', gzipSync(zeros)],
    ['zstd', zstdCompressSync(zeros)],
  ] as const)('are believed for a gigabyte, and not for two (%s)', async (compression, packed) => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield packed;
    }
    let bytes = 0;
    const reading = async (): Promise<void> => {
      for await (const chunk of decompress(endless(), compression, 'the file')) bytes += chunk.length;
    };
    await expect(reading()).rejects.toThrow(failure('ARCHIVE_INVALID', 'the file', 'decompression bomb'));
    expect(bytes).toBeGreaterThan(1024 ** 3 - zeros.length);
    expect(bytes).toBeLessThan(2 * 1024 ** 3);
  });

  it('are believed longer among other content', async () => {
    const noise = gzipSync(randomBytes(20_000));
    const parts = Array.from({ length: 20 }, () => [noise, gzipSync(zeros)]).flat();
    const packedBytes = parts.reduce((sum, part) => sum + part.length, 0);
    const grown = async (limit: Parameters<typeof decompress>[3]): Promise<number> => {
      let bytes = 0;
      for await (const chunk of decompress(Readable.from(parts), 'gzip', 'the file', limit)) {
        bytes += chunk.length;
      }
      return bytes;
    };
    const limit = { freeBytes: 1024 ** 2, ratio: 200 };
    expect(20 * zeros.length).toBeGreaterThan(200 * packedBytes);
    expect(await grown({ ...limit, steep: { bytes: 2 ** 30, ratio: 1100 } })).toBe(
      20 * (zeros.length + 20_000),
    );
    for (const steep of [
      { bytes: 2 ** 30, ratio: 300 },
      { bytes: 2 ** 27, ratio: 1100 },
    ]) {
      await expect(grown({ ...limit, steep })).rejects.toThrow(failure('ARCHIVE_INVALID', 'bomb'));
    }
  });
});

describe('decompression', () => {
  it('reads gzip members that follow each other, as pigz and bgzip write them', async () => {
    expect((await unpacked(Buffer.concat([gzipSync('one '), gzipSync('two')]), 'gzip', 5)).toString()).toBe(
      'one two',
    );
  });

  it('asks for no more than is taken from it', async () => {
    let given = 0;
    async function* zeros(): AsyncGenerator<Buffer> {
      for (; given < 1000; given++) yield given === 0 ? gzipSync(Buffer.alloc(50_000_000)) : gzipSync('more');
    }
    const reading = decompress(zeros(), 'gzip', 'the file');
    await reading.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(given).toBe(0);
    await reading.return(undefined);
  });

  it('closes its source when nobody reads on', async () => {
    for (const [compression, packed] of [
      ['gzip', gzipSync(randomBytes(3_000_000))],
      ['zstd', zstdCompressSync(randomBytes(3_000_000))],
    ] as const) {
      const source = Readable.from(
        Array.from({ length: 300 }, (_, at) => packed.subarray(at * 10_000, (at + 1) * 10_000)),
      );
      for await (const chunk of decompress(source, compression, 'the file')) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      await expect.poll(() => source.destroyed).toBe(true);
    }
  });

  it('passes on the failure of its source as it is', async () => {
    const broken = new Error('the source broke');
    async function* source(): AsyncGenerator<Buffer> {
      yield gzipSync('x').subarray(0, 5);
      throw Object.assign(broken, { code: 'EIO' });
    }
    await expect(bytesOf(Readable.from(decompress(source(), 'gzip', 'the file')))).rejects.toThrow(
      failure('IO_FAILED', 'the source broke'),
    );
  });
});
