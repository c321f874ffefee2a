import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { allocateChunk } from '../base/index.ts';
import { invalidArchive, readFailure } from './failures.ts';

/** Bytes per read of a stream: large enough that neither the thread pool nor the hash waits for the loop. */
export const CHUNK_BYTES = 256 * 1024;

/**
 * An open file that is read by position, by many readers at once. Reads in flight keep the descriptor
 * open, so closing never lets one of them read somebody else's file.
 */
export class RandomAccessFile {
  /** How messages call it. */
  readonly path: string;
  /** Length in bytes when it was opened. */
  readonly size: number;
  /** Says which bytes these are on this machine and changes when they do; undefined for a temporary file. */
  readonly identity: string | undefined;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle, path: string, size: number, identity?: string) {
    this.#handle = handle;
    this.path = path;
    this.size = size;
    this.identity = identity;
  }

  /** Opens a regular file for reading. Throws FILE_NOT_FOUND or IO_FAILED; `shownAs` names it there. */
  static async open(path: string, shownAs = path): Promise<RandomAccessFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, constants.O_RDONLY);
      const found = await handle.stat({ bigint: true });
      return new RandomAccessFile(handle, shownAs, Number(found.size), identityOf(found));
    } catch (error) {
      await handle?.close();
      throw readFailure(shownAs, error);
    }
  }

  /** The bytes there, fewer than asked for only where the file ends. Throws IO_FAILED. */
  async read(position: number, length: number): Promise<Buffer> {
    const buffer = allocateChunk(length);
    let filled = 0;
    try {
      while (filled < length) {
        const { bytesRead } = await this.#handle.read(buffer, filled, length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
    } catch (error) {
      throw readFailure(this.path, error);
    }
    return filled === length ? buffer : buffer.subarray(0, filled);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Tells a file's content from every other on this machine, as far as the file system can: it changes with each write. */
export function identityOf(stats: BigIntStats): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** A file somebody may read for a while, and must then let go of. */
export interface FileLease {
  readonly file: Pick<RandomAccessFile, 'path' | 'read'>;
  release(): Promise<void>;
}

/**
 * A range of a file as a stream of even chunks. The file is asked for when the first byte is, and let go
 * when the stream ends, fails or is destroyed. Fails with ARCHIVE_INVALID when the file ends too early.
 */
export class RangeStream extends Readable {
  readonly #acquire: () => Promise<FileLease>;
  readonly #name: string;
  readonly #end: number;
  #position: number;
  #lease: FileLease | undefined;

  constructor(name: string, acquire: () => Promise<FileLease>, position: number, length: number) {
    super({ highWaterMark: CHUNK_BYTES });
    this.#name = name;
    this.#acquire = acquire;
    this.#position = position;
    this.#end = position + length;
  }

  override _read(): void {
    this.#next().then(
      (chunk) => this.push(chunk),
      (error: unknown) => this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const lease = this.#lease;
    this.#lease = undefined;
    if (!lease) done(error);
    else
      lease.release().then(
        () => done(error),
        (failure: unknown) => done(error ?? readFailure(this.#name, failure)),
      );
  }

  async #next(): Promise<Buffer | null> {
    if (this.#position >= this.#end) return null;
    if (!this.#lease) {
      const lease = await this.#acquire();
      if (this.destroyed) {
        await lease.release();
        return null;
      }
      this.#lease = lease;
    }
    const { file } = this.#lease;
    const chunk = await file.read(this.#position, Math.min(CHUNK_BYTES, this.#end - this.#position));
    if (chunk.length === 0) throw invalidArchive(file.path, `it became shorter while ${this.#name} was read`);
    this.#position += chunk.length;
    return chunk;
  }
}
