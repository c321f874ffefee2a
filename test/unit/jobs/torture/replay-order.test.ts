import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inOrder } from '../../../../src/jobs/torture/verdict/replay.ts';
import type { ReproStep } from '../../../../src/jobs/torture/verdict/repro.ts';

const step = (client: number, atMs: number, forMs: number): ReproStep => ({
  client,
  kind: 'list-tags',
  atMs,
  forMs,
});

interface Played {
  /** What was under way at the same time, as pairs of places in the list. */
  readonly together: ReadonlySet<string>;
  /** What had ended when a step began. */
  readonly endedBefore: readonly ReadonlySet<number>[];
  readonly pauses: readonly number[];
}

/** Plays steps on a registry that answers one request, the one `choose` names, when nothing more can begin. */
async function played(steps: readonly ReproStep[], choose: (count: number) => number): Promise<Played> {
  const running = new Map<number, () => void>();
  const ended = new Set<number>();
  const endedBefore: Set<number>[] = [];
  const together = new Set<string>();
  const pauses: number[] = [];
  let over = false;
  const all = inOrder(steps, {
    perform(one) {
      const at = steps.indexOf(one);
      endedBefore[at] = new Set(ended);
      for (const other of running.keys()) together.add([at, other].toSorted((a, b) => a - b).join());
      return new Promise((resolve) => running.set(at, resolve));
    },
    async pause(ms) {
      pauses.push(ms);
    },
  }).finally(() => {
    over = true;
  });
  while (!over) {
    await new Promise((resolve) => setImmediate(resolve));
    const [at, answer] = [...running][choose(running.size)] ?? [];
    if (at === undefined || answer === undefined) continue;
    running.delete(at);
    ended.add(at);
    answer();
  }
  await all;
  return { together, endedBefore, pauses };
}

test('what followed follows, with the pause there was; what overlapped overlaps', async () => {
  const steps = [step(1, 0, 10), step(2, 4, 10), step(1, 20, 5), step(3, 22, 1)];
  const { together, endedBefore, pauses } = await played(steps, () => 0);
  expect([...together]).toEqual(['0,1', '2,3']);
  expect([...(endedBefore[2] ?? [])].toSorted()).toEqual([0, 1]);
  expect(pauses).toEqual([6]);
});

test('one client’s steps follow each other even where their times touch', async () => {
  const { together } = await played([step(1, 0, 5), step(1, 5, 5), step(1, 10, 0)], () => 0);
  expect([...together]).toEqual([]);
});

test('whatever the registry answers first, the partial order is kept', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), fc.nat(20), fc.nat(10)), { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat(7)),
      async (drafts, choices) => {
        const busyUntil = new Map<number, number>();
        const steps = drafts
          .toSorted((a, b) => a[1] - b[1])
          .map(([client, at, length]) => {
            const atMs = Math.max(at, busyUntil.get(client) ?? 0);
            busyUntil.set(client, atMs + length + 1);
            return step(client, atMs, length);
          })
          .toSorted((a, b) => a.atMs - b.atMs || a.forMs - b.forMs);
        const { endedBefore } = await played(
          steps,
          (count) => (choices.next().value ?? 0) % Math.max(1, count),
        );
        expect(endedBefore).toHaveLength(steps.length);
        for (const [later, one] of steps.entries()) {
          for (const [earlier, other] of steps.slice(0, later).entries()) {
            if (other.atMs + other.forMs < one.atMs) expect(endedBefore[later]?.has(earlier)).toBe(true);
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});
