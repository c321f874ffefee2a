import { RegopsError } from '../base/index.ts';
import type { OperationOutcome, Random, Turn, Workload } from './plan.ts';
import { type KindData, Recording } from './recording.ts';
import type { Timekeeper } from './timekeeper.ts';

/** What a firing tells. */
export interface FiringEvents {
  /** Nothing is in flight any more. */
  idle(): void;
  /** Something is about to be booked for which `bookedUntilMs` is over: `take` what was booked until then. */
  passed(nowMs: number): void;
  /** The workload broke its contract. */
  failed(error: unknown): void;
}

/**
 * Fires a workload's operations and books what becomes of them. Everything that was due after the warm-up
 * ends up in exactly one place: recorded, dropped, or (when the run gave up waiting) unfinished.
 */
export class Firing {
  readonly #workload: Workload;
  readonly #time: Timekeeper;
  readonly #warmupMs: number;
  readonly #onEvent: FiringEvents;
  /** The `part` of all measured operations. */
  readonly #bookPart: Turn['part'];
  #recording = new Recording();
  #parts = new Recording();
  #bookedUntilMs = Number.POSITIVE_INFINITY;
  #dropped = 0;
  #inFlight = 0;
  #measuredInFlight = 0;
  #events = 0;
  #lastEndMs = 0;
  #closed = false;

  constructor(workload: Workload, time: Timekeeper, warmupMs: number, onEvent: FiringEvents) {
    this.#workload = workload;
    this.#time = time;
    this.#warmupMs = warmupMs;
    this.#onEvent = onEvent;
    this.#bookPart = (outcome, ms) => {
      if (this.#closed) return;
      this.#before(this.#time.now());
      this.#parts.record(outcome, ms, ms);
    };
  }

  /** What happens from then on is not booked together with what happened before: `passed` is told first. */
  set bookedUntilMs(ms: number) {
    this.#bookedUntilMs = ms;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Goes up with every operation that starts or ends: tells whether anything happened. */
  get events(): number {
    return this.#events;
  }

  /** When the last recorded operation ended. */
  get lastEndMs(): number {
    return this.#lastEndMs;
  }

  /** Starts operation or worker `number`'s operation. `after` runs when it has ended, perhaps before this returns. */
  fire(
    intendedMs: number | undefined,
    number: number,
    random: Random,
    after: (outcome: OperationOutcome) => void,
  ): void {
    const startMs = this.#time.now();
    const dueMs = intendedMs ?? startMs;
    const measured = dueMs >= this.#warmupMs;
    let underWay = true;
    this.#inFlight++;
    this.#events++;
    if (measured) this.#measuredInFlight++;
    const done = (outcome: OperationOutcome): void => {
      if (this.#closed) return;
      if (!underWay) {
        this.#onEvent.failed(
          new RegopsError('BUG', `the workload ended one '${outcome.kind}' operation twice`),
        );
        return;
      }
      underWay = false;
      this.#inFlight--;
      this.#events++;
      if (measured) {
        const nowMs = this.#time.now();
        this.#before(nowMs);
        this.#measuredInFlight--;
        this.#lastEndMs = nowMs;
        this.#recording.record(outcome, nowMs - dueMs, nowMs - startMs);
      }
      after(outcome);
      if (this.#inFlight === 0) this.#onEvent.idle();
    };
    try {
      this.#workload.fire(random, done, { number, part: measured ? this.#bookPart : ignore });
    } catch (error) {
      this.#onEvent.failed(error);
    }
  }

  /** The workload broke its contract. */
  fail(error: unknown): void {
    this.#onEvent.failed(error);
  }

  /** Books an operation that was due but not sent. */
  drop(intendedMs: number): void {
    this.#events++;
    if (intendedMs >= this.#warmupMs) this.#dropped++;
  }

  /** Hands over what was booked since the last call. */
  take(): { kinds: KindData[]; parts: KindData[]; dropped: number } {
    const taken = { kinds: this.#recording.data(), parts: this.#parts.data(), dropped: this.#dropped };
    this.#recording = new Recording();
    this.#parts = new Recording();
    this.#dropped = 0;
    return taken;
  }

  /** Books nothing any more; gives how many measured operations are left under way. */
  close(): number {
    this.#closed = true;
    return this.#measuredInFlight;
  }

  #before(nowMs: number): void {
    if (nowMs >= this.#bookedUntilMs) this.#onEvent.passed(nowMs);
  }
}

function ignore(): void {}
