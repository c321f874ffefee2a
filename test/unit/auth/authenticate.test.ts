import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AuthenticateOptions,
  authenticate,
  type Credential,
  type CredentialSource,
} from '../../../src/auth/index.ts';
import {
  createAgent,
  discardBody,
  type HttpRequest,
  type HttpResponse,
  type Send,
} from '../../../src/http/index.ts';
import { type TestClock, testClock } from '../../support/http-clock.ts';
import { type Exchange, type ScriptedServer, startServer } from '../../support/http-server.ts';

const PASSWORD: Credential = { username: 'user', password: 'pass' };
const BASIC = `Basic ${Buffer.from('user:pass').toString('base64')}`;
const PULL = 'repository:team/app:pull';
const PUSH = 'repository:team/app:pull,push';

interface Client {
  /** Sends a GET (unless said otherwise) and gives its status; the body is let go of. */
  get(path: string, rest?: Partial<HttpRequest>): Promise<number>;
  readonly send: Send;
  readonly clock: TestClock;
  readonly traces: string[];
  /** Requests to the token service, as they were passed on. */
  readonly tokenCalls: HttpRequest[];
}

/** The chain of authenticate and agent against a server. */
function clientOf(
  server: ScriptedServer,
  credential: Credential | CredentialSource | undefined,
  options: Partial<AuthenticateOptions> = {},
): Client {
  const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000 });
  onTestFinished(() => agent.close());
  const clock = testClock();
  const traces: string[] = [];
  const tokenCalls: HttpRequest[] = [];
  const send = authenticate({
    origin: server.origin,
    credentials: typeof credential === 'function' ? credential : async () => credential,
    tokenSend: (request) => {
      tokenCalls.push(request);
      return agent.send(request);
    },
    clock,
    log: { trace: (line) => traces.push(line) },
    ...options,
  })(agent.send);
  return {
    send,
    clock,
    traces,
    tokenCalls,
    async get(path, rest = {}) {
      const response = await send({ method: 'GET', url: server.url(path), ...rest });
      await discardBody(response);
      return response.status;
    },
  };
}

const bearer = (origin: string, parameters = `,scope="${PULL}"`): string =>
  `Bearer realm="${origin}/token",service="registry"${parameters}`;

/** A refusal with a challenge. */
const refuse = (
  path: string,
  challenge: string | undefined,
  headers: Exchange['expect']['headers'] = {},
  status = 401,
): Exchange => ({
  expect: { path, headers },
  reply: {
    status,
    headers: challenge === undefined ? {} : { 'www-authenticate': challenge },
    body: '{"errors":[]}',
  },
});

const accept = (path: string, authorization: string | null, times = 1): Exchange => ({
  expect: { path, headers: { authorization } },
  reply: { body: 'content' },
  times,
});

/** The token service's answer to one set of scopes. */
const token = (
  value: string,
  scopes: readonly string[] = [PULL],
  {
    authorization = null,
    answer = {},
    account,
  }: { authorization?: string | null; answer?: object; account?: string } = {},
): Exchange => {
  const query = new URLSearchParams([
    ['service', 'registry'],
    ...scopes.map((scope): [string, string] => ['scope', scope]),
    ...(account ? [['account', account] as [string, string]] : []),
  ]);
  return {
    expect: { path: `/token?${query}`, headers: { authorization, accept: 'application/json' } },
    reply: { body: JSON.stringify({ token: value, ...answer }) },
  };
};

describe('without a challenge', () => {
  test('nothing is sent, although there is a credential', async () => {
    const server = await startServer([accept('/v2/', null)]);
    expect(await clientOf(server, PASSWORD).get('/v2/')).toBe(200);
  });

  test('a token for the registry itself is sent as it is, and a 401 for it stands', async () => {
    const server = await startServer((origin) => [
      accept('/v2/a', 'Bearer rt'),
      refuse('/v2/b', bearer(origin), { authorization: 'Bearer rt' }),
    ]);
    const client = clientOf(server, { bearerToken: 'rt' });
    expect(await client.get('/v2/a')).toBe(200);
    expect(await client.get('/v2/b')).toBe(401);
  });
});

