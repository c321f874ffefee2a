import { expect, test } from 'vitest';
import type { LaneResult } from '../../../src/http/index.ts';
import { faultOf } from '../../../src/registry/index.ts';

test.each<[Partial<LaneResult>, string | undefined]>([
  [{ status: 200 }, undefined],
  [{ status: 503 }, 'status-503'],
  [{ status: 307 }, 'redirect'],
  [{ status: 0, error: 'refused' }, 'refused'],
  [{ status: 200, error: 'truncated' }, 'truncated'],
  [{ status: 200, error: 'too-large' }, 'too-large'],
  [{ status: 404, error: 'too-large' }, 'status-404'],
])('what is wrong with %j: %s', (result, fault) => {
  expect(faultOf({ status: 0, bytes: 0, headers: {}, ...result }, 200)).toBe(fault);
});
