import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** What a scheduler's `hashing_algorithm` may be, and its hash. */
const HASHES = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' } as const;

const headerSchema = z.object({ alg: z.enum(['HS256', 'HS384', 'HS512']) });
const claimsSchema = z.object({ email: z.string().min(1), exp: z.number().optional() });

/**
 * Whose token it is; undefined when it is none that this secret signed, names nobody, or has expired (RFC 7519; ALTS
 * demands no `exp`, and honours one). ALTS knows one algorithm, that of its configuration: here any of them will do.
 *
 * @param now milliseconds since the epoch
 */
export function emailOf(token: string, secret: string, now: number): string | undefined {
  const [header = '', claims = '', signature = '', ...rest] = token.split('.');
  const { data: protection } = headerSchema.safeParse(decoded(header));
  if (!protection) return undefined;
  const expected = createHmac(HASHES[protection.alg], secret).update(`${header}.${claims}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return undefined;
  }
  const { data } = claimsSchema.safeParse(decoded(claims));
  return data && (data.exp === undefined || now < data.exp * 1000) ? data.email : undefined;
}

function decoded(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
