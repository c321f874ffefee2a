import type { TaskResult, Verdict } from '../../alts/index.ts';

/** What came of the test of one package on one system, whether a scheduler's worker ran it or we did. */
export interface TaskOutcome {
  /** The scheduler's; a test that was run here has none. */
  readonly id?: string;
  readonly package: string;
  /** The version that was asked for. */
  readonly version?: string;
  /** `debian:12`. */
  readonly distribution: string;
  readonly architecture: string;
  readonly verdict: Verdict;
  /** Null when there is none: it goes on, or the worker returned nothing. */
  readonly result: TaskResult | null;
  readonly durationMs?: number;
  /** What else is known of a stage, by its path: `tests/package_integrity_tests`. */
  readonly details?: Readonly<Record<string, StageDetail>>;
}

export interface StageDetail {
  readonly durationMs?: number;
  /** What it came to, in one line: told in place of what the verdict says. May hold foreign text. */
  readonly note?: string;
}
