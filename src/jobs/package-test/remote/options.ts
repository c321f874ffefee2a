import type { Scheduler, TaskRequest } from '../../../alts/index.ts';
import type { JobContext } from '../../context.ts';
import type { TaskLedger } from './ledger.ts';
import type { RemoteTest } from './result.ts';

export interface SubmitOptions {
  /** Each already checked. */
  readonly requests: readonly TaskRequest[];
  /** How many are sent at once. */
  readonly concurrency: number;
  /** As of `checkRequest`: also what no known ALTS version has. */
  readonly unchecked: boolean;
  /** Without it nothing is waited for. */
  readonly wait?: WaitOptions | undefined;
}

export interface WaitOptions {
  /** For all tests together, from when the waiting begins. */
  readonly timeoutMs: number;
  /** Between two questions for one test, at least 5 s; grows while nothing changes. */
  readonly intervalMs: number;
  /** Gives up a test that was never anything but PENDING for so long. */
  readonly pendingMs?: number | undefined;
}

/** What the remote jobs are given beside their options. */
export interface RemoteContext extends Omit<JobContext, 'registry'> {
  readonly scheduler: Scheduler;
  readonly ledger: TaskLedger;
  /** Told of every test when it is submitted (or is not), when its state changes, and when it has ended. */
  readonly onTest?: ((test: RemoteTest) => void) | undefined;
}