describe('Basic', () => {
  test('answers the challenge once, and is then sent at once', async () => {
    const server = await startServer([
      refuse('/v2/a', 'Basic realm="x"', { authorization: null }),
      accept('/v2/a', BASIC),
      accept('/v2/b', BASIC),
    ]);
    const client = clientOf(server, PASSWORD);
    expect(await client.get('/v2/a')).toBe(200);
    expect(await client.get('/v2/b')).toBe(200);
  });

  test('a wrong password is one 401 with its body, not a loop', async () => {
    const server = await startServer([
      refuse('/v2/', 'Basic realm="x"', { authorization: null }),
      refuse('/v2/', 'Basic realm="x"', { authorization: BASIC }),
    ]);
    const response = await clientOf(server, PASSWORD).send({ method: 'GET', url: server.url('/v2/') });
    expect(response.status).toBe(401);
    expect(await text(response.body)).toBe('{"errors":[]}');
  });

  test.each<[string, Credential | undefined]>([
    ['nothing', undefined],
    ['an identity token', { identityToken: 'x' }],
  ])('%s to send for it leaves the 401', async (_, credential) => {
    const server = await startServer([refuse('/v2/', 'Basic realm="x"')]);
    expect(await clientOf(server, credential).get('/v2/')).toBe(401);
  });

  test('a user name with a colon is CREDENTIALS_INVALID', async () => {
    const server = await startServer([refuse('/v2/', 'Basic realm="x"')]);
    const client = clientOf(server, { username: 'a:b', password: 'c' });
    await expect(client.get('/v2/')).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  });

  test('schemes nobody knows leave the 401', async () => {
    const server = await startServer([refuse('/v2/', 'Negotiate, Digest realm="x"')]);
    expect(await clientOf(server, PASSWORD).get('/v2/')).toBe(401);
  });
});

