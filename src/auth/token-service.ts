import { type Clock, isRegopsError, RegopsError, redactUrl } from '../base/index.ts';
import { z } from '../base/schema.ts';
import {
  discardBody,
  excerptOf,
  type HttpRequest,
  type HttpResponse,
  headerOf,
  readBody,
  readJson,
  type Send,
} from '../http/index.ts';
import type { AccountCredential, PasswordCredential } from './credential.ts';
import { checkRealm, type RealmPolicy } from './realm.ts';
import { formatScopes, type ScopeSet } from './scope.ts';

const TOKEN_BYTES = 1024 * 1024;
const ERROR_BYTES = 64 * 1024;
const MAX_REDIRECTS = 5;
const CLIENT_ID = 'regops';
/** The token spec: a token lives a minute at least, whatever `expires_in` says or leaves out. */
const MIN_LIFETIME_MS = 60_000;

/** Where tokens come from, as a challenge names it. */
export interface TokenService {
  readonly realm: URL;
  readonly service?: string | undefined;
}

export interface Token {
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Good for the next question, in place of the credential. */
  readonly refreshToken?: string;
}

export interface TokenQuestion extends TokenService {
  readonly scopes: ScopeSet;
  readonly credential: AccountCredential | undefined;
  /** From an earlier answer. */
  readonly refreshToken?: string | undefined;
  readonly signal?: AbortSignal;
}

const optionalText = z.nullish(z.string());
const answerSchema = z.object({
  token: optionalText,
  access_token: optionalText,
  expires_in: z.catch(z.nullish(z.coerce.number()), undefined),
  refresh_token: optionalText,
});

/** How the token service is reached, and what it may be. */
export interface TokenServiceOptions extends RealmPolicy {
  readonly tokenSend: Send;
  readonly clock: Clock;
}

/**
 * Asks a token service for a token (distribution, "Token Authentication Specification" and "OAuth2 Token
 * Authentication"): an identity or refresh token is exchanged by POST, a name and password go by GET with
 * Basic, and without a credential the GET is anonymous.
 *
 * @throws AUTHENTICATION_FAILED with what the service said (`details.status`), RATE_LIMITED, SERVER_ERROR,
 *   REQUEST_REFUSED for a redirect that must not be followed, PROTOCOL_VIOLATION
 */
export async function fetchToken(question: TokenQuestion, options: TokenServiceOptions): Promise<Token> {
  const { credential, refreshToken } = question;
  if (refreshToken !== undefined) {
    try {
      return { refreshToken, ...(await exchange(question, refreshToken, options)) };
    } catch (error) {
      if (!isRegopsError(error, 'AUTHENTICATION_FAILED')) throw error;
      // It has run out: the credential it came from is still there.
      return fetchToken({ ...question, refreshToken: undefined }, options);
    }
  }
  if (!credential || 'password' in credential) return askByGet(question, credential, options);
  try {
    return await exchange(question, credential.identityToken, options);
  } catch (error) {
    const status = isRegopsError(error, 'AUTHENTICATION_FAILED') && error.details['status'];
    // Token services without OAuth2 take the identity token for a password, if they get a name with it.
    if ((status !== 404 && status !== 405) || !credential.username) throw error;
    return askByGet(question, { username: credential.username, password: credential.identityToken }, options);
  }
}

/** The value of a Basic Authorization header (RFC 7617). Throws CREDENTIALS_INVALID for a name with a colon. */
export function basicAuthorization({ username, password }: PasswordCredential): string {
  if (username.includes(':')) {
    throw new RegopsError('CREDENTIALS_INVALID', 'a user name must not contain a colon');
  }
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

function askByGet(
  question: TokenQuestion,
  credential: PasswordCredential | undefined,
  options: TokenServiceOptions,
): Promise<Token> {
  const url = new URL(question.realm);
  if (question.service !== undefined) url.searchParams.append('service', question.service);
  for (const scope of formatScopes(question.scopes)) url.searchParams.append('scope', scope);
  if (credential?.username) url.searchParams.append('account', credential.username);
  return ask(
    {
      method: 'GET',
      url,
      headers: {
        accept: 'application/json',
        ...(credential ? { authorization: basicAuthorization(credential) } : {}),
      },
    },
    question,
    options,
  );
}

function exchange(
  question: TokenQuestion,
  refreshToken: string,
  options: TokenServiceOptions,
): Promise<Token> {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    service: question.service ?? '',
    client_id: CLIENT_ID,
    refresh_token: refreshToken,
  });
  const scopes = formatScopes(question.scopes).join(' ');
  if (scopes !== '') form.set('scope', scopes);
  return ask(
    {
      method: 'POST',
      url: question.realm,
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      // A service may let a refresh token be used once only.
      repeatable: false,
    },
    question,
    options,
  );
}

