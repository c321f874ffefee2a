import { describe, expect, onTestFinished, test } from 'vitest';
import {
  openScheduler,
  parseSchedulerUrl,
  parseTaskId,
  type SchedulerOptions,
  signToken,
  type TaskRequest,
} from '../../../src/alts/index.ts';
import { isRegopsError, type RegopsError, silentLog } from '../../../src/base/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { testClock } from '../../support/http-clock.ts';
import { type Exchange, type Reply, startServer } from '../../support/http-server.ts';

const TASK = '0b0c1f0e-6f0b-4f6e-9a55-6ad6b8a7a7a1';
const TOKEN = 'opaque-token-of-the-test';
const REQUEST: TaskRequest = {
  distribution: { name: 'debian', version: '12' },
  architecture: 'amd64',
  package: { name: 'curl', version: '7.88' },
  repositories: [{ name: 'x', url: 'deb http://example.com/d bookworm main' }],
};
const SPEC = {
  info: { title: 'FastAPI' },
  paths: { '/tasks/schedule': { post: {} }, '/tasks/{task_id}/result': { get: {} } },
};
const MODERN = { paths: { '/tasks/{task_id}/result': { get: {} }, '/cancel_tasks': { post: {} } } };

function connect(url: string | URL, more: Partial<SchedulerOptions> = {}) {
  const warnings: string[] = [];
  const traces: string[] = [];
  const scheduler = openScheduler({
    url: String(url),
    token: TOKEN,
    timeoutMs: 5000,
    retries: 0,
    userAgent: 'regops/test',
    log: { ...silentLog, warn: (line) => warnings.push(line), trace: (line) => traces.push(line) },
    clock: testClock(),
    ...more,
  });
  onTestFinished(() => scheduler.close());
  return { scheduler, warnings, traces };
}

function json(document: unknown, status = 200): Reply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(document) };
}

function posts(reply: Reply, times = 1): Exchange {
  return { expect: { method: 'POST', path: '/tasks/schedule' }, reply, times };
}

function asks(reply: Reply, times = 1): Exchange {
  return { expect: { path: `/tasks/${TASK}/result` }, reply, times };
}

function spec(reply: Reply): Exchange {
  return { expect: { path: '/openapi.json', headers: { authorization: null } }, reply };
}

/** What a call fails with: one line and its hints, never the token. */
async function failureOf(call: Promise<unknown>): Promise<RegopsError & { text: string }> {
  try {
    await call;
  } catch (error) {
    if (!isRegopsError(error)) throw error;
    const text = [error.message, ...error.hints, JSON.stringify(error.details)].join('\n');
    expect(text).not.toContain(TOKEN);
    return Object.assign(error, { text });
  }
  throw new Error('nothing was thrown');
}

