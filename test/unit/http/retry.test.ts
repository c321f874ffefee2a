import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type ErrorCode, type Log, RegopsError, silentLog } from '../../../src/base/index.ts';
import {
  type BodyRecipe,
  createAgent,
  DEFAULT_RETRY_POLICY,
  type HttpRequest,
  type HttpResponse,
  type RetryPolicy,
  retry,
  type Send,
} from '../../../src/http/index.ts';
import { type TestClock, testClock } from '../../support/http-clock.ts';
import { type Exchange, startServer } from '../../support/http-server.ts';

const url = new URL('https://registry.example.com/v2/a/blobs/uploads/1?_state=SECRET');

interface Run {
  readonly outcome: Promise<HttpResponse>;
  readonly clock: TestClock;
  readonly traces: string[];
  readonly tries: () => number;
}

type Step = number | { status: number; headers?: Record<string, string>; body?: string } | RegopsError;

/** Sends a request through retry to a link that gives these outcomes in turn, then 200. */
function run(
  steps: readonly Step[],
  options: { request?: Partial<HttpRequest>; policy?: Partial<RetryPolicy>; random?: () => number } = {},
): Run {
  const clock = testClock();
  const traces: string[] = [];
  let tries = 0;
  const link: Send = async (request) => {
    const step = steps[tries++] ?? 200;
    if (step instanceof RegopsError) throw step;
    const { status, headers = {}, body = '' } = typeof step === 'number' ? { status: step } : step;
    return { status, headers, url: request.url, body: Readable.from([Buffer.from(body)]) };
  };
  const log: Log = { ...silentLog, trace: (line) => traces.push(line) };
  const send = retry(
    { ...DEFAULT_RETRY_POLICY, ...options.policy },
    { clock, log, random: options.random ?? (() => 0.5) },
  )(link);
  return { outcome: send({ method: 'GET', url, ...options.request }), clock, traces, tries: () => tries };
}

const failure = (
  code: ErrorCode,
  details: Record<string, string | number | boolean> = { sent: true },
): RegopsError => new RegopsError(code, 'failed', { details });

describe('statuses', () => {
  test.each([408, 429, 499, 500, 502, 503, 504, 522, 599])('%i is tried again', async (status) => {
    const { outcome, tries } = run([status]);
    expect((await outcome).status).toBe(200);
    expect(tries()).toBe(2);
  });

  test.each([200, 301, 400, 401, 403, 404, 409, 413, 416, 501, 505])(
    '%i is given back at once',
    async (status) => {
      const { outcome, tries } = run([status]);
      expect((await outcome).status).toBe(status);
      expect(tries()).toBe(1);
    },
  );

  test('after the last try the response is given back, its body unread', async () => {
    const step = { status: 503, body: 'sorry' };
    const { outcome, tries } = run([step, step, step], { policy: { attempts: 3 } });
    const response = await outcome;
    expect(response.status).toBe(503);
    expect(await text(response.body)).toBe('sorry');
    expect(tries()).toBe(3);
  });

  test.each([
    [429, 2],
    [503, 2],
    [500, 1],
    [504, 1],
    [408, 1],
  ])('an unrepeatable request after %i: %i tries', async (status, expected) => {
    const { outcome, tries } = run([status], { request: { method: 'PATCH', repeatable: false } });
    await outcome;
    expect(tries()).toBe(expected);
  });
});

describe('errors', () => {
  test.each<[ErrorCode, Record<string, string | number | boolean>]>([
    ['CONNECTION_FAILED', { sent: true }],
    ['TIMED_OUT', { sent: true }],
    ['NAME_NOT_RESOLVED', { errno: 'EAI_AGAIN', sent: false }],
    ['PROXY_FAILED', { errno: 'ECONNREFUSED', sent: false }],
    ['PROXY_FAILED', { status: 503, sent: false }],
  ])('%s %j is tried again', async (code, details) => {
    const { outcome, tries } = run([failure(code, details)]);
    expect((await outcome).status).toBe(200);
    expect(tries()).toBe(2);
  });

  test.each<[ErrorCode, Record<string, string | number | boolean>]>([
    ['NAME_NOT_RESOLVED', { errno: 'ENOTFOUND', sent: false }],
    ['PROXY_FAILED', { status: 407, sent: false }],
    ['PROXY_FAILED', { errno: 'ENOTFOUND', sent: false }],
    ['TLS_UNTRUSTED', { sent: false }],
    ['TLS_FAILED', { sent: false }],
    ['PROTOCOL_VIOLATION', {}],
    ['SIZE_MISMATCH', {}],
    ['IO_FAILED', {}],
    ['INTERRUPTED', {}],
  ])('%s %j is thrown at once', async (code, details) => {
    const { outcome, tries } = run([failure(code, details)]);
    await expect(outcome).rejects.toMatchObject({ code });
    expect(tries()).toBe(1);
  });

  test('the last one is thrown as it is', async () => {
    const errors = [1, 2, 3].map(() => failure('TIMED_OUT'));
    const { outcome, tries } = run(errors, { policy: { attempts: 3 } });
    await expect(outcome).rejects.toBe(errors[2]);
    expect(tries()).toBe(3);
  });

  test('an unrepeatable request is only sent again when nothing of it was sent', async () => {
    const request = { method: 'PATCH' as const, repeatable: false };
    const unsent = run([failure('CONNECTION_FAILED', { sent: false })], { request });
    expect((await unsent.outcome).status).toBe(200);
    const sent = run([failure('CONNECTION_FAILED', { sent: true })], { request });
    await expect(sent.outcome).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(sent.tries()).toBe(1);
  });
});

