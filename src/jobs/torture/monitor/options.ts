import type { JobContext } from '../../context.ts';
import type { ViewOptions } from '../view.ts';
import type { MonitorAlert, MonitorResult, MonitorSample } from './result.ts';

export interface MonitorOptions extends ViewOptions {
  /** Domain of the registry, as the context's `registry` knows it. */
  readonly registry: string;
  /** How often to ask for state, health and sessions. */
  readonly stateMs: number;
  readonly healthMs: number;
  readonly sessionsMs: number;
  readonly durationMs: number;
  /** Ask each once instead of for a duration. */
  readonly once: boolean;
  /** A session older than this is reported. */
  readonly longSessionMs: number;
  /** A probe whose reply took longer than this to begin is slow. */
  readonly slowMs: number;
  /** When this program itself last deleted anything, in milliseconds since the epoch: what became less by that is no loss. */
  readonly ownDeletesMs?: (() => number | undefined) | undefined;
}

/** The intervals of the seed's monitor, and its five minutes for a session. */
export const MONITOR_DEFAULTS = {
  stateMs: 5_000,
  healthMs: 10_000,
  sessionsMs: 20_000,
  durationMs: 60_000,
  longSessionMs: 5 * 60_000,
  slowMs: 2_000,
} as const;

export interface MonitorContext extends JobContext {
  /** Told of every reading as it is made; what it throws ends the job. */
  onSample?(sample: MonitorSample): void;
  /**
   * Told after every probe, also after one that was not answered.
   * @param soFar gives what the job would answer if it ended now
   */
  onProbed?(soFar: () => MonitorResult): void;
  /** Told of every alert as it arises. */
  onAlert?(alert: MonitorAlert): void;
}