describe('Bearer', () => {
  test('without a credential the token is anonymous; it is used again for its scope and less', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin, `,scope="${PUSH}"`)),
      token('t1', [PUSH]),
      accept('/v2/a', 'Bearer t1'),
      accept('/v2/b', 'Bearer t1', 2),
    ]);
    const client = clientOf(server, undefined);
    expect(await client.get('/v2/a', { scopes: [PULL] })).toBe(200);
    expect(await client.get('/v2/b', { scopes: [PUSH] })).toBe(200);
    expect(await client.get('/v2/b', { scopes: [PULL] })).toBe(200);
  });

  test('a password goes to the token service alone, with the account named', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      token('t1', [PULL], { authorization: BASIC, account: 'user' }),
      accept('/v2/a', 'Bearer t1'),
    ]);
    expect(await clientOf(server, PASSWORD).get('/v2/a')).toBe(200);
  });

  test('is preferred to Basic wherever it stands, in one header or several', async () => {
    const server = await startServer((origin) => [
      {
        expect: { path: '/v2/a' },
        reply: {
          status: 401,
          headers: { 'www-authenticate': ['Basic realm="x"', `Negotiate, ${bearer(origin)}`] },
        },
      },
      token('t1', [PULL], { authorization: BASIC, account: 'user' }),
      accept('/v2/a', 'Bearer t1'),
    ]);
    expect(await clientOf(server, PASSWORD).get('/v2/a')).toBe(200);
  });

  test('the scopes of challenge and request are asked for together, the challenge first', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin, `,scope="${PULL}"`)),
      token('t1', [PUSH, 'repository:team/base:pull']),
      accept('/v2/a', 'Bearer t1'),
    ]);
    const scopes = ['repository:team/app:push', 'repository:team/base:pull'];
    expect(await clientOf(server, undefined).get('/v2/a', { scopes })).toBe(200);
  });

  test('once the registry is known, a token for other scopes is fetched before the request', async () => {
    const other = 'repository:other:pull';
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      token('t1'),
      accept('/v2/a', 'Bearer t1'),
      token('t2', [other]),
      accept('/v2/b', 'Bearer t2'),
    ]);
    const client = clientOf(server, undefined);
    await client.get('/v2/a', { scopes: [PULL] });
    expect(await client.get('/v2/b', { scopes: [other] })).toBe(200);
  });

  test('the query of the realm is kept, and a service need not be named', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', `Bearer realm="${origin}/token?tenant=1"`),
      { expect: { path: '/token?tenant=1' }, reply: { body: '{"access_token":"t1"}' } },
      accept('/v2/a', 'Bearer t1'),
    ]);
    expect(await clientOf(server, undefined).get('/v2/a')).toBe(200);
  });

  test('a body is sent again from its first byte', async () => {
    const server = await startServer((origin) => [
      {
        expect: { method: 'PUT', path: '/up', headers: { authorization: null }, body: 'abcdef' },
        reply: { status: 401, headers: { 'www-authenticate': bearer(origin) } },
      },
      token('t1'),
      {
        expect: { method: 'PUT', path: '/up', headers: { authorization: 'Bearer t1' }, body: 'abcdef' },
        reply: { status: 201 },
      },
    ]);
    const body = { size: 6, open: () => Readable.from([Buffer.from('abc'), Buffer.from('def')]) };
    expect(await clientOf(server, undefined).get('/up', { method: 'PUT', body })).toBe(201);
  });

  test('many who need the same token share one question', async () => {
    const server = await startServer((origin) => [
      { ...refuse('/v2/a', bearer(origin), { authorization: null }), times: Number.POSITIVE_INFINITY },
      token('t1'),
      accept('/v2/a', 'Bearer t1', 8),
    ]);
    const client = clientOf(server, undefined);
    const statuses = await Promise.all(
      Array.from({ length: 8 }, () => client.get('/v2/a', { scopes: [PULL] })),
    );
    expect(statuses).toEqual(Array(8).fill(200));
    expect(client.tokenCalls).toHaveLength(1);
  });

  test('one of them giving up does not take the token from the others', async () => {
    const server = await startServer((origin) => [
      { ...refuse('/v2/a', bearer(origin), { authorization: null }), times: 2 },
      accept('/v2/a', 'Bearer t1'),
    ]);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let asked = 0;
    const client = clientOf(server, undefined, {
      tokenSend: async (request) => {
        asked++;
        await held;
        return {
          status: 200,
          headers: {},
          url: request.url,
          body: Readable.from([Buffer.from('{"token":"t1"}')]),
        };
      },
    });
    const controller = new AbortController();
    const first = client.get('/v2/a', { signal: controller.signal });
    const second = client.get('/v2/a');
    await expect.poll(() => server.requests.length).toBe(2);
    await expect.poll(() => asked).toBe(1);
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: 'INTERRUPTED' });
    release();
    expect(await second).toBe(200);
    expect(asked).toBe(1);
  });
});

