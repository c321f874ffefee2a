import { describe, expect, it, vi } from 'vitest';
import type { Fault, RequestLine, Testbed } from '../../../src/testbed/index.ts';
import { rawCall } from '../../support/raw-client.ts';
import {
  beginUpload,
  call,
  codeOf,
  digestOf,
  openTestbed,
  openTestbedOn,
  pushBlob,
  pushImage,
  STORAGE_KINDS,
  withDigest,
} from '../../support/testbed-client.ts';

const BYTES = Buffer.from('0123456789'.repeat(100));

/** A testbed with a blob, then faults. */
async function withBlob(
  faults: string | Fault,
  options: Parameters<typeof openTestbed>[0] = {},
): Promise<{ testbed: Testbed; path: string; digest: string; lines: RequestLine[] }> {
  const lines: RequestLine[] = [];
  const testbed = await openTestbed({ onRequest: (line) => lines.push(line), ...options });
  const digest = await pushBlob(testbed, 'app', BYTES);
  lines.length = 0;
  testbed.faults.add(faults);
  return { testbed, path: `/v2/app/blobs/${digest}`, digest, lines };
}

/** A clock that a test moves, and that writes down how long somebody slept. */
function handClock() {
  const slept: number[] = [];
  const clock = {
    time: 1_000_000,
    now: () => clock.time,
    sleep: async (ms: number) => {
      slept.push(ms);
      clock.time += ms;
    },
  };
  return { clock, slept };
}

