import { expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/index.ts';
import type { Fault } from '../../../../src/jobs/torture/consistency/faults.ts';
import { Ledger } from '../../../../src/jobs/torture/consistency/ledger.ts';
import { Suspicions } from '../../../../src/jobs/torture/consistency/suspicions.ts';
import { TagHistory } from '../../../../src/jobs/torture/consistency/tag-history.ts';

const fault = (reference: string, kind: Fault['kind'] = 'missing-blob'): Fault => ({
  kind,
  repository: 'a',
  reference,
  message: `about ${reference}`,
  evidence: [],
});

test('findings of several passes are merged, the gravest first, and bounded', () => {
  const ledger = new Ledger(2);
  expect(ledger.add(fault('x', 'server-error'), 1, 't1', 'warning')).toMatchObject({ severity: 'warning' });
  expect(ledger.add(fault('x', 'server-error'), 1, 't2', 'warning')).toBeUndefined();
  expect(ledger.add(fault('y'), 1, 't2')).toMatchObject({ severity: 'error' });
  expect(ledger.add(fault('z'), 1, 't2')).toBeUndefined();
  expect(ledger.dropped).toBe(1);
  expect(ledger.findings.map(({ reference }) => reference)).toEqual(['y', 'x']);
  expect(ledger.add(fault('x', 'server-error'), 3, 't3')).toMatchObject({ severity: 'error' });
  expect(ledger.add(fault('x', 'server-error'), 4, 't4', 'warning')).toBeUndefined();
  expect(ledger.findings.find(({ reference }) => reference === 'x')).toMatchObject({
    severity: 'error',
    firstSeen: 't1',
    lastSeen: 't4',
    passes: 3,
  });
});

test('known tags are bounded in all', () => {
  const known = new TagHistory(5);
  known.listed('a', ['1', '2', '3'], 0);
  known.listed('b', ['1', '2', '3'], 0);
  expect([known.kept, known.tagsOf('b')]).toEqual([3, []]);
  known.listed('a', ['1'], 0);
  known.listed('b', ['1', '2', '3'], 0);
  expect([known.kept, known.tagsOf('b').length]).toEqual([4, 3]);
});

/** How many looks a fault of a kind takes, and what becomes of it when the looks from `clears` on are good. */
async function settle(kind: Fault['kind'], clears = Number.POSITIVE_INFINITY) {
  const suspicions = new Suspicions();
  let looks = 0;
  const told: boolean[] = [];
  suspicions.add('it', [fault('x', kind)], async () => (++looks >= clears ? [] : [fault('x', kind)]));
  const { signal } = new AbortController();
  const guilty = await suspicions.settle({ clock: systemClock, signal, confirmMs: 1 }, (_, confirmed) => {
    told.push(confirmed);
  });
  return { looks, told, guilty };
}

test('two looks confirm, four what may lag; one good look clears', async () => {
  expect(await settle('missing-blob')).toEqual({ looks: 2, told: [true], guilty: 1 });
  expect(await settle('lost-tag')).toEqual({ looks: 4, told: [true], guilty: 1 });
  expect(await settle('ghost-repository')).toEqual({ looks: 4, told: [true], guilty: 0 });
  expect(await settle('missing-blob', 2)).toEqual({ looks: 2, told: [false], guilty: 0 });
  expect(await settle('lost-tag', 4)).toEqual({ looks: 4, told: [false], guilty: 0 });
});

test('a look that fails confirms nothing', async () => {
  const { RegopsError } = await import('../../../../src/base/index.ts');
  const suspicions = new Suspicions();
  suspicions.add('it', [fault('x')], async () => {
    throw new RegopsError('SERVER_ERROR', 'no');
  });
  const told: boolean[] = [];
  const { signal } = new AbortController();
  await suspicions.settle({ clock: systemClock, signal, confirmMs: 1 }, (_, is) => void told.push(is));
  expect(told).toEqual([false]);
});
