import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/base/index.ts';
import { grantScopes, parseScope } from '../../../src/testbed/access.ts';
import type { Testbed } from '../../../src/testbed/index.ts';
import {
  type Answer,
  type Call,
  call,
  codeOf,
  openTestbed,
  pushBlob,
  pushImage,
  unknownDigest,
} from '../../support/testbed-client.ts';

const AUTH = { username: 'ada', password: 'p:ss wörd' };
const basic = (username: string, password: string): Call => ({
  headers: { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` },
});
const bearer = (token: string): Call => ({ headers: { authorization: `Bearer ${token}` } });
const known = basic(AUTH.username, AUTH.password);

describe('Basic', () => {
  it('lets in who knows the password, and nobody else', async () => {
    const testbed = await openTestbed({ auth: AUTH });
    expect((await call(testbed, 'GET', '/v2/', known)).status).toBe(200);
    for (const wrong of [
      {},
      basic('ada', 'wrong'),
      basic('eve', AUTH.password),
      basic('', ''),
      bearer('nonsense'),
      { headers: { authorization: 'Basic !!!' } },
    ]) {
      const answer = await call(testbed, 'GET', '/v2/', wrong);
      expect([answer.status, codeOf(answer)]).toEqual([401, 'UNAUTHORIZED']);
      expect(answer.headers['www-authenticate']).toMatch(/^Basic realm="/);
    }
  });

  it('guards every endpoint, and takes a push with credentials', async () => {
    const testbed = await openTestbed({ auth: AUTH });
    const image = await pushImage(testbed, 'app', '1', {}, known);
    for (const [method, path] of [
      ['GET', '/v2/_catalog'],
      ['GET', '/v2/app/tags/list'],
      ['HEAD', '/v2/app/manifests/1'],
      ['GET', `/v2/app/blobs/${image.layer}`],
      ['POST', '/v2/app/blobs/uploads/'],
      ['DELETE', `/v2/app/manifests/${image.digest}`],
    ] as const) {
      expect((await call(testbed, method, path)).status).toBe(401);
    }
    expect((await call(testbed, 'GET', '/v2/app/manifests/1', known)).body.toString()).toBe(image.text);
  });

  it('has no token service', async () => {
    const testbed = await openTestbed({ auth: AUTH });
    expect((await call(testbed, 'GET', '/token', known)).status).toBe(404);
  });
});

describe('Bearer', () => {
  const SERVICE = 'regops-testbed';
  const ask = (testbed: Testbed, query: string, options: Call = {}): Promise<Answer> =>
    call(testbed, 'GET', `/token?service=${SERVICE}&${query}`, options);
  const tokenFor = async (testbed: Testbed, scope: string, options: Call = known): Promise<Call> =>
    bearer((await ask(testbed, `scope=${encodeURIComponent(scope)}`, options)).json.token);
  const post = (testbed: Testbed, form: Record<string, string>): Promise<Answer> =>
    call(testbed, 'POST', '/token', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ service: SERVICE, ...form }).toString(),
    });

  it('names realm, service and scope in its challenge, under the host the client used', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const ping = await call(testbed, 'GET', '/v2/');
    expect(ping.status).toBe(401);
    expect(ping.headers['www-authenticate']).toBe(`Bearer realm="${testbed.url}/token",service="${SERVICE}"`);
    const push = await call(testbed, 'POST', '/v2/a/b/blobs/uploads/', { headers: { host: 'localhost:99' } });
    expect(push.headers['www-authenticate']).toBe(
      `Bearer realm="http://localhost:99/token",service="${SERVICE}",scope="repository:a/b:pull,push"`,
    );
    const odd = await call(testbed, 'GET', '/v2/', { headers: { host: 'a"b' } });
    expect(odd.headers['www-authenticate']).toContain(`realm="${testbed.url}/token"`);
  });

  it.each([
    ['GET', '/v2/_catalog', 'registry:catalog:*'],
    ['GET', '/v2/app/tags/list', 'repository:app:pull'],
    ['HEAD', '/v2/app/manifests/1', 'repository:app:pull'],
    ['GET', `/v2/app/referrers/${unknownDigest()}`, 'repository:app:pull'],
    ['PUT', '/v2/app/manifests/1', 'repository:app:pull,push'],
    ['PATCH', '/v2/app/blobs/uploads/x', 'repository:app:pull,push'],
    ['DELETE', '/v2/app/blobs/uploads/x', 'repository:app:pull,push'],
    ['DELETE', '/v2/app/manifests/1', 'repository:app:delete'],
    [
      'POST',
      `/v2/app/blobs/uploads/?mount=${unknownDigest()}&from=base`,
      'repository:app:pull,push repository:base:pull',
    ],
  ])('%s %s needs %s', async (method, path, scope) => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const challenge = (await call(testbed, method, path)).headers['www-authenticate'];
    expect(challenge).toContain(`scope="${scope}"`);
    const query = scope
      .split(' ')
      .map((one) => `scope=${encodeURIComponent(one)}`)
      .join('&');
    const { token } = (await ask(testbed, query, known)).json;
    expect((await call(testbed, method, path, bearer(token))).status).not.toBe(401);
  });

  it('enforces scopes: a token is good for what it was asked for alone', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const push = await tokenFor(testbed, 'repository:app:pull,push');
    const image = await pushImage(testbed, 'app', '1', {}, push);
    const pull = await tokenFor(testbed, 'repository:app:pull');
    expect((await call(testbed, 'GET', '/v2/app/manifests/1', pull)).status).toBe(200);
    for (const [method, path, token] of [
      ['POST', '/v2/app/blobs/uploads/', pull],
      ['DELETE', `/v2/app/manifests/${image.digest}`, push],
      ['GET', '/v2/other/tags/list', push],
      ['GET', '/v2/_catalog', push],
    ] as const) {
      const answer = await call(testbed, method, path, token);
      expect([method, path, answer.status]).toEqual([method, path, 401]);
      expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"');
    }
    const remove = await tokenFor(testbed, 'repository:app:*');
    expect((await call(testbed, 'DELETE', `/v2/app/manifests/${image.digest}`, remove)).status).toBe(202);
  });

  it('gives anonymous clients pull alone when there is an account', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const image = await pushImage(
      testbed,
      'app',
      '1',
      {},
      await tokenFor(testbed, 'repository:app:pull,push'),
    );
    const answer = await ask(testbed, 'scope=repository:app:pull,push,delete');
    expect(answer.json.scope).toBe('repository:app:pull');
    const anonymous = bearer(answer.json.access_token);
    expect((await call(testbed, 'GET', '/v2/', anonymous)).status).toBe(200);
    expect((await call(testbed, 'GET', `/v2/app/blobs/${image.layer}`, anonymous)).status).toBe(200);
    expect((await call(testbed, 'POST', '/v2/app/blobs/uploads/', anonymous)).status).toBe(401);
    expect((await ask(testbed, 'scope=registry:catalog:*')).json.scope).toBe('');
  });

  it('gives everybody everything when there is no account', async () => {
    const testbed = await openTestbed({ tokenAuth: true });
    expect((await call(testbed, 'GET', '/v2/')).status).toBe(401);
    const token = await tokenFor(testbed, 'repository:app:pull,push,delete', {});
    const digest = await pushBlob(testbed, 'app', 'a blob', token);
    expect((await call(testbed, 'DELETE', `/v2/app/blobs/${digest}`, token)).status).toBe(202);
  });

  it('refuses wrong credentials, a foreign service and odd grants', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    expect((await ask(testbed, '', basic('ada', 'wrong'))).status).toBe(401);
    expect((await ask(testbed, '', bearer('x'))).status).toBe(401);
    expect((await call(testbed, 'GET', '/token?service=other', known)).status).toBe(400);
    expect((await call(testbed, 'GET', '/token', known)).status).toBe(400);
    expect((await post(testbed, { grant_type: 'password', username: 'ada', password: 'x' })).status).toBe(
      401,
    );
    expect((await post(testbed, { grant_type: 'refresh_token', refresh_token: 'x.y.z' })).status).toBe(401);
    expect((await post(testbed, { grant_type: 'client_credentials' })).status).toBe(400);
    expect((await call(testbed, 'POST', '/token', { body: 'x'.repeat(100_000) })).status).toBe(413);
  });

  it('grants by OAuth2: password, then refresh token, with a refresh token when asked for offline access', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const scope = 'repository:app:pull,push';
    const plain = await post(testbed, { grant_type: 'password', ...AUTH, scope });
    expect(plain.json).toMatchObject({ scope, expires_in: 300 });
    expect(plain.json.refresh_token).toBeUndefined();
    const offline = await post(testbed, { grant_type: 'password', ...AUTH, scope, access_type: 'offline' });
    const refreshToken = offline.json.refresh_token as string;
    const renewed = await post(testbed, { grant_type: 'refresh_token', refresh_token: refreshToken, scope });
    expect(renewed.json.scope).toBe(scope);
    await pushBlob(testbed, 'app', 'a blob', bearer(renewed.json.access_token));
  });

  it('gives a refresh token to a GET with offline_token=true, to known clients alone', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    expect((await ask(testbed, 'offline_token=true')).json.refresh_token).toBeUndefined();
    const { refresh_token } = (await ask(testbed, 'offline_token=true', known)).json;
    const renewed = await post(testbed, {
      grant_type: 'refresh_token',
      refresh_token,
      scope: 'repository:a:push',
    });
    expect(renewed.json.scope).toBe('repository:a:push');
  });

  it('never takes a refresh token for an access token, nor the other way round', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const { token, refresh_token } = (await ask(testbed, 'offline_token=true', known)).json;
    expect((await call(testbed, 'GET', '/v2/', bearer(token))).status).toBe(200);
    expect((await call(testbed, 'GET', '/v2/', bearer(refresh_token))).status).toBe(401);
    expect((await post(testbed, { grant_type: 'refresh_token', refresh_token: token })).status).toBe(401);
  });

  it('lets access tokens expire, and refresh tokens not', async () => {
    let now = Date.UTC(2026, 0, 1);
    const clock: Clock = { now: () => now, sleep: () => Promise.resolve() };
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH, clock, tokenLifetimeMs: 60_000 });
    const { token, refresh_token, expires_in, issued_at } = (await ask(testbed, 'offline_token=true', known))
      .json;
    expect([expires_in, issued_at]).toEqual([60, '2026-01-01T00:00:00.000Z']);
    now += 59_999;
    expect((await call(testbed, 'GET', '/v2/', bearer(token))).status).toBe(200);
    now += 1;
    const late = await call(testbed, 'GET', '/v2/', bearer(token));
    expect(late.status).toBe(401);
    expect(late.headers['www-authenticate']).toContain('error="invalid_token"');
    const renewed = await post(testbed, { grant_type: 'refresh_token', refresh_token });
    expect((await call(testbed, 'GET', '/v2/', bearer(renewed.json.access_token))).status).toBe(200);
  });

  it('refuses forged tokens: changed claims, no signature, another testbed’s', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: AUTH });
    const other = await openTestbed({ tokenAuth: true, auth: AUTH });
    const { token } = (await ask(testbed, 'scope=repository:app:pull')).json as { token: string };
    const [header, payload, signature] = token.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    claims.access[0].actions.push('push');
    const raised = Buffer.from(JSON.stringify(claims)).toString('base64url');
    const none = Buffer.from(JSON.stringify({ typ: 'JWT', alg: 'none' })).toString('base64url');
    const foreign = (await ask(other, '', known)).json.token as string;
    for (const forged of [
      `${header}.${raised}.${signature}`,
      `${none}.${raised}.`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      '..',
      '.',
      'x',
      foreign,
    ]) {
      expect((await call(testbed, 'GET', '/v2/', bearer(forged))).status).toBe(401);
    }
    expect((await call(testbed, 'GET', '/v2/', bearer(token))).status).toBe(200);
  });
});

describe('scopes', () => {
  it('reads type, name with colons, and actions', () => {
    expect(parseScope('repository:host:5000/a:pull,push')).toEqual({
      type: 'repository',
      name: 'host:5000/a',
      actions: ['pull', 'push'],
    });
    for (const text of ['', 'repository', 'repository:a', 'repository:a:', ':a:pull', 'repository::pull']) {
      expect(parseScope(text)).toBeUndefined();
    }
  });

  it('leaves out what it does not know, and takes several scopes in one word list', () => {
    expect(
      grantScopes(
        ['repository:a:pull,fly nonsense', 'repository:B:pull', 'plugin:a:pull', 'registry:catalog:*'],
        false,
      ),
    ).toEqual([
      { type: 'repository', name: 'a', actions: ['pull'] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ]);
  });
});
