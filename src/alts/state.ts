import type { RegopsError } from '../base/index.ts';
import type { TaskResult } from './result.ts';

/** Celery's states that nothing follows. ABORTED is none of them: it is a request to abort, still in flight. */
const TERMINAL = new Set(['SUCCESS', 'FAILURE', 'REVOKED']);

/** True when a task in this state will not change any more. */
export function isTerminal(state: string): boolean {
  return TERMINAL.has(state);
}

/**
 * True when a task in this state has reached a worker (or was called off). PENDING is what Celery says of every
 * id it knows nothing of: queued, mistyped and expired are the same to it.
 */
export function isKnown(state: string): boolean {
  return state !== 'PENDING';
}

/** What the scheduler says of a task. */
export interface TaskStatus {
  /** Celery's word: PENDING, RECEIVED, STARTED, RETRY, ABORTED, SUCCESS, FAILURE, REVOKED, or a newer one. */
  readonly state: string;
  /** Null when the worker returned nothing; missing as long as there is none. */
  readonly result?: TaskResult | null;
}

/**
 * How following a task came to its end:
 * - `ended`: it is in a terminal state.
 * - `timeout`: the time we were given was over.
 * - `lost`: it had been known, and the scheduler knows it no longer (results expire, after an hour by default).
 * - `unstarted`: it was never anything but PENDING in the time allowed for that.
 * - `unreachable`: the scheduler could no longer be asked.
 * - `unreadable`: the scheduler's answers about it cannot be used.
 * - `interrupted`: we were told to stop.
 */
export type Ending =
  | 'ended'
  | 'timeout'
  | 'lost'
  | 'unstarted'
  | 'unreachable'
  | 'unreadable'
  | 'interrupted';

/** A task as far as it has been followed. */
export interface FollowedTask extends Omit<TaskStatus, 'state'> {
  readonly id: string;
  /** The last state seen; missing when there was no answer. */
  readonly state?: string;
  /** Missing while it is being followed. */
  readonly ending?: Ending;
  /** Why it is `unreachable` or `unreadable`. */
  readonly error?: RegopsError;
}
