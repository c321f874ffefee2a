import { expect, test } from 'vitest';
import type { StateSample } from '../../../../src/jobs/torture/monitor/result.ts';
import { Watch } from '../../../../src/jobs/torture/monitor/watch.ts';
import { imagePlace, isWorkplace } from '../../../../src/jobs/torture/workloads/ledger.ts';

const state = (second: number, manifests: number): StateSample => ({
  takenAt: new Date(second * 1000).toISOString(),
  api: 'nscr',
  repositories: 1,
  manifests,
  blobs: 1,
  sessions: 0,
  health: 'healthy',
  latencyMs: 1,
  unreadable: 0,
  truncated: false,
});

test.each([
  [undefined, 'warning'],
  [9_999, 'warning'],
  [10_000, 'note'],
  [12_000, 'note'],
])('fewer manifests after own deletes until %s ms: %s', (ownDeletesMs, severity) => {
  const watch = new Watch({ longSessionMs: 1000, slowMs: 1000 });
  watch.state(state(10, 5), 5, undefined);
  expect(watch.state(state(12, 4), 5, ownDeletesMs)).toMatchObject([{ kind: 'manifests-dropped', severity }]);
});

test.each([
  [imagePlace({ writePrefix: 'regops-torture/abc', runId: 'abc' }, 3).repository, [], true],
  ['regops-torture/abc/def/w0', [], false],
  ['regops-torture/w0', [], false],
  ['team/w0', [], false],
  ['regops-torture/abc', [], false],
  ['team/load/w12', ['team/load'], true],
  ['team/loading/w12', ['team/load'], false],
] as const)('%s is a workplace below %j: %s', (repository, prefixes, expected) => {
  expect(isWorkplace(repository, prefixes)).toBe(expected);
});
