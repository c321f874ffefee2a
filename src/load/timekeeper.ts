/** Time as a run sees it: zero is the moment at which the schedule begins, in all threads the same. */
export interface Timekeeper {
  /** Milliseconds, with fractions; negative before the schedule begins. */
  now(): number;
  /** Runs something once after at least about `ms`; gives what cancels it. */
  later(ms: number, run: () => void): () => void;
  /** Runs something once as soon as the event loop has seen to its input and output. */
  immediately(run: () => void): void;
}

/** Longer waits would overflow Node's timers, which then fire at once. Whoever waits looks at the time again. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

/**
 * The machine's time. `process.hrtime` is the one clock that all threads of a process share, so the zero is
 * given in its nanoseconds.
 */
export function systemTime(zeroNs: bigint): Timekeeper {
  const zeroMs = performance.now() - Number(process.hrtime.bigint() - zeroNs) / 1e6;
  return {
    now: () => performance.now() - zeroMs,
    later(ms, run) {
      const timer = setTimeout(run, Math.min(Math.max(0, ms), LONGEST_WAIT_MS));
      return () => clearTimeout(timer);
    },
    immediately(run) {
      setImmediate(run);
    },
  };
}
