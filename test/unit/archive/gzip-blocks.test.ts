import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGunzip, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decompress } from '../../../src/archive/compression.ts';
import { BLOCK_BYTES, gzipInBlocks } from '../../../src/archive/gzip-blocks.ts';
import { type LayerSource, packLayer } from '../../../src/archive/index.ts';
import { RandomAccessFile, RangeStream } from '../../../src/archive/random-access-file.ts';
import { metered, releaseChunk } from '../../../src/base/index.ts';
import { digestOf } from '../../../src/oci/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();

/** Bytes that look like programs: repeats of different lengths and distances between noise, the same for a seed. */
function likeFiles(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed % 2 ** 31) + 1;
  const next = (below: number): number => {
    state = (Math.imul(state, 48_271) & 0x7fffffff) >>> 0;
    return state % below;
  };
  for (let at = 0; at < length; ) {
    const run = Math.min(1 + next(300), length - at);
    const distance = 1 + next(40_000);
    if (next(3) > 0 && distance <= at) {
      for (const end = at + run; at < end; at++) bytes[at] = bytes[at - distance] as number;
    } else {
      for (const end = at + run; at < end; at++) bytes[at] = next(256);
    }
  }
  return bytes;
}

async function* cut(bytes: Buffer, ...pieces: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const piece = pieces[turn % pieces.length] ?? bytes.length;
    yield bytes.subarray(at, at + piece);
    at += piece;
  }
}

async function packed(bytes: Buffer, level = 1, ...pieces: readonly number[]): Promise<Buffer> {
  return buffer(gzipInBlocks(cut(bytes, ...(pieces.length > 0 ? pieces : [BLOCK_BYTES])), level));
}

/** An endless source that tells of each chunk it gives, and when it was let go. */
function watchedSource(bytes: Buffer, onChunk = (): void => {}) {
  let closed = false;
  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        onChunk();
        yield bytes;
      }
    } finally {
      closed = true;
    }
  }
  return { chunks: chunks(), closed: () => closed };
}

/** How many blocks a stream takes before it gives the first. */
async function readAhead(): Promise<number> {
  let taken = 0;
  const stream = gzipInBlocks(watchedSource(likeFiles(BLOCK_BYTES, 5), () => taken++).chunks, 1);
  await stream.next();
  await stream.next();
  await stream.return(undefined);
  return taken;
}

const aroundBlocks = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -70_000, max: 70_000 }))
  .map(([blocks, more]) => Math.max(0, blocks * BLOCK_BYTES + more));