async function ask(
  request: HttpRequest,
  question: TokenQuestion,
  options: TokenServiceOptions,
): Promise<Token> {
  const askedAt = options.clock.now();
  const response = await sendFollowing(
    { ...request, ...(question.signal ? { signal: question.signal } : {}) },
    options,
  );
  const what = `token from ${question.realm.host}`;
  if (response.status !== 200) throw await refusal(response, what, question);
  const answer = await readJson(response, answerSchema, TOKEN_BYTES, what);
  const value = answer.token || answer.access_token;
  if (!value) throw new RegopsError('AUTHENTICATION_FAILED', `${what}: the answer holds none`);
  if (!/^[\x21-\x7e]+$/.test(value)) throw new RegopsError('PROTOCOL_VIOLATION', `${what}: not a token`);
  const lifetimeMs = Math.max(MIN_LIFETIME_MS, (answer.expires_in ?? 0) * 1000 || 0);
  return {
    value,
    // Counted from before the question, by our own clock: the service's may be wrong.
    expiresAt: askedAt + lifetimeMs,
    ...(answer.refresh_token ? { refreshToken: answer.refresh_token } : {}),
  };
}

/**
 * Sends a token request and follows redirects, each checked like the realm itself (go-containerregistry
 * #2292). The password stays with the realm's origin; a POST, which carries the token in its body, never
 * leaves it.
 */
async function sendFollowing(first: HttpRequest, options: TokenServiceOptions): Promise<HttpResponse> {
  let request = foreignTo(options.origin, first);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await options.tokenSend(request);
    const location = headerOf(response, 'location');
    if (response.status < 300 || response.status > 399 || location === undefined) return response;
    await discardBody(response);
    const url = checkRealm(location, options, request.url);
    const leaves = url.origin !== request.url.origin;
    if (request.method === 'POST' && (leaves || response.status < 307)) {
      throw new RegopsError(
        'REDIRECT_REFUSED',
        `the token service ${request.url.host} sends an exchange of tokens on to ${url.origin}; it is not followed`,
      );
    }
    const { authorization: _, ...rest } = request.headers ?? {};
    request = foreignTo(options.origin, { ...request, url, ...(leaves ? { headers: rest } : {}) });
  }
  throw new RegopsError(
    'REDIRECT_REFUSED',
    `the token service ${first.url.host} redirects more than ${MAX_REDIRECTS} times`,
  );
}

/** A token service elsewhere sees neither the registry's headers nor its client certificate. */
function foreignTo(origin: URL, request: HttpRequest): HttpRequest {
  return request.foreign || request.url.origin !== origin.origin ? { ...request, foreign: true } : request;
}

async function refusal(response: HttpResponse, what: string, question: TokenQuestion): Promise<RegopsError> {
  const { status } = response;
  const said = await readBody(response, ERROR_BYTES, what).then(
    (bytes) => complaintOf(bytes.toString('utf8')),
    () => '',
  );
  const message = `${what}: ${redactUrl(question.realm)} answered ${status}${said ? ` (${said})` : ''}`;
  const details = { status };
  if (status === 429) {
    return new RegopsError('RATE_LIMITED', message, { details, hints: ['Try again later.'] });
  }
  if (status >= 500) return new RegopsError('SERVER_ERROR', message, { details });
  return new RegopsError('AUTHENTICATION_FAILED', message, {
    details,
    hints: question.credential
      ? ['Check the user name and password, or log in again: regops login.']
      : ['Log in first: regops login.'],
  });
}

/** What a token service says in an error: the spec's error list, OAuth2's pair, or plain text. */
function complaintOf(text: string): string {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return excerptOf(text);
  }
  const { errors, error, error_description, details, message } = (document ?? {}) as Record<string, unknown>;
  const first = (Array.isArray(errors) ? errors[0] : undefined) as Record<string, unknown> | undefined;
  const said = [first?.['code'], first?.['message'], error, error_description, details, message].filter(
    (part) => typeof part === 'string',
  );
  return excerptOf(said.join(': '));
}
