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

  static of(names: readonly string[]): ImageTable {
    const bytes = names.reduce((sum, name) => sum + name.length, 0);
    const memory = {
      text: new SharedArrayBuffer(bytes),
      ends: new SharedArrayBuffer(names.length * Uint32Array.BYTES_PER_ELEMENT),
    };
    const text = Buffer.from(memory.text);
    const ends = new Uint32Array(memory.ends);
    let end = 0;
    names.forEach((name, at) => {
      end += text.write(name, end, 'latin1');
      ends[at] = end;
    });
    return new ImageTable(memory);
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

/** Numbers of images in memory that all threads share. */
export function sharedNumbers(numbers: readonly number[]): Uint32Array<SharedArrayBuffer> {
  const shared = new Uint32Array(new SharedArrayBuffer(numbers.length * Uint32Array.BYTES_PER_ELEMENT));
  shared.set(numbers);
  return shared;
}
