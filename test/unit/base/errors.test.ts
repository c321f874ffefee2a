import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  abortReason,
  ERROR_KINDS,
  type ErrorCode,
  isRegopsError,
  messageOf,
  RegopsError,
  systemCode,
  throwIfAborted,
} from '../../../src/base/index.ts';

const CODES = Object.keys(ERROR_KINDS) as ErrorCode[];

describe('RegopsError', () => {
  test.each(CODES)('%s has a kind', (code) => {
    expect(new RegopsError(code, 'x').kind).toBe(ERROR_KINDS[code]);
  });

  test('carries hints, details and the cause', () => {
    const cause = new Error('inner');
    const error = new RegopsError('TIMED_OUT', 'outer', { hints: ['wait'], details: { status: 504 }, cause });
    expect(error).toMatchObject({ name: 'RegopsError', hints: ['wait'], details: { status: 504 }, cause });
    expect(new RegopsError('BUG', 'x')).not.toHaveProperty('cause');
    expect(new RegopsError('BUG', 'x', { cause: null })).toHaveProperty('cause', null);
  });

  test('is known by its brand, also when it came from another copy of the module', async () => {
    const path = new URL('../../../src/base/errors.ts', import.meta.url).href;
    const copy = (await import(/* @vite-ignore */ `${path}?copy`)) as { RegopsError: typeof RegopsError };
    const foreign = new copy.RegopsError('BUG', 'x');
    expect(foreign).not.toBeInstanceOf(RegopsError);
    expect(isRegopsError(foreign)).toBe(true);
    expect(isRegopsError(foreign, 'BUG')).toBe(true);
    expect(isRegopsError(foreign, 'USAGE')).toBe(false);
  });

  test('nothing else is one', () => {
    expect(isRegopsError(Object.assign(new Error('x'), { code: 'BUG', kind: 'bug' }))).toBe(false);
    fc.assert(fc.property(fc.anything(), (value) => !isRegopsError(value)));
  });

  test('the brand does not show in JSON', () => {
    const shown = JSON.parse(JSON.stringify(new RegopsError('BUG', 'x')));
    expect(shown).toEqual({ name: 'RegopsError', code: 'BUG', hints: [], details: {} });
  });
});

describe('messageOf', () => {
  test.each([
    [new Error('two\n  lines'), 'two lines'],
    [new TypeError(''), 'TypeError'],
    ['text', 'text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [42, '42'],
  ])('%j', (thrown, message) => {
    expect(messageOf(thrown)).toBe(message);
  });
});

describe('abort', () => {
  test('is INTERRUPTED unless the reason is an error of ours', () => {
    const reason = new RegopsError('TIMED_OUT', 'too slow');
    expect(abortReason(AbortSignal.abort(reason))).toBe(reason);
    expect(abortReason(AbortSignal.abort('Ctrl-C'))).toMatchObject({ code: 'INTERRUPTED', cause: 'Ctrl-C' });
    expect(abortReason(AbortSignal.abort()).code).toBe('INTERRUPTED');
  });

  test('throwIfAborted is silent until then', () => {
    const controller = new AbortController();
    throwIfAborted(undefined);
    throwIfAborted(controller.signal);
    controller.abort();
    expect(() => throwIfAborted(controller.signal)).toThrow(expect.objectContaining({ code: 'INTERRUPTED' }));
  });
});

describe('systemCode', () => {
  const thrownBy = async (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error) => error,
    );

  test('is the errno of a system error, however deep', async () => {
    const missing = await thrownBy(readFile('/nonexistent/file'));
    expect(systemCode(missing)).toBe('ENOENT');
    expect(systemCode(new Error('a', { cause: new Error('b', { cause: missing }) }))).toBe('ENOENT');
    expect(systemCode(new RegopsError('FILE_NOT_FOUND', 'x', { cause: missing }))).toBe('ENOENT');
    expect(systemCode(new AggregateError([new Error('a'), missing]))).toBe('ENOENT');
  });

  test('also of a refused connection', async () => {
    const socket = connect(1, '127.0.0.1');
    const error = await new Promise((resolve) => socket.once('error', resolve));
    expect(systemCode(error)).toBe('ECONNREFUSED');
  });

  test('is undefined where there is none, and a loop of causes ends', () => {
    const loop = new Error('a');
    loop.cause = loop;
    expect(systemCode(loop)).toBeUndefined();
    expect(systemCode(new RegopsError('BUG', 'x'))).toBeUndefined();
    expect(systemCode('ENOENT')).toBeUndefined();
    expect(systemCode(undefined)).toBeUndefined();
  });
});
