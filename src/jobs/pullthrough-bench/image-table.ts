/** An image of the upstream. */
export interface ListedImage {
  readonly repository: string;
  readonly tag: string;
}

/** A table's memory: goes to any thread as it is, and is not copied. */
export interface ImageMemory {
  readonly text: SharedArrayBuffer;
  readonly ends: SharedArrayBuffer;
}

/**
 * Very many images, by number, as `repo:tag` in memory that all threads share. Repositories and tags are ASCII
 * by their grammar.
 */
export class ImageTable {
  readonly memory: ImageMemory;
  readonly #text: Buffer;
  readonly #ends: Uint32Array;

  private constructor(memory: ImageMemory) {
    this.memory = memory;
    this.#text = Buffer.from(memory.text);
    this.#ends = new Uint32Array(memory.ends);
  }

  static over(memory: ImageMemory): ImageTable {
    return new ImageTable(memory);
  }

  get size(): number {
    return this.#ends.length;
  }

  /** `repo:tag`. */
  nameOf(image: number): string {
    return this.#text.toString('latin1', image === 0 ? 0 : this.#ends[image - 1], this.#ends[image]);
  }

  at(image: number): ListedImage {
    const name = this.nameOf(image);
    const colon = name.lastIndexOf(':');
    return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
  }
}

/** Takes up images one by one, as text and not as a string each. */
export class ImageTableBuilder {
  #text = Buffer.alloc(1024);
  readonly #ends = new NumberList();
  #end = 0;

  get size(): number {
    return this.#ends.length;
  }

  /** Adds `repo:tag`; its number is the size before. */
  add(name: string): void {
    if (this.#end + name.length > this.#text.length) {
      const larger = Buffer.alloc(2 * this.#text.length + name.length);
      larger.set(this.#text);
      this.#text = larger;
    }
    this.#end += this.#text.write(name, this.#end, 'latin1');
    this.#ends.push(this.#end);
  }

  table(): ImageTable {
    const text = new SharedArrayBuffer(this.#end);
    new Uint8Array(text).set(this.#text.subarray(0, this.#end));
    return ImageTable.over({ text, ends: this.#ends.shared().buffer });
  }
}

/** Numbers that come one by one, four bytes each. */
export class NumberList {
  #numbers = new Uint32Array(256);
  length = 0;

  push(number: number): void {
    if (this.length === this.#numbers.length) {
      const larger = new Uint32Array(2 * this.length);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.length++] = number;
  }

  /** A copy in memory that all threads share. */
  shared(): Uint32Array<SharedArrayBuffer> {
    const shared = new Uint32Array(new SharedArrayBuffer(this.length * Uint32Array.BYTES_PER_ELEMENT));
    shared.set(this.#numbers.subarray(0, this.length));
    return shared;
  }
}
