import { type Figures, Gathering, perSecond, type WindowFigures } from './figures.ts';
import { Histogram } from './histogram.ts';
import { type LoadPlan, totalMs } from './plan.ts';
import type { KindData } from './recording.ts';
import type { SegmentEnd, SegmentReport } from './segment.ts';
import { type GeneratorFigures, judgeGenerator, type ThreadFigures } from './self-watch.ts';
import { Series } from './series.ts';
import { evaluateThresholds, type ThresholdResult } from './threshold.ts';
import { WindowLedger } from './window.ts';

/** One interval of the run, all threads together. */
export interface LoadSample {
  /** From the end of the warm-up to the interval's begin. */
  readonly atMs: number;
  readonly durationMs: number;
  readonly count: number;
  readonly failed: number;
  readonly dropped: number;
  readonly bytes: number;
  readonly ratePerSecond: number;
  /** Latency of the operations that ended in the interval; null when none did. */
  readonly p50: number | null;
  readonly p99: number | null;
  readonly inFlight: number;
}

export interface LoadSummary extends Figures {
  /** As in the plan. */
  readonly windows: readonly WindowFigures[];
  /** Open model: due, but not sent because `maxInFlight` was reached. */
  readonly dropped: number;
  /** Started, but given up at the end of the run. */
  readonly unfinished: number;
  readonly thresholds: readonly ThresholdResult[];
  readonly generator: GeneratorFigures;
  /** At most 3600 samples: those of a longer run are joined, see `Series`. */
  readonly series: readonly LoadSample[];
  /** The caller's signal ended the run. */
  readonly interrupted: boolean;
  /** The threshold that ended the run, if one did. */
  readonly abortedBy: string | null;
  /** Measured time, without the warm-up: until the last operation was fired or ended. */
  readonly durationMs: number;
}

/** What ended a run before its plan did. */
export interface EarlyEnd {
  readonly interrupted: boolean;
  readonly abortedBy: string | null;
}

/** What one interval has gathered so far. */
interface Interval {
  readonly latency: Histogram;
  count: number;
  failed: number;
  dropped: number;
  bytes: number;
}

/** Merges what the threads report into samples and a summary. */
export class Ledger {
  readonly #plan: LoadPlan;
  readonly #sampleMs: number;
  readonly #whole = new Gathering();
  readonly #windows: readonly WindowLedger[];
  readonly #intervals = new Map<number, Interval>();
  /** By thread: the last interval it has told everything about, and what it had in flight then. */
  readonly #told: { interval: number; inFlight: number }[];
  readonly #series = new Series();
  /** How many samples were made, and the end of the last of them. */
  #samples = 0;
  #sampledMs = 0;
  readonly #figures: ThreadFigures[] = [];
  #dropped = 0;
  #unfinished = 0;
  #endMs: number;

  constructor(plan: LoadPlan, threads: number, sampleMs: number) {
    this.#plan = plan;
    this.#sampleMs = sampleMs;
    this.#windows = (plan.windows ?? []).map((window) => new WindowLedger(window, sampleMs));
    this.#told = Array.from({ length: threads }, () => ({ interval: -1, inFlight: 0 }));
    this.#endMs = plan.warmupMs;
  }

  /** Adds a thread's report; gives the samples that are complete with it. */
  add(thread: number, report: SegmentReport): LoadSample[] {
    this.#told[thread] = { interval: report.interval, inFlight: report.inFlight };
    this.#book(report);
    return this.#complete();
  }

  /** Notes a thread's end; gives the samples that waited only for it. */
  finish(thread: number, end: SegmentEnd, figures: ThreadFigures | null): LoadSample[] {
    this.#told[thread] = { interval: Number.POSITIVE_INFINITY, inFlight: 0 };
    this.#book(end.report);
    this.#unfinished += end.unfinished;
    this.#endMs = Math.max(this.#endMs, end.endMs);
    if (figures) this.#figures.push(figures);
    return this.#complete();
  }

