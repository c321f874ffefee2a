import type { LayerCache } from '../archive/index.ts';
import type { Digest } from '../oci/index.ts';
import type { PushBlobOptions, RegistryClient } from '../registry/index.ts';

/** Where a blob was seen in a registry before, to be mounted from there; those that no longer have it are forgotten. */
export function mountCandidates(
  cache: LayerCache,
  { domain }: Pick<RegistryClient, 'domain'>,
  digest: Digest,
): Pick<PushBlobOptions, 'mountCandidates' | 'onCandidateGone'> {
  return {
    mountCandidates: cache.holders(domain, digest),
    onCandidateGone: (repository) => cache.removeHolder(domain, repository, digest),
  };
}
