import { versions } from 'node:process';
import { releasing } from '../base/index.ts';
import type { LayerCompression } from '../oci/index.ts';
import { type Chunks, through } from './compression.ts';
import { gzipInBlocks } from './gzip-blocks.ts';
import { CHUNK_BYTES } from './random-access-file.ts';

/** A packing that compresses. */
export type Compressor = Exclude<LayerCompression, 'none'>;

/**
 * Turns plain bytes into packed ones. The same plain bytes must always give the same packed bytes, however
 * they are cut into chunks.
 */
export interface Packer {
  /** Changes whenever the packed bytes might. */
  readonly version: string;
  /** @param plainBytes how many bytes will come */
  pack(plain: Chunks, compression: Compressor, level: number, plainBytes: number): Chunks;
}

/** gzip in parallel blocks, zstd by Node's own; both in the thread pool, so that the event loop goes on. */
export const parallelPacker: Packer = {
  version: `blocks-2-zlib-${versions.zlib}-zstd-${versions['zstd']}`,
  pack: (plain, compression, level, plainBytes) =>
    compression === 'gzip' ? gzipInBlocks(plain, level) : zstdInOne(plain, level, plainBytes),
};

async function* zstdInOne(plain: Chunks, level: number, plainBytes: number): AsyncGenerator<Buffer> {
  const { constants, createZstdCompress } = await import('node:zlib');
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  const zstd = createZstdCompress({ params, pledgedSrcSize: plainBytes, chunkSize: CHUNK_BYTES });
  yield* through(releasing(plain), zstd);
}
