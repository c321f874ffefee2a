import { perSecond } from './figures.ts';
import type { LoadSample } from './summary.ts';

/** An hour of seconds. */
const MAX_SAMPLES = 3600;

/**
 * A run's samples, at most 3600 of them: when there are more, each two neighbours become one, and from then on
 * as many samples as it takes make one of that length. Counts add up; of p99 the worst is kept, so that no spike
 * disappears, of p50 the mean by count, of what was in flight the last.
 */
export class Series {
  #samples: LoadSample[] = [];
  /** How many samples make one, and how many the last is made of so far. */
  #grain = 1;
  #inLast = 1;

  add(sample: LoadSample): void {
    const last = this.#samples.at(-1);
    if (last && this.#inLast < this.#grain) {
      this.#samples[this.#samples.length - 1] = joined(last, sample);
      this.#inLast++;
      return;
    }
    this.#samples.push(sample);
    this.#inLast = 1;
    if (this.#samples.length > MAX_SAMPLES) this.#thin();
  }

  get samples(): readonly LoadSample[] {
    return this.#samples;
  }

  /** The last is only begun, and alone: the number of those before it is even. */
  #thin(): void {
    const before = this.#samples;
    this.#samples = [];
    for (let at = 0; at < before.length; at += 2) {
      const [first, second] = [before[at] as LoadSample, before[at + 1]];
      this.#samples.push(second ? joined(first, second) : first);
    }
    this.#grain *= 2;
  }
}

function joined(a: LoadSample, b: LoadSample): LoadSample {
  const durationMs = a.durationMs + b.durationMs;
  const count = a.count + b.count;
  return {
    atMs: a.atMs,
    durationMs,
    count,
    failed: a.failed + b.failed,
    dropped: a.dropped + b.dropped,
    bytes: a.bytes + b.bytes,
    ratePerSecond: perSecond(count, durationMs),
    p50: a.p50 === null || b.p50 === null ? (a.p50 ?? b.p50) : (a.p50 * a.count + b.p50 * b.count) / count,
    p99: a.p99 === null || b.p99 === null ? (a.p99 ?? b.p99) : Math.max(a.p99, b.p99),
    inFlight: b.inFlight,
  };
}