describe('gzip in blocks', () => {
  it('gives back what went in, whatever its length, its pieces and the level', async () => {
    await fc.assert(
      fc.asyncProperty(
        aroundBlocks,
        fc.array(fc.integer({ min: 1, max: 2 * BLOCK_BYTES }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        async (length, pieces, level, seed) => {
          // A run of one-byte pieces of a large body would be a test of patience.
          const sizes = [Math.max(997, ...pieces), ...pieces];
          const plain = likeFiles(length, seed);
          const bytes = await packed(plain, level, ...sizes);
          expect(gunzipSync(bytes).equals(plain)).toBe(true);
          expect((await packed(plain, level)).equals(bytes)).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each([0, 1, 32 * 1024, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES])(
    'is one member that any gzip reads to its end (%i bytes)',
    async (length) => {
      const plain = likeFiles(length, 7);
      const bytes = await packed(plain);
      // Node reads members that follow each other; only what it did not need tells where the first one ends.
      const gunzip = createGunzip();
      gunzip.end(bytes);
      expect((await buffer(gunzip)).equals(plain)).toBe(true);
      expect(gunzip.bytesWritten).toBe(bytes.length);
      expect(bytes.readUInt32LE(bytes.length - 4)).toBe(length);
      const { status, stdout, stderr } = spawnSync('gzip', ['-dc'], { input: bytes, maxBuffer: 2 ** 26 });
      expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
      expect(stdout.equals(plain)).toBe(true);
    },
  );

  it('loses next to nothing by the cuts', async () => {
    const plain = Buffer.alloc(8 * BLOCK_BYTES, randomBytes(30_000));
    // Without the bytes before it each block would hold these 30,000 in full again.
    expect((await packed(plain)).length).toBeLessThan(4 * 30_000);
  });

  it('gives the same bytes with one core and with four, alone and beside others', async () => {
    const plain = likeFiles(5 * BLOCK_BYTES + 12_345, 11);
    await writeFile(temp('plain'), plain);
    const script = `
      import { createReadStream } from 'node:fs';
      import { pipeline } from 'node:stream/promises';
      import { gzipInBlocks } from ${JSON.stringify(new URL('../../../src/archive/gzip-blocks.ts', import.meta.url).href)};
      await pipeline(createReadStream(process.argv[1]), (plain) => gzipInBlocks(plain, 1), process.stdout);
    `;
    const alone = await packed(plain);
    const beside = await Promise.all(Array.from({ length: 6 }, () => packed(plain, 1, 100_000)));
    for (const bytes of beside) expect(bytes.equals(alone)).toBe(true);
    for (const threads of ['1', '4']) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, temp('plain')], {
        env: { ...process.env, UV_THREADPOOL_SIZE: threads },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [bytes] = await Promise.all([buffer(child.stdout), once(child, 'close')]);
      expect(bytes.equals(alone)).toBe(true);
    }
  });

  it('lets go of its source when its reader leaves, and of its share of the work', async () => {
    const atFirst = await readAhead();
    expect(atFirst).toBeGreaterThan(1);
    for (let round = 0; round < 20; round++) {
      const { chunks, closed } = watchedSource(likeFiles(BLOCK_BYTES, 5));
      const stream = Readable.from(gzipInBlocks(chunks, 1), { objectMode: false });
      for await (const chunk of stream) if (chunk.length > 10) break;
      await expect.poll(closed, { interval: 5 }).toBe(true);
    }
    expect(await readAhead()).toBe(atFirst);
  });

  it('goes on beside streams that nobody reads', async () => {
    const stalled = Array.from({ length: 8 }, () =>
      gzipInBlocks(watchedSource(likeFiles(BLOCK_BYTES, 5)).chunks, 1),
    );
    for (const stream of stalled) {
      await stream.next();
      await stream.next();
    }
    const plain = likeFiles(4 * BLOCK_BYTES, 9);
    expect(gunzipSync(await packed(plain)).equals(plain)).toBe(true);
    await Promise.all(stalled.map((stream) => stream.return(undefined)));
  });

  it('reads no further ahead than its blocks in work', async () => {
    let taken = 0;
    const stream = gzipInBlocks(watchedSource(likeFiles(BLOCK_BYTES, 5), () => taken++).chunks, 1);
    await stream.next();
    await stream.next();
    const ahead = taken;
    expect(ahead).toBeLessThanOrEqual(2 * availableParallelism());
    for (let round = 0; round < 30; round++) await stream.next();
    expect(taken).toBeLessThanOrEqual(ahead + 30);
    await stream.return(undefined);
  });

  it('fails with its source, whatever is in work', async () => {
    const broken = new Error('the disk broke');
    async function* failing(): AsyncGenerator<Buffer> {
      yield likeFiles(BLOCK_BYTES, 1);
      yield likeFiles(100, 1);
      throw broken;
    }
    await expect(buffer(gzipInBlocks(failing(), 1))).rejects.toBe(broken);
  });
});

describe('memory of chunks', () => {
  it('is given back by whoever has used a chunk up, and only as a whole', async () => {
    await writeFile(temp('file'), 'some bytes of a file');
    const file = await RandomAccessFile.open(temp('file'));
    const whole = await file.read(0, 20);
    releaseChunk(whole.subarray(0, 10));
    expect(whole.toString()).toBe('some bytes of a file');
    releaseChunk(whole);
    expect(whole.length).toBe(0);
    releaseChunk(whole);
    await file.close();
  });

  it('is given back chunk by chunk, also where frames are cut out of the chunks', async () => {
    const plain = likeFiles(3 * BLOCK_BYTES, 4);
    const noise = randomBytes(2 * BLOCK_BYTES);
    for (const [compression, pack] of [
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ] as const) {
      await writeFile(temp('packed'), Buffer.concat([pack(plain), pack(noise)]));
      const file = await RandomAccessFile.open(temp('packed'));
      const lease = { file, release: async () => {} };
      const stream = new RangeStream('packed', async () => lease, 0, file.size);
      const unpacked: Buffer[] = [];
      for await (const chunk of decompress(stream, compression, 'packed')) unpacked.push(chunk);
      expect(Buffer.concat(unpacked).equals(Buffer.concat([plain, noise]))).toBe(true);
      await file.close();
    }
  });

  it('is not given back before the bytes in it are packed', async () => {
    const plain = likeFiles(12 * BLOCK_BYTES + 777, 21);
    await writeFile(temp('layer'), plain);
    const file = await RandomAccessFile.open(temp('layer'));
    const lease = { file, release: async () => {} };
    const layer: LayerSource = {
      diffId: digestOf(plain),
      compression: 'none',
      size: plain.length,
      open: () => metered(new RangeStream('layer', async () => lease, 0, file.size), () => {}),
    };
    const unpacks = { none: (bytes: Buffer) => bytes, gzip: gunzipSync, zstd: zstdDecompressSync };
    await Promise.all(
      (['none', 'gzip', 'zstd', 'gzip', 'zstd'] as const).map(async (compression) => {
        const packed = packLayer(layer, { compression });
        const bytes = await buffer(packed.open());
        expect(packed.facts).toEqual({ digest: digestOf(bytes), size: bytes.length });
        expect(unpacks[compression](bytes).equals(plain)).toBe(true);
      }),
    );
    await file.close();
  });

  it("never takes other people's", async () => {
    const own = Buffer.from(new ArrayBuffer(BLOCK_BYTES)).fill('x');
    releaseChunk(own);
    await packed(own);
    expect(own.length).toBe(BLOCK_BYTES);
    await writeFile(temp('file'), own);
    expect((await readFile(temp('file'))).equals(own)).toBe(true);
  });
});