describe('the life of a token', () => {
  const script =
    (answer: object) =>
    (origin: string): Exchange[] => [
      refuse('/v2/a', bearer(origin)),
      token('t1', [PULL], { answer }),
      token('t2', [PULL], { answer }),
      accept('/v2/a', 'Bearer t1', 2),
      accept('/v2/a', 'Bearer t2'),
    ];

  test.each<[object, number]>([
    [{ expires_in: 300 }, 300],
    [{ expires_in: '300' }, 300],
    [{}, 60],
    [{ expires_in: 10 }, 60],
    [{ expires_in: -1 }, 60],
    [{ expires_in: null }, 60],
    [{ expires_in: 'soon' }, 60],
  ])(
    '%j: it is used until 30 s before %i s are over, then renewed before the request',
    async (answer, seconds) => {
      const server = await startServer(script(answer));
      const client = clientOf(server, undefined);
      await client.get('/v2/a', { scopes: [PULL] });
      client.clock.advance((seconds - 30) * 1000);
      await client.get('/v2/a', { scopes: [PULL] });
      client.clock.advance(1);
      await client.get('/v2/a', { scopes: [PULL] });
      expect(
        server.requests.filter(({ path }) => path === '/v2/a').map(({ headers }) => headers.authorization),
      ).toEqual([undefined, 'Bearer t1', 'Bearer t1', 'Bearer t2']);
    },
  );

  test('a cached token that is refused is renewed once with the same scopes', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      token('t1'),
      accept('/v2/a', 'Bearer t1'),
      refuse('/v2/b', bearer(origin), { authorization: 'Bearer t1' }),
      token('t2'),
      accept('/v2/b', 'Bearer t2'),
    ]);
    const client = clientOf(server, undefined);
    await client.get('/v2/a', { scopes: [PULL] });
    expect(await client.get('/v2/b', { scopes: [PULL] })).toBe(200);
  });

  test('a fresh token that is refused is the end', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin), { authorization: null }),
      token('t1'),
      refuse('/v2/a', bearer(origin), { authorization: 'Bearer t1' }),
    ]);
    expect(await clientOf(server, undefined).get('/v2/a', { scopes: [PULL] })).toBe(401);
  });

  test.each([401, 403])(
    'insufficient_scope (%i) is answered once with the scope it names',
    async (status) => {
      const server = await startServer((origin) => [
        refuse('/v2/a', bearer(origin)),
        token('t1'),
        refuse(
          '/v2/a',
          bearer(origin, `,scope="${PUSH}",error="insufficient_scope"`),
          { authorization: 'Bearer t1' },
          status,
        ),
        token('t2', [PUSH]),
        refuse(
          '/v2/a',
          bearer(origin, `,scope="${PUSH}",error="insufficient_scope"`),
          { authorization: 'Bearer t2' },
          status,
        ),
      ]);
      expect(await clientOf(server, undefined).get('/v2/a', { scopes: [PULL] })).toBe(status);
    },
  );

  test('any other 403 stands', async () => {
    const server = await startServer((origin) => [refuse('/v2/a', bearer(origin), {}, 403)]);
    expect(await clientOf(server, PASSWORD).get('/v2/a')).toBe(403);
  });

  test('whatever a registry answers, a request is sent four times at most', async () => {
    const parameter = fc.constantFrom(
      '',
      `,scope="${PULL}"`,
      `,scope="${PUSH}"`,
      ',scope="repository:x:*"',
      `,error="insufficient_scope",scope="registry:catalog:*"`,
    );
    const answer = fc.oneof(
      fc.record({ status: fc.constantFrom(401, 403), parameters: parameter }),
      fc.constant({ status: 401, basic: true as const }),
      fc.constant({ status: 401, silent: true as const }),
    );
    const origin = new URL('https://registry.example.com');
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(answer),
        fc.option(fc.constant(PASSWORD), { nil: undefined }),
        async (answers, credential) => {
          let sent = 0;
          const reply = (status: number, headers: HttpResponse['headers'], body = ''): HttpResponse => ({
            status,
            headers,
            url: origin,
            body: Readable.from([Buffer.from(body)]),
          });
          let tokens = 0;
          const send = authenticate({
            origin,
            credentials: async () => credential,
            tokenSend: async () => reply(200, {}, `{"token":"t${tokens++}"}`),
            clock: testClock(),
            log: { trace() {} },
          })(async ({ url }) => {
            if (url.pathname === '/v2/a') sent++;
            const next = answers.next().value;
            if (next === undefined || 'silent' in next) return reply(401, {});
            const challenge =
              'basic' in next
                ? 'Basic realm="x"'
                : `Bearer realm="https://auth.example.com/"${next.parameters}`;
            return reply(next.status, { 'www-authenticate': challenge });
          });
          for (let i = 1; i <= 3; i++) {
            sent = 0;
            const response = await send({ method: 'GET', url: new URL('/v2/a', origin), scopes: [PULL] });
            expect([401, 403]).toContain(response.status);
            expect(sent).toBeLessThanOrEqual(4);
            expect(response.body.destroyed).toBe(false);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('identity and refresh tokens', () => {
  const form = (refreshToken: string, scope = PULL): string =>
    new URLSearchParams({
      grant_type: 'refresh_token',
      service: 'registry',
      client_id: 'regops',
      refresh_token: refreshToken,
      scope,
    }).toString();
  const exchange = (refreshToken: string, reply: Exchange['reply']): Exchange => ({
    expect: {
      method: 'POST',
      path: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: null },
      body: form(refreshToken),
    },
    reply,
  });
  const answer = (body: object): Exchange['reply'] => ({ body: JSON.stringify(body) });

  test('an identity token is exchanged by POST', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      exchange('idt', answer({ access_token: 't1', expires_in: 300 })),
      accept('/v2/a', 'Bearer t1'),
    ]);
    expect(await clientOf(server, { identityToken: 'idt' }).get('/v2/a')).toBe(200);
  });

  test.each([404, 405])(
    'a token service without OAuth2 (%i) gets it as a password, under the name it came with',
    async (status) => {
      const authorization = `Basic ${Buffer.from('0000:idt').toString('base64')}`;
      const server = await startServer((origin) => [
        refuse('/v2/a', bearer(origin)),
        exchange('idt', { status }),
        token('t1', [PULL], { authorization, account: '0000' }),
        accept('/v2/a', 'Bearer t1'),
      ]);
      expect(await clientOf(server, { identityToken: 'idt', username: '0000' }).get('/v2/a')).toBe(200);
    },
  );

  test('without a name, or when it is refused for another reason, that is AUTHENTICATION_FAILED', async () => {
    for (const [credential, status] of [
      [{ identityToken: 'idt' }, 404],
      [{ identityToken: 'idt', username: 'u' }, 401],
    ] as const) {
      const server = await startServer((origin) => [
        refuse('/v2/a', bearer(origin)),
        exchange('idt', { status }),
      ]);
      await expect(clientOf(server, credential).get('/v2/a')).rejects.toMatchObject({
        code: 'AUTHENTICATION_FAILED',
        details: { status },
      });
    }
  });

  test('a refresh token is used in place of the password, and replaced when a new one comes', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      token('t1', [PULL], { authorization: BASIC, account: 'user', answer: { refresh_token: 'r1' } }),
      exchange('r1', answer({ access_token: 't2' })),
      exchange('r1', answer({ access_token: 't3', refresh_token: 'r2' })),
      exchange('r2', answer({ access_token: 't4' })),
      ...['t1', 't2', 't3', 't4'].map((value) => accept('/v2/a', `Bearer ${value}`)),
    ]);
    const client = clientOf(server, PASSWORD);
    for (let i = 0; i < 4; i++) {
      expect(await client.get('/v2/a', { scopes: [PULL] })).toBe(200);
      client.clock.advance(60_000);
    }
  });

  test('a refresh token that has run out is forgotten, and the password used again', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      token('t1', [PULL], { authorization: BASIC, account: 'user', answer: { refresh_token: 'r1' } }),
      exchange('r1', { status: 400, body: '{"error":"invalid_grant"}' }),
      token('t2', [PULL], { authorization: BASIC, account: 'user' }),
      token('t3', [PULL], { authorization: BASIC, account: 'user' }),
      ...['t1', 't2', 't3'].map((value) => accept('/v2/a', `Bearer ${value}`)),
    ]);
    const client = clientOf(server, PASSWORD);
    for (let i = 0; i < 3; i++) {
      expect(await client.get('/v2/a', { scopes: [PULL] })).toBe(200);
      client.clock.advance(60_000);
    }
  });
});

