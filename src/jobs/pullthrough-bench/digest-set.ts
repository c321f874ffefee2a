import { type Digest, digestParts } from '../../oci/index.ts';

/** Enough for 1.5 million digests in 16 MiB, of which only what is used is ever touched. */
const SLOTS = 2 ** 21;
const MAX_SHARE = 0.75;

/**
 * Counts distinct digests over all threads: a hash table of their first 64 bits in shared memory. When it is
 * three quarters full it takes up no more, and the count is a lower bound.
 */
export class DigestSet {
  readonly memory: SharedArrayBuffer;
  readonly #slots: BigInt64Array;
  readonly #count: Int32Array;

  constructor(memory = new SharedArrayBuffer((SLOTS + 1) * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#count = new Int32Array(memory, 0, 1);
    this.#slots = new BigInt64Array(memory, BigInt64Array.BYTES_PER_ELEMENT);
  }

  get size(): number {
    return Atomics.load(this.#count, 0);
  }

  /** False when there were more digests than it can hold. */
  get isExact(): boolean {
    return this.size < this.#slots.length * MAX_SHARE;
  }

  add(digest: Digest): void {
    const { hex } = digestParts(digest);
    // Zero stands for an empty slot.
    const key = BigInt.asIntN(64, BigInt(`0x${hex.slice(0, 16)}`)) || 1n;
    let slot = Number.parseInt(hex.slice(16, 24), 16) % this.#slots.length;
    for (;;) {
      const held = Atomics.load(this.#slots, slot);
      if (held === key) return;
      if (held === 0n) {
        if (!this.isExact) return;
        const before = Atomics.compareExchange(this.#slots, slot, 0n, key);
        if (before === 0n) {
          Atomics.add(this.#count, 0, 1);
          return;
        }
        if (before === key) return;
      }
      slot = (slot + 1) % this.#slots.length;
    }
  }
}
