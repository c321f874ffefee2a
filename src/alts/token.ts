import { type Clock, LATEST_MS, RegopsError, systemClock } from '../base/index.ts';

/** Algorithms that a scheduler's `hashing_algorithm` may name: HMAC, since both sides share the secret. */
export const TOKEN_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;

export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

export interface TokenOptions {
  /** Whose token it is; ALTS takes any. */
  readonly email: string;
  /** The scheduler's `jwt_secret`, exactly. */
  readonly secret: string;
  /** Default: HS256, as in ALTS. */
  readonly algorithm?: string;
  /** How long it is valid, in milliseconds (whole seconds count); without it, for ever. */
  readonly expiresInMs?: number | undefined;
  readonly clock?: Pick<Clock, 'now'>;
}

/**
 * A token as ALTS' generate_jwt_token.py makes it: `{"email": …}`, and `exp` when it is to expire.
 *
 * @throws USAGE for an email, algorithm or validity that is none; CREDENTIALS_INVALID for an empty secret
 */
export async function signToken(options: TokenOptions): Promise<string> {
  const { email, secret, algorithm = 'HS256', expiresInMs, clock = systemClock } = options;
  if (!/^[^\s@]{1,200}@[^\s@]{1,200}$/.test(email)) {
    throw new RegopsError('USAGE', 'the email address for a token is none', {
      hints: ['Write it like name@example.com.'],
    });
  }
  if (!isAlgorithm(algorithm)) {
    throw new RegopsError('USAGE', 'ALTS signs tokens with no such algorithm', {
      hints: [`One of: ${TOKEN_ALGORITHMS.join(', ')}.`],
    });
  }
  if (secret === '') throw new RegopsError('CREDENTIALS_INVALID', 'the secret to sign a token with is empty');
  if (expiresInMs !== undefined && !(expiresInMs >= 1000 && Number.isSafeInteger(Math.floor(expiresInMs)))) {
    throw new RegopsError('USAGE', 'a token must be valid for at least a second');
  }
  if (expiresInMs !== undefined && clock.now() + expiresInMs > LATEST_MS) {
    throw new RegopsError('USAGE', 'a token cannot be valid beyond the year 9999');
  }
  const { SignJWT } = await import('jose');
  const jwt = new SignJWT({ email }).setProtectedHeader({ alg: algorithm, typ: 'JWT' });
  if (expiresInMs !== undefined) jwt.setExpirationTime(Math.floor((clock.now() + expiresInMs) / 1000));
  return jwt.sign(new TextEncoder().encode(secret));
}

/**
 * A token as users paste it: alone, or with `Token:`, `Bearer` or `Authorization: Bearer` before it, as ALTS' script
 * prints it and its documents show it.
 *
 * @throws CREDENTIALS_INVALID, which never quotes it
 */
export function cleanToken(text: string): string {
  const token = text.trim().replace(/^(?:(?:authorization|token)\s*:\s*)?(?:bearer\s+)?/i, '');
  if (!/^[!-~]{1,8192}$/.test(token)) {
    throw new RegopsError(
      'CREDENTIALS_INVALID',
      token === '' ? 'the token is empty' : 'the token has spaces or characters that no token has',
      { hints: ['Make one with: regops package-test token --email YOU --secret-file FILE'] },
    );
  }
  return token;
}

/** When a token says that it expires, in milliseconds since the epoch; undefined when it does not say. Verifies nothing. */
export function tokenExpiry(token: string): number | undefined {
  const [, claims = ''] = token.split('.');
  try {
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as { exp?: unknown };
    return typeof exp === 'number' && exp > 0 && exp < 8e12 ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

function isAlgorithm(text: string): text is TokenAlgorithm {
  return (TOKEN_ALGORITHMS as readonly string[]).includes(text);
}
