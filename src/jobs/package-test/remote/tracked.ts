import { type FollowedTask, type TaskRequest, verdictOf } from '../../../alts/index.ts';
import type { RegopsError } from '../../../base/index.ts';
import type { LedgerEntry } from './ledger.ts';
import type { RemoteTest } from './result.ts';

/** What is known of a test while a job is about it. */
export interface Tracked {
  /** Undefined as long as it is not queued. */
  readonly id?: string;
  readonly request?: TaskRequest;
  /** As it was remembered, or is now. */
  readonly entry?: LedgerEntry | undefined;
  readonly task?: FollowedTask;
  /** Why it is not queued. */
  readonly error?: RegopsError;
  readonly durationMs?: number;
}

/** A test as results show it. */
export function testOf({ id, request, entry, task, error, durationMs }: Tracked): RemoteTest {
  return {
    ...(id === undefined ? {} : { id }),
    ...(request ? namesOf(request) : entry ? rememberedNames(entry) : {}),
    ...(entry ? { submittedAt: entry.submittedAt } : {}),
    ...(task?.state === undefined ? {} : { state: task.state }),
    verdict: verdictFor(id, task, error),
    logs: task?.result?.logs ?? [],
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}

/** A test in a few words. */
export function labelOf({ id, package: name, version, distribution, architecture }: RemoteTest): string {
  if (name === undefined) return id ?? '';
  return `${name}${version === undefined ? '' : `=${version}`} on ${distribution} ${architecture}`;
}

/** What a test is about, as it is remembered. */
export function namesOf({ package: wanted, distribution, architecture }: TaskRequest) {
  return {
    package: wanted.name,
    ...(wanted.version === undefined ? {} : { version: wanted.version }),
    distribution: `${distribution.name}:${distribution.version}`,
    architecture,
  };
}

function rememberedNames({ package: name, version, distribution, architecture }: LedgerEntry) {
  return { package: name, ...(version === undefined ? {} : { version }), distribution, architecture };
}

function verdictFor(
  id: string | undefined,
  task: FollowedTask | undefined,
  error: RegopsError | undefined,
): RemoteTest['verdict'] {
  if (task) return verdictOf(task);
  return id === undefined
    ? { outcome: 'not-submitted', reason: error?.message ?? 'it was not sent', stages: [], warnings: [] }
    : { outcome: 'submitted', reason: 'it is queued', stages: [], warnings: [] };
}
