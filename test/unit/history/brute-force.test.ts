import { describe, expect, test } from 'vitest';
import { maybeLeftOut } from '../../../src/history/counterexample.ts';
import {
  fewest,
  HistoryJudge,
  type Judgement,
  judgePart,
  type Operation,
} from '../../../src/history/index.ts';
import { canBeOrdered } from './brute-force.ts';
import { drawHistory, type Mixture, random } from './histories.ts';

/** How many random histories are held against brute force; 100,000 and more for those who have the time. */
const CASES = Number(process.env['REGOPS_HISTORY_CASES'] ?? 10_000);
const MIXTURES: Readonly<Record<string, Mixture>> = {
  'different writes': { deletes: false, repeats: false },
  'equal writes': { deletes: false, repeats: true },
  deletes: { deletes: true, repeats: false },
  'deletes and equal writes': { deletes: true, repeats: true },
};

/** Settled short after the last change, so that what reads give in the end is judged too. */
const OPTIONS = { settleUs: 3 };

function judged(operations: readonly Operation[]): Judgement {
  const judge = new HistoryJudge(OPTIONS);
  for (const operation of operations) judge.add(operation);
  return judge.finish();
}

/** As a run gives them: each when it returns, with marks that say what is open. */
function judgedWhileRunning(operations: readonly Operation[], next: () => number): Judgement {
  const judge = new HistoryJudge(OPTIONS);
  const left = operations.toSorted((a, b) => a.returnUs - b.returnUs);
  for (let operation = left.shift(); operation; operation = left.shift()) {
    judge.add(operation);
    if (next() < 0.6) judge.mark(Math.min(operation.returnUs, ...left.map(({ callUs }) => callUs)));
  }
  return judge.finish();
}

function tellsOf({ level, tags, invariants }: Judgement): unknown {
  return {
    level,
    linearizable: tags.verdicts.map(({ linearizable }) => linearizable),
    invariants: invariants.filter(({ state }) => state === 'violated').length > 0,
  };
}

describe.each(Object.entries(MIXTURES))('random histories with %s', (name, mixture) => {
  test('are judged as brute force judges them, all at once and while they run', () => {
    const count = Math.ceil(CASES / 4);
    let orderable = 0;
    for (let seed = 0; seed < count; seed++) {
      const next = random(seed * 4 + Object.keys(MIXTURES).indexOf(name));
      const operations = drawHistory(next, mixture);
      const expected = canBeOrdered(operations) ? 'ok' : 'violated';
      if (expected === 'ok') orderable++;
      const whole = judged(operations);
      const [verdict] = whole.tags.verdicts;
      if (verdict && verdict.linearizable !== 'unknown') {
        expect(verdict.linearizable, `seed ${seed}: ${JSON.stringify(operations)}`).toBe(expected);
      }
      expect(whole.findings.length > 0, `seed ${seed}`).toBe(verdict?.linearizable === 'violated');
      expect(
        tellsOf(judgedWhileRunning(operations, next)),
        `seed ${seed}: ${JSON.stringify(operations)}`,
      ).toEqual(tellsOf(whole));
    }
    expect(orderable).toBeGreaterThan(count / 5);
    expect(orderable).toBeLessThan((count * 4) / 5);
  });

  test('have counterexamples that are violations, and none without any one operation', () => {
    let found = 0;
    for (let seed = 0; seed < CASES / 10; seed++) {
      const operations = drawHistory(random(seed), mixture);
      const part = judgePart(operations);
      expect(part === 'ok', `seed ${seed}: ${JSON.stringify(operations)}`).toBe(
        canBeOrdered(operations, true),
      );
      const shown = fewest(operations);
      expect(shown !== undefined).toBe(part === 'violated');
      if (!shown) continue;
      found++;
      expect(canBeOrdered(shown, true), `seed ${seed}`).toBe(false);
      for (const one of shown) {
        const rest = shown.filter((other) => other !== one);
        expect(
          !maybeLeftOut(one, rest) || canBeOrdered(rest, true),
          `seed ${seed}: ${JSON.stringify(shown)}`,
        ).toBe(true);
      }
    }
    expect(found).toBeGreaterThan(10);
  });
});
