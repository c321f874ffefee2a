import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../base/index.ts';
import type { Access } from './access.ts';

/** The name our registry and its token service know each other by. */
export const TOKEN_SERVICE = 'regops-testbed';

/** More are only had by whoever wants many. */
const MOST_REVOKED = 100_000;

const HEADER = encode({ typ: 'JWT', alg: 'HS256' });

const claimsSchema = z.object({
  use: z.enum(['access', 'refresh']),
  sub: z.string(),
  aud: z.string(),
  /** Seconds since the epoch, as all times in a token; a refresh token has no end. */
  exp: z.number().optional(),
  access: z.array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) })),
});

type Claims = z.infer<typeof claimsSchema>;

/** An access token and what its owner is told about it. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly issuedAt: Date;
}

/** Makes and checks JSON Web Tokens, signed with a key that lives as long as this object. */
export class Tokens {
  readonly #key = randomBytes(32);
  readonly #clock: Clock;
  readonly #lifetimeMs: number;
  /** Those that ended before their time. */
  readonly #revoked = new Set<string>();

  constructor(clock: Clock, lifetimeMs: number) {
    this.#clock = clock;
    this.#lifetimeMs = lifetimeMs;
  }

  /** @param user empty for an anonymous client */
  issueAccess(user: string, access: readonly Access[]): IssuedToken {
    const now = this.#clock.now();
    const token = this.#sign({
      use: 'access',
      sub: user,
      access,
      iat: Math.floor(now / 1000),
      exp: (now + this.#lifetimeMs) / 1000,
    });
    return { token, expiresInSeconds: Math.ceil(this.#lifetimeMs / 1000), issuedAt: new Date(now) };
  }

  /** A token that stands for the password (docker's identity token). */
  issueRefresh(user: string): string {
    return this.#sign({ use: 'refresh', sub: user, access: [] });
  }

  /** What an access token grants; undefined when it is forged, too old or no access token. */
  accessOf(token: string): readonly Access[] | undefined {
    return this.#claimsOf(token, 'access')?.access;
  }

  /** Ends a token before its time. */
  revoke(token: string): void {
    if (this.#revoked.size >= MOST_REVOKED) this.#revoked.clear();
    this.#revoked.add(token);
  }

  /** Whose refresh token it is; undefined when it is none of ours. */
  userOf(refreshToken: string): string | undefined {
    return this.#claimsOf(refreshToken, 'refresh')?.sub;
  }

  #sign(claims: object): string {
    const common = { iss: TOKEN_SERVICE, aud: TOKEN_SERVICE, jti: randomUUID() };
    const signed = `${HEADER}.${encode({ ...common, ...claims })}`;
    return `${signed}.${this.#signature(signed).toString('base64url')}`;
  }

  #claimsOf(token: string, use: Claims['use']): Claims | undefined {
    if (this.#revoked.has(token)) return undefined;
    const dot = token.lastIndexOf('.');
    const signed = token.slice(0, Math.max(0, dot));
    const given = Buffer.from(token.slice(dot + 1), 'base64url');
    const expected = this.#signature(signed);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    // Our own signature, so our own words: only then is it worth reading.
    const claims = claimsSchema.parse(
      JSON.parse(Buffer.from(signed.slice(signed.indexOf('.') + 1), 'base64url').toString()),
    );
    const isCurrent = claims.exp === undefined || this.#clock.now() < claims.exp * 1000;
    return claims.use === use && claims.aud === TOKEN_SERVICE && isCurrent ? claims : undefined;
  }

  #signature(signed: string): Buffer {
    return createHmac('sha256', this.#key).update(signed).digest();
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