  summary(early: EarlyEnd): LoadSummary {
    const durationMs = this.#measuredMs;
    const measured = {
      ...this.#judged(durationMs),
      windows: this.#windows.map((window) => window.figures(durationMs)),
      unfinished: this.#unfinished,
      generator: judgeGenerator(this.#figures, this.#told.length),
      series: this.#series.samples,
      ...early,
      durationMs,
    };
    return { ...measured, thresholds: evaluateThresholds(this.#plan.thresholds, measured) };
  }

  /** The first threshold that is missed by what was measured up to the last complete sample. */
  missedThreshold(): string | undefined {
    if (this.#samples === 0) return undefined;
    const judged = this.#judged(this.#sampledMs);
    return evaluateThresholds(this.#plan.thresholds, judged).find((one) => !one.ok && one.value !== null)
      ?.text;
  }

  #book(report: SegmentReport): void {
    this.#whole.add(report);
    for (const window of this.#windows) window.add(report);
    this.#dropped += report.dropped;
    const interval = this.#interval(report.interval);
    interval.dropped += report.dropped;
    for (const kind of report.kinds) addKind(interval, kind);
  }

  #judged(durationMs: number) {
    return { ...this.#whole.figures(durationMs), dropped: this.#dropped };
  }

  #interval(index: number): Interval {
    let interval = this.#intervals.get(index);
    if (!interval) {
      interval = { latency: new Histogram(), count: 0, failed: 0, dropped: 0, bytes: 0 };
      this.#intervals.set(index, interval);
    }
    return interval;
  }

  /** The samples that can be told now. */
  #complete(): LoadSample[] {
    const toldByAll = Math.min(...this.#told.map((thread) => thread.interval));
    const samples: LoadSample[] = [];
    if (toldByAll < Number.POSITIVE_INFINITY) {
      while (this.#samples <= toldByAll && !this.#mayBeLast(this.#samples, toldByAll)) {
        samples.push(this.#sample(this.#sampleMs));
      }
      return samples;
    }
    // The last sample may be shorter or up to half as long again: a sliver of a sample would show a wild rate.
    const measuredMs = this.#measuredMs;
    while (this.#samples + 1 < Math.round(measuredMs / this.#sampleMs)) {
      samples.push(this.#sample(this.#sampleMs));
    }
    const atMs = this.#samples * this.#sampleMs;
    const rest = [...this.#intervals.keys()].filter((index) => index > this.#samples);
    const last = this.#interval(this.#samples);
    for (const index of rest) fold(last, this.#interval(index));
    if (last.count > 0 || last.dropped > 0 || atMs < measuredMs)
      samples.push(this.#sample(measuredMs - atMs));
    this.#intervals.clear();
    return samples;
  }

  /** The interval in which the plan ends is told with what comes right after it. */
  #mayBeLast(index: number, toldByAll: number): boolean {
    return (
      index === toldByAll && (index + 1) * this.#sampleMs >= totalMs(this.#plan.model) - this.#plan.warmupMs
    );
  }

  /** Makes the next sample of the series. */
  #sample(durationMs: number): LoadSample {
    const index = this.#samples++;
    const { latency, ...counts } = this.#interval(index);
    this.#intervals.delete(index);
    const sample: LoadSample = {
      atMs: index * this.#sampleMs,
      durationMs,
      ...counts,
      ratePerSecond: perSecond(counts.count, durationMs),
      p50: latency.percentile(50),
      p99: latency.percentile(99),
      inFlight: this.#told.reduce((sum, thread) => sum + thread.inFlight, 0),
    };
    this.#series.add(sample);
    this.#sampledMs = sample.atMs + durationMs;
    for (const window of this.#windows) window.told(this.#sampledMs);
    return sample;
  }

  /** How long was measured: to the end of what threads have told if one was ended by force. */
  get #measuredMs(): number {
    const forced = this.#told.some((thread) => thread.interval < Number.POSITIVE_INFINITY);
    return Math.max(this.#endMs - this.#plan.warmupMs, forced ? this.#sampledMs : 0);
  }
}

function addKind(interval: Interval, kind: KindData): void {
  interval.latency.merge(kind.latency);
  interval.count += kind.count;
  interval.bytes += kind.bytes;
  for (const [, count] of kind.errors) interval.failed += count;
}

function fold(into: Interval, other: Interval): void {
  into.latency.merge(other.latency.data());
  into.count += other.count;
  into.failed += other.failed;
  into.dropped += other.dropped;
  into.bytes += other.bytes;
}
