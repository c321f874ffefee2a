import { backoffDelayMs, type Clock, isRegopsError, type RegopsError } from '../base/index.ts';
import type { Scheduler } from './client.ts';
import { type Ending, type FollowedTask, isKnown, isTerminal, type TaskStatus } from './state.ts';

/** A question for one task blocks the scheduler for up to a second: no task is asked for more often. */
const MIN_INTERVAL_MS = 5000;
const MAX_INTERVAL_MS = 60_000;
const GROWTH = 1.5;
/** Part of an interval that chance adds, so that many followers do not come in step. */
const JITTER = 0.25;
/** The scheduler rests between two questions, as long as the last one took and at least so long. */
const REST_MS = 500;
const OUTAGE_MS = 5 * 60_000;
/** After this many unusable answers in a row a task is given up; a proxy in front of a restarting scheduler sends some. */
const STRIKES = 3;
/** PENDING after another state must be said so often: a result back end may lag. */
const LOST_AFTER = 2;

export interface FollowOptions {
  /** When to stop, counted from the call. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** First wait between two questions for a task; grows while nothing changes. At least, and by default, 5 s. */
  readonly intervalMs?: number;
  /** The wait never grows beyond this. Default: 60 s. */
  readonly maxIntervalMs?: number;
  /** Gives up a task that was never anything but PENDING for so long; without it, only the timeout does. */
  readonly pendingMs?: number | undefined;
  /** How long the scheduler may be out of reach. Default: 5 min. */
  readonly outageMs?: number;
  /** True when it was reached before (a test was just submitted): then an outage at the start is borne too. */
  readonly reached?: boolean;
  /** The last states known from before, by id: a task that had been STARTED and is PENDING now is lost. */
  readonly known?: ReadonlyMap<string, string>;
  /** Called when a task's state is first seen or changes, and when it ends. */
  readonly onChange?: (task: FollowedTask) => void;
  /** Called when the scheduler can no longer be asked, and with undefined when it can again. */
  readonly onOutage?: (error: RegopsError | undefined) => void;
  /** Gives 0 (inclusive) to 1 (exclusive). */
  readonly random?: () => number;
}

/** A task while it is followed. */
interface Watch {
  readonly id: string;
  status?: TaskStatus;
  ending?: Ending;
  error?: RegopsError;
  /** True once it was anything but PENDING. */
  started: boolean;
  /** Times in a row that a started task was PENDING. */
  forgotten: number;
  strikes: number;
  intervalMs: number;
  dueMs: number;
}

/**
 * Asks for tasks until each has ended, one question at a time: the one that is due first. Gives all of them, in the
 * order given, however it ended: an abort, a timeout and a scheduler that goes away leave what is known.
 *
 * @throws what the first question gave, when the scheduler was not reached before (an abort excepted)
 */
