import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import {
  type BodyRecipe,
  ByteRate,
  type HttpRequest,
  limitRate,
  type Send,
} from '../../../src/http/index.ts';
import { testClock } from '../../support/http-clock.ts';

const KIB = 1024;
const url = new URL('http://registry.example.com/');

/** Reads the request's body, as an agent would, and keeps when its bytes came. */
function reader(clock: ReturnType<typeof testClock>, read: Buffer[]): Send {
  return async (request) => {
    const { body } = request;
    if (body instanceof Uint8Array) read.push(Buffer.from(body));
    else if (body) read.push(await buffer(await body.open()));
    return { status: 200, headers: { at: String(clock.now()) }, url, body: Readable.from([]) };
  };
}

function recipe(size: number, fill = 1): BodyRecipe {
  return { size, open: () => Readable.from([Buffer.alloc(size, fill)], { objectMode: false }) };
}

function put(body: HttpRequest['body']): HttpRequest {
  return { method: 'PUT', url, ...(body === undefined ? {} : { body }) };
}

describe('a limited rate', () => {
  test('lets a body out piece by piece, none of them far from the next', async () => {
    const clock = testClock();
    const began = clock.now();
    const rate = new ByteRate(100 * KIB, clock);
    const read: Buffer[] = [];
    await limitRate(rate)(reader(clock, read))(put(recipe(500 * KIB)));
    expect(read[0]).toEqual(Buffer.alloc(500 * KIB, 1));
    // The last piece goes when the ones before it have had their time.
    expect(clock.now() - began).toBeCloseTo(5000 - (1000 * rate.pieceBytes) / (100 * KIB), -2);
    expect(Math.max(...clock.slept)).toBeLessThanOrEqual(25);
  });

  test('is one for all that share it, and fair', async () => {
    const clock = testClock();
    const began = clock.now();
    const send = limitRate(new ByteRate(100 * KIB, clock))(reader(clock, []));
    const ends = await Promise.all(
      [recipe(200 * KIB), recipe(200 * KIB)].map(async (body) => {
        await send(put(body));
        return clock.now() - began;
      }),
    );
    expect(Math.max(...ends)).toBeGreaterThan(3800);
    expect(Math.min(...ends)).toBeGreaterThan(3000);
  });

  test('counts bodies in memory too, and lets the next one wait for them', async () => {
    const clock = testClock();
    const began = clock.now();
    const send = limitRate(new ByteRate(10 * KIB, clock))(reader(clock, []));
    await send(put(Buffer.alloc(20 * KIB)));
    expect(clock.now() - began).toBe(0);
    await send(put(recipe(1)));
    expect(clock.now() - began).toBe(2000);
  });

  test('a request without a body does not wait, and time that was not used is not saved up', async () => {
    const clock = testClock();
    const send = limitRate(new ByteRate(10 * KIB, clock))(reader(clock, []));
    await send(put(Buffer.alloc(20 * KIB)));
    await send({ method: 'GET', url });
    expect(clock.slept).toEqual([]);
    clock.advance(60_000);
    await send(put(Buffer.alloc(10 * KIB)));
    await send(put(recipe(1)));
    expect(clock.slept).toEqual([1000]);
  });

  test('keeps the body’s size, its repeats, and its failure', async () => {
    const clock = testClock();
    let opened = 0;
    const failing: BodyRecipe = {
      size: 10,
      open() {
        if (opened++ > 0) throw new Error('cannot be opened');
        return Readable.from(
          (async function* () {
            yield Buffer.alloc(5);
            throw new Error('broke off');
          })(),
          { objectMode: false },
        );
      },
    };
    const errors: string[] = [];
    await limitRate(new ByteRate(KIB, clock))(async ({ body }) => {
      expect((body as BodyRecipe).size).toBe(10);
      for (let tries = 0; tries < 2; tries++) {
        await Promise.resolve((body as BodyRecipe).open())
          .then(buffer)
          .catch((error: Error) => errors.push(error.message));
      }
      return { status: 200, headers: {}, url, body: Readable.from([]) };
    })(put(failing));
    expect(errors).toEqual(['broke off', 'cannot be opened']);
  });

  test('an abort ends the wait', async () => {
    const clock = testClock();
    const abort = new AbortController();
    const send = limitRate(new ByteRate(KIB, clock))(reader(clock, []));
    await send(put(Buffer.alloc(KIB)));
    abort.abort();
    await expect(send({ ...put(Buffer.alloc(1)), signal: abort.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
  });
});
