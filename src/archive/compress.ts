import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { allocateChunk, RegopsError, releaseChunk } from '../base/index.ts';
import { type Digest, Digester, digestMismatch, digestParts, type LayerCompression } from '../oci/index.ts';
import { type Chunks, decompress, EXPANSION_LIMIT, type ExpansionLimit } from './compression.ts';
import { type CacheKey, packedKey, storedKey } from './layer-cache.ts';
import type { LayerSource } from './model.ts';
import { type Compressor, type Packer, parallelPacker } from './packer.ts';
import { CHUNK_BYTES } from './random-access-file.ts';

/** What a blob is known by. */
export interface BlobFacts {
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}

/**
 * Levels that are meant when nobody says: on image layers gzip 6 takes twice as long as gzip 1, and zstd 3 as
 * zstd 1, for a tenth fewer bytes, and a push waits for it.
 */
export const DEFAULT_LEVELS: Readonly<Record<Compressor, number>> = { gzip: 1, zstd: 1 };
const HIGHEST_LEVELS: Readonly<Record<Compressor, number>> = { gzip: 9, zstd: 22 };

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
  /**
   * What a cache may remember `facts` by; absent when they cost nothing or nothing identifies the stored bytes, and
   * for as long as the diffID is not known.
   */
  readonly cacheKey?: CacheKey | undefined;
  /** Digest of the plain layer: what it has to have, or else, when a stream has ended, what it has. */
  readonly diffId: Digest | undefined;
  /** Digest and size of what `open` gives: known at once for plain layers, else when a stream of it has ended. */
  readonly facts: BlobFacts | undefined;
  /**
   * The packed bytes. The stream fails with DIGEST_MISMATCH before its end unless the plain ones have the layer's
   * diffID: those it is made from, or those that the stored packed bytes unpack to, which happens while they pass.
   */
  open(): Readable;
}

/** Stored bytes of a layer; nobody need have said which layer it is. */
export type PackableLayer = Omit<LayerSource, 'diffId'> & Partial<Pick<LayerSource, 'diffId'>>;

/**
 * A layer ready to be sent: packed while it streams, or as it is when it is stored packed already, so
 * that its digest is kept. Throws USAGE for a level that the packing does not have.
 */
export function packLayer(source: PackableLayer, options: PackOptions): PackedLayer {
  const { size, identity } = source;
  const subject = { expected: source.diffId, diffId: source.diffId };
  if (source.compression !== 'none') {
    const keyOf = identity === undefined ? undefined : (diffId: Digest) => storedKey(identity, diffId);
    const open = (): Chunks => verifiedBeside(source, subject);
    return measuredLayer({ compression: source.compression, size, keyOf, subject }, open);
  }
  const plain = (): Chunks => verified(() => source.open(), subject);
  if (options.compression === 'none') {
    if (source.diffId === undefined) return measuredLayer({ compression: 'none', size, subject }, plain);
    const { diffId } = source;
    const facts = { digest: diffId, size };
    return { compression: 'none', size, diffId, facts, open: () => streamOf(plain()) };
  }
  const { compression, packer = parallelPacker } = options;
  const level = checkedLevel(compression, options.level ?? DEFAULT_LEVELS[compression]);
  const keyOf = (diffId: Digest): CacheKey =>
    packedKey({ diffId, compression, level, packer: packer.version });
  return measuredLayer({ compression, keyOf, subject }, () => packer.pack(plain(), compression, level, size));
}

/** Which layer bytes have to be, if that is said, and which they are, once that is known. */
interface Subject {
  readonly expected: Digest | undefined;
  diffId: Digest | undefined;
}

/** Digest and size of a packed layer, of which one stream has ended. Throws BUG before that. */
export function packedFacts({ facts }: PackedLayer): BlobFacts {
  if (!facts) throw new RegopsError('BUG', 'a packed layer ended without its digest');
  return facts;
}

/** A layer whose digest is computed while it is read. */
function measuredLayer(
  {
    subject,
    keyOf,
    ...known
  }: Pick<PackedLayer, 'compression' | 'size'> & {
    readonly subject: Subject;
    readonly keyOf?: ((diffId: Digest) => CacheKey) | undefined;
  },
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
    get diffId() {
      return subject.diffId;
    },
    get cacheKey() {
      return subject.diffId && keyOf?.(subject.diffId);
    },
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
  for await (const chunk of source.open() as Chunks) {
    digester.update(chunk);
    releaseChunk(chunk);
  }
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
  return unpack(source, { expected: source.diffId, diffId: source.diffId }, limit);
}

async function unpack(
  source: Pick<LayerSource, 'compression' | 'open'>,
  subject: Subject,
  limit: ExpansionLimit = EXPANSION_LIMIT,
): Promise<number> {
  const { compression } = source;
  const plain = (): Chunks => decompress(source.open(), compression, layerName(subject.expected), limit);
  let bytes = 0;
  for await (const chunk of verified(plain, subject)) {
    bytes += chunk.length;
    releaseChunk(chunk);
  }
  return bytes;
}

/** The bytes of `open`, which must turn out to have the diffID that is expected; any does where none is. */
async function* verified(open: () => Chunks, subject: Subject): AsyncGenerator<Buffer> {
  const { expected } = subject;
  const digester = new Digester(expected && digestParts(expected).algorithm);
  for await (const chunk of open()) {
    digester.update(chunk);
    yield chunk;
  }
  const actual = digester.digest();
  if (expected && actual !== expected) throw digestMismatch(layerName(expected), expected, actual);
  subject.diffId = actual;
}

/**
 * The stored bytes as they are, held back at the end until a copy of them, unpacked meanwhile, has turned out to
 * be the layer. Throws as {@link verifyLayer} does.
 */
async function* verifiedBeside(source: PackableLayer, subject: Subject): AsyncGenerator<Buffer> {
  const copies = new PassThrough({ highWaterMark: CHUNK_BYTES });
  const verifying = unpack({ compression: source.compression, open: () => copies }, subject);
  // Both are told below, when it matters.
  verifying.catch(() => {});
  copies.on('error', () => {});
  try {
    for await (const chunk of source.open() as Chunks) {
      // Verifying uses its chunks up, and ends early where something follows the packed bytes.
      if (!copies.destroyed && !copies.write(copyOf(chunk))) {
        await Promise.race([once(copies, 'drain'), verifying]);
      }
      yield chunk;
    }
    copies.end();
    await verifying;
  } finally {
    copies.destroy();
  }
}

function copyOf(chunk: Buffer): Buffer {
  const copy = allocateChunk(chunk.length);
  chunk.copy(copy);
  return copy;
}

function layerName(diffId: Digest | undefined): string {
  return diffId === undefined ? 'a layer' : `layer ${diffId}`;
}

function checkedLevel(compression: Compressor, level: number): number {
  if (Number.isInteger(level) && level >= 1 && level <= HIGHEST_LEVELS[compression]) return level;
  throw new RegopsError('USAGE', `${compression} has no level ${level}`, {
    hints: [`Choose a level from 1 to ${HIGHEST_LEVELS[compression]}.`],
  });
}