describe('faults on the wire', () => {
  it('status, with the body of the specification or another, once or always', async () => {
    const { testbed, path, lines } = await withBlob('GET blobs status=503 first=1 name=busy');
    const first = await call(testbed, 'GET', path);
    expect([first.status, codeOf(first)]).toEqual([503, 'UNKNOWN']);
    expect((await call(testbed, 'GET', path)).body).toEqual(BYTES);
    expect(testbed.faults.counts()).toMatchObject([{ name: 'busy', matched: 2, fired: 1 }]);
    expect(lines.map(({ status, faults }) => [status, faults])).toEqual([
      [503, ['busy']],
      [200, undefined],
    ]);
    testbed.faults.clear();
    testbed.faults.add({ effect: { status: 418, body: 'tea' } });
    const other = await call(testbed, 'GET', path);
    expect([other.status, other.body.toString(), other.headers['content-type']]).toEqual([
      418,
      'tea',
      'text/plain',
    ]);
  });

  it('429 with Retry-After', async () => {
    const { testbed, path } = await withBlob('retry-after=2');
    const answer = await call(testbed, 'GET', path);
    expect([answer.status, answer.headers['retry-after'], codeOf(answer)]).toEqual([
      429,
      '2',
      'TOOMANYREQUESTS',
    ]);
  });

  it('handled: it is done, and the answer says it is not', async () => {
    const testbed = await openTestbed({ faults: [{ match: { method: 'PUT' }, effect: { status: 500 } }] });
    const put = async () =>
      call(testbed, 'PUT', withDigest(await beginUpload(testbed, 'app'), digestOf(BYTES)), { body: BYTES });
    expect((await put()).status).toBe(500);
    const path = `/v2/app/blobs/${digestOf(BYTES)}`;
    expect((await call(testbed, 'HEAD', path)).status).toBe(404);
    testbed.faults.clear();
    testbed.faults.add('PUT status=500 handled');
    expect((await put()).status).toBe(500);
    expect((await call(testbed, 'HEAD', path)).status).toBe(200);
  });

  it('reset before: nothing is done, nothing is said', async () => {
    const { testbed, path, lines } = await withBlob('reset=before');
    expect(await rawCall(testbed, 'DELETE', path)).toMatchObject({ head: '', ended: 'ECONNRESET' });
    testbed.faults.clear();
    expect((await call(testbed, 'HEAD', path)).status).toBe(200);
    await vi.waitFor(() => expect(lines).toHaveLength(2));
    expect(lines[0]).toMatchObject({ method: 'DELETE', status: 0, bytesOut: 0, faults: ['fault-1'] });
  });

  it('reset after: it is done, nothing is said', async () => {
    const { testbed, path } = await withBlob('DELETE reset=after');
    expect(await rawCall(testbed, 'DELETE', path)).toMatchObject({ head: '', ended: 'ECONNRESET' });
    expect((await call(testbed, 'HEAD', path)).status).toBe(404);
  });

  it('reset after the head', async () => {
    const { testbed, path } = await withBlob('reset=head');
    const answer = await rawCall(testbed, 'GET', path);
    expect(answer).toMatchObject({ body: Buffer.alloc(0), ended: 'ECONNRESET' });
    expect(answer.head).toMatch(/^HTTP\/1.1 200 /);
    expect(answer.head).toMatch(/content-length: 1000/i);
  });

  it('reset in mid-body', async () => {
    const { testbed, path, lines } = await withBlob('reset=mid');
    const answer = await rawCall(testbed, 'GET', path);
    expect(answer).toMatchObject({ body: BYTES.subarray(0, 500), ended: 'ECONNRESET' });
    await vi.waitFor(() => expect(lines).toMatchObject([{ status: 200, bytesOut: 500 }]));
  });

  it('reset in the middle of what a client sends: what came stays', async () => {
    const testbed = await openTestbed({
      faults: [{ match: { kind: 'blobs', method: 'PATCH', nth: 1 }, effect: { reset: 'mid' } }],
    });
    const location = await beginUpload(testbed, 'app');
    expect(await rawCall(testbed, 'PATCH', location, { body: BYTES })).toMatchObject({
      head: '',
      ended: 'ECONNRESET',
    });
    expect((await call(testbed, 'GET', location)).headers['range']).toBe('0-499');
    await call(testbed, 'PATCH', location, { body: BYTES.subarray(500) });
    expect((await call(testbed, 'PUT', withDigest(location, digestOf(BYTES)))).status).toBe(201);
  });

  it('reset over TLS', async () => {
    const testbed = await openTestbed({ tls: true, faults: [{ effect: { reset: 'before' } }] });
    await expect(
      call({ url: testbed.url }, 'GET', '/v2/', { tls: { rejectUnauthorized: false } as object }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) });
  });

  it.each([
    ['50%', 500],
    ['123', 123],
    ['0', 0],
  ])('truncate=%s: an orderly end before the announced one', async (truncate, sent) => {
    const { testbed, path } = await withBlob(`truncate=${truncate}`);
    const answer = await rawCall(testbed, 'GET', path);
    expect(answer).toMatchObject({ body: BYTES.subarray(0, sent), ended: 'end' });
    expect(answer.head).toMatch(/content-length: 1000/i);
  });

  it.each(STORAGE_KINDS)('shorten: fewer bytes, and nothing on the wire shows it (%s)', async (kind) => {
    const testbed = await openTestbedOn(kind);
    const path = `/v2/app/blobs/${await pushBlob(testbed, 'app', BYTES)}`;
    testbed.faults.add('shorten=30%');
    const got = await call(testbed, 'GET', path);
    expect([got.status, got.headers['content-length'], got.body]).toEqual([
      200,
      '300',
      BYTES.subarray(0, 300),
    ]);
    expect((await call(testbed, 'HEAD', path)).headers['content-length']).toBe('300');
  });

  it.each(STORAGE_KINDS)(
    'corrupt: other bytes, the same ones for a seed; what is stored stays (%s)',
    async (kind) => {
      const corrupted: Buffer[] = [];
      for (const faultSeed of [1, 1, 2]) {
        const testbed = await openTestbedOn(kind, { faultSeed });
        const path = `/v2/app/blobs/${await pushBlob(testbed, 'app', BYTES)}`;
        testbed.faults.add('corrupt=3');
        const { body, headers } = await call(testbed, 'GET', path);
        expect(headers['content-length']).toBe('1000');
        expect(body.filter((byte, at) => byte !== BYTES[at])).toHaveLength(3);
        corrupted.push(body);
        testbed.faults.clear();
        expect((await call(testbed, 'GET', path)).body).toEqual(BYTES);
      }
      expect(corrupted[0]).toEqual(corrupted[1]);
      expect(corrupted[0]).not.toEqual(corrupted[2]);
    },
  );

  it('length: another Content-Length than there are bytes', async () => {
    const { testbed, path } = await withBlob('length=+10 name=long');
    const long = await rawCall(testbed, 'GET', path);
    expect(long).toMatchObject({ body: BYTES, ended: 'end' });
    expect(long.head).toMatch(/content-length: 1010/i);
    expect((await call(testbed, 'HEAD', path)).headers['content-length']).toBe('1010');
    testbed.faults.remove('long');
    testbed.faults.add('length=-10');
    const short = await rawCall(testbed, 'GET', path);
    expect(short).toMatchObject({ body: BYTES, ended: 'end' });
    expect(short.head).toMatch(/content-length: 990/i);
  });

  it('digest: wrong or missing, of manifests and blobs only', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'v1');
    testbed.faults.add('HEAD digest=missing; GET digest=wrong');
    const path = '/v2/app/manifests/v1';
    expect((await call(testbed, 'HEAD', path)).headers['docker-content-digest']).toBeUndefined();
    const got = await call(testbed, 'GET', path);
    expect(got.headers['docker-content-digest']).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(got.headers['docker-content-digest']).not.toBe(image.digest);
    expect(got.body.toString()).toBe(image.text);
    await call(testbed, 'GET', '/v2/app/tags/list');
    expect(testbed.faults.counts()).toMatchObject([{ fired: 1 }, { matched: 1, fired: 1 }]);
  });

  it('delay: as long as asked, also when nothing is found', async () => {
    const { clock, slept } = handClock();
    const { testbed, path } = await withBlob('GET delay=250ms', { clock });
    await call(testbed, 'GET', path);
    await call(testbed, 'GET', '/v2/none/tags/list');
    expect(slept).toEqual([250, 250]);
  });

  it('stall: whoever comes waits until it is over', async () => {
    const { clock, slept } = handClock();
    const { testbed } = await withBlob('stall after=10s for=1s', { clock });
    for (const ms of [9900, 400, 0, 5000]) {
      clock.time += ms;
      await call(testbed, 'GET', '/v2/');
    }
    expect(slept).toEqual([700]);
  });

  it('rate: a body comes in slices', async () => {
    const { clock, slept } = handClock();
    const { testbed, path } = await withBlob('rate=1000/s', { clock });
    expect((await call(testbed, 'GET', path)).body).toEqual(BYTES);
    expect(slept).toHaveLength(20);
    expect(slept.reduce((total, ms) => total + ms, 0)).toBeCloseTo(1000);
  });

  it('several at once: it waits, then lies, and each is counted', async () => {
    const { clock, slept } = handClock();
    const { testbed, path } = await withBlob('delay=5ms; digest=missing; corrupt; POST status=500', {
      clock,
    });
    const answer = await call(testbed, 'GET', path);
    expect(slept).toEqual([5]);
    expect(answer.headers['docker-content-digest']).toBeUndefined();
    expect(answer.body).not.toEqual(BYTES);
    expect(testbed.faults.counts().map(({ fired }) => fired)).toEqual([1, 1, 1, 0]);
  });

  it('closes at once while somebody waits for a fault', async () => {
    const { testbed } = await withBlob('delay=1h');
    const waiting = rawCall(testbed, 'GET', '/v2/');
    await vi.waitFor(() => expect(testbed.faults.counts()[0]?.matched).toBe(1));
    await testbed.close();
    expect((await waiting).head).toBe('');
  });

  it('are met only by who may come in', async () => {
    const testbed = await openTestbed({
      auth: { username: 'u', password: 'p' },
      faults: [{ effect: { status: 500 } }],
    });
    expect((await call(testbed, 'GET', '/v2/')).status).toBe(401);
    const authorization = `Basic ${Buffer.from('u:p').toString('base64')}`;
    expect((await call(testbed, 'GET', '/v2/', { headers: { authorization } })).status).toBe(500);
  });
});
