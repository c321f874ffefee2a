import { isRegopsError, RegopsError } from '../../base/index.ts';
import { ping, type RegistryClient } from '../../registry/index.ts';
import type { CachePlace } from './addressing.ts';
import { queryOf } from './workload.ts';

/**
 * Asks whether a registry is there and lets us in. Throws what `ping` throws, its message saying whose failure it
 * is.
 */
export async function checkReachable(
  role: 'cache' | 'upstream',
  client: RegistryClient,
  signal: AbortSignal,
): Promise<void> {
  try {
    await ping(client, signal);
  } catch (error) {
    if (!isRegopsError(error) || error.code === 'INTERRUPTED') throw error;
    const { code, message, hints, details } = error;
    throw new RegopsError(code, `the ${role}: ${message}`, { hints, details, cause: error });
  }
}

/**
 * Asks whether the cache would let us pull from a place, without having it fetch anything: by its list of tags,
 * of which only a refusal counts. Throws AUTHENTICATION_FAILED, PERMISSION_DENIED, or the network's error.
 */
export async function checkMayPull(
  cache: RegistryClient,
  place: CachePlace,
  signal: AbortSignal,
): Promise<void> {
  const { repository, scopes } = place;
  const to = `${repository}/tags/list${queryOf(place)}`;
  const { status, body } = await cache.request({ method: 'GET', to, scopes, signal });
  body.on('error', () => {}).destroy();
  if (status !== 401 && status !== 403) return;
  throw new RegopsError(
    status === 401 ? 'AUTHENTICATION_FAILED' : 'PERMISSION_DENIED',
    `the cache: ${cache.domain} answered ${status} when asked about ${repository}`,
    { hints: [`Log in with: regops login ${cache.domain}`], details: { status } },
  );
}