describe('two repositories at once', () => {
  const scopes = [PUSH, 'repository:team/base:pull'];

  test.each([400, 401, 403])(
    'a token service that refuses them (%i) is asked for the first alone, and remembered so',
    async (status) => {
      const combined = token('', scopes);
      const server = await startServer((origin) => [
        refuse('/v2/mount', bearer(origin, `,scope="${PUSH}"`), { authorization: null }),
        { ...combined, reply: { status } },
        token('t1', [PUSH]),
        accept('/v2/mount', 'Bearer t1', 2),
        accept('/v2/push', 'Bearer t1'),
        token('t2', ['repository:team/base:pull']),
        accept('/v2/base', 'Bearer t2'),
      ]);
      const client = clientOf(server, undefined);
      expect(await client.get('/v2/mount', { scopes })).toBe(200);
      expect(await client.get('/v2/mount', { scopes })).toBe(200);
      expect(await client.get('/v2/push', { scopes: [PUSH] })).toBe(200);
      // the token given is not taken for one that covers what was refused
      expect(await client.get('/v2/base', { scopes: ['repository:team/base:pull'] })).toBe(200);
      expect(client.traces).toHaveLength(1);
    },
  );

  test('one scope that is refused is not asked for twice', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      { ...token(''), reply: { status: 401 } },
    ]);
    await expect(clientOf(server, undefined).get('/v2/a')).rejects.toMatchObject({
      code: 'AUTHENTICATION_FAILED',
    });
  });
});

