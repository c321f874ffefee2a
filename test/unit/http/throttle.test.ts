import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import {
  discardBody,
  type HttpRequest,
  type HttpResponse,
  type Send,
  throttle,
} from '../../../src/http/index.ts';
import { testClock } from '../../support/http-clock.ts';

const at = (origin: string, rest: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: new URL(origin),
  ...rest,
});
const [A, B] = ['https://a.example.com/', 'https://b.example.com/'];
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A link that counts what is under way, answering at once with a body of one byte. */
function link(head: Partial<HttpResponse> = {}): { send: Send; begun: string[] } {
  const begun: string[] = [];
  return {
    begun,
    send: async ({ url }) => {
      begun.push(url.host);
      return { status: 200, headers: {}, url, body: Readable.from([Buffer.from('x')]), ...head };
    },
  };
}

describe('concurrent', () => {
  test('a place is held until the body has ended or was destroyed', async () => {
    const { send, begun } = link();
    const throttled = throttle({ concurrent: 2 })(send);
    const first = await throttled(at(A));
    const second = await throttled(at(A));
    const third = throttled(at(A));
    const fourth = throttled(at(A));
    await turn();
    expect(begun).toHaveLength(2);
    first.body.destroy();
    await third;
    expect(begun).toHaveLength(3);
    await discardBody(second);
    await fourth;
    expect(begun).toHaveLength(4);
  });

  test('origins do not wait for each other', async () => {
    const { send, begun } = link();
    const throttled = throttle({ concurrent: 1 })(send);
    await throttled(at(A));
    await throttled(at(B));
    expect(begun).toEqual(['a.example.com', 'b.example.com']);
  });

  test.each<[string, Partial<HttpRequest>, Partial<HttpResponse>]>([
    ['HEAD', { method: 'HEAD' }, { headers: { 'content-length': '10' } }],
    ['204', {}, { status: 204 }],
    ['304', {}, { status: 304 }],
    ['an empty body', {}, { headers: { 'content-length': '0' } }],
  ])('the answer to %s holds no place, read or not', async (_, request, head) => {
    const throttled = throttle({ concurrent: 1 })(link(head).send);
    for (let i = 0; i < 3; i++) await throttled(at(A, request));
  });

  test('a failure frees its place', async () => {
    let calls = 0;
    const throttled = throttle({ concurrent: 1 })(async () => {
      calls++;
      throw new RegopsError('TIMED_OUT', 'no');
    });
    for (let i = 0; i < 3; i++) await expect(throttled(at(A))).rejects.toThrow('no');
    expect(calls).toBe(3);
  });

  test('who gives up waiting leaves the queue, and the others keep their order', async () => {
    const { send } = link();
    const throttled = throttle({ concurrent: 1 })(send);
    const holder = await throttled(at(A));
    const controller = new AbortController();
    const impatient = throttled(at(A, { signal: controller.signal }));
    const order: number[] = [];
    const others = [1, 2].map(async (n) => {
      const response = await throttled(at(A));
      order.push(n);
      await discardBody(response);
    });
    controller.abort();
    await expect(impatient).rejects.toMatchObject({ code: 'INTERRUPTED' });
    holder.body.destroy();
    await Promise.all(others);
    expect(order).toEqual([1, 2]);
  });
});

describe('perSecond', () => {
  test('spaces the starts evenly, per origin', async () => {
    const clock = testClock(0);
    const starts: [string, number][] = [];
    const { send } = link();
    const throttled = throttle(
      { concurrent: 10, perSecond: 4 },
      clock,
    )((request) => {
      starts.push([request.url.host, clock.now()]);
      return send(request);
    });
    for (let i = 0; i < 4; i++) await throttled(at(A));
    await throttled(at(B));
    expect(starts).toEqual([
      ['a.example.com', 0],
      ['a.example.com', 250],
      ['a.example.com', 500],
      ['a.example.com', 750],
      ['b.example.com', 750],
    ]);
  });

  test('an abort while waiting for the turn frees the place', async () => {
    const clock = testClock(0);
    const { send, begun } = link({ status: 204 });
    const throttled = throttle({ concurrent: 1, perSecond: 1 }, clock)(send);
    await throttled(at(A));
    const controller = new AbortController();
    const waiting = throttled(at(A, { signal: controller.signal }));
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await throttled(at(A));
    expect(begun).toHaveLength(2);
  });
});
