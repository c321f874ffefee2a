import { availableParallelism } from 'node:os';
import { allocateChunk, releaseChunk, shrunk } from '../base/index.ts';
import type { Chunks } from './compression.ts';
import { CHUNK_BYTES } from './random-access-file.ts';

/**
 * Plain bytes per block. What a block costs by itself (the window that it is primed with, a table of codes, a stream
 * object) is then a thirtieth; with a quarter of the bytes it is an eighth. Another number makes other packed bytes.
 */
export const BLOCK_BYTES = 4 * CHUNK_BYTES;
/** As far back as deflate can refer (RFC 1951, section 2). */
const WINDOW_BYTES = 32 * 1024;
/** Room for a block that cannot be compressed: it never comes out in two pieces. */
const PACKED_BLOCK_BYTES = BLOCK_BYTES + 4096;

/** Blocks that one stream may have in work: one for each core, and as many that wait for a core or to be read. */
const BLOCKS_PER_STREAM = 2 * availableParallelism();
/** Blocks that all streams of this process may have in work, beside the first of each. */
const budget = { blocks: 3 * availableParallelism() };

/** Ends a deflate stream: an empty last block in fixed codes. */
const LAST_BLOCK = Buffer.of(0x03, 0x00);

/**
 * Compresses to one gzip member (RFC 1952) on all cores. Blocks of a fixed size are deflated side by side in
 * the thread pool, each primed with the bytes before it, and each ends at a byte boundary, so that they join.
 * The same plain bytes give the same packed bytes however they come and however many cores there are; the
 * header names neither time nor system.
 *
 * Blocks in work are bounded over all streams of the process, and a stream that is read slowly never keeps
 * the others from having one.
 */
export async function* gzipInBlocks(plain: Chunks, level: number): AsyncGenerator<Buffer> {
  const { constants, crc32, deflateRaw } = await import('node:zlib');
  const options = { level, memLevel: 9, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: PACKED_BLOCK_BYTES };
  // With a new stream for each: one that is reset finds other matches now and then, by what its window held before.
  const deflate = (block: Buffer, before: Buffer | undefined): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      deflateRaw(block, before ? { ...options, dictionary: before } : options, (error, packed) =>
        error ? reject(error) : resolve(shrunk(packed)),
      );
    });

  const blocks = evenBlocks(plain);
  const inWork = new BlocksInWork();
  let before: Buffer | undefined;
  let sum = 0;
  let size = 0;
  yield gzipHeader(level);
  try {
    for (let ended = false; ; ) {
      while (!ended && inWork.hasRoom) {
        const { value: block } = await blocks.next();
        if (block) {
          sum = crc32(block, sum);
          size += block.length;
          inWork.add(block, deflate(block, before));
          before = block.subarray(-WINDOW_BYTES);
        } else {
          ended = true;
        }
      }
      const packed = await inWork.takeFirst();
      if (!packed) break;
      yield packed;
    }
    yield Buffer.concat([LAST_BLOCK, gzipTrailer(sum, size)]);
  } finally {
    inWork.abandon();
    await blocks.return(undefined);
  }
}

/** The blocks of one stream that are being compressed, or wait to be read, in their order. */
class BlocksInWork {
  readonly #blocks: { readonly plain: Buffer; readonly packed: Promise<Buffer> }[] = [];
  /** Compressed, but the one after it may still begin with its end. */
  #spent: Buffer | undefined;

  get hasRoom(): boolean {
    const count = this.#blocks.length;
    return count === 0 || (count < BLOCKS_PER_STREAM && budget.blocks > 0);
  }

  add(plain: Buffer, packed: Promise<Buffer>): void {
    if (this.#blocks.length > 0) budget.blocks--;
    this.#blocks.push({ plain, packed });
    // A failure is told by takeFirst, when its turn comes.
    packed.catch(() => {});
  }

  async takeFirst(): Promise<Buffer | undefined> {
    const [first] = this.#blocks;
    if (!first) return undefined;
    const packed = await first.packed;
    this.#blocks.shift();
    if (this.#blocks.length > 0) budget.blocks++;
    if (this.#spent) releaseChunk(this.#spent);
    this.#spent = first.plain;
    return packed;
  }

  /** Gives their room back; what runs in the thread pool ends by itself. */
  abandon(): void {
    budget.blocks += Math.max(0, this.#blocks.length - 1);
    this.#blocks.length = 0;
  }
}

/**
 * The same bytes in blocks of {@link BLOCK_BYTES}, the last one shorter; without a copy where they come so
 * already. Blocks and chunks are released by whoever has used them up.
 */
async function* evenBlocks(chunks: Chunks): AsyncGenerator<Buffer, undefined> {
  let block: Buffer | undefined;
  let filled = 0;
  for await (const chunk of chunks) {
    if (filled === 0 && chunk.length === BLOCK_BYTES) {
      yield chunk;
      continue;
    }
    for (let at = 0; at < chunk.length; ) {
      block ??= allocateChunk(BLOCK_BYTES);
      const copied = chunk.copy(block, filled, at);
      at += copied;
      filled += copied;
      if (filled === BLOCK_BYTES) {
        yield block;
        block = undefined;
        filled = 0;
      }
    }
    releaseChunk(chunk);
  }
  if (block && filled > 0) yield block.subarray(0, filled);
}

/** RFC 1952, section 2.3: no flags, no time, and system 255, "unknown". */
function gzipHeader(level: number): Buffer {
  const effort = level === 9 ? 2 : level === 1 ? 4 : 0;
  return Buffer.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255);
}

function gzipTrailer(sum: number, size: number): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(sum, 0);
  trailer.writeUInt32LE(size % 2 ** 32, 4);
  return trailer;
}