describe('a 401 that explains nothing (gcr.io)', () => {
  test('is explained by one GET /v2/, which is remembered', async () => {
    const server = await startServer((origin) => [
      { ...refuse('/v2/a', undefined, { authorization: null }), times: 2 },
      refuse('/v2/', bearer(origin, ''), { authorization: null }),
      token('t1'),
      accept('/v2/a', 'Bearer t1', 2),
    ]);
    const client = clientOf(server, undefined);
    const both = [client.get('/v2/a', { scopes: [PULL] }), client.get('/v2/a', { scopes: [PULL] })];
    expect(await Promise.all(both)).toEqual([200, 200]);
  });

  test.each<[string, Exchange['reply']]>([
    ['answers 200', {}],
    ['explains nothing either', { status: 401 }],
    ['fails', { fault: 'cut' }],
  ])('stands when /v2/ %s', async (_, reply) => {
    const server = await startServer([refuse('/v2/a', undefined), { expect: { path: '/v2/' }, reply }]);
    expect(await clientOf(server, PASSWORD).get('/v2/a')).toBe(401);
  });
});

describe('credentials stay with the registry', () => {
  test('a foreign request gets nothing, not even at the registry itself', async () => {
    const server = await startServer([
      refuse('/v2/a', 'Basic realm="x"', { authorization: null }),
      accept('/v2/a', BASIC),
      accept('/v2/b', null),
    ]);
    const client = clientOf(server, PASSWORD);
    await client.get('/v2/a');
    expect(await client.get('/v2/b', { foreign: true })).toBe(200);
  });

  test('go-containerregistry #2349: a challenge from another origin is not answered', async () => {
    const registry = await startServer([]);
    const storage = await startServer([
      refuse('/x', 'Basic realm="x"', { authorization: null }),
      refuse('/y', `Bearer realm="${registry.origin.origin}/token"`, { authorization: null }),
    ]);
    const client = clientOf(registry, PASSWORD);
    for (const path of ['/x', '/y']) {
      const response = await client.send({ method: 'GET', url: storage.url(path), scopes: [PULL] });
      expect(response.status).toBe(401);
    }
    expect(client.tokenCalls).toEqual([]);
  });

  test('another scheme, host or port of the registry is another origin', async () => {
    const origin = new URL('https://registry.example.com:5000');
    const seen: unknown[] = [];
    const send = authenticate({
      origin,
      credentials: async () => PASSWORD,
      tokenSend: () => Promise.reject(new Error('not here')),
      clock: testClock(),
      log: { trace() {} },
    })(async ({ url, headers }) => {
      seen.push(headers?.['authorization']);
      return {
        status: 401,
        headers: { 'www-authenticate': 'Basic realm="x"' },
        url,
        body: Readable.from([]),
      };
    });
    for (const url of [
      'http://registry.example.com:5000/',
      'https://registry.example.com/',
      'https://registry.example.com:5001/',
      'https://x.registry.example.com:5000/',
    ]) {
      await send({ method: 'GET', url: new URL(url) });
    }
    expect(seen).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('the credential is looked up under the name the registry has in references, for the repository at hand', async () => {
    const asked: unknown[] = [];
    const server = await startServer([accept('/v2/a', null, 2)]);
    const source: CredentialSource = async (...args) => {
      asked.push(args);
      return undefined;
    };
    const client = clientOf(server, source, { host: 'docker.io' });
    await client.get('/v2/a', { scopes: [PUSH, 'repository:x:pull'] });
    await client.get('/v2/a');
    expect(asked).toEqual([
      ['docker.io', 'team/app'],
      ['docker.io', undefined],
    ]);
    await expect(
      clientOf(server, () => Promise.reject(new Error('helper failed'))).get('/v2/a'),
    ).rejects.toThrow('helper failed');
  });

  test('a token obtained with one credential is not used for another', async () => {
    const other: Credential = { username: 'other', password: 'pass' };
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin, ',scope="repository:a:pull repository:b:pull"')),
      token('t1', ['repository:a:pull', 'repository:b:pull'], { authorization: BASIC, account: 'user' }),
      accept('/v2/a', 'Bearer t1'),
      token('t2', ['repository:b:pull'], {
        authorization: `Basic ${Buffer.from('other:pass').toString('base64')}`,
        account: 'other',
      }),
      accept('/v2/b', 'Bearer t2'),
    ]);
    const client = clientOf(server, async (_, repository) => (repository === 'b' ? other : PASSWORD));
    await client.get('/v2/a', { scopes: ['repository:a:pull'] });
    expect(await client.get('/v2/b', { scopes: ['repository:b:pull'] })).toBe(200);
  });
});

