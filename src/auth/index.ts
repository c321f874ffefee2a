/**
 * auth: turns a registry's challenge and the user's credential into an Authorization header (Basic, or a
 * Bearer token from the token service the registry names), and reads and writes credentials where docker
 * and podman keep them. A credential only ever goes to the registry it belongs to, and to the token
 * service that this registry names.
 */
export {
  type AuthenticateOptions,
  authenticate,
  createAuthenticator,
  type RegistryAuthenticator,
} from './authenticate.ts';
export { type Challenge, parseChallenges } from './challenge.ts';
export type { Credential, CredentialEnvironment, CredentialSource } from './credential.ts';
export { type CredentialSourceOptions, createCredentialSource } from './credential-sources.ts';
export { canonicalHost } from './registry-host.ts';
export { formatScopes, mergeScopes, parseScopes, type ScopeSet } from './scope.ts';
export {
  type CredentialFile,
  credentialFile,
  eraseCredential,
  type SavedCredential,
  saveCredential,
} from './store.ts';
