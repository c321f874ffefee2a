import { RegopsError } from '../base/index.ts';
import type { Threshold } from './threshold.ts';

/** So many workers for so long; each fires its next operation when the one before has ended (and it has thought). */
export interface WorkerStage {
  readonly workers: number;
  /** Infinity in the last stage: until the count is reached or the signal aborts. */
  readonly durationMs: number;
  /** The number of workers grows or shrinks evenly from the stage before (0 before the first). */
  readonly ramp?: boolean;
}

/** So many operations per second for so long, however fast they are answered. */
export interface RateStage {
  readonly ratePerSecond: number;
  /** Infinity in the last stage: until the count is reached or the signal aborts. */
  readonly durationMs: number;
  /** The rate grows or falls evenly from the stage before (0 before the first). */
  readonly ramp?: boolean;
}

/** A fixed number of workers that wait for their answers: what a pool of clients does. */
export interface ClosedModel {
  readonly kind: 'closed';
  readonly stages: readonly WorkerStage[];
  /** A worker's pause after each operation, drawn evenly from this range. */
  readonly thinkMs?: readonly [min: number, max: number];
}

/**
 * Operations that start on schedule: what many independent clients do. Latency counts from the intended
 * start, so a server that stalls is charged for everybody who would have come meanwhile (Gil Tene's
 * "coordinated omission"; wrk2's remedy).
 */
export interface OpenModel {
  readonly kind: 'open';
  readonly stages: readonly RateStage[];
  /** Evenly spaced, or with the random gaps of independent clients (a Poisson process). */
  readonly arrival: 'constant' | 'poisson';
  /** What is due while this many are under way is dropped and counted, never sent late. */
  readonly maxInFlight: number;
}

export type LoadModel = ClosedModel | OpenModel;

export interface LoadPlan {
  readonly model: LoadModel;
  /** Ends the run after this many operations (warm-up not counted) if the stages have not ended it before. */
  readonly count?: number;
  /** Operations that are due in the first part of the run are left out of all figures and of `count`. */
  readonly warmupMs: number;
  /** An integer; the same seed and plan give every operation the same random numbers, whatever `threads` is. */
  readonly seed: number;
  /** Worker threads; 0 runs everything in the calling thread. Never more are used than there are workers. */
  readonly threads: number;
  readonly thresholds: readonly Threshold[];
  /** Stretches of the run whose figures are also given on their own; they may overlap. */
  readonly windows?: readonly LoadWindow[];
  /** Stops the run as soon as a threshold is missed, once so much has been measured. */
  readonly abortOnFail?: { readonly afterMs: number };
  readonly workload: {
    /** File URL of a module that exports `createWorkload` (a `CreateWorkload`). */
    readonly module: string;
    /** Given to it in every thread; must be structured-cloneable. */
    readonly options: unknown;
  };
}

/** A stretch of the run, in whole sample intervals from the end of the warm-up: `[fromMs, toMs)`. */
export interface LoadWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The next random number in [0, 1). */
export type Random = () => number;

/** Who does an operation. */
export interface Turn {
  /** Closed model: the worker's number in the plan, from 0 (the same over all threads); open model: the arrival's number. */
  readonly number: number;
  /**
   * Books a part of the operation, e.g. one request of a pull, that took so many milliseconds: under its own
   * kind in `LoadSummary.parts`, in no total, threshold or count. Also after `done`, while the run lasts; `rest`
   * has no meaning for a part.
   */
  part(outcome: OperationOutcome, ms: number): void;
}

/** What one operation is. One workload lives in each thread and serves all workers of that thread. */
export interface Workload {
  /** Awaited before the clock starts: open connections, look things up. */
  start?(): Promise<void>;
  /**
   * Starts one operation and returns at once. `done` is to be called exactly once, whatever happened, when
   * the operation has ended: a failed operation is an outcome; only a bug or a hopeless state throws, and
   * that ends the whole run. `done` comes from an I/O or timer callback, or before this returns; never from
   * a chain of promises alone, which would keep the event loop from the clock and from stopping.
   * `random` belongs to the worker (closed) or to this arrival (open).
   */
  fire(random: Random, done: (outcome: OperationOutcome) => void, turn: Turn): void;
  /** Lets go of everything; operations that were given up may still be under way. */
  close(): Promise<void>;
}

export interface OperationOutcome {
  /** What the figures are grouped by; a handful of stable words. */
  readonly kind: string;
  readonly ok: boolean;
  /** A short stable class: `status-500`, `timeout`, `digest` … */
  readonly error?: string;
  /** Payload received or sent. */
  readonly bytes: number;
  /** From the operation's start to its first byte of answer. */
  readonly firstByteMs?: number;
  /**
   * Closed model: the worker fires again only when this resolves (a back-off, tidying up between passes); false
   * sends it home for good. Nobody waits for it when the worker's last stage is over or the run is stopped. Never
   * rejects.
   */
  readonly rest?: Promise<boolean>;
}

