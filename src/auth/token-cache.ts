import { type AccountCredential, credentialKey } from './credential.ts';
import { covers, type ScopeSet, scopeKey } from './scope.ts';
import type { Token, TokenService } from './token-service.ts';

/** A token with less than this left is not used any more: an upload may take a while to begin. */
const MARGIN_MS = 30_000;
const MAX_TOKENS = 1000;

/** Whose token it is and where it comes from: tokens are shared within an account, never across. */
export interface Account extends TokenService {
  readonly credential: AccountCredential | undefined;
}

interface Entry {
  readonly scopeKey: string;
  /** What the token was given for. */
  readonly scopes: ScopeSet;
  readonly token: Token;
}

/** Tokens of one registry, by account and scopes; in memory only. */
export class TokenCache {
  readonly #shelves = new Map<string, readonly Entry[]>();

  /** A token for exactly these scopes, or for more, with enough time left. */
  find(account: Account, scopes: ScopeSet, now: number): Token | undefined {
    const fresh = (this.#shelves.get(accountKey(account)) ?? []).filter(
      ({ token }) => token.expiresAt - now >= MARGIN_MS,
    );
    const key = scopeKey(scopes);
    const entry =
      fresh.find((one) => one.scopeKey === key) ?? fresh.find((one) => covers(one.scopes, scopes));
    return entry?.token;
  }

  /**
   * @param asked the scopes that were wanted: it is found by them again
   * @param given the scopes it was given for, fewer when the token service refused to give all at once
   */
  add(account: Account, asked: ScopeSet, given: ScopeSet, token: Token, now: number): void {
    const entry: Entry = { scopeKey: scopeKey(asked), scopes: given, token };
    const key = accountKey(account);
    const kept = (this.#shelves.get(key) ?? []).filter(
      (other) => other.token.expiresAt > now && other.scopeKey !== entry.scopeKey,
    );
    this.#shelves.set(key, [entry, ...kept.slice(0, MAX_TOKENS - 1)]);
  }

  /** Forgets a token the registry no longer takes. */
  drop(account: Account, token: Token): void {
    const key = accountKey(account);
    this.#shelves.set(
      key,
      (this.#shelves.get(key) ?? []).filter((entry) => entry.token !== token),
    );
  }
}

/** The same text for the same account at the same token service. */
export function accountKey({ credential, realm, service }: Account): string {
  return `${credentialKey(credential)} ${realm.href} ${service ?? ''}`;
}
