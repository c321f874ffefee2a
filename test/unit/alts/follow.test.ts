import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type FollowedTask,
  type FollowOptions,
  followTasks,
  openScheduler,
  type TaskStatus,
} from '../../../src/alts/index.ts';
import { RegopsError, silentLog } from '../../../src/base/index.ts';
import { testClock } from '../../support/http-clock.ts';
import { startServer } from '../../support/http-server.ts';

const MINUTE = 60_000;
const DONE: TaskStatus = { state: 'SUCCESS', result: null };

type Step = string | TaskStatus | Error;

/** A scheduler that plays a list of answers for each task, the last one for ever. */
function play(script: Readonly<Record<string, readonly Step[]>>, more: Partial<FollowOptions> = {}) {
  const clock = testClock();
  const asked: { id: string; atMs: number }[] = [];
  const changes: string[] = [];
  const outages: (string | undefined)[] = [];
  let under = 0;
  const begun = clock.now();
  const scheduler = {
    async result(id: string): Promise<TaskStatus> {
      expect(++under, 'one question at a time').toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      under--;
      const before = asked.filter((question) => question.id === id).length;
      asked.push({ id, atMs: clock.now() - begun });
      const steps = script[id] ?? [];
      const step = steps[Math.min(before, steps.length - 1)] ?? 'PENDING';
      if (step instanceof Error) throw step;
      return typeof step === 'string' ? { state: step } : step;
    },
  };
  const follow = (ids = Object.keys(script)) =>
    followTasks(scheduler, ids, {
      timeoutMs: 120 * MINUTE,
      clock,
      onChange: ({ id, state, ending }: FollowedTask) =>
        changes.push([id, state, ending].filter(Boolean).join(' ')),
      onOutage: (error) => outages.push(error?.code),
      ...more,
    });
  return { follow, clock, asked, changes, outages };
}

const down = new RegopsError('CONNECTION_FAILED', 'host: connection refused');
const broken = new RegopsError('PROTOCOL_VIOLATION', 'host sent no JSON');

