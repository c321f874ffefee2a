import { expect, test } from 'vitest';
import { createProgress } from '../../../src/progress/index.ts';
import { HandClock, TextStream } from './streams.ts';

const MIB = 1024 * 1024;

async function plain() {
  const stream = new TextStream();
  const clock = new HandClock();
  const progress = await createProgress({ stream, clock, mode: 'auto', color: false });
  return { stream, clock, progress };
}

test('a line per phase and per ended task', async () => {
  const { stream, clock, progress } = await plain();
  progress.phase('pushing 2 images');
  const sent = progress.task('sha256:aa', 3 * MIB);
  const there = progress.task('sha256:bb', MIB);
  sent.advance(3 * MIB);
  await clock.advance(1500);
  sent.end('uploaded');
  there.end('exists');
  progress.close();
  expect(stream.lines()).toEqual([
    'pushing 2 images',
    'uploaded sha256:aa  3 MiB in 1.5s',
    'exists sha256:bb',
  ]);
});

test('at least every ten seconds one line about long work, none when nothing runs', async () => {
  const { stream, clock, progress } = await plain();
  const a = progress.task('a', 100 * MIB);
  const b = progress.task('b', 100 * MIB);
  a.advance(40 * MIB);
  await clock.advance(10_000);
  expect(stream.lines()).toEqual(['40 MiB of 200 MiB, 20%, 4 MiB/s, 2 in progress']);
  b.advance(20 * MIB);
  await clock.advance(10_000);
  expect(stream.lines()[1]).toMatch(/^60 MiB of 200 MiB, 30%, /);
  a.end('failed');
  b.end('uploaded');
  const before = stream.lines().length;
  await clock.advance(60_000);
  expect(stream.lines().length).toBe(before);
  progress.close();
});

test('says no percentage while a size is unknown', async () => {
  const { stream, clock, progress } = await plain();
  const task = progress.task('layer');
  task.advance(MIB);
  await clock.advance(10_000);
  expect(stream.lines()[0]).not.toContain('%');
  task.total(2 * MIB);
  await clock.advance(10_000);
  expect(stream.lines()[1]).toContain('1 MiB of 2 MiB, 50%');
  progress.close();
});

test('of work that moves no bytes it tells none', async () => {
  const { stream, clock, progress } = await plain();
  progress.task('curl on debian:12');
  await clock.advance(10_000);
  expect(stream.lines()).toEqual(['1 in progress']);
  progress.close();
});

test('bytes that a retry takes back are not counted twice', async () => {
  const { stream, clock, progress } = await plain();
  const task = progress.task('layer', 4 * MIB);
  task.advance(3 * MIB);
  task.advance(-3 * MIB);
  task.advance(MIB);
  await clock.advance(10_000);
  expect(stream.lines()[0]).toContain('1 MiB of 4 MiB, 25%');
  progress.close();
});

test('a task that skipped its bytes does not leave them to be waited for', async () => {
  const { stream, clock, progress } = await plain();
  progress.task('a', 90 * MIB).end('exists');
  progress.task('b', 10 * MIB).advance(5 * MIB);
  await clock.advance(10_000);
  expect(stream.lines()[1]).toContain('5 MiB of 10 MiB, 50%');
  progress.close();
});

test('nothing is left running after close, which may come twice', async () => {
  const { clock, progress } = await plain();
  progress.task('a', 1);
  expect(clock.sleeping).toBe(1);
  progress.close();
  progress.close();
  expect(clock.sleeping).toBe(0);
  progress.task('b', 1).end('too late');
  expect(clock.sleeping).toBe(0);
});

test('text from elsewhere is escaped and moves no cursor', async () => {
  const { stream, clock, progress } = await plain();
  progress.phase('evil\u001b[2J');
  const task = progress.task('tag\nfake line', 1);
  await clock.advance(10_000);
  task.end('up\u0007loaded');
  progress.close();
  expect(stream.text).not.toMatch(/[\u001b\u0007\r]/);
  expect(stream.lines()[2]).toBe('up\\x07loaded tag\\x0afake line');
});

test('silent draws nothing but prints the lines of others', async () => {
  const stream = new TextStream();
  const progress = await createProgress({ stream, clock: new HandClock(), mode: 'silent', color: false });
  progress.phase('x');
  const task = progress.task('y', 5);
  task.advance(5);
  task.total(6);
  task.end('done');
  progress.line('warning: z');
  progress.close();
  expect(stream.text).toBe('warning: z\n');
});

test('work that was announced counts before it begins', async () => {
  const { stream, clock, progress } = await plain();
  progress.expect(3, 300 * MIB);
  const a = progress.task('a', 100 * MIB);
  a.advance(50 * MIB);
  await clock.advance(10_000);
  expect(stream.lines()).toEqual(['50 MiB of 300 MiB, 16%, 5 MiB/s, 1 in progress, 2 to come']);
  a.advance(50 * MIB);
  a.end('uploaded');
  // Larger than announced: what is still to come never goes below nothing.
  const b = progress.task('b', 250 * MIB);
  const c = progress.task('c', MIB);
  await clock.advance(10_000);
  expect(stream.lines().at(-1)).toMatch(/^100 MiB of 351 MiB, 28%, .*2 in progress$/);
  b.end('exists');
  c.end('exists');
  progress.close();
});
