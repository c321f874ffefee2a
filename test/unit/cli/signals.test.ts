import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchSignals } from '../../../src/cli/signals.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function watch() {
  const source = new EventEmitter();
  const heard: string[] = [];
  const signals = watchSignals({
    source,
    onFirst: (name) => heard.push(`first ${name}`),
    leave: (name) => heard.push(`leave ${name}`),
  });
  return { source, heard, signals };
}

test('the first signal aborts with a reason that says which it was', () => {
  const { source, heard, signals } = watch();
  expect(signals.received).toBeUndefined();
  source.emit('SIGTERM');
  expect(signals.received).toBe('SIGTERM');
  expect(signals.signal.reason).toMatchObject({ code: 'INTERRUPTED', message: 'interrupted by SIGTERM' });
  expect(heard).toEqual(['first SIGTERM']);
});

test('a second one leaves at once, also one of the other kind', () => {
  const { source, heard } = watch();
  source.emit('SIGINT');
  vi.advanceTimersByTime(300);
  source.emit('SIGTERM');
  expect(heard).toEqual(['first SIGINT', 'leave SIGTERM']);
});

test('the same key press that arrives twice is one signal', () => {
  const { source, heard } = watch();
  source.emit('SIGINT');
  vi.advanceTimersByTime(10);
  source.emit('SIGINT');
  expect(heard).toEqual(['first SIGINT']);
});

test('work that does not stop is left before five seconds are over', () => {
  const { source, heard } = watch();
  source.emit('SIGINT');
  vi.advanceTimersByTime(4400);
  expect(heard).toEqual(['first SIGINT']);
  vi.advanceTimersByTime(500);
  expect(heard).toEqual(['first SIGINT', 'leave SIGINT']);
});

test('after stop, signals and the grace period are no longer ours', () => {
  const { source, heard, signals } = watch();
  source.emit('SIGINT');
  signals.stop();
  vi.advanceTimersByTime(10_000);
  source.emit('SIGINT');
  expect(heard).toEqual(['first SIGINT']);
  expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('work that nobody reads is aborted without a signal, and left before five seconds are over', () => {
  const { heard, signals } = watch();
  signals.abandon(() => heard.push('left'));
  expect(signals.signal.reason).toMatchObject({ code: 'INTERRUPTED' });
  expect(signals.received).toBeUndefined();
  signals.abandon(() => heard.push('left again'));
  vi.advanceTimersByTime(4900);
  expect(heard).toEqual(['left']);
});
