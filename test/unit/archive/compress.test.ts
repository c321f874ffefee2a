import { randomBytes } from 'node:crypto';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ArchiveImage,
  type DockerContent,
  type LayerSource,
  type Packer,
  type PackOptions,
  packLayer,
  parallelPacker,
  plainLayer,
  storedDigest,
  verifyLayer,
} from '../../../src/archive/index.ts';
import { type Digest, digestOf } from '../../../src/oci/index.ts';
import { makeImage, writeDockerArchive, writeOciLayout } from '../../support/image-archives.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { bytesOf, failure, sha256, useArchives } from './support.ts';

const temp = useTempFolder();
const open = useArchives();

/** Text that compresses, and enough of it for many chunks. */
const PLAIN = Buffer.concat([
  randomBytes(200_000),
  Buffer.alloc(900_000, 'text that repeats '),
  randomBytes(300_000),
]);

function layerOf(stored: Buffer, more: Partial<LayerSource> & { pieceBytes?: number } = {}): LayerSource {
  const { pieceBytes = 256 * 1024, ...fields } = more;
  return {
    diffId: digestOf(stored),
    compression: 'none',
    size: stored.length,
    open: () => Readable.from(pieces(stored, pieceBytes), { objectMode: false }),
    ...fields,
  };
}

