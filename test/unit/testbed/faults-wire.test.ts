import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
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
    await expect.poll(() => lines).toHaveLength(2);
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
    await expect.poll(() => lines).toMatchObject([{ status: 200, bytesOut: 500 }]);
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
    await expect.poll(() => testbed.faults.counts()[0]?.matched).toBe(1);
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

/** A blob upload with nothing in it yet, then faults. */
async function withUpload(
  faults: string,
  options: Parameters<typeof openTestbed>[0] = {},
): Promise<{ testbed: Testbed; location: string }> {
  const testbed = await openTestbed(options);
  const location = await beginUpload(testbed, 'app');
  testbed.faults.add(faults);
  return { testbed, location };
}

const DIGEST = digestOf(BYTES);
const BLOB_PATH = `/v2/app/blobs/${DIGEST}`;

/** Sends a request to a testbed that will say nothing more, leaves once it has seen the fault, and gives the head that came. */
async function silentCall(testbed: Testbed, method: string, path: string, body: Buffer): Promise<string> {
  const socket = connect(testbed.port, testbed.host);
  let said = '';
  socket.on('data', (chunk: Buffer) => {
    said += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  const host = `Host: ${testbed.host}:${testbed.port}\r\n`;
  const type = 'Content-Type: application/vnd.oci.image.manifest.v1+json\r\n';
  socket.write(`${method} ${path} HTTP/1.1\r\n${host}${type}Content-Length: ${body.length}\r\n\r\n`);
  socket.write(body);
  const fired = (): number => testbed.faults.counts().reduce((sum, count) => sum + count.fired, 0);
  const before = fired();
  await expect.poll(() => fired()).toBe(before + 1);
  // What was to be said goes out before a request that comes later is answered.
  await call(testbed, 'GET', '/v2/');
  socket.destroy();
  return said.slice(0, Math.max(0, said.indexOf('\r\n\r\n')));
}

describe('faults that hang', () => {
  it.each([
    ['before', ''],
    ['after', ''],
    ['head', 'HTTP/1.1 201'],
  ])('hang=%s: a commit that the client must give up', async (hang, head) => {
    const { testbed, location } = await withUpload(`PUT blobs hang=${hang}`);
    const answer = await silentCall(testbed, 'PUT', withDigest(location, DIGEST), BYTES);
    expect(answer.slice(0, 12)).toBe(head);
    const { status } = await call(testbed, 'HEAD', BLOB_PATH);
    expect(status).toBe(hang === 'before' ? 404 : 200);
    expect(testbed.faults.counts()).toMatchObject([{ fired: 1 }]);
  });

  it('a manifest that is stored, and nobody says so', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'v1');
    testbed.faults.add('PUT manifests hang=after');
    expect(await silentCall(testbed, 'PUT', '/v2/app/manifests/v2', Buffer.from(image.text))).toBe('');
    expect((await call(testbed, 'HEAD', '/v2/app/manifests/v2')).status).toBe(200);
  });

  it('hang=mid stays in the middle of a reply, and of what is sent', async () => {
    const { testbed, path } = await withBlob('GET blobs hang=mid');
    const answer = await rawCall(testbed, 'GET', path, { keepsOpen: 500 });
    expect(answer).toMatchObject({ body: BYTES.subarray(0, 500), ended: 'open' });
    const location = await beginUpload(testbed, 'app');
    testbed.faults.add('PATCH hang=mid');
    expect(await silentCall(testbed, 'PATCH', location, BYTES)).toBe('');
    expect((await call(testbed, 'GET', location)).headers['range']).toBe('0-499');
  });

  it('nobody keeps a testbed from closing', async () => {
    const testbed = await openTestbed({ faults: [{ effect: { hang: 'before' } }] });
    const hanging = rawCall(testbed, 'GET', '/v2/');
    await expect.poll(() => testbed.faults.counts()).toMatchObject([{ matched: 1 }]);
    await testbed.close();
    expect((await hanging).head).toBe('');
  });
});

