import type { Firing } from './firing.ts';
import { type ClosedModel, type OperationOutcome, type Random, shareOf } from './plan.ts';
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
  readonly number: number;
  readonly random: Random;
  readonly thinkRandom: Random;
  readonly shifts: readonly Shift[];
  shift: number;
  /** When the last shift is over. */
  readonly homeMs: number;
  /** Ends its waiting. */
  cancel: () => void;
  /** Runs when an operation of this worker has ended. */
  after: (outcome: OperationOutcome) => void;
  /** The workload is just being asked to start an operation: it may end before that returns. */
  starting: boolean;
}

/** A count of operations that all parts of a run draw from. */
export interface Supply {
  /** Whether one more operation may be started at this time: it is then taken. */
  take(nowMs: number): boolean;
  /** Nobody will get any more. */
  isUsedUp(): boolean;
}

/** Who waits for its first shift looks so often whether the others have used up the supply. */
const SUPPLY_LOOK_MS = 100;

/**
 * Drives the workers of a closed model that belong to this part: worker k of the plan belongs to part
 * k mod `of`, so at any moment the parts' workers add up to the plan's. `over` is told when no worker will fire
 * again: when all shifts are over, or the supply is used up, also before the last shifts have begun.
 */
export class ClosedDriver implements Driver {
  readonly spareMs = 0;
  readonly #firing: Firing;
  readonly #time: Timekeeper;
  readonly #thinkMs: readonly [number, number] | undefined;
  readonly #supply: Supply | undefined;
  readonly #over: () => void;
  readonly #workers: Worker[] = [];
  #employed: number;
  #stopped = false;

  constructor(
    model: ClosedModel,
    part: Part,
    firing: Firing,
    time: Timekeeper,
    supply: Supply | undefined,
    over: () => void,
  ) {
    this.#firing = firing;
    this.#time = time;
    this.#thinkMs = model.thinkMs;
    this.#supply = supply;
    this.#over = over;
    const peak = Math.max(...model.stages.map((stage) => stage.workers));
    const mine = shareOf(peak, part.index, part.of);
    for (let place = 0; place < mine; place++) {
      const number = part.index + place * part.of;
      const shifts = shiftsOf(model.stages, number);
      const worker: Worker = {
        number,
        random: randomStream(part.seed, 'worker', number),
        thinkRandom: randomStream(part.seed, 'think', number),
        shifts,
        shift: 0,
        homeMs: shifts.at(-1)?.toMs ?? 0,
        cancel: () => {},
        after: (outcome) => this.#after(worker, outcome),
        starting: false,
      };
      this.#workers.push(worker);
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
    const supply = this.#supply;
    if (!shift || supply?.isUsedUp()) {
      this.#goHome();
    } else if (now < shift.fromMs) {
      const waitMs = Math.min(shift.fromMs - now, supply ? SUPPLY_LOOK_MS : Number.POSITIVE_INFINITY);
      worker.cancel = this.#time.later(waitMs, () => this.#next(worker));
    } else if (!supply || supply.take(now)) {
      this.#fire(worker);
    } else {
      this.#goHome();
    }
  }

  #goHome(): void {
    if (--this.#employed === 0) this.stop();
  }

  #fire(worker: Worker): void {
    worker.starting = true;
    this.#firing.fire(undefined, worker.number, worker.random, worker.after);
    worker.starting = false;
  }

  #after(worker: Worker, { rest }: OperationOutcome): void {
    if (this.#stopped) return;
    if (rest) this.#rest(worker, rest);
    else this.#think(worker);
  }

  #rest(worker: Worker, rest: Promise<boolean>): void {
    let resting = true;
    const end = (again: boolean): void => {
      if (!resting || this.#stopped) return;
      resting = false;
      worker.cancel();
      if (again) this.#think(worker);
      else this.#goHome();
    };
    worker.cancel = Number.isFinite(worker.homeMs)
      ? this.#time.later(worker.homeMs - this.#time.now(), () => end(false))
      : () => {};
    rest.then(
      // By way of the event loop: a chain of promises alone would keep it from everything else.
      (again) => this.#time.immediately(() => end(again)),
      (error) => this.#firing.fail(error),
    );
  }

  #think(worker: Worker): void {
    if (this.#thinkMs && this.#thinkMs[1] > 0) {
      const [min, max] = this.#thinkMs;
      const ms = min + (max - min) * worker.thinkRandom();
      const leftMs = worker.homeMs - this.#time.now();
      worker.cancel =
        ms < leftMs
          ? this.#time.later(ms, () => this.#next(worker))
          : this.#time.later(leftMs, () => this.#goHome());
    } else if (worker.starting) {
      // An operation that ends at once must not keep the event loop from everything else.
      this.#time.immediately(() => this.#next(worker));
    } else {
      this.#next(worker);
    }
  }
}
