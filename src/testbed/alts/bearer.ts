import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

const headerSchema = z.object({ alg: z.literal('HS256') });
const claimsSchema = z.object({ email: z.string().min(1), exp: z.number().optional() });

/**
 * Whose token it is; undefined when it is none that this secret signed with HS256, names nobody, or has expired
 * (RFC 7519; ALTS demands no `exp`, and honours one).
 *
 * @param now milliseconds since the epoch
 */
export function emailOf(token: string, secret: string, now: number): string | undefined {
  const [header = '', claims = '', signature = '', ...rest] = token.split('.');
  const expected = createHmac('sha256', secret).update(`${header}.${claims}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return undefined;
  }
  if (!headerSchema.safeParse(decoded(header)).success) return undefined;
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
