import { hash } from 'node:crypto';

const FIRST_SLOTS = 64;

/**
 * Which names there have been, without keeping them: the first 64 bits of their SHA-256 in a hash table, so that
 * a hundred thousand names of any length take two megabytes. Two names of ten million are taken for one with a
 * chance of three in a million.
 */
export class NameSet {
  /** Two words a slot; both zero in an empty one. */
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Notes a name; false when it had been there. */
  add(name: string): boolean {
    const digest = hash('sha256', name, 'buffer');
    const high = digest.readUInt32LE(0);
    const isNew = insert(this.#slots, high, digest.readUInt32LE(4) || 1);
    if (isNew && ++this.#size * 4 > this.#slots.length) this.#grow();
    return isNew;
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.#slots.length);
    for (let at = 0; at < this.#slots.length; at += 2) {
      const low = this.#slots[at + 1] as number;
      if (low !== 0) insert(larger, this.#slots[at] as number, low);
    }
    this.#slots = larger;
  }
}

/** Puts a pair of words where it belongs; false when it is there. @param low not zero */
function insert(slots: Uint32Array, high: number, low: number): boolean {
  const count = slots.length / 2;
  for (let slot = high % count; ; slot = (slot + 1) % count) {
    const held = slots[2 * slot + 1];
    if (held === 0) {
      slots[2 * slot] = high;
      slots[2 * slot + 1] = low;
      return true;
    }
    if (held === low && slots[2 * slot] === high) return false;
  }
}