describe('the token service the registry names', () => {
  test('GHSA-xf85-363p-868w: at an inner address it is refused before anything is sent there', async () => {
    const inner = await startServer([]);
    const registry = await startServer([refuse('/v2/a', bearer(inner.origin.origin))]);
    const client = clientOf(registry, PASSWORD);
    await expect(client.get('/v2/a')).rejects.toMatchObject({ code: 'REQUEST_REFUSED' });
    expect(client.tokenCalls).toEqual([]);
  });

  test('when the user vouches for it, it gets the password, but none of what is the registry’s own', async () => {
    const service = await startServer([token('t1', [PULL], { authorization: BASIC, account: 'user' })]);
    const registry = await startServer([
      refuse('/v2/a', bearer(service.origin.origin)),
      accept('/v2/a', 'Bearer t1'),
    ]);
    const client = clientOf(registry, PASSWORD, { allowedRealms: [service.origin.host] });
    expect(await client.get('/v2/a')).toBe(200);
    expect(client.tokenCalls.map(({ foreign }) => foreign)).toEqual([true]);
  });

  test('at the registry itself its requests are not foreign', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      token('t1'),
      accept('/v2/a', 'Bearer t1'),
    ]);
    const client = clientOf(server, undefined);
    await client.get('/v2/a');
    expect(client.tokenCalls.map(({ foreign }) => foreign)).toEqual([undefined]);
  });

  const redirect = (exchange: Exchange, location: string, status = 307): Exchange => ({
    ...exchange,
    reply: { status, headers: { location } },
  });

  test('its redirects are followed within its origin with the password, and out of it without', async () => {
    const elsewhere = await startServer([
      { expect: { path: '/t', headers: { authorization: null } }, reply: { body: '{"token":"t1"}' } },
    ]);
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      redirect(token('', [PULL], { authorization: BASIC, account: 'user' }), '/token2'),
      {
        expect: { path: '/token2', headers: { authorization: BASIC } },
        reply: { status: 302, headers: { location: elsewhere.url('/t').href } },
      },
      accept('/v2/a', 'Bearer t1'),
    ]);
    const client = clientOf(server, PASSWORD, { allowedRealms: [elsewhere.origin.host] });
    expect(await client.get('/v2/a')).toBe(200);
  });

  test.each([
    'http://169.254.169.254/latest/meta-data',
    'http://127.0.0.1:1/',
    'http://0.0.0.0/',
    'file:///etc/passwd',
  ])('go-containerregistry #2292: a redirect to %s is refused', async (location) => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      redirect(token(''), location),
    ]);
    const client = clientOf(server, undefined);
    await expect(client.get('/v2/a')).rejects.toMatchObject({ code: 'REQUEST_REFUSED' });
    expect(client.tokenCalls).toHaveLength(1);
  });

  test('a redirect loop ends', async () => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      redirect(token(''), '/loop'),
      { expect: { path: '/loop' }, reply: { status: 302, headers: { location: '/loop' } }, times: 5 },
    ]);
    await expect(clientOf(server, undefined).get('/v2/a')).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
    });
  });

  test.each([302, 307])('an exchange of tokens does not leave its origin (%i)', async (status) => {
    const elsewhere = await startServer([]);
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      {
        expect: { method: 'POST', path: '/token' },
        reply: { status, headers: { location: elsewhere.url('/').href } },
      },
    ]);
    const client = clientOf(server, { identityToken: 'idt' }, { allowedRealms: [elsewhere.origin.host] });
    await expect(client.get('/v2/a')).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });

  test.each<[string, Exchange['reply'], string, RegExp]>([
    [
      '401 in the words of the spec',
      { status: 401, body: '{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}' },
      'AUTHENTICATION_FAILED',
      /answered 401 \(UNAUTHORIZED: wrong password\)/,
    ],
    [
      '400 in those of OAuth2',
      { status: 400, body: '{"error":"invalid_scope","error_description":"no such thing"}' },
      'AUTHENTICATION_FAILED',
      /invalid_scope: no such thing/,
    ],
    ['401 in JSON of any kind', { status: 401, body: '[1]' }, 'AUTHENTICATION_FAILED', /answered 401$/],
    ['403 in HTML', { status: 403, body: '<html><b>go away</b>' }, 'AUTHENTICATION_FAILED', /\(go away\)/],
    [
      '401 with secrets',
      { status: 401, body: 'password=SECRET and token: SECRET' },
      'AUTHENTICATION_FAILED',
      /REDACTED/,
    ],
    [
      '401 with megabytes',
      { status: 401, body: 'x'.repeat(100_000) },
      'AUTHENTICATION_FAILED',
      /answered 401$/,
    ],
    ['429', { status: 429 }, 'RATE_LIMITED', /429/],
    ['503', { status: 503 }, 'SERVER_ERROR', /503/],
    ['no JSON', { body: 'SECRET' }, 'PROTOCOL_VIOLATION', /no JSON/],
    ['no token', { body: '{}' }, 'AUTHENTICATION_FAILED', /holds none/],
    ['an empty token', { body: '{"token":"","access_token":""}' }, 'AUTHENTICATION_FAILED', /holds none/],
    [
      'a token with a line break',
      { body: '{"token":"SECRET\\r\\nx: y"}' },
      'PROTOCOL_VIOLATION',
      /not a token/,
    ],
    ['a token that is no text', { body: '{"token":5}' }, 'PROTOCOL_VIOLATION', /shape/],
    ['more than 1 MiB', { body: `{"token":"${'x'.repeat(1_100_000)}"}` }, 'RESPONSE_TOO_LARGE', /1048576/],
  ])('answering %s', async (_, reply, code, message) => {
    const server = await startServer((origin) => [
      refuse('/v2/a', bearer(origin)),
      { ...token('', [PULL], { authorization: BASIC, account: 'user' }), reply },
    ]);
    const client = clientOf(server, PASSWORD);
    const error = await client.get('/v2/a').catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    for (const secret of ['SECRET', 'pass:', BASIC.slice(6)])
      expect((error as Error).message).not.toContain(secret);
  });

  test('a refusal does not hold the answer of the registry open', async () => {
    const server = await startServer([refuse('/v2/a', 'Bearer realm="https://10.0.0.1/"')]);
    let answer: HttpResponse | undefined;
    const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000 });
    onTestFinished(() => agent.close());
    const send = authenticate({
      origin: server.origin,
      credentials: async () => undefined,
      tokenSend: agent.send,
      clock: testClock(),
      log: { trace() {} },
    })(async (request) => {
      answer = await agent.send(request);
      return answer;
    });
    await expect(send({ method: 'GET', url: server.url('/v2/a') })).rejects.toMatchObject({
      code: 'REQUEST_REFUSED',
    });
    expect(answer?.body.destroyed).toBe(true);
  });
});
