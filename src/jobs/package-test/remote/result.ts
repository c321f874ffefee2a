import type { LogLink, Outcome, Verdict } from '../../../alts/index.ts';
import type { RegopsError } from '../../../base/index.ts';

/** An outcome, or that a test was queued and nobody has asked for it yet, or that it could not be queued. */
export type RemoteOutcome = Outcome | 'submitted' | 'not-submitted';

/** A test at a scheduler, as far as it is known: of an id that is not remembered here, not even whose it is. */
export interface RemoteTest {
  /** Missing when it is not queued, or nobody knows. */
  readonly id?: string;
  readonly package?: string;
  /** The version that was asked for. */
  readonly version?: string;
  /** `debian:12`. */
  readonly distribution?: string;
  readonly architecture?: string;
  /** ISO 8601. */
  readonly submittedAt?: string;
  /** Celery's last word. */
  readonly state?: string;
  readonly verdict: Omit<Verdict, 'outcome'> & { readonly outcome: RemoteOutcome };
  readonly logs: readonly LogLink[];
  /** From its submission to its end, where both were seen. */
  readonly durationMs?: number;
}

/** What a remote job gives; also the JSON answers' `result`. */
export interface RemoteResult {
  readonly scheduler: string;
  readonly tasks: readonly RemoteTest[];
}

/** A result, and the errors behind those of its tests that came to nothing. */
export interface RemoteWork {
  readonly result: RemoteResult;
  readonly errors: ReadonlyMap<RemoteTest, RegopsError>;
}
