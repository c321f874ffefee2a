import { DEFAULT_DOMAIN } from '../oci/index.ts';

/** Who the engine is to be towards a registry; the shapes are those of the room `auth`. */
export type RegistryCredential =
  | { readonly username: string; readonly password: string }
  | { readonly identityToken: string; readonly username?: string }
  | { readonly bearerToken: string };

/** What docker calls Docker Hub in credentials. */
const HUB_SERVER = 'https://index.docker.io/v1/';

/** The engine's AuthConfig: what `POST /auth` takes and the header X-Registry-Auth carries. */
export function authConfig(
  domain: string,
  credential: RegistryCredential | undefined,
): Readonly<Record<string, string>> {
  if (!credential) return {};
  const serveraddress = domain === DEFAULT_DOMAIN ? HUB_SERVER : domain;
  if ('bearerToken' in credential) return { registrytoken: credential.bearerToken, serveraddress };
  if ('identityToken' in credential) return { identitytoken: credential.identityToken, serveraddress };
  return { username: credential.username, password: credential.password, serveraddress };
}

/**
 * The value of X-Registry-Auth: base64url of the JSON, with its padding (the engine takes what it cannot
 * decode for anonymous). Without a credential it is `{}`: 20.10 refuses a push that has no such header.
 */
export function registryAuthHeader(domain: string, credential: RegistryCredential | undefined): string {
  return Buffer.from(JSON.stringify(authConfig(domain, credential)))
    .toString('base64')
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
