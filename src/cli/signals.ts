import type { EventEmitter } from 'node:events';
import { RegopsError } from '../base/index.ts';

/** A signal that asks the program to stop. */
export type StopSignal = 'SIGINT' | 'SIGTERM';

/** The program is left at the latest this long after the first signal, whatever the work is doing (cli.md: 5 s). */
const GRACE_MS = 4500;

/**
 * Ctrl-C in a terminal reaches npm, npx or the old-Node launcher as well, and they pass it on: two signals
 * so close together are one key press, not a wish to leave at once.
 */
const SAME_PRESS_MS = 250;

/** Turns SIGINT and SIGTERM into an aborted AbortSignal while work runs. */
export interface SignalWatch {
  readonly signal: AbortSignal;
  /** The first signal that came. */
  readonly received: StopSignal | undefined;
  /** Aborts the work without a signal, since nobody reads its answer; `leave` is called if it does not stop in time. */
  abandon(leave: () => void): void;
  /** Gives the signals back to the process and ends the grace period. */
  stop(): void;
}

/**
 * Watches for signals: the first one calls `onFirst` and aborts with INTERRUPTED; a second, or the end
 * of the grace period, calls `leave`, which must end the process.
 */
export function watchSignals(options: {
  readonly source: Pick<EventEmitter, 'on' | 'off'>;
  readonly onFirst: (name: StopSignal) => void;
  readonly leave: (name: StopSignal) => void;
  readonly graceMs?: number;
  readonly samePressMs?: number;
}): SignalWatch {
  const { source, onFirst, leave, graceMs = GRACE_MS, samePressMs = SAME_PRESS_MS } = options;
  const controller = new AbortController();
  let received: StopSignal | undefined;
  let firstAt = 0;
  let grace: NodeJS.Timeout | undefined;

  const onSignal = (name: StopSignal): void => {
    if (received !== undefined) {
      if (performance.now() - firstAt >= samePressMs) leave(name);
      return;
    }
    received = name;
    firstAt = performance.now();
    grace = setTimeout(() => leave(name), graceMs).unref();
    onFirst(name);
    controller.abort(new RegopsError('INTERRUPTED', `interrupted by ${name}`));
  };
  const onInterrupt = (): void => onSignal('SIGINT');
  const onTerminate = (): void => onSignal('SIGTERM');
  source.on('SIGINT', onInterrupt);
  source.on('SIGTERM', onTerminate);

  return {
    signal: controller.signal,
    get received() {
      return received;
    },
    abandon(leaveNow) {
      if (controller.signal.aborted) return;
      grace = setTimeout(leaveNow, graceMs).unref();
      controller.abort(new RegopsError('INTERRUPTED', 'nobody reads the answer'));
    },
    stop() {
      clearTimeout(grace);
      source.off('SIGINT', onInterrupt);
      source.off('SIGTERM', onTerminate);
    },
  };
}
