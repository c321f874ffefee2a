/**
 * Values in the order they came, never more than so many: when it is full every second one is dropped, and
 * from then on only every second that comes is kept. So what is kept is spread evenly over the whole time.
 */
export class BoundedSeries<T> {
  readonly #max: number;
  #kept: T[] = [];
  #stride = 1;
  #seen = 0;

  /** @param max at least 2 */
  constructor(max: number) {
    this.#max = max;
  }

  push(value: T): void {
    if (this.#seen++ % this.#stride !== 0) return;
    if (this.#kept.length >= this.#max) {
      this.#kept = this.#kept.filter((_, at) => at % 2 === 0);
      this.#stride *= 2;
      if ((this.#seen - 1) % this.#stride !== 0) return;
    }
    this.#kept.push(value);
  }

  get values(): readonly T[] {
    return this.#kept;
  }

  /** How many came. */
  get seen(): number {
    return this.#seen;
  }
}
