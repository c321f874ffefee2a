import type { Duplex } from 'node:stream';
import { isRegopsError, messageOf, RegopsError, releasing, systemCode } from '../base/index.ts';
import type { LayerCompression } from '../oci/index.ts';
import { invalidArchive } from './failures.ts';
import { CHUNK_BYTES } from './random-access-file.ts';
import { isTarBlock, TAR_BLOCK_BYTES } from './tar-header.ts';
import { isZstdMagic, ZstdFrameScanner } from './zstd-frames.ts';

/** Bytes on their way. */
export type Chunks = AsyncIterable<Buffer>;

/** Packings that are recognised only to be refused with a useful word, and the program that undoes them. */
const FOREIGN_PACKINGS = { xz: 'xz -dc', bzip2: 'bzip2 -dc', lz4: 'lz4 -dc' } as const;
export type Packing = LayerCompression | keyof typeof FOREIGN_PACKINGS;

/** As many first bytes as {@link detectPacking} wants to see. */
export const MAGIC_BYTES = 10;

/** How bytes are packed, found by looking at the first of them. */
export function detectPacking(head: Buffer): Packing {
  const magic = head.toString('latin1', 0, MAGIC_BYTES);
  if (magic.startsWith('\x1f\x8b\x08')) return 'gzip';
  if (isZstdMagic(head)) return 'zstd';
  if (magic.startsWith('\xfd7zXZ\0')) return 'xz';
  if (/^BZh[1-9]1AY&SY$/.test(magic)) return 'bzip2';
  if (magic.startsWith('\x04\x22\x4d\x18')) return 'lz4';
  return 'none';
}

/** The packing, when it is one that regops reads. Throws ARCHIVE_UNSUPPORTED; `what` names the file there. */
export function supportedPacking(packing: Packing, what: string): LayerCompression {
  if (packing === 'none' || packing === 'gzip' || packing === 'zstd') return packing;
  throw new RegopsError(
    'ARCHIVE_UNSUPPORTED',
    `${what}: compressed with ${packing}, which is not supported`,
    {
      hints: [
        `Decompress it on the way in: ${FOREIGN_PACKINGS[packing]} FILE, piped to regops with - as the file.`,
      ],
    },
  );
}

/** How the bytes of a layer are packed; undefined when these first ones are of something else, or not supported. */
export function layerPacking(head: Buffer): LayerCompression | undefined {
  const packing = detectPacking(head);
  if (packing === 'none') return isTarBlock(head.subarray(0, TAR_BLOCK_BYTES)) ? packing : undefined;
  return packing === 'gzip' || packing === 'zstd' ? packing : undefined;
}

/** How far compressed bytes may grow. */
export interface ExpansionLimit {
  /** Up to here any ratio is believed. */
  readonly freeBytes: number;
  /** Beyond, plain bytes per packed byte. */
  readonly ratio: number;
  /** A higher ratio that is believed up to so many plain bytes. */
  readonly steep?: { readonly bytes: number; readonly ratio: number };
}

/**
 * Real images rarely pass 100:1 over all, but a large file of zeros in a layer comes near gzip's 1030:1 and passes
 * zstd's 10000:1. So any image of a gigabyte is believed, and up to what a disk still takes also one that is
 * mostly zeros; zeros alone are taken for a decompression bomb.
 */
export const EXPANSION_LIMIT: ExpansionLimit = {
  freeBytes: 1024 ** 3,
  ratio: 200,
  steep: { bytes: 8 * 1024 ** 3, ratio: 700 },
};

/** What so many packed bytes may become at most. */
function mostPlainBytes(packedBytes: number, { freeBytes, ratio, steep }: ExpansionLimit): number {
  const steepBytes = steep ? Math.min(packedBytes * steep.ratio, steep.bytes) : 0;
  return Math.max(freeBytes, packedBytes * ratio, steepBytes);
}

/**
 * The plain bytes of packed ones. gzip members and zstd frames that follow each other are read as one.
 *
 * @param what names the bytes in errors
 * @throws ARCHIVE_INVALID for damaged or cut data, and for more than `limit` allows
 */