describe('tasks are followed', () => {
  test('to their ends, each change told once', async () => {
    const { follow, changes } = play({
      a: ['PENDING', 'PENDING', 'STARTED', 'STARTED', 'RETRY', 'STARTED', DONE],
      b: ['PENDING', 'ABORTED', 'REVOKED'],
      c: ['FAILURE'],
    });
    expect(await follow()).toEqual([
      { id: 'a', state: 'SUCCESS', result: null, ending: 'ended' },
      { id: 'b', state: 'REVOKED', ending: 'ended' },
      { id: 'c', state: 'FAILURE', ending: 'ended' },
    ]);
    expect(changes.filter((line) => line.startsWith('a'))).toEqual([
      'a PENDING',
      'a STARTED',
      'a RETRY',
      'a STARTED',
      'a SUCCESS ended',
    ]);
    expect(changes.filter((line) => line.startsWith('c'))).toEqual(['c FAILURE ended']);
  });

  test('in the order given, each once; none is none', async () => {
    const { follow, asked } = play({ a: [DONE], b: [DONE] });
    expect((await follow(['b', 'a', 'b'])).map(({ id }) => id)).toEqual(['b', 'a']);
    expect(asked).toHaveLength(2);
    expect(await play({}).follow()).toEqual([]);
  });

  test('politely: five seconds at least, longer while nothing changes, soon again after a change', async () => {
    const { follow, asked } = play(
      { a: [...Array(12).fill('PENDING'), 'STARTED', 'STARTED', DONE] },
      { intervalMs: 1 },
    );
    await follow();
    const waits = asked.slice(1).map(({ atMs }, index) => atMs - (asked[index]?.atMs ?? 0));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(5000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(75_000);
    expect(waits[10]).toBeGreaterThanOrEqual(60_000);
    expect(waits[12]).toBeLessThanOrEqual(6250);
  });

  test('many of them: no two questions without a rest', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `t${index}`);
    const { follow, asked } = play(Object.fromEntries(ids.map((id) => [id, ['PENDING', 'STARTED', DONE]])));
    expect((await follow()).every(({ ending }) => ending === 'ended')).toBe(true);
    expect(asked).toHaveLength(120);
    for (const [index, { atMs }] of asked.entries()) {
      if (index > 0) expect(atMs - (asked[index - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(500);
    }
  });

  test('a slow scheduler rests as long as it took', async () => {
    const clock = testClock();
    const at: number[] = [];
    const slow = {
      async result(): Promise<TaskStatus> {
        at.push(clock.now());
        clock.advance(4000);
        return at.length < 4 ? { state: 'STARTED' } : DONE;
      },
    };
    await followTasks(slow, ['a', 'b', 'c'], { timeoutMs: 60 * MINUTE, clock });
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBe(8000);
  });
});

describe('tasks that do not end', () => {
  test('by the timeout, after a last question', async () => {
    const { follow, asked, clock } = play({ a: ['STARTED'] }, { timeoutMs: 10 * MINUTE, random: () => 0 });
    const begun = clock.now();
    expect(await follow()).toEqual([{ id: 'a', state: 'STARTED', ending: 'timeout' }]);
    expect(clock.now() - begun).toBe(10 * MINUTE);
    expect(asked.at(-1)?.atMs).toBe(10 * MINUTE);
  });

  test('by the timeout, with no last question within five seconds of another', async () => {
    for (let share = 0; share < 1; share += 0.01) {
      const { follow, asked, clock } = play(
        { a: ['STARTED'] },
        { timeoutMs: 10 * MINUTE, random: () => share },
      );
      const begun = clock.now();
      expect(await follow()).toEqual([{ id: 'a', state: 'STARTED', ending: 'timeout' }]);
      expect(clock.now() - begun).toBe(10 * MINUTE);
      const [last = 0, before = 0] = asked.map(({ atMs }) => atMs).reverse();
      expect(last).toBeGreaterThan(10 * MINUTE - 5000);
      expect(last - before).toBeGreaterThanOrEqual(5000);
    }
  });

  test('the last question may still find the end', async () => {
    const { follow } = play({ a: ['STARTED', DONE] }, { timeoutMs: 5000, random: () => 0.9 });
    expect(await follow()).toMatchObject([{ ending: 'ended' }]);
  });

  test('lost: PENDING after it had been STARTED, said twice', async () => {
    const { follow } = play({
      a: ['STARTED', 'PENDING', 'PENDING'],
      b: ['STARTED', 'PENDING', 'STARTED', DONE],
    });
    expect(await follow()).toMatchObject([{ ending: 'lost' }, { ending: 'ended' }]);
  });

  test('lost: it was known in an earlier life', async () => {
    const known = new Map([
      ['a', 'STARTED'],
      ['b', 'PENDING'],
    ]);
    const { follow } = play({ a: ['PENDING'], b: ['PENDING', DONE] }, { known });
    expect(await follow()).toMatchObject([{ ending: 'lost' }, { ending: 'ended' }]);
  });

  test('unstarted: PENDING for ever', async () => {
    const { follow, clock } = play({ a: ['PENDING'] }, { pendingMs: 30 * MINUTE });
    const begun = clock.now();
    expect(await follow()).toEqual([{ id: 'a', state: 'PENDING', ending: 'unstarted' }]);
    expect(clock.now() - begun).toBeLessThan(32 * MINUTE);
  });

  test('a SUCCESS whose result is a moment late is asked for again; one without any ends', async () => {
    const late = { state: 'SUCCESS' };
    const { follow, asked } = play({ a: [late, { state: 'SUCCESS', result: null }], b: [late] });
    expect(await follow()).toEqual([
      { id: 'a', state: 'SUCCESS', result: null, ending: 'ended' },
      { id: 'b', state: 'SUCCESS', ending: 'ended' },
    ]);
    expect(asked.filter(({ id }) => id === 'b')).toHaveLength(3);
  });
});

describe('a scheduler that goes away', () => {
  test('for a while is waited for', async () => {
    const { follow, outages } = play({
      a: ['STARTED', down, down, new RegopsError('RATE_LIMITED', 'busy'), DONE],
    });
    expect(await follow()).toMatchObject([{ ending: 'ended' }]);
    expect(outages).toEqual(['CONNECTION_FAILED', undefined]);
  });

  test('for good leaves what is known', async () => {
    const { follow, clock } = play({ a: [DONE], b: ['STARTED', down], c: ['PENDING', down] });
    const begun = clock.now();
    const tasks = await follow();
    expect(tasks.map(({ state, ending }) => [state, ending])).toEqual([
      ['SUCCESS', 'ended'],
      ['STARTED', 'unreachable'],
      ['PENDING', 'unreachable'],
    ]);
    expect(tasks[1]?.error).toBe(down);
    expect(clock.now() - begun).toBeLessThan(6 * MINUTE);
  });

  test('and was never there fails at once, unless it was reached before', async () => {
    await expect(play({ a: [down, DONE] }).follow()).rejects.toBe(down);
    expect(await play({ a: [down, DONE] }, { reached: true }).follow()).toMatchObject([{ ending: 'ended' }]);
  });

  test('is given the time it asks for', async () => {
    const busy = new RegopsError('RATE_LIMITED', 'busy', { details: { retryAfterMs: 90_000 } });
    const { follow, asked } = play({ a: ['STARTED', busy, DONE] });
    await follow();
    expect((asked[2]?.atMs ?? 0) - (asked[1]?.atMs ?? 0)).toBeGreaterThanOrEqual(90_000);
  });

  test('and one that no longer takes the token ends it all', async () => {
    const denied = new RegopsError('AUTHENTICATION_FAILED', 'expired');
    const { follow } = play({ a: ['STARTED', denied], b: ['STARTED'] });
    expect(await follow()).toMatchObject([
      { ending: 'unreachable', error: denied },
      { ending: 'unreachable' },
    ]);
  });

  test('answers that cannot be used give up that task alone, after three of them', async () => {
    const { follow } = play({
      a: ['STARTED', broken],
      b: ['STARTED', broken, broken, 'STARTED', broken, DONE],
    });
    expect(await follow()).toMatchObject([{ ending: 'unreadable', error: broken }, { ending: 'ended' }]);
  });

  test('what is no failure of the scheduler is thrown', async () => {
    const { follow } = play(
      { a: ['STARTED'] },
      {
        onChange: () => {
          throw new Error('ours');
        },
      },
    );
    await expect(follow()).rejects.toThrow('ours');
  });
});

describe('an interruption', () => {
  test('leaves what is known', async () => {
    const abort = new AbortController();
    const { follow } = play(
      { a: [DONE], b: ['STARTED'] },
      { signal: abort.signal, onChange: ({ state }) => state === 'STARTED' && abort.abort() },
    );
    expect(await follow()).toMatchObject([{ ending: 'ended' }, { state: 'STARTED', ending: 'interrupted' }]);
  });

  test('before anything was asked', async () => {
    const { follow, asked } = play({ a: [DONE] }, { signal: AbortSignal.abort() });
    expect(await follow()).toEqual([{ id: 'a', ending: 'interrupted' }]);
    expect(asked).toEqual([]);
  });

  test('of a real request', async () => {
    const server = await startServer([
      { expect: { path: '/tasks/a/result' }, reply: { fault: 'silence' }, times: Number.POSITIVE_INFINITY },
    ]);
    const clock = testClock();
    const options = {
      url: server.origin.href,
      timeoutMs: 5000,
      retries: 0,
      userAgent: 'x',
      log: silentLog,
      clock,
    };
    const scheduler = openScheduler(options);
    onTestFinished(() => scheduler.close());
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    expect(await followTasks(scheduler, ['a'], { timeoutMs: MINUTE, clock, signal: abort.signal })).toEqual([
      { id: 'a', ending: 'interrupted' },
    ]);
  });
});

test('a scheduler that is started anew is followed through it', async () => {
  let asked = 0;
  const body = (document: unknown) => ({ body: JSON.stringify(document) });
  const server = await startServer(
    [
      { expect: { path: '/tasks/a/result' }, reply: body({ state: 'STARTED' }) },
      { expect: { path: '/tasks/a/result' }, reply: { fault: 'cut' }, times: 2 },
      { expect: { path: '/tasks/a/result' }, reply: { status: 502, body: 'Bad Gateway' }, times: 2 },
      { expect: { path: '/tasks/a/result' }, reply: { body: '<html>maintenance</html>' } },
      {
        expect: { path: '/tasks/a/result' },
        reply: body({ state: 'SUCCESS', result: { install_package: { success: true } } }),
      },
    ],
    { onRequest: () => asked++ },
  );
  const clock = testClock();
  const scheduler = openScheduler({
    url: server.origin.href,
    timeoutMs: 5000,
    retries: 1,
    userAgent: 'x',
    log: silentLog,
    clock,
  });
  onTestFinished(() => scheduler.close());
  const [task] = await followTasks(scheduler, ['a'], { timeoutMs: 60 * MINUTE, clock });
  expect(task).toMatchObject({ state: 'SUCCESS', ending: 'ended' });
  expect(asked).toBe(7);
});
