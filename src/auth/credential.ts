import { createHash } from 'node:crypto';

/** What proves who the user is, to one registry. */
export type Credential = AccountCredential | BearerCredential;

/** What a token service takes. */
export type AccountCredential = PasswordCredential | IdentityTokenCredential;

export interface PasswordCredential {
  readonly username: string;
  readonly password: string;
}

/** A long-lived token that the token service exchanges for short ones (docker's `identitytoken`, user `<token>`). */
export interface IdentityTokenCredential {
  readonly identityToken: string;
  readonly username?: string;
}

/** A token that is sent to the registry as it is (docker's `registrytoken`, `--token`). */
export interface BearerCredential {
  readonly bearerToken: string;
}

/**
 * Gives the credential for a registry, or undefined for none (anonymous).
 *
 * @param host `host[:port]` as in references
 * @param repository the repository the request is about: podman keeps credentials per namespace too
 */
export type CredentialSource = (host: string, repository?: string) => Promise<Credential | undefined>;

/** What credential files and helpers depend on; only `cli/` reads the process's own. */
export interface CredentialEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The home folder. */
  readonly home: string;
  /** The user's number, for podman's /run/containers/UID/auth.json where XDG_RUNTIME_DIR is not set (cron). */
  readonly uid?: number | undefined;
}

/** User name under which docker keeps an identity token. */
export const IDENTITY_TOKEN_USER = '<token>';

/** A name and secret as docker's files and helpers store them; undefined when both are empty. */
export function credentialFromPair(username: string, secret: string): Credential | undefined {
  if (username === '' && secret === '') return undefined;
  return username === IDENTITY_TOKEN_USER ? { identityToken: secret } : { username, password: secret };
}

/** The same text for equal credentials, from which neither can be told. */
export function credentialKey(credential: Credential | undefined): string {
  return createHash('sha256')
    .update(JSON.stringify(credential ?? null))
    .digest('base64url');
}
