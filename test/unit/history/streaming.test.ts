import { describe, expect, test } from 'vitest';
import { HistoryJudge, type Judgement, judgePart, type Operation } from '../../../src/history/index.ts';
import { digest, operation, random } from './histories.ts';

/** How a simulated registry goes wrong, once in a hundred operations. */
type Lie = 'none' | 'stale' | 'vanished' | 'resurrected';

/** Six clients on one tag, one operation after the other each, against a register that keeps its word or does not. */
function simulate(next: () => number, lie: Lie, deletes: boolean): Operation[] {
  const values: (number | undefined)[] = [undefined];
  const clients = Array.from({ length: 6 }, (_, client) => ({ client, freeUs: client }));
  const drafts = Array.from({ length: 400 }, () => {
    const free = clients[Math.floor(next() * clients.length)] as (typeof clients)[number];
    const callUs = free.freeUs + Math.floor(next() * 10);
    const returnUs = callUs + 1 + Math.floor(next() * 40);
    free.freeUs = returnUs + 1;
    return { client: free.client, callUs, returnUs, atUs: callUs + next() * (returnUs - callUs) };
  }).sort((a, b) => a.atUs - b.atUs);
  let written = 0;
  return drafts.map(({ client, callUs, returnUs }) => {
    const choice = next();
    const unknown = next() < 0.02;
    const outcome = { client, ...(unknown ? { outcome: 'unknown' as const } : {}) };
    if (choice < 0.25) {
      const value = written++;
      if (!unknown || next() < 0.5) values.push(value);
      return operation(callUs, returnUs, { kind: 'put-manifest', value: digest(value), ...outcome });
    }
    if (deletes && choice < 0.3) {
      if (!unknown || next() < 0.5) values.push(undefined);
      return operation(callUs, returnUs, { kind: 'delete-manifest', ...outcome });
    }
    const wrong = lie !== 'none' && next() < 0.01;
    const told =
      !wrong || lie === 'vanished'
        ? wrong
          ? undefined
          : values.at(-1)
        : values[Math.floor(next() * values.length)];
    return operation(callUs, returnUs, { client, value: told === undefined ? null : digest(told) });
  });
}

function finished(operations: readonly Operation[], markWhen: () => boolean): Judgement {
  const judge = new HistoryJudge({ settleUs: 5 });
  const left = operations.toSorted((a, b) => a.returnUs - b.returnUs);
  const calls = left.map(({ callUs }) => callUs);
  const lowest = [...calls];
  for (let at = lowest.length - 2; at >= 0; at--) lowest[at] = Math.min(lowest[at] ?? 0, lowest[at + 1] ?? 0);
  for (const [at, each] of left.entries()) {
    judge.add(each);
    if (markWhen()) judge.mark(Math.min(each.returnUs, lowest[at + 1] ?? each.returnUs));
  }
  return judge.finish();
}

/** What two judgements of one history must agree on. */
function told({ level, tags, overlap, invariants }: Judgement): unknown {
  const [verdict] = tags.verdicts;
  return { level, verdict, overlap, violated: verdict?.linearizable, session: sessionStates(invariants) };
}

function sessionStates(invariants: Judgement['invariants']): readonly number[] {
  return invariants
    .filter(({ name }) => /^(read-your|monotonic|writes-follow|phantom|read-before)/.test(name))
    .map(({ violations }) => violations);
}

describe.each<[Lie, boolean]>([
  ['none', false],
  ['stale', false],
  ['vanished', false],
  ['none', true],
  ['resurrected', true],
  ['vanished', true],
])('long histories (lie: %s, deletes: %s)', (lie, deletes) => {
  test('are judged alike in one piece and in epochs', () => {
    let violated = 0;
    for (let seed = 0; seed < 25; seed++) {
      const operations = simulate(random(seed), lie, deletes);
      const next = random(seed + 1000);
      const whole = finished(operations, () => false);
      expect(told(finished(operations, () => next() < 0.3)), `seed ${seed}`).toEqual(told(whole));
      const marked = finished(operations, () => true);
      expect(told(marked), `seed ${seed}`).toEqual(told(whole));
      for (const { invariant, operations: shown } of [...whole.findings, ...marked.findings]) {
        // Neither of these is seen in a part: nobody knows there what else was pushed, or when the tag was last seen.
        if (invariant === 'phantom-manifest' || invariant === 'read-before-write') continue;
        expect(judgePart(shown), `seed ${seed}: ${invariant}`).toBe('violated');
      }
      if (whole.level !== 'linearizable') violated++;
      if (lie === 'none') expect(whole.findings, `seed ${seed}`).toEqual([]);
      for (const { operations: shown } of whole.findings) expect(shown.length).toBeLessThanOrEqual(8);
    }
    if (lie === 'none') expect(violated).toBe(0);
    else expect(violated).toBeGreaterThan(12);
  });
});
