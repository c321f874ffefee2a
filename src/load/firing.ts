import { RegopsError } from '../base/index.ts';
import type { OperationOutcome, Random, Workload } from './plan.ts';
import { type KindData, Recording } from './recording.ts';
import type { Timekeeper } from './timekeeper.ts';

/**
 * Fires a workload's operations and books what becomes of them. Everything that was due after the warm-up
 * ends up in exactly one place: recorded, dropped, or (when the run gave up waiting) unfinished.
 */
export class Firing {
  readonly #workload: Workload;
  readonly #time: Timekeeper;
  readonly #warmupMs: number;
  readonly #onEvent: { readonly idle: () => void; readonly failed: (error: unknown) => void };
  #recording = new Recording();
  #dropped = 0;
  #inFlight = 0;
  #measuredInFlight = 0;
  #events = 0;
  #lastEndMs = 0;
  #closed = false;

  /** `idle` is told each time nothing is in flight any more, `failed` when the workload breaks its contract. */
  constructor(
    workload: Workload,
    time: Timekeeper,
    warmupMs: number,
    onEvent: { idle: () => void; failed: (error: unknown) => void },
  ) {
    this.#workload = workload;
    this.#time = time;
    this.#warmupMs = warmupMs;
    this.#onEvent = onEvent;
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

  /** Starts one operation. `after` runs when it has ended, perhaps before this returns. */
  fire(intendedMs: number | undefined, random: Random, after: () => void): void {
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
        this.#measuredInFlight--;
        this.#lastEndMs = nowMs;
        this.#recording.record(outcome, nowMs - dueMs, nowMs - startMs);
      }
      after();
      if (this.#inFlight === 0) this.#onEvent.idle();
    };
    try {
      this.#workload.fire(random, done);
    } catch (error) {
      this.#onEvent.failed(error);
    }
  }

  /** Books an operation that was due but not sent. */
  drop(intendedMs: number): void {
    this.#events++;
    if (intendedMs >= this.#warmupMs) this.#dropped++;
  }

  /** Hands over what was booked since the last call. */
  take(): { kinds: KindData[]; dropped: number } {
    const taken = { kinds: this.#recording.data(), dropped: this.#dropped };
    this.#recording = new Recording();
    this.#dropped = 0;
    return taken;
  }

  /** Books nothing any more; gives how many measured operations are left under way. */
  close(): number {
    this.#closed = true;
    return this.#measuredInFlight;
  }
}
