import type { LoadSummary } from '../../../load/index.ts';
import type { RequestKind } from '../workloads/ledger.ts';
import type { StressWorkload } from './options.ts';

/** What became of what a run has written. */
export interface Cleanup {
  readonly writePrefix: string;
  /** Manifests that the registry says it stored, and those the workload itself deleted again. */
  readonly manifestsPushed: number;
  readonly manifestsDeleted: number;
  /** Manifests removed after the run. */
  readonly manifestsRemoved: number;
  /** Images that are or may still be there, as far as they could be named. */
  readonly left: readonly { readonly repository: string; readonly tag: string; readonly reason: string }[];
  /** How many there are altogether, named or not. */
  readonly manifestsLeft: number;
  /** False when time ran out before everything was looked at. */
  readonly complete: boolean;
}

/** The `result` of stress's JSON answer. Times are milliseconds, sizes bytes. */
export interface StressResult {
  readonly registry: string;
  readonly workload: StressWorkload;
  /** Which API the `admin` workload read. */
  readonly api?: 'nscr' | 'oci';
  readonly seed: number;
  readonly startedAt: string;
  readonly totals: LoadSummary['totals'];
  readonly operations: LoadSummary['kinds'];
  /** Requests the workload sent, by purpose: the warm-up's and those of operations given up at the end included. */
  readonly requests: Readonly<Partial<Record<RequestKind, number>>>;
  readonly dropped: number;
  readonly unfinished: number;
  readonly thresholds: LoadSummary['thresholds'];
  readonly abortedBy: string | null;
  readonly generator: LoadSummary['generator'];
  readonly series: LoadSummary['series'];
  readonly durationMs: number;
  readonly interrupted: boolean;
  /** Of writing workloads. */
  readonly cleanup?: Cleanup;
}
