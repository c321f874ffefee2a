import type { Firing } from './firing.ts';
import { type ClosedModel, type Random, shareOf } from './plan.ts';
import { randomStream } from './random.ts';
import { type Shift, shiftsOf } from './schedule.ts';
import type { Timekeeper } from './timekeeper.ts';

/** What decides when operations start. */
export interface Driver {
  start(): void;
  /** Fires nothing any more. */
  stop(): void;
  /** Milliseconds of busy waiting: the event loop looks occupied then, but has time. */
  readonly spareMs: number;
}

/** Which part of a run one thread does. */
export interface Part {
  readonly seed: number;
  readonly index: number;
  readonly of: number;
}

interface Worker {
  readonly random: Random;
  readonly thinkRandom: Random;
  readonly shifts: readonly Shift[];
  shift: number;
  cancel: () => void;
  /** Runs when an operation of this worker has ended. */
  after: () => void;
  /** The workload is just being asked to start an operation: it may end before that returns. */
  starting: boolean;
}

/**
 * Drives the workers of a closed model that belong to this part: worker k of the plan belongs to part
 * k mod `of`, so at any moment the parts' workers add up to the plan's. `take` says whether one more
 * operation may be started at this time (a shared count may be used up); `over` is told when no worker will
 * fire again.
 */
export class ClosedDriver implements Driver {
  readonly spareMs = 0;
  readonly #firing: Firing;
  readonly #time: Timekeeper;
  readonly #thinkMs: readonly [number, number] | undefined;
  readonly #take: (nowMs: number) => boolean;
  readonly #over: () => void;
  readonly #workers: Worker[] = [];
  #employed: number;
  #stopped = false;

  constructor(
    model: ClosedModel,
    part: Part,
    firing: Firing,
    time: Timekeeper,
    take: (nowMs: number) => boolean,
    over: () => void,
  ) {
    this.#firing = firing;
    this.#time = time;
    this.#thinkMs = model.thinkMs;
    this.#take = take;
    this.#over = over;
    const peak = Math.max(...model.stages.map((stage) => stage.workers));
    const mine = shareOf(peak, part.index, part.of);
    for (let place = 0; place < mine; place++) {
      const worker = part.index + place * part.of;
      const staff: Worker = {
        random: randomStream(part.seed, 'worker', worker),
        thinkRandom: randomStream(part.seed, 'think', worker),
        shifts: shiftsOf(model.stages, worker),
        shift: 0,
        cancel: () => {},
        after: () => this.#after(staff),
        starting: false,
      };
      this.#workers.push(staff);
    }
    this.#employed = mine;
  }

  start(): void {
    for (const worker of this.#workers) this.#next(worker);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const worker of this.#workers) worker.cancel();
    this.#over();
  }

  /** A worker's next step: fire, wait for its shift, or go home. */
  #next(worker: Worker): void {
    if (this.#stopped) return;
    const now = this.#time.now();
    let shift = worker.shifts[worker.shift];
    while (shift && now >= shift.toMs) shift = worker.shifts[++worker.shift];
    if (shift && now < shift.fromMs) {
      worker.cancel = this.#time.later(shift.fromMs - now, () => this.#next(worker));
    } else if (shift && this.#take(now)) {
      this.#fire(worker);
    } else if (--this.#employed === 0) {
      this.stop();
    }
  }

  #fire(worker: Worker): void {
    worker.starting = true;
    this.#firing.fire(undefined, worker.random, worker.after);
    worker.starting = false;
  }

  #after(worker: Worker): void {
    if (this.#stopped) return;
    if (this.#thinkMs && this.#thinkMs[1] > 0) {
      const [min, max] = this.#thinkMs;
      const ms = min + (max - min) * worker.thinkRandom();
      worker.cancel = this.#time.later(ms, () => this.#next(worker));
    } else if (worker.starting) {
      // An operation that ends at once must not keep the event loop from everything else.
      this.#time.immediately(() => this.#next(worker));
    } else {
      this.#next(worker);
    }
  }
}