describe('faults of tokens', () => {
  async function tokenFor(testbed: Testbed): Promise<{ authorization: string }> {
    const scope = 'scope=repository:app:pull,push';
    const { json } = await call(testbed, 'GET', `/token?service=regops-testbed&${scope}`);
    return { authorization: `Bearer ${json.token}` };
  }

  it('expired: 401 in mid-upload, and only a fresh token goes on', async () => {
    const testbed = await openTestbed({ tokenAuth: true });
    const headers = await tokenFor(testbed);
    const location = await beginUpload(testbed, 'app', { headers });
    await call(testbed, 'PATCH', location, { headers, body: BYTES.subarray(0, 400) });
    testbed.faults.add('PATCH nth=1 expired');
    const patch = { headers, body: BYTES.subarray(400) };
    const refused = await call(testbed, 'PATCH', location, patch);
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([
      401,
      expect.stringContaining('scope="repository:app:pull,push",error="invalid_token"'),
    ]);
    expect((await call(testbed, 'PATCH', location, patch)).status).toBe(401);
    const fresh = await tokenFor(testbed);
    expect((await call(testbed, 'PATCH', location, { ...patch, headers: fresh })).status).toBe(202);
    const put = await call(testbed, 'PUT', withDigest(location, DIGEST), { headers: fresh });
    expect(put.status).toBe(201);
  });

  it('means nothing without tokens', async () => {
    const testbed = await openTestbed();
    expect(() => testbed.faults.add('PATCH expired')).toThrow('without token authentication');
  });
});

