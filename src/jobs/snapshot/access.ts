import { isRegopsError, RegopsError } from '../../base/index.ts';
import type { Engine } from '../../engine/index.ts';
import { checkPushAccess, ping, type RegistryClient } from '../../registry/index.ts';
import type { SnapshotContext, SnapshotRepository } from './options.ts';

/**
 * Makes sure that regops may push there, before anything is changed: a wrong password or a missing right is told
 * in milliseconds, and not after a long commit and the engine's fifty seconds of retries.
 */
export async function checkRegistry(
  { domain, repository }: SnapshotRepository,
  context: SnapshotContext,
): Promise<RegistryClient> {
  const client = await context.registry(domain);
  await ping(client, context.signal);
  await checkPushAccess(client, repository, context.signal);
  return client;
}

/**
 * How podman's sign-in ends where its push does not: it is not there for every kind of registry, and knows nothing but
 * verified https, whatever podman's registries.conf says.
 */
const NOT_OF_PODMAN = ['UNSUPPORTED_BY_SERVER', 'TLS_FAILED', 'TLS_UNTRUSTED'] as const;

/**
 * Makes sure that the engine may talk to a registry and that its credential is good there: what our own client can
 * do says nothing about the engine, which has its own ideas of TLS.
 *
 * @throws TLS_FAILED with the lines for daemon.json when the registry speaks plain http and the engine will not
 */
export async function checkEngineAccess(
  engine: Engine,
  client: RegistryClient,
  repository: string,
  context: SnapshotContext,
): Promise<void> {
  const { domain } = client;
  // Podman has no such setting in its API; what it may do shows when it does it.
  if (
    client.origin.protocol === 'http:' &&
    engine.version.product === 'docker' &&
    !(await engine.mayTalkPlainly(domain))
  ) {
    throw new RegopsError('TLS_FAILED', `${domain} speaks plain http, which the engine refuses to use`, {
      hints: [
        `Allow it in the engine's daemon.json, and restart the engine: { "insecure-registries": ["${domain}"] }`,
        'Or let regops push it itself: --transport direct.',
      ],
    });
  }
  const credential = await context.credential(domain, repository);
  if (!credential) return;
  try {
    await engine.checkCredential(domain, credential);
  } catch (error) {
    if (engine.version.product === 'podman' && NOT_OF_PODMAN.some((code) => isRegopsError(error, code)))
      return;
    throw error;
  }
}
