import type { JobContext } from '../../context.ts';
import type { ViewOptions } from '../view.ts';
import type { Finding } from './result.ts';

export interface ConsistencyOptions extends ViewOptions {
  /**
   * Domain of the registry, as the context's `registry` knows it. Its client should be made without
   * retries: what a retry hides is what is looked for here, and what passes by itself is asked again anyway.
   */
  readonly registry: string;
  /** Where a workload of this program writes: repositories that it leaves empty there are no ghosts. */
  readonly writePrefix?: string | undefined;
  /** Repositories are looked at in an order drawn from it; without, in the registry's own. */
  readonly seed?: number | undefined;
  /** Read and hash every blob, each once per pass. */
  readonly deep: boolean;
  /** One pass, however long it takes, instead of passes until `durationMs` is over. */
  readonly once: boolean;
  /** From the beginning of one pass to that of the next; a longer pass is followed at once. */
  readonly intervalMs: number;
  readonly durationMs: number;
  /** A reply that took longer than this to begin is reported. */
  readonly slowMs: number;
  /**
   * The pause before a suspicion is looked at again. Two looks confirm it; what may lag behind a push
   * (lists and counts) gets two more, after twice and four times as long. A 500 that passed waits three such
   * pauses for a push that explains it.
   */
  readonly confirmMs: number;
}

export interface ConsistencyContext extends JobContext {
  /** Told of every finding when it is confirmed, and again when it turns out graver. */
  onFinding?(finding: Finding): void;
}

/** The interval of the seed's check. */
export const CONSISTENCY_DEFAULTS = {
  intervalMs: 15_000,
  durationMs: 60_000,
  slowMs: 5_000,
  confirmMs: 1_000,
} as const;