describe('scheduling', () => {
  test('201: the payload, the token, the id', async () => {
    const server = await startServer([
      {
        expect: {
          method: 'POST',
          path: '/tasks/schedule',
          headers: {
            authorization: `Bearer ${TOKEN}`,
            'content-type': 'application/json',
            accept: 'application/json',
            'user-agent': 'regops/test',
          },
        },
        reply: json({ success: true, task_id: TASK, api_version: '20210512' }, 201),
      },
    ]);
    const { scheduler, traces } = connect(server.origin, { token: `Token: ${TOKEN}` });
    expect(await scheduler.schedule(REQUEST)).toEqual({ taskId: TASK, recorded: true });
    const line = 'deb http://example.com/d bookworm main';
    expect(JSON.parse(server.requests[0]?.body ?? '')).toEqual({
      runner_type: 'any',
      dist_name: 'debian',
      dist_version: '12',
      dist_arch: 'amd64',
      package_name: 'curl',
      package_version: '7.88',
      repositories: [{ name: 'x', baseurl: line, url: line }],
    });
    expect(traces.join('\n')).not.toContain(TOKEN);
  });

  test('what is wrong is not sent, unless unchecked', async () => {
    const server = await startServer([posts(json({ success: true, task_id: TASK }, 201))]);
    const { scheduler } = connect(server.origin);
    const odd = { ...REQUEST, architecture: 'riscv64' };
    expect((await failureOf(scheduler.schedule(odd))).code).toBe('USAGE');
    expect(server.requests).toHaveLength(0);
    expect(await scheduler.schedule(odd, { unchecked: true })).toMatchObject({ taskId: TASK });
  });

  test('400 with an id is queued, with a warning', async () => {
    const reply = {
      success: false,
      task_id: TASK,
      error_description: `db\u001b[31m of ${TOKEN}`,
      api_version: 'x',
    };
    const server = await startServer([posts(json(reply, 400))]);
    const { scheduler, warnings } = connect(server.origin);
    expect(await scheduler.schedule(REQUEST)).toEqual({ taskId: TASK, recorded: false });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`queued as ${TASK}`);
    expect(warnings[0]).toContain('db\\x1b[31m of REDACTED');
  });

  test.each<[string, Reply, string, RegExp]>([
    [
      '400 of the broker',
      json({ success: false, error_description: 'broker is down' }, 400),
      'SERVER_ERROR',
      /400 \(broker is down\)[\s\S]*broker/,
    ],
    [
      '400 of somebody else',
      { status: 400, body: '<h1>Bad Request</h1>' },
      'REQUEST_REFUSED',
      /400 \(Bad Request\)/,
    ],
    [
      '422',
      json(
        {
          detail: [
            { loc: ['body', 'repositories', 0, 'baseurl'], msg: 'field required', type: 'x' },
            { loc: ['body'], msg: 'odd' },
          ],
        },
        422,
      ),
      'REQUEST_REFUSED',
      /422 \(repositories\.0\.baseurl: field required; body: odd\)|422 \(repositories\.0\.baseurl: field required; odd\)/,
    ],
    ['422 of another shape', json({ detail: { x: 1 } }, 422), 'REQUEST_REFUSED', /422/],
    [
      '500',
      { status: 500, body: 'Internal Server Error' },
      'SERVER_ERROR',
      /500 \(Internal Server Error\)[\s\S]*--arch, --dist and --runner/,
    ],
    ['501', { status: 501 }, 'SERVER_ERROR', /501/],
    [
      '401',
      json({ detail: 'Could not validate credentials' }, 401),
      'AUTHENTICATION_FAILED',
      /not signed with this scheduler's secret/,
    ],
    ['403', json({ detail: 'Forbidden' }, 403), 'PERMISSION_DENIED', /403 \(Forbidden\)/],
    [
      '403 of a lost header',
      json({ detail: 'Not authenticated' }, 403),
      'AUTHENTICATION_FAILED',
      /did not arrive/,
    ],
    ['429', { status: 429, headers: { 'retry-after': '7' } }, 'RATE_LIMITED', /Retry-After 7/],
    ['503', { status: 503, body: 'Service Unavailable' }, 'RATE_LIMITED', /too much to do/],
    ['408', { status: 408 }, 'TIMED_OUT', /408/],
    ['302', { status: 302 }, 'PROTOCOL_VIOLATION', /302 was not expected/],
    ['a token in the answer', json({ detail: `bad ${TOKEN}` }, 418), 'REQUEST_REFUSED', /bad REDACTED/],
    ['201 without an id', json({ success: true }, 201), 'PROTOCOL_VIOLATION', /without the id of a test/],
    [
      '201 with an id that is none',
      json({ task_id: '../../x' }, 201),
      'PROTOCOL_VIOLATION',
      /without the id/,
    ],
    [
      '201 that is no success',
      json({ success: false, error_description: 'no' }, 201),
      'SERVER_ERROR',
      /answered 201 \(no\)/,
    ],
    [
      '200 with a page',
      { status: 200, body: '<html>Welcome</html>' },
      'PROTOCOL_VIOLATION',
      /URL of an ALTS/,
    ],
    [
      '201 too large',
      { status: 201, body: 'x'.repeat(70_000) },
      'RESPONSE_TOO_LARGE',
      /more than 65536 bytes/,
    ],
    ['an error page too large', { status: 500, body: 'x'.repeat(70_000) }, 'SERVER_ERROR', /500/],
  ])('%s', async (_, reply, code, words) => {
    const { scheduler } = connect((await startServer([posts(reply)])).origin);
    const error = await failureOf(scheduler.schedule(REQUEST));
    expect(error.code).toBe(code);
    expect(error.text).toMatch(words);
    expect(error.message).toContain('scheduling of curl on debian:12 amd64');
  });

  test.each([401, 403])('%i without a token', async (status) => {
    const server = await startServer([
      {
        ...posts(json({ detail: 'Not authenticated' }, status)),
        expect: { method: 'POST', path: '/tasks/schedule', headers: { authorization: null } },
      },
    ]);
    const { scheduler } = connect(server.origin, { token: undefined });
    const error = await failureOf(scheduler.schedule(REQUEST));
    expect(error).toMatchObject({ code: 'AUTHENTICATION_FAILED', details: { status } });
    expect(error.text).toContain('--token or REGOPS_ALTS_TOKEN');
  });

  test('401 with a token that has expired says when', async () => {
    const server = await startServer([posts(json({ detail: 'Could not validate credentials' }, 401))]);
    const token = await signToken({
      email: 'a@example.com',
      secret: 's',
      expiresInMs: 1000,
      clock: { now: () => 0 },
    });
    const { scheduler } = connect(server.origin, { token });
    const error = await failureOf(scheduler.schedule(REQUEST));
    expect(error.text).toContain('expired at 1970-01-01T00:00:01.000Z');
    expect(error.text).not.toContain(token);
  });

  test.each<[string, Reply, string, RegExp]>([
    [
      'a scheduler of today',
      json(MODERN),
      'no-submissions',
      /no longer takes submissions[\s\S]*November 2023/,
    ],
    [
      'another API',
      json({ info: { title: 'Shop\u0007' }, paths: { '/carts': { get: {} } } }),
      'other',
      /calls itself 'Shop(\\x07| )?'/,
    ],
    ['no API', { status: 404, body: 'nope' }, 'none', /no ALTS scheduler at this URL/],
    ['a page', { body: '<html>' }, 'none', /no ALTS scheduler/],
    ['a document of another shape', json({ paths: [] }), 'none', /no ALTS scheduler/],
    ['a proxy that filters', json(SPEC), 'documented', /only some paths/],
    ['an API too large', { body: 'x'.repeat(4 * 1024 * 1024 + 1) }, 'none', /no ALTS scheduler/],
  ])('404: %s', async (_, document, scheduler, words) => {
    const server = await startServer([posts(json({ detail: 'Not Found' }, 404)), spec(document)]);
    const error = await failureOf(connect(server.origin).scheduler.schedule(REQUEST));
    expect(error).toMatchObject({ code: 'UNSUPPORTED_BY_SERVER', details: { status: 404, scheduler } });
    expect(error.text).toMatch(words);
  });

  test.each<[string, Reply, string]>([
    ['cut', { fault: 'cut' }, 'CONNECTION_FAILED'],
    ['silent', { fault: 'silence' }, 'TIMED_OUT'],
    ['cut in its body', { ...json({ task_id: TASK }, 201), fault: 'cut-body' }, 'CONNECTION_FAILED'],
    ['stalled in its body', { ...json({ task_id: TASK }, 201), fault: 'stall-body' }, 'TIMED_OUT'],
    ['502', { status: 502 }, 'SERVER_ERROR'],
    ['504', { status: 504 }, 'TIMED_OUT'],
  ])('an answer that is %s is not asked for again, since the test may be queued', async (_, reply, code) => {
    const server = await startServer([posts(reply)]);
    const { scheduler } = connect(server.origin, { retries: 3, timeoutMs: 300 });
    const error = await failureOf(scheduler.schedule(REQUEST));
    expect(error).toMatchObject({ code, details: { maybeQueued: true } });
    expect(error.text).toContain('sending it again may run it twice');
    expect(server.requests).toHaveLength(1);
  });

  test('503 did nothing, so it is tried again; an unreachable scheduler has nothing queued', async () => {
    const server = await startServer([
      posts({ status: 503 }, 2),
      posts(json({ success: true, task_id: TASK }, 201)),
    ]);
    const { scheduler } = connect(server.origin, { retries: 3 });
    expect(await scheduler.schedule(REQUEST)).toMatchObject({ taskId: TASK });
    const error = await failureOf(connect('http://127.0.0.1:1').scheduler.schedule(REQUEST));
    expect(error.code).toBe('CONNECTION_FAILED');
    expect(error.details).not.toHaveProperty('maybeQueued');
  });

  test('an abort is one', async () => {
    const server = await startServer([posts({ fault: 'silence' })]);
    const { scheduler } = connect(server.origin);
    const abort = new AbortController();
    const failure = failureOf(scheduler.schedule(REQUEST, { signal: abort.signal }));
    await expect.poll(() => server.requests.length).toBe(1);
    abort.abort();
    expect((await failure).code).toBe('INTERRUPTED');
  });

  test('a redirect to another origin gets neither the token nor the test', async () => {
    const other = await startServer([]);
    const server = await startServer([
      posts({ status: 307, headers: { location: `${other.origin}tasks/schedule` } }),
    ]);
    expect((await failureOf(connect(server.origin).scheduler.schedule(REQUEST))).code).toBe(
      'REDIRECT_REFUSED',
    );
  });
});

