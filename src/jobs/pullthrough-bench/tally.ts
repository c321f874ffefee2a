import type { LoadSample } from '../../load/index.ts';
import { perSecond } from './figures.ts';
import { type BenchPlan, stepAt } from './plan.ts';
import type { BenchSample, PullthroughBenchResult, Tally } from './result.ts';

/** Rounding must not put a tally off by a whole sample. */
const HAIR_MS = 1;

/** More than these tell a plot nothing: they are then merged in pairs, from the run's start on. */
const MAX_SAMPLES = 4000;

/** Turns what happens in the load into samples for plots and into tallies. */
export class TallyKeeper {
  samples: BenchSample[] = [];
  readonly tallies: Tally[] = [];
  readonly #plan: BenchPlan;
  readonly #beganAt: number;
  readonly #goneHome: (pullers: number) => number;
  readonly #listener: { onSample?(sample: BenchSample): void; onTally?(tally: Tally): void };
  #nextAtMs: number;
  #all: Counts = NOTHING_YET;
  #since: Counts & { readonly atMs: number } = NOTHING_YET;
  #lastPullers = 0;

  /**
   * @param beganAt when the run began, in milliseconds since the epoch
   * @param goneHome how many of the first so many pullers work no more
   */
  constructor(
    plan: BenchPlan,
    beganAt: number,
    goneHome: (pullers: number) => number,
    listener: { onSample?(sample: BenchSample): void; onTally?(tally: Tally): void },
  ) {
    this.#plan = plan;
    this.#beganAt = beganAt;
    this.#goneHome = goneHome;
    this.#listener = listener;
    this.#nextAtMs = plan.tallyMs;
  }

  add({ atMs, durationMs, count, failed, bytes, p50, p99, inFlight }: LoadSample): void {
    const untilMs = atMs + durationMs;
    const { dryRun } = this.#plan;
    const step = stepAt(this.#plan, untilMs - HAIR_MS);
    const planned = step ? step.pullers : this.#plan.pullers;
    const images = dryRun ? 0 : count - failed;
    const sample: BenchSample = {
      atMs,
      durationMs,
      step: step?.step ?? null,
      pullers: planned === null ? inFlight : planned - this.#goneHome(planned),
      images,
      failed,
      bytes,
      imagesPerSecond: perSecond(images, durationMs),
      bytesPerSecond: perSecond(bytes, durationMs),
      p50Ms: dryRun ? null : p50,
      p99Ms: dryRun ? null : p99,
    };
    if (this.samples.length >= MAX_SAMPLES) this.samples = inPairs(this.samples);
    this.samples.push(sample);
    this.#lastPullers = sample.pullers;
    this.#listener.onSample?.(sample);
    this.#all = plus(this.#all, sample);
    this.#since = { atMs: this.#since.atMs, ...plus(this.#since, sample) };
    if (untilMs + HAIR_MS >= this.#nextAtMs) this.#tell(untilMs, false);
  }

  /** Tells what has not been told. */
  end(): void {
    const last = this.samples.at(-1);
    const untilMs = last ? last.atMs + last.durationMs : 0;
    if (untilMs > this.#since.atMs) this.#tell(untilMs, true);
  }

  /** What is known before the end. */
  soFar(): Pick<PullthroughBenchResult, 'durationMs' | 'totals' | 'tallies' | 'series'> {
    const last = this.samples.at(-1);
    const durationMs = last ? last.atMs + last.durationMs : 0;
    const { images, failed, bytes } = this.#all;
    const totals = {
      images,
      failed,
      errors: {},
      imagesPerSecond: perSecond(images, durationMs),
      bytes,
      bytesPerSecond: perSecond(bytes, durationMs),
      latencyMs: null,
      firstByteMs: null,
      requests: [],
    };
    return {
      durationMs,
      totals: this.#plan.dryRun ? null : totals,
      tallies: this.tallies,
      series: this.samples,
    };
  }

  #tell(untilMs: number, partial: boolean): void {
    const { atMs, ...counts } = this.#since;
    const durationMs = untilMs - atMs;
    const tally: Tally = {
      atMs: untilMs,
      durationMs,
      time: new Date(this.#beganAt + untilMs).toISOString(),
      ...counts,
      imagesPerSecond: this.#plan.dryRun ? null : perSecond(counts.images, durationMs),
      pullers: this.#lastPullers,
      partial,
    };
    this.tallies.push(tally);
    this.#since = { ...NOTHING_YET, atMs: untilMs };
    while (this.#nextAtMs <= untilMs + HAIR_MS) this.#nextAtMs += this.#plan.tallyMs;
    this.#listener.onTally?.(tally);
  }
}

type Counts = Pick<Tally, 'images' | 'failed' | 'bytes'>;

const NOTHING_YET = { atMs: 0, images: 0, failed: 0, bytes: 0 } as const;

function plus(a: Counts, b: Counts): Counts {
  return { images: a.images + b.images, failed: a.failed + b.failed, bytes: a.bytes + b.bytes };
}

/** Half as many samples; of the percentiles the worse one stays, so that no spike is lost. */
export function inPairs(samples: readonly BenchSample[]): BenchSample[] {
  const pairs: BenchSample[] = [];
  for (let at = 0; at < samples.length; at += 2) {
    const [a, b] = [samples[at] as BenchSample, samples[at + 1]];
    pairs.push(b ? merged(a, b) : a);
  }
  return pairs;
}

function merged(a: BenchSample, b: BenchSample): BenchSample {
  const durationMs = a.durationMs + b.durationMs;
  const counts = plus(a, b);
  return {
    ...b,
    ...counts,
    atMs: a.atMs,
    durationMs,
    imagesPerSecond: perSecond(counts.images, durationMs),
    bytesPerSecond: perSecond(counts.bytes, durationMs),
    p50Ms: worse(a.p50Ms, b.p50Ms),
    p99Ms: worse(a.p99Ms, b.p99Ms),
  };
}

function worse(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

/**
 * The seed's line: `YYYY-MM-DD HH:MM:SS` in local time, images per second as C's `%f` writes it, pullers (the
 * seed's third column is all goroutines of its process). Without a newline.
 */
export function tallyLine({ time, imagesPerSecond, pullers }: Tally): string {
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${date} ${clock}\t${(imagesPerSecond ?? 0).toFixed(6)}\t${pullers}`;
}
