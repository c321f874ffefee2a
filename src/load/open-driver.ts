import type { Driver, Part } from './closed-driver.ts';
import type { Firing } from './firing.ts';
import { type OpenModel, shareOf } from './plan.ts';
import { randomStream } from './random.ts';
import { type Arrival, arrivals } from './schedule.ts';
import type { Timekeeper } from './timekeeper.ts';

/**
 * Node's timers count whole milliseconds and fire up to this much late: what is due sooner than a grain and
 * this is waited for awake, or generator lateness of a millisecond would be charged to the server.
 */
const TIMER_LATE_MS = 0.2;
const TIMER_GRAIN_MS = 1;
/** A turn of the event loop in which nothing was started or ended, and which was shorter than this, was waiting. */
const IDLE_TURN_MS = 0.05;

/**
 * Drives this part of an open model: of the plan's arrivals it fires every one whose index is `index`
 * modulo `of`, so the parts together fire each exactly once and as evenly as one thread would. Everything
 * that is due is sent in one go with its intended time, and dropped when this part's share of the places
 * in flight is taken.
 */
export class OpenDriver implements Driver {
  readonly #part: Part;
  readonly #firing: Firing;
  readonly #time: Timekeeper;
  readonly #over: () => void;
  readonly #maxInFlight: number;
  readonly #arrivals: Iterator<Arrival, undefined>;
  readonly #countedFromMs: number;
  readonly #count: number;
  #counted = 0;
  #next: Arrival | undefined;
  #cancel: () => void = () => {};
  #stopped = false;
  #spareMs = 0;
  #awake = false;
  #turnBeganMs = 0;
  #turnEvents = 0;

  /** `count` ends the run after so many arrivals of the whole plan from `countedFromMs` on. */
  constructor(
    model: OpenModel,
    part: Part,
    firing: Firing,
    time: Timekeeper,
    limit: { readonly count: number; readonly countedFromMs: number },
    over: () => void,
  ) {
    this.#part = part;
    this.#firing = firing;
    this.#time = time;
    this.#over = over;
    this.#maxInFlight = shareOf(model.maxInFlight, part.index, part.of);
    this.#arrivals = arrivals(model.stages, model.arrival, randomStream(part.seed, 'schedule', 0));
    this.#count = limit.count;
    this.#countedFromMs = limit.countedFromMs;
  }

  get spareMs(): number {
    return this.#spareMs;
  }

  start(): void {
    this.#next = this.#advance();
    this.#tick();
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancel();
    this.#over();
  }

  readonly #tick = (): void => {
    if (this.#stopped) return;
    const now = this.#time.now();
    if (this.#awake && this.#firing.events === this.#turnEvents && now - this.#turnBeganMs < IDLE_TURN_MS) {
      this.#spareMs += now - this.#turnBeganMs;
    }
    while (this.#next && this.#next.atMs <= now && !this.#stopped) {
      const { atMs, index } = this.#next;
      if (this.#firing.inFlight >= this.#maxInFlight) this.#firing.drop(atMs);
      else this.#firing.fire(atMs, index, randomStream(this.#part.seed, 'arrival', index), ignore);
      this.#next = this.#advance();
    }
    if (this.#next === undefined) {
      this.stop();
      return;
    }
    const wait = this.#next.atMs - now;
    this.#awake = wait < TIMER_GRAIN_MS + TIMER_LATE_MS;
    if (this.#awake) {
      this.#turnBeganMs = now;
      this.#turnEvents = this.#firing.events;
      this.#time.immediately(this.#tick);
    } else {
      this.#cancel = this.#time.later(Math.floor(wait - TIMER_LATE_MS), this.#tick);
    }
  };

  /** The next arrival of this part; the others are only counted. */
  #advance(): Arrival | undefined {
    for (;;) {
      const { value } = this.#arrivals.next();
      if (value === undefined) return undefined;
      if (value.atMs >= this.#countedFromMs && ++this.#counted > this.#count) return undefined;
      if (value.index % this.#part.of === this.#part.index) return value;
    }
  }
}

function ignore(): void {}