/** Where in the run a workload finds itself. */
export interface WorkloadPlace {
  /** Of this thread, from 0. */
  readonly index: number;
  /** How many threads there are. */
  readonly of: number;
  /** Differs by thread; the same for the same plan. */
  readonly seed: number;
  /** How many operations this thread has under way at most: the size for a connection pool. */
  readonly concurrency: number;
}

export type CreateWorkload = (options: unknown, place: WorkloadPlace) => Promise<Workload>;

/** The count lives in an Int32 that all threads share, and every worker may overdraw it by one. */
const MAX_COUNT = 2_000_000_000;
const MAX_CONCURRENCY = 1_000_000;
const MAX_RATE = 10_000_000;
const MAX_THREADS = 1024;
/** Every window has histograms of its own for every kind. */
const MAX_WINDOWS = 1000;
/** The sample interval of those who do not care. */
export const SAMPLE_MS = 1000;

/** Throws USAGE when a plan cannot be run as it is written, with this sample interval. */
export function checkPlan(plan: LoadPlan, sampleMs = SAMPLE_MS): void {
  const { model } = plan;
  must(model.stages.length > 0, 'a load plan needs at least one stage');
  model.stages.forEach((stage, index) => {
    const last = index === model.stages.length - 1;
    const { durationMs, ramp } = stage;
    must(
      durationMs > 0 && (Number.isFinite(durationMs) || (last && ramp !== true)),
      `a stage cannot last ${durationMs} ms`,
    );
  });
  if (model.kind === 'closed') {
    for (const { workers } of model.stages) {
      must(isCount(workers, 0, MAX_CONCURRENCY), `a stage cannot have ${workers} workers`);
    }
    const [min, max] = model.thinkMs ?? [0, 0];
    must(min >= 0 && max >= min && Number.isFinite(max), `workers cannot think for ${min} to ${max} ms`);
  } else {
    for (const { ratePerSecond } of model.stages) {
      must(
        ratePerSecond >= 0 && ratePerSecond <= MAX_RATE,
        `a stage cannot have a rate of ${ratePerSecond}/s`,
      );
    }
    must(
      isCount(model.maxInFlight, 1, MAX_CONCURRENCY),
      `there cannot be ${model.maxInFlight} operations in flight`,
    );
  }
  must(peakLoad(model) > 0, 'a load plan needs a stage with some load');
  must(
    plan.count === undefined || isCount(plan.count, 1, MAX_COUNT),
    `a run cannot be of ${plan.count} operations`,
  );
  must(
    plan.warmupMs >= 0 && plan.warmupMs < totalMs(model),
    `a warm-up of ${plan.warmupMs} ms leaves nothing of a run of ${totalMs(model)} ms`,
  );
  must(Number.isSafeInteger(plan.seed), `a seed cannot be ${plan.seed}`);
  must(isCount(plan.threads, 0, MAX_THREADS), `there cannot be ${plan.threads} threads`);
  const windows = plan.windows ?? [];
  must(windows.length <= MAX_WINDOWS, `a run cannot have ${windows.length} windows`);
  for (const { fromMs, toMs } of windows) {
    must(
      isSamples(fromMs, sampleMs) && isSamples(toMs, sampleMs) && fromMs < toMs,
      `a window cannot go from ${fromMs} to ${toMs} ms in samples of ${sampleMs} ms`,
    );
    must(
      fromMs < totalMs(model) - plan.warmupMs,
      `a window from ${fromMs} ms comes after a run of ${totalMs(model) - plan.warmupMs} ms`,
    );
  }
}

/** How long the stages last together, warm-up included. */
export function totalMs(model: LoadModel): number {
  return model.stages.reduce((sum: number, stage) => sum + stage.durationMs, 0);
}

/** The most operations that can be under way at once. */
export function peakConcurrency(model: LoadModel): number {
  return model.kind === 'open' ? model.maxInFlight : peakLoad(model);
}

/** Threads that have something to do: asked for, but each with at least one worker or place in flight. */
export function usefulThreads(plan: LoadPlan): number {
  return Math.max(1, Math.min(plan.threads, peakConcurrency(plan.model)));
}

/** The part `index` of `total` when it is split over `parts` as evenly as whole numbers allow; the sum is exact. */
export function shareOf(total: number, index: number, parts: number): number {
  return Math.floor(total / parts) + (index < total % parts ? 1 : 0);
}

function peakLoad(model: LoadModel): number {
  return model.kind === 'closed'
    ? Math.max(...model.stages.map((stage) => stage.workers))
    : Math.max(...model.stages.map((stage) => stage.ratePerSecond));
}

function isCount(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function isSamples(ms: number, sampleMs: number): boolean {
  return Number.isFinite(ms) && ms >= 0 && ms % sampleMs === 0;
}

function must(condition: boolean, message: string): void {
  if (!condition) throw new RegopsError('USAGE', message);
}