function* pieces(bytes: Buffer, pieceBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function packedBytes(source: LayerSource, options: PackOptions): Promise<Buffer> {
  return bytesOf(packLayer(source, options).open());
}

describe('a layer of which nobody says which one it is', () => {
  it.each([
    ['none', PLAIN],
    ['gzip', gzipSync(PLAIN)],
    ['zstd', zstdCompressSync(PLAIN)],
  ] as const)('has its diffID when it has been read (%s)', async (compression, stored) => {
    for (const wanted of ['none', 'gzip', 'zstd'] as const) {
      const { diffId: _, ...source } = layerOf(stored, { compression, identity: 'here' });
      const packed = packLayer(source, { compression: wanted });
      expect(packed).toMatchObject({ diffId: undefined, cacheKey: undefined, facts: undefined });
      const bytes = await bytesOf(packed.open());
      expect(packed.facts).toEqual({ digest: sha256(bytes), size: bytes.length });
      expect(packed.diffId).toBe(sha256(PLAIN));
      const known = packLayer({ ...source, diffId: sha256(PLAIN) as Digest }, { compression: wanted });
      expect(packed.cacheKey).toBe(known.cacheKey);
    }
  });
});

describe('packing a plain layer', () => {
  it.each([
    ['gzip', gunzipSync],
    ['zstd', zstdDecompressSync],
  ] as const)('gives %s of it, and afterwards its digest and size', async (compression, unpack) => {
    const packed = packLayer(layerOf(PLAIN), { compression });
    expect(packed).toMatchObject({ compression, facts: undefined });
    expect(packed).not.toHaveProperty('size');
    const bytes = await bytesOf(packed.open());
    expect(bytes.length).toBeLessThan(PLAIN.length);
    expect(unpack(bytes).equals(PLAIN)).toBe(true);
    expect(packed.facts).toEqual({ digest: sha256(bytes), size: bytes.length });
    expect((await bytesOf(packed.open())).equals(bytes)).toBe(true);
  });

  it.each(['gzip', 'zstd'] as const)(
    'gives the same %s bytes however the plain ones come',
    async (compression) => {
      for (const plain of [Buffer.alloc(0), Buffer.from('short'), PLAIN.subarray(0, 256 * 1024), PLAIN]) {
        const reference = await packedBytes(layerOf(plain), { compression });
        const slow = Readable.from(
          (async function* () {
            for (const piece of pieces(plain, 50_000)) {
              await new Promise((resolve) => setTimeout(resolve, 1));
              yield piece;
            }
          })(),
        );
        for (const source of [
          layerOf(plain, { pieceBytes: 1021 }),
          layerOf(plain, { pieceBytes: plain.length + 1 }),
          layerOf(plain, { open: () => slow }),
        ]) {
          expect((await packedBytes(source, { compression })).equals(reference)).toBe(true);
        }
      }
    },
  );

  it('names neither time nor system in gzip', async () => {
    const bytes = await packedBytes(layerOf(PLAIN), { compression: 'gzip', level: 6 });
    expect(bytes.subarray(0, 10).toString('hex')).toBe('1f8b08000000000000ff');
  });

  it('compresses as hard as it is told', async () => {
    const words = Array.from(randomBytes(60_000), (byte) => `word${byte % 100}`);
    const text = layerOf(Buffer.from(words.join(' ')));
    for (const [compression, highest] of [['gzip', 9] as const, ['zstd', 19] as const]) {
      const fast = await packedBytes(text, { compression, level: 1 });
      const hard = await packedBytes(text, { compression, level: highest });
      expect(hard.length).toBeLessThan(fast.length);
    }
  });

  it('refuses levels that do not exist', () => {
    for (const [compression, level] of [
      ['gzip', 0],
      ['gzip', 10],
      ['gzip', 1.5],
      ['zstd', 23],
      ['zstd', -1],
    ] as const) {
      expect(() => packLayer(layerOf(PLAIN), { compression, level })).toThrow(
        failure('USAGE', `${compression} has no level`),
      );
    }
  });

  it('leaves it as it is on demand, with digest and size known at once', async () => {
    const packed = packLayer(layerOf(PLAIN), { compression: 'none' });
    const facts = { digest: digestOf(PLAIN), size: PLAIN.length };
    expect(packed).toMatchObject({ compression: 'none', size: PLAIN.length, facts });
    expect(packed).not.toHaveProperty('cacheKey');
    expect((await bytesOf(packed.open())).equals(PLAIN)).toBe(true);
  });

  it.each(['none', 'gzip', 'zstd'] as const)(
    'fails before the end when the bytes are not those of the diffID (%s)',
    async (compression) => {
      const diffId = `sha256:${'0'.repeat(64)}` as Digest;
      const packed = packLayer(layerOf(PLAIN, { diffId }), { compression });
      const stream = packed.open();
      let ended = false;
      stream.on('end', () => {
        ended = true;
      });
      await expect(bytesOf(stream)).rejects.toThrow(failure('DIGEST_MISMATCH', diffId, digestOf(PLAIN)));
      expect(ended).toBe(false);
      if (compression !== 'none') expect(packed.facts).toBeUndefined();
    },
  );

  it('verifies a diffID of sha512 too', async () => {
    const packed = packLayer(layerOf(PLAIN, { diffId: digestOf(PLAIN, 'sha512') }), { compression: 'gzip' });
    expect(gunzipSync(await bytesOf(packed.open())).equals(PLAIN)).toBe(true);
  });

  it.each(['none', 'gzip', 'zstd'] as const)(
    'passes on the failure of its source (%s)',
    async (compression) => {
      const broken = new Error('the disk broke');
      const source = layerOf(PLAIN, {
        open: () =>
          Readable.from(
            (function* () {
              yield PLAIN.subarray(0, 300_000);
              throw broken;
            })(),
          ),
      });
      await expect(packedBytes(source, { compression })).rejects.toBe(broken);
    },
  );

  it.each(['none', 'gzip', 'zstd'] as const)(
    'closes its source when it is destroyed (%s)',
    async (compression) => {
      const sources: Readable[] = [];
      const noise = randomBytes(4_000_000);
      const source = layerOf(noise, {
        open: () => {
          const stream = Readable.from(pieces(noise, 10_000), { objectMode: false });
          sources.push(stream);
          return stream;
        },
      });
      const stream = packLayer(source, { compression }).open();
      for await (const chunk of stream) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      await expect.poll(() => sources.map(({ destroyed }) => destroyed)).toEqual([true]);
    },
  );

  it('ends with its consumer', async () => {
    const refusing = new Transform({
      transform(_chunk, _encoding, done) {
        done(new Error('connection reset'));
      },
    });
    const stream = packLayer(layerOf(PLAIN), { compression: 'gzip' }).open();
    await expect(pipeline(stream, refusing)).rejects.toThrow('connection reset');
    expect(stream.destroyed).toBe(true);
  });

  it('opens nothing that is not read', async () => {
    const source = layerOf(PLAIN, {
      open: () => {
        throw new Error('opened');
      },
    });
    for (const compression of ['none', 'gzip', 'zstd'] as const) {
      const stream = packLayer(source, { compression }).open();
      stream.destroy();
      await expect.poll(() => stream.closed).toBe(true);
    }
  });

  it('packs any bytes, in any pieces', async () => {
    const bytes = fc.uint8Array({ maxLength: 5000 }).map((array) => Buffer.from(array));
    const compression = fc.constantFrom('gzip' as const, 'zstd' as const);
    await fc.assert(
      fc.asyncProperty(
        bytes,
        compression,
        fc.integer({ min: 1, max: 6000 }),
        async (plain, packing, pieceBytes) => {
          const packed = await packedBytes(layerOf(plain, { pieceBytes }), { compression: packing });
          const unpack = packing === 'gzip' ? gunzipSync : zstdDecompressSync;
          expect(unpack(packed).equals(plain)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('packs with another packer behind the same door', async () => {
    const upper: Packer = {
      version: 'upper-1',
      async *pack(plain, compression, level, plainBytes) {
        yield Buffer.from(`${compression} ${level} ${plainBytes} `);
        for await (const chunk of plain) yield Buffer.from(chunk.toString().toUpperCase());
      },
    };
    const packed = packLayer(layerOf(Buffer.from('hello')), { compression: 'gzip', level: 3, packer: upper });
    expect((await bytesOf(packed.open())).toString()).toBe('gzip 3 5 HELLO');
    expect(packed.cacheKey).toContain('upper-1');
  });
});

describe('a layer that is packed already', () => {
  const stored = gzipSync(PLAIN);
  const source = layerOf(stored, { diffId: digestOf(PLAIN), compression: 'gzip' });

  it.each(['none', 'gzip', 'zstd'] as const)('goes as it is when %s is asked for', async (compression) => {
    const packed = packLayer(source, { compression });
    expect(packed).toMatchObject({ compression: 'gzip', size: stored.length, facts: undefined });
    expect((await bytesOf(packed.open())).equals(stored)).toBe(true);
    expect(packed.facts).toEqual({ digest: sha256(stored), size: stored.length });
  });

  it('goes as it is when it is read slowly, in any pieces', async () => {
    const noise = randomBytes(3_000_000);
    for (const [compression, packed] of [
      ['gzip', gzipSync(noise)],
      ['zstd', zstdCompressSync(noise)],
    ] as const) {
      const layer = layerOf(packed, { diffId: digestOf(noise), compression, pieceBytes: 300_000 });
      const chunks: Buffer[] = [];
      for await (const chunk of packLayer(layer, { compression }).open()) {
        await new Promise((resolve) => setImmediate(resolve));
        chunks.push(chunk);
      }
      expect(Buffer.concat(chunks).equals(packed)).toBe(true);
    }
  });

  it('is not used up by being verified: chunks of a file stay whole', async () => {
    const image = await makeImage({ seed: 'chunks', layers: [{ size: 1_500_000, compressible: 0 }] });
    await writeDockerArchive(temp('a.tar'), [image], { compression: 'gzip' });
    const { images } = await open(temp('a.tar'));
    const [layer] = ((images[0] as ArchiveImage).content as DockerContent).layers;
    const packed = await packedBytes(layer as LayerSource, { compression: 'gzip' });
    expect(sha256(gunzipSync(packed))).toBe(layer?.diffId);
  });

  it.each([
    ['other bytes', gzipSync(Buffer.alloc(900_000, 'x')), 'DIGEST_MISMATCH'],
    ['damaged ones', gzipSync(PLAIN).fill(0, 1000, 2000), 'ARCHIVE_INVALID'],
    ['a cut', gzipSync(PLAIN).subarray(0, -8), 'ARCHIVE_INVALID'],
  ] as const)('fails before the end for %s', async (_, bytes, code) => {
    const packed = packLayer(layerOf(bytes, { diffId: digestOf(PLAIN), compression: 'gzip' }), {
      compression: 'gzip',
    });
    const stream = packed.open();
    let ended = false;
    stream.on('end', () => {
      ended = true;
    });
    await expect(bytesOf(stream)).rejects.toThrow(failure(code, digestOf(PLAIN)));
    expect(ended).toBe(false);
    expect(packed.facts).toBeUndefined();
  });

  it('closes its source when it is destroyed, and passes on its failure', async () => {
    const noise = gzipSync(randomBytes(4_000_000));
    const inner = Readable.from(pieces(noise, 100_000), { objectMode: false });
    const layer = layerOf(noise, { diffId: digestOf(PLAIN), compression: 'gzip', open: () => inner });
    for await (const _ of packLayer(layer, { compression: 'gzip' }).open()) break;
    await expect.poll(() => inner.destroyed).toBe(true);

    const broken = new Error('the disk broke');
    const breaking = layerOf(noise, {
      compression: 'gzip',
      open: () =>
        Readable.from(
          (function* () {
            yield noise.subarray(0, 600_000);
            throw broken;
          })(),
        ),
    });
    await expect(packedBytes(breaking, { compression: 'gzip' })).rejects.toBe(broken);
  });

  it('has a digest that can be had without sending it', async () => {
    expect(await storedDigest(source)).toEqual({ digest: sha256(stored), size: stored.length });
  });

  it('can be remembered when its bytes have an identity', () => {
    expect(packLayer(source, { compression: 'gzip' }).cacheKey).toBeUndefined();
    const identified = { ...source, identity: '1:2:3' };
    expect(packLayer(identified, { compression: 'gzip' }).cacheKey).toContain('1:2:3');
  });
});

describe('cache keys', () => {
  it('differ by layer, packing, level and packer, and by nothing else', () => {
    const key = (options: PackOptions, source = layerOf(PLAIN)) => packLayer(source, options).cacheKey;
    const keys = [
      key({ compression: 'gzip' }),
      key({ compression: 'gzip', level: 9 }),
      key({ compression: 'zstd' }),
      key({ compression: 'zstd', level: 9 }),
      key({ compression: 'gzip', packer: { ...parallelPacker, version: 'other' } }),
      key({ compression: 'gzip' }, layerOf(Buffer.from('other'))),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(key({ compression: 'gzip', level: 1 }, layerOf(PLAIN, { identity: 'x' }))).toBe(keys[0]);
  });

  it('of stored bytes change when the file is written anew', async () => {
    const image = await makeImage({ seed: 'identity' });
    const keyOf = async (): Promise<unknown> => {
      const { images } = await open(temp('a.tar'));
      const { layers } = (images[0] as ArchiveImage).content as DockerContent;
      return packLayer(layers[0] as LayerSource, { compression: 'gzip' }).cacheKey;
    };
    await writeDockerArchive(temp('a.tar'), [image], { compression: 'gzip' });
    const before = await keyOf();
    expect(before).toBeDefined();
    expect(await keyOf()).toBe(before);
    await writeDockerArchive(temp('a.tar'), [image], { compression: 'gzip' });
    expect(await keyOf()).not.toBe(before);
  });
});

describe('verifying a layer', () => {
  it.each([
    ['none', PLAIN],
    ['gzip', gzipSync(PLAIN)],
    ['zstd', zstdCompressSync(PLAIN)],
    [
      'zstd',
      Buffer.concat([zstdCompressSync(PLAIN.subarray(0, 1000)), zstdCompressSync(PLAIN.subarray(1000))]),
    ],
  ] as const)('compares the plain bytes with the diffID (%s)', async (compression, stored) => {
    const layer = layerOf(stored, { diffId: digestOf(PLAIN), compression });
    expect(await verifyLayer(layer)).toBe(PLAIN.length);
    await expect(verifyLayer({ ...layer, diffId: digestOf('other') })).rejects.toThrow(
      failure('DIGEST_MISMATCH', digestOf('other')),
    );
  });

  it('refuses damaged layers and decompression bombs', async () => {
    const zeros = Buffer.alloc(10_000_000);
    const bomb = layerOf(gzipSync(zeros), { diffId: digestOf(zeros), compression: 'gzip' });
    await expect(verifyLayer(bomb, { freeBytes: 1_000_000, ratio: 100 })).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'bomb', bomb.diffId),
    );
    expect(await verifyLayer(bomb)).toBe(zeros.length);
    const cut = layerOf(gzipSync(PLAIN).subarray(0, -10), { diffId: digestOf(PLAIN), compression: 'gzip' });
    await expect(verifyLayer(cut)).rejects.toThrow(failure('ARCHIVE_INVALID', 'cut short', cut.diffId));
  });
});

describe('a plain layer of an OCI image', () => {
  it('can be packed like one of a docker-archive', async () => {
    const image = await makeImage({ seed: 'plain', layers: [{ size: 5000 }] });
    await writeOciLayout(temp('layout'), [image], { compression: 'none' });
    const archive = await open(temp('layout'));
    const blob = archive.blob(image.layers[0]?.digest as Digest);
    const layer = plainLayer(blob as NonNullable<typeof blob>);
    expect(await verifyLayer(layer)).toBe(image.layers[0]?.size);
    expect(sha256(gunzipSync(await packedBytes(layer, { compression: 'gzip' })))).toBe(layer.diffId);
  });
});
