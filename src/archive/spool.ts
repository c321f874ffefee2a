import { randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { isRegopsError, messageOf, RegopsError, systemCode, throwIfAborted } from '../base/index.ts';
import type { LayerCompression } from '../oci/index.ts';
import {
  type Chunks,
  decompress,
  detectPacking,
  type ExpansionLimit,
  supportedPacking,
} from './compression.ts';
import { invalidArchive, readFailure } from './failures.ts';
import { RandomAccessFile } from './random-access-file.ts';
import { isTarBlock, TAR_BLOCK_BYTES } from './tar-header.ts';
import { notATar } from './tar-scan.ts';

export interface SpoolOptions {
  /** Where the temporary file lives; default: the system's folder for them. */
  readonly tempDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes read from the source since the last call: packed ones where it is packed. */
  readonly onSpool?: ((bytes: number) => void) | undefined;
  readonly expansion?: ExpansionLimit | undefined;
}

/**
 * Copies a tar that cannot be read by position (stdin, a pipe, a compressed file) decompressed into a
 * private temporary file. Nothing of it stays behind, not even after a crash: the file has lost its name
 * before the first byte is in it. What is no tar is refused after its first block. The source is
 * destroyed in the end.
 *
 * @param path names the source in errors
 * @throws ARCHIVE_INVALID, ARCHIVE_UNSUPPORTED, IO_FAILED, INTERRUPTED
 */
export async function spool(
  source: Readable,
  path: string,
  options: SpoolOptions = {},
): Promise<{ readonly file: RandomAccessFile; readonly compression: LayerCompression }> {
  const chunks = sourceChunks(source, path, options);
  try {
    const head = await firstBytes(chunks, TAR_BLOCK_BYTES);
    if (head.length === 0)
      throw invalidArchive(path, 'it is empty', ['Did the command before the pipe fail?']);
    const compression = supportedPacking(detectPacking(head), path);
    const plain = decompress(startingWith(head, chunks), compression, path, options.expansion);
    const file = await writeTemporary(refuseOthers(plain, path), path, options.tempDir ?? tmpdir());
    return { file, compression };
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

async function writeTemporary(plain: Chunks, path: string, folder: string): Promise<RandomAccessFile> {
  const name = join(folder, `regops-${randomBytes(12).toString('hex')}.tmp`);
  let handle: FileHandle | undefined;
  try {
    handle = await open(name, 'wx+', 0o600);
    await unlink(name);
  } catch (error) {
    await handle?.close();
    throw temporaryFailure(folder, error);
  }
  try {
    let size = 0;
    for await (const chunk of plain) {
      await writeAll(handle, chunk, folder);
      size += chunk.length;
    }
    return new RandomAccessFile(handle, path, size);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function writeAll(handle: FileHandle, chunk: Buffer, folder: string): Promise<void> {
  try {
    for (let written = 0; written < chunk.length; ) {
      written += (await handle.write(chunk, written)).bytesWritten;
    }
  } catch (error) {
    throw temporaryFailure(folder, error);
  }
}

function temporaryFailure(folder: string, error: unknown): RegopsError {
  const full = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemCode(error) ?? '');
  return new RegopsError(
    'IO_FAILED',
    full
      ? `no space left in ${folder} for the decompressed archive`
      : `cannot write a temporary file in ${folder}: ${messageOf(error)}`,
    {
      cause: error,
      hints: [
        'Point TMPDIR to a folder with more room.',
        'A plain tar file given by its path needs no temporary file.',
      ],
    },
  );
}
