import { expect, test } from 'vitest';
import { type Outcome, parseResult } from '../../../../src/alts/index.ts';
import { type ErrorCode, RegopsError } from '../../../../src/base/index.ts';
import { errorOf } from '../../../../src/jobs/package-test/run/ending.ts';

function tested(name: string, outcome: Outcome, code?: ErrorCode) {
  const verdict = { outcome, reason: 'because', stages: [], warnings: [] };
  return {
    task: {
      ...{ package: name, distribution: 'debian:12', architecture: 'amd64', verdict },
      result: parseResult({}),
    },
    ...(code ? { error: new RegopsError(code, `${name}: ${code}`) } : {}),
  };
}

const PASSED = tested('good', 'passed');
const FAILED = tested('bad', 'failed');
const UNPREPARED = tested('unprepared', 'infrastructure');
const SLOW = tested('slow', 'timeout', 'TIMED_OUT');
const STOPPED = tested('stopped', 'revoked', 'INTERRUPTED');

test.each([
  [[PASSED], undefined],
  [[PASSED, FAILED], undefined],
  [[PASSED, UNPREPARED], 'ENGINE_FAILED'],
  [[UNPREPARED, SLOW], 'TIMED_OUT'],
  // What is known of a package is not hidden by what is not known of another.
  [[UNPREPARED, SLOW, FAILED], undefined],
  [[FAILED, SLOW, STOPPED], 'INTERRUPTED'],
])('%# a run ends with %j', (all, code) => {
  expect(errorOf(all, 'debian:12')?.code).toBe(code);
});
