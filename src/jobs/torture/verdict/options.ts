import { RegopsError } from '../../../base/index.ts';
import { checkWrites } from '../stress/plan.ts';
import type { Requirement } from './result.ts';

/** Workloads whose history is recorded and judged. */
export const VERDICT_WORKLOADS = [
  'register',
  'ledger',
  'herd',
  'delete-retag',
  'list-lag',
  'referrers',
  'session-hop',
  'gc-race',
] as const;
export type VerdictWorkload = (typeof VERDICT_WORKLOADS)[number];

export interface VerdictOptions {
  /** The registry, by the domain of its references. */
  readonly domain: string;
  readonly workload: VerdictWorkload;
  readonly required: Requirement;
  readonly durationMs: number;
  /** Clients that wait for their answers. */
  readonly clients: number;
  readonly seed: number;
  /** How long, after the last change, lists and replicas may take to agree; the run's end waits so long. */
  readonly settleMs: number;
  /** How long what was deleted may still be found. */
  readonly deleteGraceMs: number;
  /** Where the record goes. */
  readonly history?: string | undefined;
  /** Everything is written below it, in repositories of the run's own; default `regops-torture`. */
  readonly writePrefix?: string | undefined;
  readonly yesWrite: boolean;
}

/** What an option is unless somebody says otherwise. */
export const VERDICT_DEFAULTS = { level: 'session', settleMs: 10_000 } as const;

const MAX_CLIENTS = 1000;

/** Whether a workload of stress is one of those that are judged. */
export function isVerdictWorkload(workload: string): workload is VerdictWorkload {
  return (VERDICT_WORKLOADS as readonly string[]).includes(workload);
}

/**
 * Everything that can be said against options before anybody is asked anything.
 * @param collects garbage is collected meanwhile, which is one client's work
 * @throws USAGE
 */
export function checkVerdict(options: VerdictOptions, collects: boolean): void {
  checkWrites(options);
  if (options.clients > MAX_CLIENTS) {
    throw new RegopsError('USAGE', `the workload '${options.workload}' has at most ${MAX_CLIENTS} clients`);
  }
  if (collects && options.clients < 2) {
    throw new RegopsError('USAGE', '--gc-hook needs --concurrent-requests 2 or more', {
      hints: ['One of the clients has the garbage collected, the others push meanwhile.'],
    });
  }
}
