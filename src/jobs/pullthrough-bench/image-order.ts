import type { Random } from '../../load/index.ts';

/** A puller's way through its images: in order, again and again, each time perhaps shuffled. */
export class ImageOrder {
  #images: Uint32Array;
  readonly #shuffle: boolean;
  readonly #offset: number;
  #next = 0;
  #isOwn = false;

  /**
   * @param images shared with others, and never changed here
   * @param offset where to begin
   */
  constructor(images: Uint32Array, offset: number, shuffle: boolean) {
    this.#images = images;
    this.#offset = offset;
    this.#shuffle = shuffle;
  }

  /** The next image; `endsPass` with the last that had not been given in this pass. */
  next(random: Random): { readonly image: number; readonly endsPass: boolean } {
    const { length } = this.#images;
    const image = this.#images[(this.#offset + this.#next) % length] as number;
    this.#next = (this.#next + 1) % length;
    const endsPass = this.#next === 0;
    if (endsPass && this.#shuffle) this.#mix(random);
    return { image, endsPass };
  }

  /** Fisher and Yates. */
  #mix(random: Random): void {
    if (!this.#isOwn) this.#images = Uint32Array.from(this.#images);
    this.#isOwn = true;
    const images = this.#images;
    for (let left = images.length; left > 1; left--) {
      const at = Math.floor(random() * left);
      const last = images[left - 1] as number;
      images[left - 1] = images[at] as number;
      images[at] = last;
    }
  }
}
