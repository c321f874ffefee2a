import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { watchThread } from '../../../src/load/self-watch.ts';

function watch() {
  const watched = watchThread();
  onTestFinished(() => watched.stop());
  return watched;
}

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('what holds up the beginning, and a single pause, are not the load’s', async () => {
  const watched = watch();
  await sleep(5);
  block(2000);
  await sleep(200);
  block(2000);
  await sleep(50);
  // Of the rest none is near two seconds, on whatever machine.
  expect(watched.figures(0).eventLoopDelayP99Ms).toBeLessThan(1900);
});

test('a thread that is held up again and again says so, also in a short run', async () => {
  const watched = watch();
  await sleep(300);
  for (let times = 0; times < 10; times++) {
    block(60);
    await sleep(1);
  }
  expect(watched.figures(0).eventLoopDelayP99Ms).toBeGreaterThan(40);
});

test('a run that was over at once says nothing', () => {
  const { figures } = watch();
  expect(figures(0).eventLoopDelayP99Ms).toBe(0);
});