export async function* decompress(
  packed: Chunks,
  compression: LayerCompression,
  what: string,
  limit: ExpansionLimit = EXPANSION_LIMIT,
): AsyncGenerator<Buffer> {
  if (compression === 'none') {
    yield* packed;
    return;
  }
  let packedBytes = 0;
  let plainBytes = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of packed) {
      packedBytes += chunk.length;
      yield chunk;
    }
  }
  try {
    for await (const chunk of compression === 'gzip' ? gunzip(counted()) : unzstd(counted())) {
      plainBytes += chunk.length;
      if (plainBytes > mostPlainBytes(packedBytes, limit)) {
        throw invalidArchive(
          what,
          `${packedBytes} compressed bytes grew to more than ${plainBytes}; it looks like a decompression bomb`,
          ['If it is meant to be so, decompress it yourself and give the plain file.'],
        );
      }
      yield chunk;
    }
  } catch (error) {
    throw decompressionFailure(error, compression, what);
  }
}

async function* gunzip(chunks: Chunks): AsyncGenerator<Buffer> {
  const { createGunzip } = await import('node:zlib');
  yield* through(releasing(chunks), createGunzip({ chunkSize: CHUNK_BYTES }));
}

async function* unzstd(chunks: Chunks): AsyncGenerator<Buffer> {
  const { createZstdDecompress } = await import('node:zlib');
  const source = chunks[Symbol.asyncIterator]();
  let chunk: Buffer = Buffer.alloc(0);
  let at = 0;
  const more = async (): Promise<boolean> => {
    while (at === chunk.length) {
      const next = await source.next();
      if (next.done) return false;
      chunk = next.value;
      at = 0;
    }
    return true;
  };
  async function* frame(): AsyncGenerator<Buffer> {
    const scanner = new ZstdFrameScanner();
    while (!scanner.ended && (await more())) {
      const end = scanner.scan(chunk, at);
      const piece = chunk.subarray(at, end);
      at = end;
      yield piece;
    }
  }
  try {
    while (await more()) yield* through(frame(), createZstdDecompress({ chunkSize: CHUNK_BYTES }));
  } finally {
    await source.return?.();
  }
}

/**
 * What comes out of a transform that is fed with the chunks. Each chunk is fed when the one before is
 * done with, and the end only then: zlib and zstd write other bytes when they learn of the end together
 * with the last chunk, which would be a matter of luck. Stopping early closes both sides.
 */
export async function* through(chunks: Chunks, transform: Duplex): AsyncGenerator<Buffer> {
  // A failure of the source destroys the transform, and so is thrown by the loop over it.
  feed(chunks, transform).catch((error: Error) => transform.destroy(error));
  yield* transform as AsyncIterable<Buffer>;
}

async function feed(chunks: Chunks, transform: Duplex): Promise<void> {
  let abandon = (): void => {};
  transform.once('close', () => abandon());
  for await (const chunk of chunks) {
    await new Promise<void>((resolve, reject) => {
      // A transform that is destroyed while its output waits to be read never calls back.
      abandon = () => reject(new Error('closed'));
      transform.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
  transform.end();
}

function decompressionFailure(error: unknown, compression: LayerCompression, what: string): unknown {
  const code = systemCode(error) ?? '';
  if (isRegopsError(error) || code === 'ABORT_ERR') return error;
  if (code === 'Z_BUF_ERROR') {
    return invalidArchive(what, `the ${compression} data is cut short`, [
      'Was the download or the program that made it interrupted? Make it again.',
    ]);
  }
  if (code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return new RegopsError('ARCHIVE_UNSUPPORTED', `${what}: compressed with a zstd window above 128 MiB`, {
      hints: ['Decompress it on the way in: zstd -dc --long=31 FILE, piped to regops with - as the file.'],
    });
  }
  return code.startsWith('E') && !code.startsWith('ERR_')
    ? new RegopsError('IO_FAILED', `${what}: ${messageOf(error)}`, { cause: error })
    : invalidArchive(what, `damaged ${compression} data: ${messageOf(error)}`);
}
