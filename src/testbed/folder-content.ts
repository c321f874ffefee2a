import { randomUUID } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RegopsError, systemCode } from '../base/index.ts';
import { DIGEST_ALGORITHMS, type Digest, digestParts } from '../oci/index.ts';
import type { ContentStore, StoreSpool } from './content-store.ts';
import type { Body } from './exchange.ts';
import type { ByteRange } from './ranges.ts';

/** Up to here one read is cheaper than a stream. */
const READ_WHOLE_BYTES = 64 * 1024;
const STREAM_CHUNK_BYTES = 512 * 1024;

class FolderSpool implements StoreSpool {
  readonly #folder: string;
  readonly #path: string;
  #file: Promise<FileHandle> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    this.#path = join(folder, 'uploads', randomUUID());
  }

  /** The file comes with the first byte: a session that is only opened costs no file. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#file ??= open(this.#path, 'wx', 0o600);
    await (await this.#file).appendFile(chunk);
  }

  async read(): Promise<Body> {
    if (!this.#file) return [];
    const file = await open(this.#path, 'r');
    return file.createReadStream({ highWaterMark: STREAM_CHUNK_BYTES });
  }

  async seal(): Promise<void> {
    this.#file ??= open(this.#path, 'wx', 0o600);
    await (await this.#file).close();
  }

  keep(digest: Digest): void {
    renameSync(this.#path, contentPath(this.#folder, digest));
  }

  async discard(): Promise<void> {
    const file = await this.#file?.catch(() => undefined);
    await file?.close();
    await rm(this.#path, { force: true });
  }
}

/**
 * Content in a folder: `blobs/<algorithm>/<hex>`, paths made of checked digests alone, and `uploads/` for
 * what is not complete. A file appears under its digest by a rename, whole or not at all.
 */
export class FolderContent implements ContentStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the folder ready; uploads that an earlier process left are removed. */
  static async open(folder: string): Promise<FolderContent> {
    await rm(join(folder, 'uploads'), { recursive: true, force: true });
    await mkdir(join(folder, 'uploads'), { recursive: true, mode: 0o700 });
    for (const algorithm of Object.keys(DIGEST_ALGORITHMS)) {
      await mkdir(join(folder, 'blobs', algorithm), { recursive: true, mode: 0o700 });
    }
    return new FolderContent(folder);
  }

  /** Every digest that has a file. */
  async digests(): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (const algorithm of Object.keys(DIGEST_ALGORITHMS)) {
      for (const hex of await readdir(join(this.#folder, 'blobs', algorithm)))
        found.add(`${algorithm}:${hex}`);
    }
    return found;
  }

  spool(): StoreSpool {
    return new FolderSpool(this.#folder);
  }

  async read(digest: Digest, { start, end }: ByteRange): Promise<Body> {
    // Opened before the reply begins: what cannot be read is an error and not a cut body, and a file
    // that is deleted under way stays readable.
    const file = await openContent(contentPath(this.#folder, digest));
    const length = end + 1 - start;
    if (length > READ_WHOLE_BYTES) {
      return file.createReadStream({ start, end, highWaterMark: STREAM_CHUNK_BYTES });
    }
    try {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, start);
      return [buffer.subarray(0, bytesRead)];
    } finally {
      await file.close();
    }
  }

  drop(digest: Digest): void {
    rmSync(contentPath(this.#folder, digest), { force: true });
  }

  async close(): Promise<void> {
    await rm(join(this.#folder, 'uploads'), { recursive: true, force: true });
  }
}

function contentPath(folder: string, digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return join(folder, 'blobs', algorithm, hex);
}

async function openContent(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new RegopsError('BLOB_NOT_FOUND', 'the content was deleted');
    throw error;
  }
}
