import { ClosedDriver, type Driver, type Part } from './closed-driver.ts';
import { Firing } from './firing.ts';
import { OpenDriver } from './open-driver.ts';
import type { LoadModel, Workload } from './plan.ts';
import type { KindData } from './recording.ts';
import type { Timekeeper } from './timekeeper.ts';

/** How long operations may still take when all have been fired, and when the run was told to stop. */
export const DRAIN_MS = 30_000;
export const STOPPED_DRAIN_MS = 2_000;

/** One thread's part of a run. */
export interface SegmentPlan extends Part {
  readonly model: LoadModel;
  readonly count: number | undefined;
  readonly warmupMs: number;
  readonly sampleMs: number;
  /** What is left of the closed model's count, shared by all threads. */
  readonly tickets: Int32Array<SharedArrayBuffer>;
}

/** What happened in one thread since its last report. */
export interface SegmentReport {
  /** The sample interval (from the end of the warm-up, 0 first) up to whose end everything is told. */
  readonly interval: number;
  readonly kinds: readonly KindData[];
  readonly dropped: number;
  readonly inFlight: number;
}

export interface SegmentEnd {
  /** When the last recorded operation ended or the last was fired, whichever came later. */
  readonly endMs: number;
  /** Operations that were started but given up. */
  readonly unfinished: number;
  /** What happened since the last report before. */
  readonly report: SegmentReport;
}

/**
 * Runs one thread's part of a plan: a driver fires, this reports at every interval's end and sees it to its
 * end. Nothing here knows of threads or of the real clock.
 */
export class Segment {
  /** Resolves when all has been fired and has ended or been given up; rejects when the workload fails. */
  readonly ended: Promise<SegmentEnd>;
  readonly #plan: SegmentPlan;
  readonly #time: Timekeeper;
  readonly #onReport: (report: SegmentReport) => void;
  readonly #firing: Firing;
  readonly #driver: Driver;
  readonly #settle: PromiseWithResolvers<SegmentEnd>;
  #firedMs: number | undefined;
  #settled = false;
  #interval = 0;
  #cancelReport: () => void = () => {};
  #cancelDrain: () => void = () => {};

  constructor(
    plan: SegmentPlan,
    workload: Workload,
    time: Timekeeper,
    onReport: (report: SegmentReport) => void,
  ) {
    this.#plan = plan;
    this.#time = time;
    this.#onReport = onReport;
    this.#settle = Promise.withResolvers();
    this.ended = this.#settle.promise;
    const firing = new Firing(workload, time, plan.warmupMs, {
      idle: () => {
        if (this.#firedMs !== undefined) this.#end();
      },
      failed: (error) => this.#fail(error),
    });
    this.#firing = firing;
    const over = (): void => this.#fired();
    const { model, warmupMs, count, tickets } = plan;
    this.#driver =
      model.kind === 'open'
        ? new OpenDriver(
            model,
            plan,
            firing,
            time,
            { count: count ?? Number.POSITIVE_INFINITY, countedFromMs: warmupMs },
            over,
          )
        : new ClosedDriver(
            model,
            plan,
            firing,
            time,
            (nowMs) => count === undefined || nowMs < warmupMs || Atomics.sub(tickets, 0, 1) > 0,
            over,
          );
  }

  /** Milliseconds of busy waiting so far. */
  get spareMs(): number {
    return this.#driver.spareMs;
  }

  start(): void {
    this.#awaitReport();
    this.#driver.start();
  }

  /** Fires nothing any more and waits for what is under way, but not for long. */
  stop(): void {
    if (this.#settled) return;
    this.#driver.stop();
    if (!this.#settled) this.#drain(STOPPED_DRAIN_MS);
  }

  #fired(): void {
    if (this.#settled) return;
    this.#firedMs = this.#time.now();
    if (this.#firing.inFlight === 0) this.#end();
    else this.#drain(DRAIN_MS);
  }

  #drain(ms: number): void {
    this.#cancelDrain();
    this.#cancelDrain = this.#time.later(ms, () => this.#end());
  }

  #end(): void {
    if (!this.#finish()) return;
    const unfinished = this.#firing.close();
    const endMs = Math.max(this.#firedMs ?? 0, this.#firing.lastEndMs, this.#plan.warmupMs);
    const intervalsPassed = Math.floor((endMs - this.#plan.warmupMs) / this.#plan.sampleMs);
    const report = this.#report(Math.max(this.#interval, intervalsPassed));
    this.#settle.resolve({ endMs, unfinished, report });
  }

  #fail(error: unknown): void {
    if (!this.#finish()) return;
    this.#firing.close();
    this.#driver.stop();
    this.#settle.reject(error);
  }

  #finish(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#cancelReport();
    this.#cancelDrain();
    return true;
  }

  /** Waits for the end of the current interval; a late timer makes one report of several intervals. */
  #awaitReport(): void {
    const { warmupMs, sampleMs } = this.#plan;
    const dueMs = warmupMs + (this.#interval + 1) * sampleMs;
    this.#cancelReport = this.#time.later(dueMs - this.#time.now(), () => {
      const intervalsPassed = Math.floor((this.#time.now() - warmupMs) / sampleMs);
      if (intervalsPassed > this.#interval) {
        this.#interval = intervalsPassed;
        this.#onReport(this.#report(intervalsPassed - 1));
      }
      this.#awaitReport();
    });
  }

  #report(interval: number): SegmentReport {
    return { interval, ...this.#firing.take(), inFlight: this.#firing.inFlight };
  }
}
