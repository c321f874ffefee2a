import { formatScope, grantScopes, parseScope } from './access.ts';
import { type Account, isSameAccount, parseBasic } from './accounts.ts';
import { readBounded } from './bounded.ts';
import type { EndpointHandler, Endpoints } from './endpoints.ts';
import { jsonReply, type Reply } from './exchange.ts';
import { TOKEN_SERVICE, type Tokens } from './tokens.ts';
import { errorReply } from './wire-errors.ts';

const FORM_BYTES = 64 * 1024;

/** What a client asks of the token service, in either way of asking. */
interface TokenRequest {
  readonly scopes: readonly string[];
  readonly wantsRefreshToken: boolean;
  readonly refreshToken?: string;
}

/**
 * The token service of Docker's token authentication specification: GET with Basic credentials or none, and
 * OAuth2's POST with a password or a refresh token. With an account, anonymous clients may only pull;
 * without one, everybody may do everything and credentials are not looked at.
 *
 * @param refusedAction one that no scope may name
 */
export function tokenEndpoints(
  tokens: Tokens,
  account: Account | undefined,
  refusedAction?: string,
): Endpoints {
  const isKnown = (given: Account): boolean => account === undefined || isSameAccount(given, account);

  const isRefused = (scope: string): boolean =>
    refusedAction !== undefined && (parseScope(scope)?.actions.includes(refusedAction) ?? false);

  const issue = (user: string, { scopes, wantsRefreshToken, refreshToken }: TokenRequest): Reply => {
    if (scopes.flatMap((scope) => scope.split(' ')).some((scope) => isRefused(scope))) {
      return badRequest('invalid scope');
    }
    const access = grantScopes(scopes, account !== undefined && user === '');
    const { token, expiresInSeconds, issuedAt } = tokens.issueAccess(user, access);
    const refresh =
      refreshToken ?? (wantsRefreshToken && user !== '' ? tokens.issueRefresh(user) : undefined);
    return jsonReply(
      200,
      {
        token,
        access_token: token,
        expires_in: expiresInSeconds,
        issued_at: issuedAt.toISOString(),
        scope: access.map(formatScope).join(' '),
        ...(refresh !== undefined && { refresh_token: refresh }),
      },
      { 'cache-control': 'no-store' },
    );
  };

  const get: EndpointHandler = async ({ query, headers }) => {
    const service = query.get('service');
    if (service !== TOKEN_SERVICE) return badRequest('unknown service');
    const given = parseBasic(headers.authorization);
    if (headers.authorization !== undefined && !(given && isKnown(given))) return wrongCredentials();
    return issue(given?.username ?? '', {
      scopes: query.getAll('scope'),
      wantsRefreshToken: query.get('offline_token') === 'true',
    });
  };

  const post: EndpointHandler = async (request) => {
    const form = new URLSearchParams((await readBounded(request, FORM_BYTES)).toString());
    if (form.get('service') !== TOKEN_SERVICE) return badRequest('unknown service');
    const asked: TokenRequest = {
      scopes: form.getAll('scope'),
      wantsRefreshToken: form.get('access_type') === 'offline',
    };
    switch (form.get('grant_type')) {
      case 'password': {
        const given = { username: form.get('username') ?? '', password: form.get('password') ?? '' };
        return isKnown(given) ? issue(given.username, asked) : wrongCredentials();
      }
      case 'refresh_token': {
        const refreshToken = form.get('refresh_token') ?? '';
        const user = tokens.userOf(refreshToken);
        return user === undefined ? wrongCredentials() : issue(user, { ...asked, refreshToken });
      }
      default:
        return badRequest('grant_type must be password or refresh_token');
    }
  };

  return { token: { GET: get, POST: post } };
}

function badRequest(message: string): Reply {
  return errorReply('UNSUPPORTED', message, { status: 400 });
}

function wrongCredentials(): Reply {
  return errorReply('UNAUTHORIZED', 'wrong user name, password or refresh token', {
    headers: { 'www-authenticate': `Basic realm="${TOKEN_SERVICE}"` },
  });
}