export async function followTasks(
  scheduler: Pick<Scheduler, 'result'>,
  ids: readonly string[],
  options: FollowOptions,
): Promise<readonly FollowedTask[]> {
  const { clock, signal, random = Math.random, onChange = () => {}, onOutage = () => {} } = options;
  const {
    maxIntervalMs = MAX_INTERVAL_MS,
    pendingMs = Number.POSITIVE_INFINITY,
    outageMs = OUTAGE_MS,
  } = options;
  const intervalMs = Math.max(MIN_INTERVAL_MS, options.intervalMs ?? MIN_INTERVAL_MS);
  const begunMs = clock.now();
  const deadlineMs = begunMs + options.timeoutMs;
  const watches = [...new Set(ids)].map((id): Watch => {
    const known = options.known?.get(id);
    return {
      id,
      started: known !== undefined && isKnown(known),
      forgotten: 0,
      strikes: 0,
      intervalMs,
      dueMs: begunMs,
    };
  });
  let reached = options.reached ?? false;
  let outage: { sinceMs: number; times: number } | undefined;
  let freeMs = begunMs;

  const open = (): Watch[] => watches.filter(({ ending }) => ending === undefined);
  const end = (watch: Watch, ending: Ending, error?: RegopsError): void => {
    watch.ending = ending;
    if (error) watch.error = error;
    onChange(shown(watch));
  };
  const endAll = (ending: Ending, error?: RegopsError): void => {
    for (const watch of open()) end(watch, ending, error);
  };
  const askAgain = (watch: Watch): void => {
    const now = clock.now();
    watch.dueMs = now + watch.intervalMs * (1 + JITTER * random());
    // A last question when the time is over, unless that is too soon.
    if (watch.dueMs > deadlineMs && deadlineMs - now >= MIN_INTERVAL_MS) watch.dueMs = deadlineMs;
  };

  const take = (watch: Watch, status: TaskStatus): void => {
    const changed = status.state !== watch.status?.state;
    watch.status = status;
    if (isTerminal(status.state)) {
      // The scheduler gives up waiting for the result, then looks at the state: they may be a moment apart.
      const late = status.state === 'SUCCESS' && status.result === undefined;
      if (late && ++watch.strikes < STRIKES) askAgain(watch);
      else end(watch, 'ended');
      return;
    }
    watch.strikes = 0;
    if (isKnown(status.state)) {
      watch.started = true;
      watch.forgotten = 0;
    } else if (watch.started && ++watch.forgotten >= LOST_AFTER) {
      end(watch, 'lost');
      return;
    } else if (!watch.started && clock.now() - begunMs >= pendingMs) {
      end(watch, 'unstarted');
      return;
    }
    watch.intervalMs = changed ? intervalMs : Math.min(maxIntervalMs, watch.intervalMs * GROWTH);
    if (changed) onChange(shown(watch));
    askAgain(watch);
  };

  /** Bears what may pass, gives up what will not. */
  const bear = (watch: Watch, error: RegopsError): void => {
    const now = clock.now();
    freeMs = now + REST_MS;
    if (error.kind === 'unreachable' || error.kind === 'temporary') {
      if (!outage) onOutage(error);
      outage ??= { sinceMs: now, times: 0 };
      outage.times++;
      const asked = Number(error.details['retryAfterMs'] ?? 0);
      const waitMs = Math.max(
        asked,
        intervalMs + backoffDelayMs(outage.times, { baseMs: intervalMs, capMs: maxIntervalMs }, random),
      );
      if (now + waitMs - outage.sinceMs > outageMs) endAll('unreachable', error);
      else freeMs = now + waitMs;
    } else if (error.kind === 'protocol') {
      if (++watch.strikes >= STRIKES) end(watch, 'unreadable', error);
      else askAgain(watch);
    } else {
      endAll('unreachable', error);
    }
  };

  for (;;) {
    if (signal?.aborted) endAll('interrupted');
    const [next] = open().sort((one, other) => one.dueMs - other.dueMs);
    if (!next) break;
    const atMs = Math.max(next.dueMs, freeMs);
    let status: TaskStatus;
    try {
      const waitMs = Math.min(atMs, deadlineMs) - clock.now();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      if (Math.max(atMs, clock.now()) > deadlineMs) {
        endAll('timeout');
        break;
      }
      const askedMs = clock.now();
      status = await scheduler.result(next.id, signal);
      freeMs = clock.now() + Math.max(REST_MS, clock.now() - askedMs);
    } catch (error) {
      if (signal?.aborted) continue;
      if (!reached || !isRegopsError(error)) throw error;
      bear(next, error);
      continue;
    }
    reached = true;
    if (outage) onOutage(undefined);
    outage = undefined;
    take(next, status);
  }
  return watches.map(shown);
}

function shown({ id, status, ending, error }: Watch): FollowedTask {
  return {
    id,
    ...status,
    ...(ending === undefined ? {} : { ending }),
    ...(error === undefined ? {} : { error }),
  };
}
