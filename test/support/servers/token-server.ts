import { createPrivateKey, type KeyObject, randomUUID, sign, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Certificates, makeCertificate } from './certificates.ts';

/** What one client asked for. */
export interface TokenRequest {
  readonly method: string;
  /** `anonymous`, `basic`, or the OAuth 2 grant. */
  readonly grant: string;
  readonly scopes: readonly string[];
  readonly status: number;
}

/** A running token service, and what a registry must know to believe its tokens. */
export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  readonly rootCertFile: string;
  /** Every request so far, oldest first. */
  readonly requests: readonly TokenRequest[];
  /** A refresh token of the user, as `docker login` would have stored it under `identitytoken`. */
  issueRefreshToken(): string;
  close(): Promise<void>;
}

interface Access {
  type: string;
  name: string;
  actions: string[];
}

const MAX_FORM_BYTES = 64 * 1024;

/**
 * A token service after distribution's `docs/spec/auth/token.md` (GET, with Basic or anonymous) and
 * `oauth.md` (POST with the password and refresh_token grants). The user may do everything; who comes
 * without a name may pull. Wrong credentials are a 401.
 *
 * @param options.folder where its key goes
 * @param options.tls makes it speak https
 * @param options.lifetimeSeconds how long an access token lives; distribution allows a minute more
 */
export async function startTokenServer(options: {
  readonly folder: string;
  readonly username: string;
  readonly password: string;
  readonly tls?: Certificates | undefined;
  readonly lifetimeSeconds?: number | undefined;
}): Promise<TokenServer> {
  const { username, password, lifetimeSeconds = 300 } = options;
  const service = 'regops-test-registry';
  const issuer = 'regops-test-issuer';
  // distribution 2.8 reads RS256 with the chain in the header; its own roots are this one certificate.
  const signer = await makeCertificate(options.folder, 'token', [
    '-newkey',
    'rsa:2048',
    '-subj',
    `/CN=${issuer}`,
  ]);
  const key = createPrivateKey(await readFile(signer.keyFile));
  const chain = [new X509Certificate(await readFile(signer.certFile)).raw.toString('base64')];
  const requests: TokenRequest[] = [];
  const refreshTokens = new Set<string>();

  const issueRefreshToken = (): string => {
    const token = `refresh-${randomUUID()}`;
    refreshTokens.add(token);
    return token;
  };

  function accessToken(subject: string, scopes: readonly string[]): string {
    const now = Math.floor(Date.now() / 1000);
    const access = scopes
      .map((scope) => grantedAccess(scope, subject !== ''))
      .filter((one) => one !== undefined);
    return signToken(key, chain, {
      ...{ iss: issuer, sub: subject, aud: service, jti: randomUUID() },
      ...{ iat: now, nbf: now - 10, exp: now + lifetimeSeconds },
      access,
    });
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://token');
    const form = request.method === 'POST' ? new URLSearchParams(await readForm(request)) : url.searchParams;
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' ').filter(Boolean));
    const asked = request.method === 'POST' ? oauthGrant(form) : basicGrant(request.headers.authorization);
    const subject = asked.valid ? asked.subject : undefined;
    const status = url.pathname !== '/token' ? 404 : subject === undefined ? 401 : 200;
    requests.push({ method: request.method ?? '', grant: asked.grant, scopes, status });
    if (subject === undefined || status !== 200) {
      reply(response, status, { errors: [{ code: 'UNAUTHORIZED', message: 'wrong credentials' }] });
      return;
    }
    const token = accessToken(subject, scopes);
    const wantsRefresh = form.get('offline_token') === 'true' || form.get('access_type') === 'offline';
    const refresh = subject !== '' && wantsRefresh ? { refresh_token: issueRefreshToken() } : {};
    reply(response, 200, {
      ...(request.method === 'POST'
        ? { access_token: token, scope: scopes.join(' ') }
        : { token, access_token: token }),
      ...{ expires_in: lifetimeSeconds, issued_at: new Date().toISOString() },
      ...refresh,
    });
  }

  function basicGrant(header: string | undefined): { grant: string; valid: boolean; subject: string } {
    if (header === undefined) return { grant: 'anonymous', valid: true, subject: '' };
    const valid = header === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    return { grant: 'basic', valid, subject: username };
  }

  function oauthGrant(form: URLSearchParams): { grant: string; valid: boolean; subject: string } {
    const grant = form.get('grant_type') ?? '';
    const complete = form.has('service') && form.has('client_id');
    const right =
      grant === 'password'
        ? form.get('username') === username && form.get('password') === password
        : grant === 'refresh_token' && refreshTokens.has(form.get('refresh_token') ?? '');
    return { grant, valid: complete && right, subject: username };
  }

  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch(() => response.destroy());
  };
  const { tls } = options;
  const server = tls
    ? createTlsServer(
        { cert: await readFile(tls.serverCertFile), key: await readFile(tls.serverKeyFile) },
        handler,
      )
    : createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ service, issuer, requests, issueRefreshToken },
    realm: `${tls ? 'https' : 'http'}://127.0.0.1:${port}/token`,
    rootCertFile: signer.certFile,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** `repository:NAME:ACTIONS`, where the name may hold a colon; without a user only pull is granted. */
function grantedAccess(scope: string, isUser: boolean): Access | undefined {
  const match = /^([a-z]+):(.+):([a-z,*]*)$/.exec(scope);
  if (!match?.[1] || !match[2]) return undefined;
  const asked = (match[3] ?? '').split(',').filter(Boolean);
  const actions = isUser ? asked : asked.filter((action) => match[1] === 'repository' && action === 'pull');
  return { type: match[1], name: match[2], actions };
}

function signToken(key: KeyObject, chain: readonly string[], claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ typ: 'JWT', alg: 'RS256', x5c: chain })}.${part(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}

async function readForm(request: IncomingMessage): Promise<string> {
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  if (!(length <= MAX_FORM_BYTES)) throw new Error('a form without a length, or too long');
  return text(request);
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
