import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../../src/base/index.ts';
import {
  endingOf,
  type RemoteOutcome,
  type RemoteTest,
} from '../../../../src/jobs/package-test/remote/index.ts';

const task = (outcome: RemoteOutcome, at: number): RemoteTest => ({
  ...(outcome === 'not-submitted' ? {} : { id: `id-${at}` }),
  package: `p${at}`,
  distribution: 'debian:12',
  architecture: 'amd64',
  verdict: { outcome, reason: `reason ${at}`, stages: [], warnings: [] },
  logs: [],
});

function ending(
  outcomes: readonly RemoteOutcome[],
  interrupted = false,
  errors: Record<number, RegopsError> = {},
) {
  const tasks = outcomes.map(task);
  const causes = new Map(
    Object.entries(errors).map(([at, error]) => [tasks[Number(at)] as RemoteTest, error]),
  );
  return endingOf({ result: { scheduler: 'https://alts.example.com/', tasks }, errors: causes }, interrupted);
}

describe('endingOf', () => {
  test.each([
    [['passed', 'skipped', 'submitted'], undefined],
    [['failed', 'infrastructure', 'not-submitted'], 'found'],
    [['passed', 'infrastructure'], 'SERVER_ERROR'],
    [['incomplete'], 'SERVER_ERROR'],
    [['revoked'], 'SERVER_ERROR'],
    [['lost', 'timeout'], 'SERVER_ERROR'],
    [['timeout', 'lost'], 'TIMED_OUT'],
    [['pending'], 'TIMED_OUT'],
    [['unreachable'], 'CONNECTION_FAILED'],
  ] as const)('%j is %s', (outcomes, wanted) => {
    const { found, error } = ending(outcomes);
    expect(found ? 'found' : error?.code).toBe(wanted);
  });

  test('a test that is not queued matters more than one that came to nothing, and tells its own error', () => {
    const cause = new RegopsError('RATE_LIMITED', 'scheduling of p1: 503', {
      hints: ['Later.'],
      details: { status: 503 },
    });
    const { error } = ending(['infrastructure', 'not-submitted', 'not-submitted'], false, { 1: cause });
    expect(error).toMatchObject({
      code: 'RATE_LIMITED',
      message: 'scheduling of p1: 503 (and 1 more not-submitted)',
      hints: ['Later.'],
      details: { status: 503 },
    });
  });

  test('says how to take a wait up again, with ids as long as they are few', () => {
    expect(ending(['timeout', 'passed', 'pending']).error?.hints).toEqual([
      'Take the wait up again: regops package-test wait id-0 id-2 --scheduler-url https://alts.example.com/',
    ]);
    expect(
      ending(
        Array.from({ length: 6 }, () => 'pending' as const),
        true,
      ).error,
    ).toMatchObject({
      code: 'INTERRUPTED',
      hints: [expect.stringMatching(/wait --scheduler-url https:\/\/alts.example.com\/ \(all that/)],
    });
  });

  test('an interruption is told as one, whatever was found before', () => {
    expect(ending(['failed', 'passed'], true)).toMatchObject({
      found: false,
      error: { code: 'INTERRUPTED', message: 'interrupted', hints: [] },
    });
  });
});
