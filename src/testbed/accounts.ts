import { createHash, timingSafeEqual } from 'node:crypto';

/** A user name and its password. */
export interface Account {
  readonly username: string;
  readonly password: string;
}

/** Reads a Basic `Authorization` header (RFC 7617); undefined for anything else. */
export function parseBasic(header: string | undefined): Account | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header ?? '')?.[1];
  const decoded = Buffer.from(encoded ?? '', 'base64').toString();
  const colon = decoded.indexOf(':');
  return colon === -1 ? undefined : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** Compares in a time that tells nothing about how much of it was right. */
export function isSameAccount(given: Account, expected: Account): boolean {
  const sameName = isSame(given.username, expected.username);
  return isSame(given.password, expected.password) && sameName;
}

function isSame(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
