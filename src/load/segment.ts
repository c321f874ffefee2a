import { ClosedDriver, type Driver, type Part, type Supply } from './closed-driver.ts';
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
  /** The sample interval (from the end of the warm-up, 0 first) in which it happened; all before is told. */
  readonly interval: number;
  readonly kinds: readonly KindData[];
  readonly parts: readonly KindData[];
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
  readonly #supply: Supply | undefined;
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
      passed: (nowMs) => this.#pass(nowMs),
      failed: (error) => this.#fail(error),
    });
    firing.bookedUntilMs = plan.warmupMs + plan.sampleMs;
    this.#firing = firing;
    const over = (): void => this.#fired();
    const { model, warmupMs, count } = plan;
    this.#supply = model.kind === 'closed' && count !== undefined ? supplyOf(plan) : undefined;
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
        : new ClosedDriver(model, plan, firing, time, this.#supply, over);
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
    // Of a count that was reached, the last operation's end is the run's, not when the last worker noticed.
    const firedMs = this.#supply?.isUsedUp() && unfinished === 0 ? 0 : (this.#firedMs ?? 0);
    const endMs = Math.max(firedMs, this.#firing.lastEndMs, this.#plan.warmupMs);
    this.#pass(endMs);
    this.#settle.resolve({ endMs, unfinished, report: this.#report(this.#interval) });
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

  /** Waits for the end of the current interval. */
  #awaitReport(): void {
    const { warmupMs, sampleMs } = this.#plan;
    const dueMs = warmupMs + (this.#interval + 1) * sampleMs;
    this.#cancelReport = this.#time.later(dueMs - this.#time.now(), () => {
      this.#pass(this.#time.now());
      this.#awaitReport();
    });
  }

  /** Reports what happened in the interval that is over, if it is, and that nothing did in those after it. */
  #pass(nowMs: number): void {
    const { warmupMs, sampleMs } = this.#plan;
    const passed = Math.floor((nowMs - warmupMs) / sampleMs);
    if (passed <= this.#interval) return;
    const over = this.#interval;
    this.#interval = passed;
    this.#firing.bookedUntilMs = warmupMs + (passed + 1) * sampleMs;
    this.#onReport(this.#report(over));
    if (passed - 1 > over) this.#onReport(this.#report(passed - 1));
  }

  #report(interval: number): SegmentReport {
    return { interval, ...this.#firing.take(), inFlight: this.#firing.inFlight };
  }
}

/** The plan's count, which warm-up does not use up. */
function supplyOf({ tickets, warmupMs }: SegmentPlan): Supply {
  return {
    take: (nowMs) => nowMs < warmupMs || Atomics.sub(tickets, 0, 1) > 0,
    isUsedUp: () => Atomics.load(tickets, 0) <= 0,
  };
}
