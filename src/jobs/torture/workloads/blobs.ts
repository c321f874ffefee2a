import { createHash, type Hash, randomFillSync } from 'node:crypto';
import type { Digest } from '../../../oci/index.ts';

/** Blobs of one size, and how often they come among the others. */
export interface BlobSize {
  readonly bytes: number;
  readonly weight: number;
}

/** A blob that nobody has had before. `release` it when its bytes are not needed any more. */
export interface FreshBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Bytes from `first` up to, but not including, `end`: whole, or in parts. */
  range(first: number, end: number): Uint8Array | Iterable<Uint8Array>;
  release(): void;
}

const POOL_BYTES = 64 * 1024 * 1024;
/** Up to this size a blob has a buffer of its own, so that it goes out in one write. */
const WHOLE_BYTES = 1024 * 1024;
const UNIQUE_BYTES = 64;

/**
 * Makes unique blobs that neither compress nor share their digest, at next to no cost: all come from one random
 * pool and differ in their last 64 bytes. The hash of the common part is taken once per size, before the clock
 * runs, so that a blob's digest costs the hash of 64 bytes.
 */
export class BlobSource {
  readonly #pool: Buffer;
  readonly #sizes: readonly BlobSize[];
  readonly #weights: number;
  readonly #begun = new Map<number, Hash>();
  readonly #buffers = new Map<number, Buffer[]>();

  constructor(sizes: readonly BlobSize[]) {
    this.#sizes = sizes;
    this.#weights = sizes.reduce((sum, { weight }) => sum + weight, 0);
    const largest = Math.max(...sizes.map(({ bytes }) => bytes));
    this.#pool = randomFillSync(Buffer.alloc(Math.min(POOL_BYTES, largest)));
    for (const { bytes } of sizes) {
      const hash = createHash('sha256');
      for (const part of this.#common(0, commonBytes(bytes))) hash.update(part);
      this.#begun.set(bytes, hash);
    }
  }

  /** One of the sizes, by their weights. @param choice a random number in [0, 1) */
  sizeAt(choice: number): number {
    let left = choice * this.#weights;
    for (const { bytes, weight } of this.#sizes) {
      left -= weight;
      if (left < 0) return bytes;
    }
    return (this.#sizes.at(-1) as BlobSize).bytes;
  }

  /** @param name the same for no two blobs, ever */
  make(size: number, name: string): FreshBlob {
    const common = commonBytes(size);
    const unique = createHash('sha512')
      .update(name)
      .digest()
      .subarray(0, size - common);
    const begun = this.#begun.get(size) as Hash;
    const digest = `sha256:${begun.copy().update(unique).digest('hex')}` as Digest;
    return size <= WHOLE_BYTES ? this.#whole(size, unique, digest) : this.#inParts(size, unique, digest);
  }

  #whole(size: number, unique: Buffer, digest: Digest): FreshBlob {
    const free = this.#buffers.get(size) ?? [];
    this.#buffers.set(size, free);
    const bytes = free.pop() ?? Buffer.from(this.#pool.subarray(0, size));
    unique.copy(bytes, size - unique.length);
    return {
      digest,
      size,
      range: (first, end) => bytes.subarray(first, end),
      release: () => free.push(bytes),
    };
  }

  #inParts(size: number, unique: Buffer, digest: Digest): FreshBlob {
    const common = commonBytes(size);
    const range = (first: number, end: number): Iterable<Uint8Array> => [
      ...this.#common(Math.min(first, common), Math.min(end, common)),
      ...(end > common ? [unique.subarray(Math.max(0, first - common), end - common)] : []),
    ];
    return { digest, size, range, release() {} };
  }

  /** Parts of the pool, which a blob that is larger goes through again and again. */
  *#common(first: number, end: number): Generator<Buffer> {
    for (let at = first; at < end; ) {
      const offset = at % this.#pool.length;
      const length = Math.min(end - at, this.#pool.length - offset, WHOLE_BYTES);
      yield this.#pool.subarray(offset, offset + length);
      at += length;
    }
  }
}

function commonBytes(size: number): number {
  return Math.max(0, size - UNIQUE_BYTES);
}