describe('waits', () => {
  test('are random below a doubling bound, up to the cap', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 0.999, noNaN: true }), async (random) => {
        const policy = { attempts: 6, baseMs: 100, capMs: 500 };
        const { outcome, clock } = run([500, 500, 500, 500, 500], { policy, random: () => random });
        await outcome;
        expect(clock.slept).toEqual([100, 200, 400, 500, 500].map((bound) => Math.floor(random * bound)));
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    ['7', 7000],
    [' 7 ', 7000],
    ['Tue, 01 Jan 2030 00:00:09 GMT', 9000],
    ['Tuesday, 01-Jan-30 00:00:09 GMT', 9000],
    ['Tue, 01 Jan 2019 00:00:00 GMT', 250],
    ['0', 250],
    ['soon', 250],
    ['-5', 250],
    ['1e3', 250],
    ['99999999999999999999', 250],
    ['', 250],
  ])('Retry-After: %s waits %i ms', async (value, expected) => {
    const { outcome, clock } = run([{ status: 429, headers: { 'retry-after': value } }]);
    await outcome;
    expect(clock.slept).toEqual([expected]);
  });

  test.each([
    ['61', '1m01s'],
    ['Tue, 01 Jan 2030 02:00:00 GMT', '2h00m'],
  ])('Retry-After: %s is beyond the cap: RATE_LIMITED says how long', async (value, shown) => {
    const body = '{"errors":[{"message":"pull limit, token=SECRET"}]}';
    const { outcome, clock, tries } = run([{ status: 429, headers: { 'retry-after': value }, body }]);
    const error = await outcome.catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'RATE_LIMITED', details: { status: 429 } });
    expect((error as Error).message).toContain(shown);
    expect((error as Error).message).toContain('pull limit');
    expect((error as Error).message).not.toContain('SECRET');
    expect(clock.slept).toEqual([]);
    expect(tries()).toBe(1);
  });

  test('leave a redacted line in the trace', async () => {
    const { outcome, traces } = run([502, failure('TIMED_OUT')]);
    await outcome;
    expect(traces).toEqual([
      'try 2 of 5 in 0.25s: GET https://registry.example.com/v2/a/blobs/uploads/1?_state=REDACTED gave 502',
      'try 3 of 5 in 0.50s: GET https://registry.example.com/v2/a/blobs/uploads/1?_state=REDACTED gave TIMED_OUT',
    ]);
  });

  test('end with an abort', async () => {
    const controller = new AbortController();
    const clock = testClock();
    const send = retry(DEFAULT_RETRY_POLICY, { clock, log: silentLog })(async () => {
      controller.abort();
      throw failure('CONNECTION_FAILED');
    });
    await expect(send({ method: 'GET', url, signal: controller.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(clock.slept).toEqual([]);
  });
});

describe('against a real server', () => {
  async function sendThrough(
    script: readonly Exchange[],
    request: Partial<HttpRequest> & { body: BodyRecipe },
  ): Promise<number> {
    const server = await startServer(script);
    const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000, connections: 1 });
    onTestFinished(() => agent.close());
    const send = retry(DEFAULT_RETRY_POLICY, { clock: testClock(), log: silentLog })(agent.send);
    const response = await send({ method: 'PUT', url: server.url('/'), ...request });
    return response.status;
  }

  test('the body is opened anew for every try, and failed answers free their connection', async () => {
    let opened = 0;
    const body: BodyRecipe = {
      size: 6,
      open: () => {
        opened++;
        return Readable.from([Buffer.from('abc'), Buffer.from('def')]);
      },
    };
    const expectation = { method: 'PUT', path: '/', body: 'abcdef' };
    const status = await sendThrough(
      [
        { expect: expectation, reply: { status: 503, body: 'x'.repeat(200_000) } },
        { expect: expectation, reply: { fault: 'cut' } },
        { expect: expectation, reply: { status: 201 } },
      ],
      { body },
    );
    expect(status).toBe(201);
    expect(opened).toBe(3);
  });
});
