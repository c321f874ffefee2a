import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, type PruneRules, planPrune } from '../../../../src/jobs/snapshot/policy.ts';

const NOW = 1_000_000;

function candidate(id: string, more: Partial<Candidate> = {}): Candidate {
  return { id, source: 'app', createdMs: Number(id), parts: [{ key: id, bytes: 10 }], sharedBy: [], ...more };
}

function going(candidates: readonly Candidate[], rules: Partial<PruneRules>) {
  const plan = planPrune(candidates, { expired: false, ...rules }, NOW);
  return plan.remove.map(({ candidate: { id }, reason }) => `${id} ${reason}`);
}

const five = ['1', '2', '3', '4', '5'].map((id) => candidate(id));

test('keep alone: all but the newest of every source go, oldest first', () => {
  expect(going(five, { keep: 3 })).toEqual(['1 keep', '2 keep']);
  expect(going([...five, candidate('0', { source: 'other' })], { keep: 3 })).toEqual(['1 keep', '2 keep']);
  expect(going(five, { keep: 9 })).toEqual([]);
});

test('expired ones go, and count for nothing else', () => {
  const some = [
    ...five.slice(0, 4),
    candidate('5', { expiresMs: NOW }),
    candidate('6', { expiresMs: NOW + 1 }),
  ];
  expect(going(some, { expired: true })).toEqual(['5 expired']);
  expect(going(some, { expired: true, keep: 2 })).toEqual(['5 expired', '1 keep', '2 keep', '3 keep']);
  expect(going(some, { keep: 5 })).toEqual(['1 keep']);
});

test('what keep protects, age and size do not take', () => {
  expect(going(five, { maxAgeMs: NOW - 3 })).toEqual(['1 max-age', '2 max-age']);
  expect(going(five, { maxAgeMs: 0, keep: 2 })).toEqual(['1 max-age', '2 max-age', '3 max-age']);
  expect(going(five, { maxTotalBytes: 25 })).toEqual([
    '1 max-total-size',
    '2 max-total-size',
    '3 max-total-size',
  ]);
  expect(going(five, { maxTotalBytes: 0, keep: 4 })).toEqual(['1 max-total-size']);
});

test('shared layers count once, and free nothing while somebody has them', () => {
  const base = { key: 'base', bytes: 100 };
  const some = ['1', '2', '3'].map((id) => candidate(id, { parts: [base, base, { key: id, bytes: 10 }] }));
  expect(planPrune(some, { expired: false, maxTotalBytes: 130 }, NOW).remove).toEqual([]);
  expect(going(some, { maxTotalBytes: 120 })).toEqual(['1 max-total-size']);
  expect(planPrune(some, { expired: false, maxTotalBytes: 120 }, NOW).bytesAfter).toBe(120);
});

test('content that another name points at stays, and its bytes are still counted', () => {
  const some = [candidate('1', { sharedBy: ['golden'] }), ...five.slice(1)];
  const plan = planPrune(some, { expired: false, maxTotalBytes: 30 }, NOW);
  expect(plan.shared.map((one) => one.candidate.id)).toEqual(['1']);
  expect(plan.remove.map((one) => one.candidate.id)).toEqual(['2', '3']);
  expect(plan.bytesAfter).toBe(30);
});

describe('whatever there is', () => {
  const candidates = fc.uniqueArray(
    fc.record({
      id: fc.string({ minLength: 1, maxLength: 4 }),
      source: fc.constantFrom('a', 'b'),
      createdMs: fc.integer({ min: 0, max: NOW }),
      expiresMs: fc.option(fc.integer({ min: 0, max: 2 * NOW }), { nil: undefined }),
      parts: fc.array(
        fc.constantFrom('p', 'q', 'r').map((key) => ({ key, bytes: 10 })),
        { maxLength: 3 },
      ),
      sharedBy: fc.constantFrom([], [], ['golden']),
    }),
    { selector: ({ id }) => id, maxLength: 20 },
  );
  const rules = fc.record({
    expired: fc.boolean(),
    keep: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    maxAgeMs: fc.option(fc.integer({ min: 0, max: NOW }), { nil: undefined }),
    maxTotalBytes: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
  });

  test('each goes or stays, the protected stay, and the order of the input says nothing', () => {
    fc.assert(
      fc.property(candidates, rules, (all, given) => {
        const plan = planPrune(all, given, NOW);
        const removed = new Set(plan.remove.map((one) => one.candidate));
        expect(removed.size + plan.stay.length).toBe(all.length);
        for (const one of plan.stay) expect(removed.has(one)).toBe(false);
        for (const one of removed) expect(one.sharedBy).toEqual([]);
        for (const source of ['a', 'b']) {
          const lasting = all
            .filter((one) => one.source === source)
            .filter((one) => !(given.expired && one.expiresMs !== undefined && one.expiresMs <= NOW));
          const stay = plan.stay.filter((one) => lasting.includes(one)).length;
          expect(stay).toBeGreaterThanOrEqual(Math.min(given.keep ?? 0, lasting.length));
        }
        const other = planPrune(all.toReversed(), given, NOW);
        expect(other.remove).toEqual(plan.remove);
      }),
    );
  });
});
