import { isDomain } from '../oci/index.ts';
import { covers, formatScope, requiredAccess } from './access.ts';
import { type Account, isSameAccount, parseBasic } from './accounts.ts';
import type { ApiRequest, Layer, Reply } from './exchange.ts';
import { isAdministration } from './routes.ts';
import { TOKEN_SERVICE, type Tokens } from './tokens.ts';
import { errorReply } from './wire-errors.ts';

/** The layer that lets in who knows the password (RFC 7617). */
export function requireBasic(account: Account): Layer {
  return (next) => async (request) => {
    const given = parseBasic(request.headers.authorization);
    if (given && isSameAccount(given, account)) return next(request);
    return errorReply('UNAUTHORIZED', 'authentication required', {
      headers: { 'www-authenticate': `Basic realm="${TOKEN_SERVICE}", charset="UTF-8"` },
    });
  };
}

/**
 * The layer that lets in who brings a token that grants what the request needs (RFC 6750). The challenge
 * names our own token service and the scopes to ask it for. Insufficient scope is 401 and not 403, as with
 * distribution: clients then ask for a better token. Administration knows no tokens: it asks for the
 * account by Basic, if there is one.
 *
 * @param ownUrl where we are when the client does not say it (`http://host:port`)
 */
export function requireToken(tokens: Tokens, ownUrl: () => string, account?: Account): Layer {
  return (next) => {
    const administration = account ? requireBasic(account)(next) : next;
    return async (request) => {
      if (request.route?.name === 'token') return next(request);
      if (request.route && isAdministration(request.route)) return administration(request);
      const token = bearerOf(request);
      const granted = token === undefined ? undefined : tokens.accessOf(token);
      if (granted && covers(granted, requiredAccess(request))) return next(request);
      return challenge(request, ownUrl(), token && (granted ? 'insufficient_scope' : 'invalid_token'));
    };
  };
}

/** The token that a request brings. */
function bearerOf({ headers }: ApiRequest): string | undefined {
  return /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}

/**
 * Ends the token that a request brings before its time, and asks for another one as {@link requireToken} does;
 * undefined for a request without a token.
 */
export function expireToken(tokens: Tokens, request: ApiRequest, ownUrl: string): Reply | undefined {
  const token = bearerOf(request);
  if (token === undefined) return undefined;
  tokens.revoke(token);
  return challenge(request, ownUrl, 'invalid_token');
}

function challenge(request: ApiRequest, ownUrl: string, error: string | undefined): Reply {
  const needed = requiredAccess(request);
  const parameters = [
    `realm="${realmOf(request, ownUrl)}"`,
    `service="${TOKEN_SERVICE}"`,
    ...(needed.length > 0 ? [`scope="${needed.map(formatScope).join(' ')}"`] : []),
    ...(error === undefined ? [] : [`error="${error}"`]),
  ];
  return errorReply('UNAUTHORIZED', 'authentication required', {
    headers: { 'www-authenticate': `Bearer ${parameters.join(',')}` },
  });
}

/** Under the name the client knows us by: a careful one refuses a realm on another host. */
function realmOf(request: ApiRequest, ownUrl: string): string {
  const isSane = isDomain(request.headers.host ?? '');
  return `${isSane ? request.origin : ownUrl}/token`;
}