describe('results', () => {
  test.each<[unknown, unknown]>([
    [{ state: 'PENDING', api_version: '1' }, { state: 'PENDING' }],
    [{ state: 'STARTED' }, { state: 'STARTED' }],
    [
      { state: 'SUCCESS', result: null },
      { state: 'SUCCESS', result: null },
    ],
    [
      { state: 'FAILURE', result: { exc_type: 'ValueError' } },
      { state: 'FAILURE', result: null },
    ],
    [
      { state: 'SUCCESS', result: { install_package: { success: true } } },
      { state: 'SUCCESS', result: { stages: [{ name: 'install_package', success: true }] } },
    ],
    [
      { state: 'SUCCESS', result: { revoked: true } },
      { state: 'SUCCESS', result: { revoked: true } },
    ],
    [{ state: 'NEWSTATE', extra: 1 }, { state: 'NEWSTATE' }],
  ])('%j', async (reply, status) => {
    const server = await startServer([asks(json(reply))]);
    expect(await connect(server.origin).scheduler.result(TASK)).toMatchObject(status as object);
    expect(server.requests[0]?.headers['authorization']).toBe(`Bearer ${TOKEN}`);
  });

  test.each<[string, Reply, string]>([
    ['no JSON', { body: 'hello' }, 'PROTOCOL_VIOLATION'],
    ['no state', json({ result: {} }), 'PROTOCOL_VIOLATION'],
    ['a state too long', json({ state: 'X'.repeat(65) }), 'PROTOCOL_VIOLATION'],
    ['a result that is none', json({ state: 'SUCCESS', result: 'text' }), 'PROTOCOL_VIOLATION'],
    [
      'too much',
      { headers: { 'content-length': String(40 * 1024 * 1024) }, fault: 'stall-body', body: 'x' },
      'RESPONSE_TOO_LARGE',
    ],
    ['401', json({ detail: 'Could not validate credentials' }, 401), 'AUTHENTICATION_FAILED'],
    ['500', { status: 500, body: 'Internal Server Error' }, 'SERVER_ERROR'],
    ['503', { status: 503 }, 'RATE_LIMITED'],
  ])('%s', async (_, reply, code) => {
    const { scheduler } = connect((await startServer([asks(reply)])).origin);
    const error = await failureOf(scheduler.result(TASK));
    expect(error.code).toBe(code);
    expect(error.text).not.toContain('--runner');
  });

  test('are asked for again after passing failures', async () => {
    const server = await startServer([
      asks({ fault: 'cut' }),
      asks({ status: 502 }),
      asks({ status: 500 }),
      asks(json({ state: 'STARTED' })),
    ]);
    expect(await connect(server.origin, { retries: 3 }).scheduler.result(TASK)).toEqual({ state: 'STARTED' });
  });

  test('404 is another server', async () => {
    const server = await startServer([asks({ status: 404 }), spec({ status: 404 })]);
    const error = await failureOf(connect(server.origin).scheduler.result(TASK));
    expect(error).toMatchObject({ code: 'UNSUPPORTED_BY_SERVER', details: { scheduler: 'none' } });
  });

  test.each(['', '..', 'a/b', 'a?b', 'a b'])('%j can be no id', async (id) => {
    const { scheduler } = connect('http://127.0.0.1:1');
    expect((await failureOf(scheduler.result(id))).code).toBe('USAGE');
  });
});

