import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  createAgent,
  followRedirects,
  type HttpRequest,
  type HttpResponse,
  type Method,
  type RedirectOptions,
  type Send,
} from '../../../src/http/index.ts';
import { redirectTarget } from '../../../src/http/redirect.ts';
import { type Exchange, startServer } from '../../support/http-server.ts';

const redirect = (path: string, location: string, status = 307, method = 'GET'): Exchange => ({
  expect: { method, path },
  reply: { status, headers: { location }, body: 'go on' },
});

/** A chain of redirect and agent; what passes between them is noted. */
function chain(origin: URL, options: Partial<RedirectOptions> = {}): { send: Send; passed: HttpRequest[] } {
  const agent = createAgent({ boundOrigin: origin, timeoutMs: 5000 });
  onTestFinished(() => agent.close());
  const passed: HttpRequest[] = [];
  const note: Send = (request) => {
    passed.push(request);
    return agent.send(request);
  };
  return { send: followRedirects({ origin, ...options })(note), passed };
}

describe('within the origin', () => {
  test.each([301, 302, 303, 307, 308])(
    'GET and HEAD follow %i, absolute and relative, headers kept',
    async (status) => {
      const server = await startServer((origin) => [
        redirect('/v2/a', `${origin}/v2/b?x=1`, status),
        redirect('/v2/b?x=1', 'c', status),
        {
          expect: { path: '/v2/c', headers: { authorization: 'Basic x', accept: 'text/plain' } },
          reply: { body: 'there' },
        },
        redirect('/v2/a', '/v2/d', status, 'HEAD'),
        { expect: { method: 'HEAD', path: '/v2/d' }, reply: {} },
      ]);
      const { send } = chain(server.origin);
      const headers = { authorization: 'Basic x', accept: 'text/plain' };
      const response = await send({ method: 'GET', url: server.url('/v2/a'), headers });
      expect(await text(response.body)).toBe('there');
      expect(response.url.href).toBe(server.url('/v2/c').href);
      expect(response.foreign).toBe(false);
      expect((await send({ method: 'HEAD', url: server.url('/v2/a') })).status).toBe(200);
    },
  );

  test.each([307, 308])('a POST is sent again after %i, body and all', async (status) => {
    const server = await startServer([
      redirect('/a', '/b', status, 'POST'),
      { expect: { method: 'POST', path: '/b', body: 'content' }, reply: { status: 202 } },
    ]);
    const { send } = chain(server.origin);
    const response = await send({ method: 'POST', url: server.url('/a'), body: Buffer.from('content') });
    expect(response.status).toBe(202);
  });

  test.each([301, 302, 303])('a POST does not follow %i', async (status) => {
    const server = await startServer([redirect('/a', '/b', status, 'POST')]);
    const { send } = chain(server.origin);
    await expect(send({ method: 'POST', url: server.url('/a') })).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
    });
  });

  test('what is no redirect is given back: 304, 300, and a 302 without Location', async () => {
    const server = await startServer([
      { expect: { path: '/304' }, reply: { status: 304, headers: { location: '/x' } } },
      { expect: { path: '/300' }, reply: { status: 300, headers: { location: '/x' } } },
      { expect: { path: '/302' }, reply: { status: 302 } },
    ]);
    const { send } = chain(server.origin);
    for (const status of [304, 300, 302]) {
      expect((await send({ method: 'GET', url: server.url(`/${status}`) })).status).toBe(status);
    }
  });

  test('a circle and too many hops are REDIRECT_REFUSED', async () => {
    const server = await startServer([
      redirect('/a', '/b'),
      redirect('/b', '/a'),
      ...[1, 2, 3, 4].map((n) => redirect(`/${n}`, `/${n + 1}`)),
    ]);
    const { send } = chain(server.origin, { max: 3 });
    const refused = (why: string): unknown =>
      expect.objectContaining({ code: 'REDIRECT_REFUSED', message: expect.stringContaining(why) });
    await expect(send({ method: 'GET', url: server.url('/a') })).rejects.toEqual(refused('circle'));
    await expect(send({ method: 'GET', url: server.url('/1') })).rejects.toEqual(refused('more than 3'));
  });
});

