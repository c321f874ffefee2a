import type { ProbeFigures } from './result.ts';

/** Keeps count of one kind of probe. */
export class ProbeTally {
  readonly #slowMs: number;
  #count = 0;
  #failed = 0;
  #slow = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  #last = 0;

  constructor(slowMs: number) {
    this.#slowMs = slowMs;
  }

  answered(latencyMs: number): void {
    this.#count++;
    this.#sum += latencyMs;
    this.#min = Math.min(this.#min, latencyMs);
    this.#max = Math.max(this.#max, latencyMs);
    this.#last = latencyMs;
    if (latencyMs > this.#slowMs) this.#slow++;
  }

  failed(): void {
    this.#count++;
    this.#failed++;
  }

  get figures(): ProbeFigures {
    const answered = this.#count - this.#failed;
    return {
      count: this.#count,
      failed: this.#failed,
      slow: this.#slow,
      latencyMs:
        answered === 0
          ? null
          : { min: this.#min, mean: this.#sum / answered, max: this.#max, last: this.#last },
    };
  }
}