test('the probe tells what there is', async () => {
  const server = await startServer([spec(json(SPEC)), spec(json(MODERN)), spec({ status: 404 })]);
  const { scheduler } = connect(server.origin);
  expect(await scheduler.probe()).toEqual({
    documented: true,
    schedule: true,
    result: true,
    title: 'FastAPI',
  });
  expect(await scheduler.probe()).toEqual({ documented: true, schedule: false, result: true });
  expect(await scheduler.probe()).toEqual({ documented: false, schedule: false, result: false });
});

describe('the way there', () => {
  test('a path before the API, and TLS with an authority of one’s own', async () => {
    const authority = await makeAuthority();
    const identity = await authority.issue(['127.0.0.1']);
    const server = await startServer(
      [{ expect: { path: `/alts/tasks/${TASK}/result` }, reply: json({ state: 'STARTED' }) }],
      { tls: identity },
    );
    const url = `${server.origin}alts/docs`;
    expect((await failureOf(connect(url).scheduler.result(TASK))).code).toBe('TLS_UNTRUSTED');
    const { scheduler } = connect(url, { tls: { ca: [authority.cert] } });
    expect(await scheduler.result(TASK)).toEqual({ state: 'STARTED' });
  });

  test('a token that would go unencrypted is warned of, but not on this machine', () => {
    expect(connect('http://alts.example.com').warnings[0]).toContain('unencrypted');
    expect(connect('http://alts.example.com', { token: undefined }).warnings).toEqual([]);
    expect(connect('http://localhost:8000').warnings).toEqual([]);
  });

  test('a token that is none is refused before anything is sent', () => {
    expect(() => connect('http://localhost:8000', { token: 'two words' })).toThrow('the token has spaces');
  });

  test.each([
    ['http://localhost:8000', 'http://localhost:8000/'],
    ['localhost:8000', 'http://localhost:8000/'],
    ['127.0.0.1:8000/alts/', 'http://127.0.0.1:8000/alts'],
    ['alts.example.com', 'https://alts.example.com/'],
    ['HTTPS://Alts.example.com/api/tasks/schedule', 'https://alts.example.com/api'],
    ['http://localhost:8000/docs', 'http://localhost:8000/'],
    ['http://localhost:8000/openapi.json', 'http://localhost:8000/'],
  ])('%s is %s', (text, url) => {
    expect(parseSchedulerUrl(text).href).toBe(url);
  });

  test.each(['', 'ftp://x', 'http://', 'http://u:s3cret@x', 'http://x?a=b', 'http://x#docs', 'http://a b'])(
    '%j is no URL of a scheduler',
    (text) => {
      expect(() => parseSchedulerUrl(text)).toThrow(/^invalid scheduler URL(?!.*s3cret)/);
    },
  );

  test('ids', () => {
    expect(parseTaskId(` ${TASK.toUpperCase()}\n`)).toBe(TASK);
    for (const text of ['', 'x', `${TASK}0`, TASK.slice(1)]) expect(() => parseTaskId(text)).toThrow('no id');
  });
});