describe('GHSA-vh4v-2xq2-g5cg: out of the origin', () => {
  const secrets = {
    authorization: 'Bearer t',
    cookie: 'c=1',
    'proxy-authorization': 'p',
    'x-registry': 'own',
    accept: 'text/plain',
    range: 'bytes=0-3',
  };
  const bare = {
    authorization: null,
    cookie: null,
    'proxy-authorization': null,
    'x-registry': null,
    accept: 'text/plain',
    range: 'bytes=0-3',
  };

  test('credentials, cookies and registry headers stay behind; another port is another origin', async () => {
    const storage = await startServer([
      { expect: { path: '/blob?sig=s', headers: bare }, reply: { body: 'data' } },
    ]);
    const registry = await startServer([redirect('/v2/blob', storage.url('/blob?sig=s').href)]);
    const { send, passed } = chain(registry.origin);
    const response = await send({ method: 'GET', url: registry.url('/v2/blob'), headers: secrets });
    expect(await text(response.body)).toBe('data');
    expect(response.foreign).toBe(true);
    expect(passed.map(({ foreign }) => foreign)).toEqual([undefined, true]);
  });

  test('they do not come back when the path returns to the registry', async () => {
    const storage = await startServer([]);
    const registry = await startServer([
      redirect('/v2/blob', storage.url('/x').href),
      { expect: { path: '/v2/back', headers: bare }, reply: {} },
    ]);
    storage.add(redirect('/x', registry.url('/v2/back').href, 302));
    const { send, passed } = chain(registry.origin);
    const response = await send({ method: 'GET', url: registry.url('/v2/blob'), headers: secrets });
    expect(response.status).toBe(200);
    expect(passed.at(-1)?.foreign).toBe(true);
  });

  test('a request that was foreign from the start stays so', async () => {
    const server = await startServer([
      redirect('/a', '/b'),
      { expect: { path: '/b', headers: { cookie: null } }, reply: {} },
    ]);
    const { send, passed } = chain(server.origin);
    await send({ method: 'GET', url: server.url('/a'), foreign: true, headers: { cookie: 'x' } });
    expect(passed.map(({ foreign }) => foreign)).toEqual([true, true]);
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'] as Method[])(
    'GHSA-jxpm-75mh-9fp7: a %s does not leave',
    async (method) => {
      const storage = await startServer([]);
      const registry = await startServer([redirect('/a', storage.url('/').href, 307, method)]);
      const { send } = chain(registry.origin);
      await expect(send({ method, url: registry.url('/a') })).rejects.toMatchObject({
        code: 'REDIRECT_REFUSED',
        message: expect.stringContaining(storage.origin.origin),
      });
    },
  );

  test('the body of a redirect does not hold its connection, whatever comes of it', async () => {
    const server = await startServer([redirect('/a', 'ftp://x/')]);
    let answer: HttpResponse | undefined;
    const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000 });
    onTestFinished(() => agent.close());
    const send = followRedirects({ origin: server.origin })(async (request) => {
      answer = await agent.send(request);
      return answer;
    });
    await expect(send({ method: 'GET', url: server.url('/a') })).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
    });
    expect(answer?.body.closed).toBe(true);
  });
});

describe('where a redirect may lead', () => {
  const allowed = (location: string, from: string, origin = from): boolean => {
    try {
      redirectTarget(location, new URL(from), new URL(origin));
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'REDIRECT_REFUSED' });
      return false;
    }
  };

  test.each([
    // from, location, allowed
    ['https://registry.example.com/v2/', 'https://storage.example.com/x', true],
    ['http://registry.example.com/v2/', 'https://storage.example.com/x', true],
    ['http://registry.example.com/v2/', 'http://storage.example.com/x', true],
    ['https://registry.example.com/v2/', 'http://storage.example.com/x', false],
    ['https://registry.example.com/v2/', 'http://registry.example.com/x', false],
    ['https://registry.example.com/v2/', 'file:///etc/passwd', false],
    ['https://registry.example.com/v2/', 'javascript:1', false],
    ['https://registry.example.com/v2/', 'https://', false],
    ['https://registry.example.com/v2/', 'https://10.0.0.1/', false],
    ['https://registry.example.com/v2/', 'https://127.0.0.1/', false],
    ['https://registry.example.com/v2/', 'https://localhost/', false],
    ['https://registry.example.com/v2/', 'https://169.254.169.254/latest/', false],
    ['https://registry.example.com/v2/', 'https://0xa9fea9fe/latest/', false],
    ['https://registry.example.com/v2/', 'https://0.0.0.0/', false],
    ['https://registry.example.com/v2/', 'https://[::ffff:10.0.0.1]/', false],
    ['https://10.0.0.1/v2/', 'https://10.0.0.1:9000/', true],
    ['https://10.0.0.1/v2/', 'https://10.0.0.2/', true],
    ['https://10.0.0.1/v2/', 'https://169.254.169.254/', false],
    ['https://10.0.0.1/v2/', 'https://0.0.0.0/', false],
    ['http://127.0.0.1:5000/v2/', 'http://localhost:9000/', true],
  ])('from %s to %s: %s', (from, location, expected) => {
    expect(allowed(location, from)).toBe(expected);
  });

  test('https once is https for good', () => {
    expect(allowed('http://c.example.com/', 'http://b.example.com/', 'https://a.example.com/')).toBe(false);
    expect(allowed('http://c.example.com/', 'https://b.example.com/', 'http://a.example.com/')).toBe(false);
  });

  test('user info and fragment are dropped, the query stays byte for byte', () => {
    const url = redirectTarget(
      'https://u:p@b.example.com/x?A=%2f+%20&b#f',
      new URL('https://a.example.com'),
      new URL('https://a.example.com'),
    );
    expect(url.href).toBe('https://b.example.com/x?A=%2f+%20&b');
  });
});
