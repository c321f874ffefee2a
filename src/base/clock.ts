import { abortReason, throwIfAborted } from './errors.ts';

/** Time as work sees it; tests pass one that they move by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with INTERRUPTED as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers know no longer time (24.8 days): set for more, they fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      throwIfAborted(signal);
      let left = ms;
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(abortReason(signal as AbortSignal));
      };
      const wait = (): void => {
        const piece = Math.min(left, LONGEST_TIMER_MS);
        left -= piece;
        timer = setTimeout(left > 0 ? wait : wake, piece);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      wait();
    });
  },
};

/** The last moment, in milliseconds since the epoch, that is written with a year of four digits. */
export const LATEST_MS = Date.UTC(10_000, 0, 1) - 1;