describe('faults of locations', () => {
  it.each([
    ['missing', undefined],
    ['malformed', 'http://['],
    ['http://169.254.169.254/latest/', 'http://169.254.169.254/latest/'],
  ])('location=%s', async (how, expected) => {
    const testbed = await openTestbed();
    testbed.faults.add(`location=${how}`);
    const begun = await call(testbed, 'POST', '/v2/app/blobs/uploads/');
    expect([begun.status, begun.headers.location]).toEqual([202, expected]);
  });

  it('location=wrong: a session that nobody has begun', async () => {
    const { testbed, location } = await withUpload('PATCH location=wrong');
    const patched = await call(testbed, 'PATCH', location, { body: BYTES });
    const wrong = patched.headers.location ?? '';
    expect(wrong).toMatch(/^\/v2\/app\/blobs\/uploads\//);
    expect(wrong).not.toBe(location);
    expect((await call(testbed, 'PUT', withDigest(wrong, DIGEST))).status).toBe(404);
    expect((await call(testbed, 'PUT', withDigest(location, DIGEST))).status).toBe(201);
  });

  it('location=foreign: the upload goes on at another origin, without credentials', async () => {
    const auth = { username: 'ci', password: 'secret' };
    const testbed = await openTestbed({ auth });
    const headers = { authorization: `Basic ${Buffer.from('ci:secret').toString('base64')}` };
    testbed.faults.add('POST location=foreign');
    const there = new URL(await beginUpload(testbed, 'app', { headers }));
    expect(there.host).not.toBe(new URL(testbed.url).host);
    const other = { url: there.origin };
    const path = there.pathname + there.search;
    expect((await call(other, 'PATCH', path, { headers, body: BYTES })).status).toBe(400);
    expect((await call(other, 'PATCH', there.pathname, { body: BYTES })).status).toBe(403);
    const patched = await call(other, 'PATCH', path, { body: BYTES });
    expect(patched.status).toBe(202);
    const put = await call(other, 'PUT', withDigest(patched.headers.location ?? '', DIGEST));
    expect(put.status).toBe(201);
    expect((await call(testbed, 'HEAD', BLOB_PATH, { headers })).status).toBe(200);
    expect(testbed.foreignRequests).toEqual([
      { method: 'PATCH', path: there.pathname, status: 400, hadCredentials: true },
      { method: 'PATCH', path: there.pathname, status: 403, hadCredentials: false },
      { method: 'PATCH', path: there.pathname, status: 202, hadCredentials: false },
      { method: 'PUT', path: there.pathname, status: 201, hadCredentials: false },
    ]);
  });

  it('redirects: to the other origin, in a circle, or anywhere', async () => {
    const { testbed, path } = await withBlob(
      'GET blobs redirect=foreign nth=1; GET blobs redirect=loop nth=2',
    );
    const away = await call(testbed, 'GET', path);
    const there = new URL(away.headers.location ?? '');
    expect(away.status).toBe(307);
    expect((await call({ url: there.origin }, 'GET', there.pathname + there.search)).body).toEqual(BYTES);
    const circle = await call(testbed, 'GET', `${path}?a=b`);
    expect([circle.status, circle.headers.location]).toEqual([307, `${path}?a=b`]);
    testbed.faults.add('PUT manifests redirect=http://10.0.0.1/x status=301');
    const put = await call(testbed, 'PUT', '/v2/app/manifests/v1', { body: '{}' });
    expect([put.status, put.headers.location]).toEqual([301, 'http://10.0.0.1/x']);
  });
});

describe('faults that end uploads', () => {
  it('dead: at once, and for good', async () => {
    const { testbed, location } = await withUpload('PUT dead nth=1');
    const put = (): ReturnType<typeof call> =>
      call(testbed, 'PUT', withDigest(location, DIGEST), { body: BYTES });
    for (const answer of [await put(), await put()]) {
      expect([answer.status, codeOf(answer)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
    }
    expect(testbed.openUploads()).toBe(0);
    expect((await call(testbed, 'HEAD', BLOB_PATH)).status).toBe(404);
  });

  it.each([
    ['in one piece', [1000], [404]],
    ['in chunks', [300, 300, 300, 100], [202, 404, 404, 404]],
    ['in chunks that end before', [300, 200], [202, 202]],
  ])('dead=501 %s', async (_, chunks, expected) => {
    const { testbed, location } = await withUpload('uploads dead=501');
    const statuses: number[] = [];
    let at = 0;
    for (const length of chunks) {
      const body = BYTES.subarray(at, at + length);
      statuses.push((await call(testbed, 'PATCH', location, { body })).status);
      at += length;
    }
    expect(statuses).toEqual(expected);
    expect(testbed.openUploads()).toBe(expected.includes(404) ? 0 : 1);
  });

  it('sweep=uploads: all that are under way end; sweep=blobs: all that nothing refers to go', async () => {
    const { testbed, location } = await withUpload('/v2/ sweep=uploads; catalog sweep=blobs');
    const image = await pushImage(testbed, 'app', 'v1');
    await pushBlob(testbed, 'app', BYTES);
    await call(testbed, 'GET', '/v2/');
    expect((await call(testbed, 'GET', location)).status).toBe(404);
    await call(testbed, 'GET', '/v2/_catalog');
    expect((await call(testbed, 'HEAD', BLOB_PATH)).status).toBe(404);
    expect((await call(testbed, 'HEAD', `/v2/app/blobs/${image.layer}`)).status).toBe(200);
    expect(testbed.faults.counts()).toMatchObject([{ fired: 1 }, { fired: 1 }]);
  });
});

describe('faults without end', () => {
  it('endless=1MiB: the body goes on, and no length is told', async () => {
    const { testbed, path } = await withBlob('GET blobs endless=1MiB');
    const answer = await call(testbed, 'GET', path);
    expect(answer.headers['content-length']).toBeUndefined();
    expect(answer.body.length).toBe(1024 * 1024);
    expect(answer.body.subarray(0, 1000)).toEqual(BYTES);
    expect((await call(testbed, 'HEAD', path)).headers['content-length']).toBe('1000');
  });

  it('an error that does not end: who has had enough leaves, and the testbed closes', async () => {
    const { testbed, path } = await withBlob('GET blobs status=500 endless');
    const answer = await rawCall(testbed, 'GET', path, { keepsOpen: 4 * 1024 * 1024 });
    expect(answer.head).toMatch(/^HTTP\/1.1 500 /);
    expect(answer.head).not.toMatch(/content-length/i);
    expect(answer.body.length).toBeGreaterThanOrEqual(4 * 1024 * 1024);
  });
});
