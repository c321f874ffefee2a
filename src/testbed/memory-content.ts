import { RegopsError } from '../base/index.ts';
import type { Digest } from '../oci/index.ts';
import type { ContentStore, StoreSpool } from './content-store.ts';
import { type ByteRange, sliceOf } from './ranges.ts';

/**
 * Bytes are gathered in blocks that double from the first size to the second: a configuration of 1 KiB
 * does not hold a MiB, and a layer goes out in few writes.
 */
const FIRST_BLOCK_BYTES = 16 * 1024;
const LARGEST_BLOCK_BYTES = 1024 * 1024;

class MemorySpool implements StoreSpool {
  readonly #content: Map<Digest, readonly Buffer[]>;
  readonly #full: Buffer[] = [];
  #block = Buffer.alloc(0);
  #used = 0;

  constructor(content: Map<Digest, readonly Buffer[]>) {
    this.#content = content;
  }

  write(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      if (this.#used === this.#block.length) this.#nextBlock();
      const part = chunk.subarray(from, from + this.#block.length - this.#used);
      this.#block.set(part, this.#used);
      this.#used += part.length;
      from += part.length;
    }
  }

  async read(): Promise<readonly Buffer[]> {
    return [...this.#full, this.#block.subarray(0, this.#used)];
  }

  async seal(): Promise<void> {}

  keep(digest: Digest): void {
    // Copied, to shed what the last block has not filled.
    const last = Buffer.from(this.#block.subarray(0, this.#used));
    this.#content.set(digest, [...this.#full, last]);
  }

  async discard(): Promise<void> {}

  #nextBlock(): void {
    const length = this.#block.length * 2;
    if (this.#used > 0) this.#full.push(this.#block);
    this.#block = Buffer.allocUnsafeSlow(Math.min(Math.max(length, FIRST_BLOCK_BYTES), LARGEST_BLOCK_BYTES));
    this.#used = 0;
  }
}

/** Content in memory, gone with the process. */
export class MemoryContent implements ContentStore {
  readonly #content = new Map<Digest, readonly Buffer[]>();

  spool(): StoreSpool {
    return new MemorySpool(this.#content);
  }

  async read(digest: Digest, range: ByteRange): Promise<readonly Buffer[]> {
    const blocks = this.#content.get(digest);
    if (!blocks) throw new RegopsError('BLOB_NOT_FOUND', `${digest} was deleted`);
    return sliceOf(blocks, range);
  }

  drop(digest: Digest): void {
    this.#content.delete(digest);
  }

  async close(): Promise<void> {
    this.#content.clear();
  }
}
