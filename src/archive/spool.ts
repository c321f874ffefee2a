import { tmpdir } from 'node:os';
import { addAbortSignal, type Readable } from 'node:stream';
import { isRegopsError, throwIfAborted } from '../base/index.ts';
import type { LayerCompression } from '../oci/index.ts';
import {
  type Chunks,
  decompress,
  detectPacking,
  type ExpansionLimit,
  supportedPacking,
} from './compression.ts';
import { invalidArchive, readFailure } from './failures.ts';
import { KeptFiles, type SendAhead } from './kept-files.ts';
import { PassingTar } from './passing-tar.ts';
import { isTarBlock, TAR_BLOCK_BYTES } from './tar-header.ts';
import { TarIndex } from './tar-index.ts';
import { notATar, scanTar } from './tar-scan.ts';

/**
 * What may follow the end of a tar, and is dropped: tar fills up its last record, and others write more. What
 * never ends is refused.
 */
const MOST_BEHIND_END = 64 * 1024 ** 2;

export interface SpoolOptions {
  /** Where the temporary file lives; default: the system's folder for them. */
  readonly tempDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes read from the source since the last call: packed ones where it is packed. */
  readonly onSpool?: ((bytes: number) => void) | undefined;
  readonly expansion?: ExpansionLimit | undefined;
  /** Takes large files while they pass; what it does not take is copied. */
  readonly sendAhead?: SendAhead | undefined;
}

/**
 * Indexes a tar that cannot be read by position (stdin, a pipe, a compressed file) while it passes, decompressed: its
 * files are copied into a private temporary file, or sent ahead. What is no tar is refused after its first block, and
 * what its headers say is looked at before more is copied, so that an endless source fills no disk. The source is
 * destroyed in the end.
 *
 * @param path names the source in errors
 * @throws ARCHIVE_INVALID, ARCHIVE_UNSUPPORTED, IO_FAILED, INTERRUPTED
 */
export async function spool(
  source: Readable,
  path: string,
  options: SpoolOptions = {},
): Promise<{ readonly files: TarIndex; readonly compression: LayerCompression }> {
  const chunks = sourceChunks(source, path, options);
  try {
    const head = await firstBytes(chunks, TAR_BLOCK_BYTES);
    if (head.length === 0)
      throw invalidArchive(path, 'it is empty', ['Did the command before the pipe fail?']);
    const compression = supportedPacking(detectPacking(head), path);
    const plain = decompress(startingWith(head, chunks), compression, path, options.expansion);
    return { files: await indexPassing(refuseOthers(plain, path), path, options), compression };
  } finally {
    source.destroy();
  }
}

async function* sourceChunks(source: Readable, path: string, options: SpoolOptions): AsyncGenerator<Buffer> {
  throwIfAborted(options.signal);
  // Destroying it also ends the wait for a program that has stopped writing.
  if (options.signal) addAbortSignal(options.signal, source);
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      options.onSpool?.(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throwIfAborted(options.signal);
    throw isRegopsError(error) ? error : readFailure(path, error);
  }
}

/** Takes chunks until there are `wanted` bytes or no more, and gives all of them. */
async function firstBytes(chunks: AsyncGenerator<Buffer>, wanted: number): Promise<Buffer> {
  const taken: Buffer[] = [];
  let length = 0;
  while (length < wanted) {
    const next = await chunks.next();
    if (next.done) break;
    taken.push(next.value);
    length += next.value.length;
  }
  return Buffer.concat(taken);
}

async function* startingWith(head: Buffer, rest: Chunks): AsyncGenerator<Buffer> {
  yield head;
  yield* rest;
}

/** Lets pass what begins like a tar, so that a film piped by mistake does not fill the disk first. */
async function* refuseOthers(plain: AsyncGenerator<Buffer>, path: string): AsyncGenerator<Buffer> {
  const head = await firstBytes(plain, TAR_BLOCK_BYTES);
  if (head.length < TAR_BLOCK_BYTES || !isTarBlock(head.subarray(0, TAR_BLOCK_BYTES))) throw notATar(path);
  yield* startingWith(head, plain);
}

async function indexPassing(
  plain: AsyncGenerator<Buffer>,
  path: string,
  { tempDir = tmpdir(), signal, sendAhead }: SpoolOptions,
): Promise<TarIndex> {
  const kept = await KeptFiles.open(path, tempDir, sendAhead);
  try {
    const tar = new PassingTar(plain, path, (file) => kept.take(file));
    const { members, foundNames } = await scanTar(tar, { signal });
    await dropRest(plain, path);
    return new TarIndex(kept, members, foundNames);
  } catch (error) {
    await kept.close();
    throw error;
  } finally {
    await plain.return(undefined);
  }
}

/** Reads what follows the end of the tar: whoever writes it is not cut off, and packed bytes are checked to their end. */
async function dropRest(plain: Chunks, path: string): Promise<void> {
  let bytes = 0;
  for await (const chunk of plain) {
    bytes += chunk.length;
    if (bytes > MOST_BEHIND_END) {
      throw invalidArchive(path, `more than ${MOST_BEHIND_END} bytes follow the end of the tar`);
    }
  }
}
