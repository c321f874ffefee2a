import { versions } from 'node:process';
import { Readable } from 'node:stream';
import { RegopsError } from '../base/index.ts';
import { type Digest, Digester, digestMismatch, digestParts, type LayerCompression } from '../oci/index.ts';
import { type Chunks, decompress, EXPANSION_LIMIT, type ExpansionLimit, through } from './compression.ts';
import { type CacheKey, packedKey, storedKey } from './layer-cache.ts';
import type { LayerSource } from './model.ts';
import { CHUNK_BYTES } from './random-access-file.ts';

/** What a blob is known by. */
export interface BlobFacts {
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}

/** A packing that compresses. */
export type Compressor = Exclude<LayerCompression, 'none'>;

/**
 * Levels that are meant when nobody says: on image layers gzip 6 takes twice as long as gzip 1 for a
 * tenth fewer bytes, and a push waits for it.
 */
export const DEFAULT_LEVELS: Readonly<Record<Compressor, number>> = { gzip: 1, zstd: 3 };
const HIGHEST_LEVELS: Readonly<Record<Compressor, number>> = { gzip: 9, zstd: 22 };

/**
 * Turns plain bytes into packed ones: the place where another way of packing (parallel blocks in worker
 * threads) is put in. The same plain bytes must always give the same packed bytes, however they are cut
 * into chunks.
 */
export interface Packer {
  /** Changes whenever the packed bytes might. */
  readonly version: string;
  /** @param plainBytes how many bytes will come */
  pack(plain: Chunks, compression: Compressor, level: number, plainBytes: number): Chunks;
}

export interface PackOptions {
  readonly compression: LayerCompression;
  /** gzip 1–9, zstd 1–22; default: DEFAULT_LEVELS. */
  readonly level?: number | undefined;
  readonly packer?: Packer | undefined;
}

/** How to get the bytes of a layer as they go to a registry, as often as needed. */
export interface PackedLayer {
  /** How the bytes of `open` are packed: the stored packing where there is one, else the one asked for. */
  readonly compression: LayerCompression;
  /** Their exact number, where it is known before they are made. */
  readonly size?: number;
  /** What a cache may remember `facts` by; absent when they cost nothing or nothing identifies the stored bytes. */
  readonly cacheKey?: CacheKey;
  /** Digest and size of what `open` gives: known at once for plain layers, else when a stream of it has ended. */
  readonly facts: BlobFacts | undefined;
  /**
   * The packed bytes. Where they are made from plain ones, the stream fails with DIGEST_MISMATCH before
   * its end unless those have the layer's diffID. Stored packed bytes pass as they are (see
   * {@link verifyLayer}).
   */
  open(): Readable;
}

/**
 * A layer ready to be sent: packed while it streams, or as it is when it is stored packed already, so
 * that its digest is kept. Throws USAGE for a level that the packing does not have.
 */
export function packLayer(source: LayerSource, options: PackOptions): PackedLayer {
  const { diffId, size } = source;
  if (source.compression !== 'none') {
    const cacheKey = source.identity === undefined ? {} : { cacheKey: storedKey(source.identity) };
    return measuredLayer({ compression: source.compression, size, ...cacheKey }, () => source.open());
  }
  const plain = (): Chunks => verified(() => source.open(), diffId);
  if (options.compression === 'none') {
    return { compression: 'none', size, facts: { digest: diffId, size }, open: () => streamOf(plain()) };
  }
  const { compression, packer = zlibPacker } = options;
  const level = checkedLevel(compression, options.level ?? DEFAULT_LEVELS[compression]);
  const cacheKey = packedKey({ diffId, compression, level, packer: packer.version });
  return measuredLayer({ compression, cacheKey }, () => packer.pack(plain(), compression, level, size));
}

/** A layer whose digest is computed while it is read. */
function measuredLayer(
  known: Pick<PackedLayer, 'compression' | 'size' | 'cacheKey'>,
  open: () => Chunks,
): PackedLayer {
  let facts: BlobFacts | undefined;
  async function* measured(): AsyncGenerator<Buffer> {
    const digester = new Digester();
    for await (const chunk of open()) {
      digester.update(chunk);
      yield chunk;
    }
    facts = { size: digester.size, digest: digester.digest() };
  }
  return {
    ...known,
    get facts() {
      return facts;
    },
    open: () => streamOf(measured()),
  };
}

function streamOf(chunks: Chunks): Readable {
  return Readable.from(chunks, { objectMode: false, highWaterMark: CHUNK_BYTES });
}

/** Digest and size of the stored bytes, by reading them. Throws IO_FAILED, ARCHIVE_INVALID. */
export async function storedDigest(source: Pick<LayerSource, 'open'>): Promise<BlobFacts> {
  const digester = new Digester();
  for await (const chunk of source.open() as Chunks) digester.update(chunk);
  return { size: digester.size, digest: digester.digest() };
}

/**
 * Decompresses a layer and compares it with its diffID; gives the plain length in bytes.
 *
 * @throws DIGEST_MISMATCH; ARCHIVE_INVALID when it is damaged or grows beyond `limit`; IO_FAILED
 */
export async function verifyLayer(
  source: LayerSource,
  limit: ExpansionLimit = EXPANSION_LIMIT,
): Promise<number> {
  const { diffId, compression } = source;
  const plain = (): Chunks => decompress(source.open(), compression, layerName(diffId), limit);
  let bytes = 0;
  for await (const chunk of verified(plain, diffId)) bytes += chunk.length;
  return bytes;
}

/** The bytes of `open`, which must turn out to have the diffID. */
async function* verified(open: () => Chunks, diffId: Digest): AsyncGenerator<Buffer> {
  const digester = new Digester(digestParts(diffId).algorithm);
  for await (const chunk of open()) {
    digester.update(chunk);
    yield chunk;
  }
  const actual = digester.digest();
  if (actual !== diffId) throw digestMismatch(layerName(diffId), diffId, actual);
}

function layerName(diffId: Digest): string {
  return `layer ${diffId}`;
}

function checkedLevel(compression: Compressor, level: number): number {
  if (Number.isInteger(level) && level >= 1 && level <= HIGHEST_LEVELS[compression]) return level;
  throw new RegopsError('USAGE', `${compression} has no level ${level}`, {
    hints: [`Choose a level from 1 to ${HIGHEST_LEVELS[compression]}.`],
  });
}

/** Packs in one piece with Node's own zlib and zstd, in the thread pool: the same bytes for the same Node. */
export const zlibPacker: Packer = {
  version: `zlib-${versions.zlib}-mem9-zstd-${versions['zstd']}`,
  async *pack(plain, compression, level, plainBytes) {
    const zlib = await import('node:zlib');
    if (compression === 'zstd') {
      const params = { [zlib.constants.ZSTD_c_compressionLevel]: level };
      yield* through(
        plain,
        zlib.createZstdCompress({ params, pledgedSrcSize: plainBytes, chunkSize: CHUNK_BYTES }),
      );
      return;
    }
    let header = true;
    for await (const chunk of through(
      plain,
      zlib.createGzip({ level, memLevel: 9, chunkSize: CHUNK_BYTES }),
    )) {
      // RFC 1952: the tenth byte names the operating system. 255 is "unknown", the same everywhere.
      if (header) chunk[GZIP_OS_OFFSET] = 255;
      header = false;
      yield chunk;
    }
  },
};

const GZIP_OS_OFFSET = 9;
