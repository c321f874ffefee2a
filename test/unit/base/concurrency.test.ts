import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mapConcurrently, RegopsError, SingleFlight, throwIfAborted } from '../../../src/base/index.ts';

describe('mapConcurrently', () => {
  test('gives all results in order and never runs more than the limit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 6 }),
        async (turns, limit) => {
          let running = 0;
          let most = 0;
          const results = await mapConcurrently(turns, limit, undefined, async (count) => {
            most = Math.max(most, ++running);
            for (let i = 0; i < count; i++) await turn();
            running--;
            return count * 2;
          });
          expect(results).toEqual(turns.map((count) => count * 2));
          expect(most).toBeLessThanOrEqual(limit);
          expect(most).toBe(Math.min(limit, turns.length));
        },
      ),
    );
  });

  test('takes any iterable, and a limit below one as one', async () => {
    const letters = new Set(['a', 'b']);
    expect(await mapConcurrently(letters, 0, undefined, async (letter) => letter)).toEqual(['a', 'b']);
    expect(await mapConcurrently([], 4, undefined, async () => 1)).toEqual([]);
  });

  test('the first failure is thrown, after the others were told and have let go', async () => {
    const events: string[] = [];
    const failed = mapConcurrently([1, 2, 3], 2, undefined, async (item, signal) => {
      if (item === 1) {
        await turn();
        throw new RegopsError('SERVER_ERROR', 'one failed');
      }
      events.push(`start ${item}`);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await turn();
      events.push(`let go of ${item}`);
      throwIfAborted(signal);
    });
    await expect(failed).rejects.toMatchObject({ code: 'SERVER_ERROR', message: 'one failed' });
    expect(events).toEqual(['start 2', 'let go of 2']);
  });

  test('a signal from outside stops it, also when the work does not look at it', async () => {
    const controller = new AbortController();
    let started = 0;
    const stopped = mapConcurrently([1, 2, 3, 4], 1, controller.signal, async () => {
      started++;
      controller.abort();
    });
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(started).toBe(1);
  });

  test('a signal that was aborted before starts nothing', async () => {
    const reason = new RegopsError('TIMED_OUT', 'late');
    const work = mapConcurrently([1], 1, AbortSignal.abort(reason), async () => expect.unreachable());
    await expect(work).rejects.toBe(reason);
  });

  test('a signal on the last item still counts', async () => {
    const controller = new AbortController();
    const work = mapConcurrently([1], 1, controller.signal, async () => controller.abort());
    await expect(work).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});

describe('SingleFlight', () => {
  test('shares what runs, by key, and keeps nothing', async () => {
    const flights = new SingleFlight<string, number>();
    let calls = 0;
    const work = async (): Promise<number> => {
      const call = ++calls;
      await turn();
      return call;
    };
    expect(
      await Promise.all([flights.run('a', work), flights.run('a', work), flights.run('b', work)]),
    ).toEqual([1, 1, 2]);
    expect(await flights.run('a', work)).toBe(3);
  });

  test('a failure reaches all who waited, and the next may try again', async () => {
    const flights = new SingleFlight<string, string>();
    const fail = async (): Promise<string> => {
      await turn();
      throw new Error('no');
    };
    const both = await Promise.allSettled([flights.run('a', fail), flights.run('a', fail)]);
    expect(both.map((one) => one.status)).toEqual(['rejected', 'rejected']);
    expect(await flights.run('a', async () => 'yes')).toBe('yes');
  });

  test('a caller whose signal aborts leaves at once, the others get the result', async () => {
    const flights = new SingleFlight<string, string>();
    const impatient = new AbortController();
    let land: (value: string) => void = () => {};
    let workSignal: AbortSignal | undefined;
    const work = (signal: AbortSignal): Promise<string> => {
      workSignal = signal;
      return new Promise((resolve) => {
        land = resolve;
      });
    };
    const leaves = flights.run('a', work, impatient.signal);
    const stays = flights.run('a', work);
    impatient.abort();
    await expect(leaves).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(workSignal?.aborted).toBe(false);
    land('landed');
    expect(await stays).toBe('landed');
    expect(workSignal?.aborted).toBe(false);
  });

  test('when the last has left the work is called off, and who comes next does not join it', async () => {
    const flights = new SingleFlight<string, string>();
    const controller = new AbortController();
    let workSignal: AbortSignal | undefined;
    const stuck = (signal: AbortSignal): Promise<string> => {
      workSignal = signal;
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new Error('called off'))),
      );
    };
    const only = flights.run('a', stuck, controller.signal);
    controller.abort();
    await expect(only).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(workSignal?.aborted).toBe(true);
    expect(await flights.run('a', async () => 'fresh')).toBe('fresh');
  });

  test('a caller that comes already aborted starts nothing', async () => {
    const flights = new SingleFlight<string, never>();
    const run = flights.run('a', () => expect.unreachable(), AbortSignal.abort());
    await expect(run).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});
