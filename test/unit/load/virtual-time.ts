import { setImmediate as turn } from 'node:timers/promises';
import type { Timekeeper } from '../../../src/load/timekeeper.ts';

/** The time that one turn of the event loop takes: busy waiting gets somewhere too. */
const TURN_MS = 0.01;

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * Time that jumps from one timer to the next: an hour of load passes in moments, and what is measured is
 * exact. A timer callback may also `spend` time, as blocking code does.
 */
export class VirtualTime implements Timekeeper {
  readonly #timers = new Set<Timer>();
  #nowMs = 0;
  #order = 0;

  now(): number {
    return this.#nowMs;
  }

  later(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  immediately(run: () => void): void {
    this.later(TURN_MS, run);
  }

  spend(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs timers, letting promises settle between them, until `until` settles; then gives what it gave. */
  async run<T>(until: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    until.then(end, end);
    while (!over) {
      await Promise.resolve();
      const next = this.#earliest();
      if (next) {
        this.#timers.delete(next);
        this.#nowMs = Math.max(this.#nowMs, next.atMs);
        next.run();
      } else {
        // All promises that can settle have settled after this.
        await turn();
        if (!over && this.#timers.size === 0)
          throw new Error(`nothing is left to happen at ${this.#nowMs} ms`);
      }
    }
    return until;
  }

  #earliest(): Timer | undefined {
    let found: Timer | undefined;
    for (const timer of this.#timers) {
      if (!found || timer.atMs < found.atMs || (timer.atMs === found.atMs && timer.order < found.order)) {
        found = timer;
      }
    }
    return found;
  }
}
