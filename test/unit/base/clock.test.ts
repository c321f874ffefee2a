import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RegopsError, systemClock } from '../../../src/base/index.ts';

describe('systemClock', () => {
  test('tells the time and sleeps', async () => {
    const before = Date.now();
    await systemClock.sleep(5);
    expect(systemClock.now()).toBeGreaterThan(before);
  });

  test('an aborted signal ends the sleep at once, with its reason', async () => {
    const day = 86_400_000;
    await expect(systemClock.sleep(day, AbortSignal.abort())).rejects.toMatchObject({ code: 'INTERRUPTED' });
    const controller = new AbortController();
    const asleep = systemClock.sleep(day, controller.signal);
    const reason = new RegopsError('TIMED_OUT', 'enough');
    controller.abort(reason);
    await expect(asleep).rejects.toBe(reason);
  });

  test('a signal that aborts later finds nobody asleep', async () => {
    const controller = new AbortController();
    await systemClock.sleep(1, controller.signal);
    controller.abort();
    await expect(systemClock.sleep(1, new AbortController().signal)).resolves.toBeUndefined();
  });

  test('sleeps for longer than a timer can count', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const day = 86_400_000;
    let awake = false;
    const controller = new AbortController();
    const asleep = systemClock.sleep(60 * day, controller.signal).then(() => {
      awake = true;
    });
    await vi.advanceTimersByTimeAsync(60 * day - 1);
    expect(awake).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(awake).toBe(true);
    await asleep;

    const forever = systemClock.sleep(Number.POSITIVE_INFINITY, controller.signal);
    await vi.advanceTimersByTimeAsync(60 * day);
    controller.abort();
    await expect(forever).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
