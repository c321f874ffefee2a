/** What a registry turned out not to do; learned once per process, so that nobody pays for it twice. */
export interface RegistryTraits {
  /** A mount failed in a way that will not get better (Harbor 401, Quay 400): upload instead. */
  mountRefused: boolean;
  /** The same, from a repository that only held the blob some time ago: others may still be mounted from. */
  candidateRefused: boolean;
  /** A blob sent whole in one PUT was rejected: send a PATCH first. */
  wholePutRefused: boolean;
  /** A PATCH with Content-Range was rejected (Artifact Registry, Quay): blobs go in one request. */
  chunksRefused: boolean;
  /** A longer body was refused (a proxy's 413, GHCR's 416): send chunks of at most so many bytes. */
  bodyLimit: number | undefined;
  /** The referrers API is absent: read the fallback tag (distribution 2.8 and 3). */
  referrersAbsent: boolean;
}

/** A registry of which nothing is known yet. */
export function unknownTraits(): RegistryTraits {
  return {
    mountRefused: false,
    candidateRefused: false,
    wholePutRefused: false,
    chunksRefused: false,
    bodyLimit: undefined,
    referrersAbsent: false,
  };
}
