import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProgress } from '../../../src/progress/index.ts';
import { HandClock, Screen } from './streams.ts';

const MIB = 1024 * 1024;

beforeEach(() => {
  // cli-progress draws on a timer of its own.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function onScreen(screen = new Screen()) {
  const clock = new HandClock();
  const progress = await createProgress({ stream: screen, clock, mode: 'auto', color: false });
  const draw = async (ms = 1000): Promise<string[]> => {
    await clock.advance(ms);
    vi.advanceTimersByTime(200);
    return screen.shown();
  };
  return { screen, clock, progress, draw };
}

test('draws the total and a bar per task, with bytes, rate and time left', async () => {
  const { progress, draw } = await onScreen();
  const a = progress.task('sha256:aaaa', 10 * MIB);
  progress.task('sha256:bbbb', 10 * MIB);
  await draw();
  a.advance(5 * MIB);
  const [total, first, second] = await draw();
  expect(total).toMatch(/^total 0\/2 .*\[=+ +\] +25% +5 MiB\/20 MiB +\d.*MiB\/s +ETA \d/);
  expect(first).toMatch(/^sha256:aaaa .*\[=+ +\] +50% +5 MiB\/10 MiB +\d.*MiB\/s +ETA \d/);
  expect(second).toMatch(/^sha256:bbbb .*\[ +\] +0% +0 B\/10 MiB/);
  progress.close();
});

test('the total counts work that was announced and has not begun', async () => {
  const { progress, draw } = await onScreen();
  progress.expect(4, 40 * MIB);
  progress.task('sha256:aaaa', 10 * MIB).advance(10 * MIB);
  const [total] = await draw();
  expect(total).toMatch(/^total 0\/4 .* 25% +10 MiB\/40 MiB/);
  progress.close();
});

test('a task of unknown size shows its bytes alone', async () => {
  const { progress, draw } = await onScreen();
  progress.task('layer').advance(MIB);
  const [total, first] = await draw();
  expect(first).toMatch(/^layer +\[ +\] +1 MiB/);
  expect(`${total}${first}`).not.toContain('%');
  progress.close();
});

test('lines of others and ended tasks stay above the bars, whole', async () => {
  const { progress, screen, draw } = await onScreen();
  progress.phase('pushing');
  const tasks = ['one', 'two', 'three'].map((label) => progress.task(label, MIB));
  await draw();
  progress.line('warning: careful');
  tasks[1]?.advance(MIB);
  tasks[1]?.end('uploaded');
  const shown = await draw();
  expect(shown.slice(0, 3)).toEqual(['pushing', 'warning: careful', 'uploaded two  1 MiB in 1.0s']);
  expect(shown[3]).toMatch(/^total 1\/3/);
  expect(shown[4]).toMatch(/^one /);
  expect(shown[5]).toMatch(/^three /);
  expect(shown.length).toBe(6);
  tasks[0]?.end('exists');
  tasks[2]?.end('failed');
  progress.close();
  expect(screen.shown()).toEqual([
    'pushing',
    'warning: careful',
    'uploaded two  1 MiB in 1.0s',
    'exists one',
    'failed three',
  ]);
});

test('close takes the bars down and gives the terminal back, also twice and early', async () => {
  const { progress, screen, draw } = await onScreen();
  progress.task('one', 5);
  await draw();
  expect(screen.cursorShown).toBe(false);
  progress.close();
  progress.close();
  expect(screen.shown()).toEqual(['']);
  expect(screen).toMatchObject({ cursorShown: true, wraps: true });
  expect(vi.getTimerCount()).toBe(0);
  progress.task('too late', 5).end('failed');
  expect(vi.getTimerCount()).toBe(0);
});

test('at most twelve bars, fewer on a small terminal; the rest counts in the total', async () => {
  const { progress, draw } = await onScreen();
  const tasks = Array.from({ length: 40 }, (_, n) => progress.task(`task${n}`, MIB));
  const shown = await draw();
  expect(shown.length).toBe(13);
  expect(shown[0]).toMatch(/^total 0\/40 .* 0 B\/40 MiB/);
  for (const task of tasks.slice(0, 38)) task.end('exists');
  expect((await draw()).slice(-2).map((line) => line.slice(0, 6))).toEqual(['task38', 'task39']);
  progress.close();

  const small = await onScreen(new Screen(80, 8));
  for (let n = 0; n < 40; n++) small.progress.task(`task${n}`, MIB);
  expect((await small.draw()).length).toBe(6);
  small.progress.close();
});

test.each([20, 40, 60, 80, 200])('no line is wider than %d columns', async (columns) => {
  const { progress, draw } = await onScreen(new Screen(columns));
  const exact = progress.task('x', 10 * MIB);
  await draw();
  exact.advance(5 * MIB);
  // Nothing is lost at the edge: with the last column written, clearing to the right would take it.
  if (columns >= 80) expect((await draw())[1]).toMatch(/ETA \S+s$/);
  exact.end('done');
  progress.task('registry.example.com/团队/应用程序/一个很长的名字:latest', 3e12).advance(1e12);
  for (const line of await draw()) {
    // Wide characters take two cells and are written as one.
    const cells = [...line].reduce((sum, char) => sum + (/\p{Script=Han}/u.test(char) ? 2 : 1), 0);
    expect(cells).toBeLessThanOrEqual(columns);
  }
  progress.close();
});

test('labels from elsewhere cannot move the cursor or begin a line', async () => {
  const { progress, draw } = await onScreen();
  progress.task('tag\u001b[2J\nfake', MIB);
  const shown = await draw();
  expect(shown[1]).toMatch(/^tag\\x1b\[2J\\x0afake/);
  expect(shown.length).toBe(2);
  progress.close();
});

test('colours only when asked for', async () => {
  const screen = new Screen();
  const progress = await createProgress({ stream: screen, clock: new HandClock(), mode: 'tty', color: true });
  progress.phase('x');
  expect(screen.text).toContain('\u001b[1m');
  progress.close();
});

test('a panel stands below all lines, is replaced as a whole, and gone at the end', async () => {
  const { progress, screen } = await onScreen();
  progress.line('one');
  expect(progress.panel(['a 1', 'b 1', 'c 1'])).toBe(true);
  expect(screen.shown()).toEqual(['one', 'a 1', 'b 1', 'c 1']);
  progress.panel(['a 2', 'b 2']);
  expect(screen.shown()).toEqual(['one', 'a 2', 'b 2']);
  progress.line('two');
  expect(screen.shown()).toEqual(['one', 'two', 'a 2', 'b 2']);
  progress.close();
  expect(screen.shown()).toEqual(['one', 'two']);
  expect(progress.panel(['late'])).toBe(false);
  progress.line('three');
  expect(screen.shown()).toEqual(['one', 'two', 'three']);
});

test('a panel is cut to the terminal: what wraps or scrolls away could not be erased', async () => {
  const { progress, screen } = await onScreen(new Screen(20, 5));
  progress.panel(Array.from({ length: 10 }, (_, at) => `${at} ${'wide '.repeat(10)}`));
  expect(screen.shown()).toHaveLength(4);
  expect(Math.max(...screen.shown().map((line) => line.length))).toBeLessThan(20);
  progress.close();
  expect(screen.shown()).toEqual(['']);
});

test('bars take the place of a panel', async () => {
  const { progress, screen, draw } = await onScreen();
  progress.panel(['figures 1']);
  const task = progress.task('layer', MIB);
  expect((await draw()).join('\n')).not.toContain('figures');
  expect(progress.panel(['figures 2'])).toBe(true);
  expect((await draw()).join('\n')).not.toContain('figures');
  task.end('done');
  progress.close();
  expect(screen.shown().join('\n')).not.toContain('figures');
});
