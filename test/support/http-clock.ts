import { type Clock, throwIfAborted } from '../../src/base/index.ts';

/** A clock that stands still but for what is slept on it: a sleep ends at once and moves it on. */
export interface TestClock extends Clock {
  readonly slept: readonly number[];
  advance(ms: number): void;
}

/** Makes one; it starts at a date that HTTP can write exactly. */
export function testClock(startMs = Date.UTC(2030, 0, 1)): TestClock {
  let now = startMs;
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    advance(ms) {
      now += ms;
    },
    async sleep(ms, signal) {
      throwIfAborted(signal);
      slept.push(ms);
      now += ms;
      // Lets others run, as a real wait would.
      await new Promise((resolve) => setImmediate(resolve));
      throwIfAborted(signal);
    },
  };
}
