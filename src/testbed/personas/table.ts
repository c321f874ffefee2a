import type { Persona } from './model.ts';

const MIB = 1024 * 1024;
const FIVE_MINUTES_MS = 5 * 60 * 1000;

/** What is common to both distributions of Docker's registry (distribution/distribution). */
const DISTRIBUTION = {
  // Of the Host header and X-Forwarded-*, with the upload's state in the query.
  locations: 'absolute',
  referrers: 'absent',
  // `n` above the configured most (1000) is refused.
  mostCatalogNames: 1000,
} as const satisfies Partial<Persona>;

/**
 * The registries that clients meet, as far as they differ from the specification. Beside each difference stands
 * who reported or documented it; versions move, so what is here may have been mended there.
 */
export const PERSONAS = {
  hub: {
    title: 'Docker Hub',
    catalog: 'denied',
    // go-containerregistry #1741, #1679: 400 "invalid repository name".
    mountOrigin: 400,
    // jib #691.
    tokenLifetimeMs: FIVE_MINUTES_MS,
    // docker/hub-feedback #1907: the limit on abuse is text, the one on pulls JSON.
    abuseLimit: { text: 'Too Many Requests', retryAfterSeconds: 60 },
  },
  ecr: {
    title: 'Amazon ECR',
    patchStatus: 201,
    // aws/containers-roadmap #2831: the bytes are stored all the same.
    patchRange: 'first-chunk',
    // 5 MiB but for the last (dotnet/sdk, Registry.cs).
    leastChunkBytes: 5 * MIB,
    // go-containerregistry #1091.
    mostTags: 1000,
    tokenService: false,
    // aws/containers-roadmap #2860.
    mount: 'referred',
    repositories: 'made-beforehand',
    // aws/containers-roadmap #2783.
    typedReferrers: 'refused',
    // sigstore-js, packages/oci/src/image.ts.
    referrers: 'announced',
  },
  'artifact-registry': {
    title: 'Google Artifact Registry',
    // Its documentation; dotnet/sdk-container-builds #287, kitops #780. The refusal's status is ours.
    chunks: 'refused',
    // containers/image, docker_client.go.
    challenge: 'ping-alone',
    // bazel-contrib/rules_img, docs/registry-support.md.
    mount: 'anywhere',
  },
  ghcr: {
    title: 'GitHub Container Registry',
    // ocx-sh/ocx #237: 416, with "request body too large".
    mostChunkBytes: 4 * MIB,
    // vonrobak/fedora-homelab-containers #323: Link with n=0, and no end.
    tagPages: 'endless',
  },
  quay: {
    title: 'Quay',
    // go-containerregistry, write.go; mended by quay #899.
    mountWithoutFrom: 400,
    // containers/image, deleteImage.
    refusedAction: 'delete',
    // quay #2005: completing an upload whose list of chunks is empty.
    emptyCommit: 500,
    // Reported broken in oras-py #137; the way it is refused is ours.
    chunks: 'refused',
  },
  harbor: {
    title: 'Harbor',
    // goharbor #17097, go-containerregistry #1393, oras #1892.
    mountFromNowhere: 401,
    // containers/image, isManifestUnknownError.
    missingManifestCode: 'UNKNOWN',
  },
  // Refuses `Content-Range: bytes a-b/*` (dotnet/sdk-container-builds #258), as the specification allows and as the
  // honest testbed does; its referrers API is good.
  acr: { title: 'Azure Container Registry' },
  gitlab: {
    title: 'GitLab',
    // moby #33558.
    tokenLifetimeMs: FIVE_MINUTES_MS,
    // To S3.
    blobs: 'redirected',
  },
  artifactory: {
    title: 'JFrog Artifactory',
    // RTFACT-13797; go-containerregistry, pusher.go.
    missingManifestHead: 403,
    // skopeo #2346.
    strayTags: 'digests',
    // rules_img, docs/registry-support.md.
    mount: 'never',
    blobSharing: 'referred',
    // oras-project/rust-oci-client #205: who may add may not delete.
    cancel: 403,
  },
  nexus: {
    title: 'Sonatype Nexus',
    // skopeo #2409.
    strayTags: 'null',
  },
  // Answers a PUT out of order with 416 (distribution-spec #590), as the honest testbed does.
  zot: {
    title: 'zot',
    // regclient #961, distribution-spec #580; mended since.
    patchRange: 'last-chunk',
  },
  'distribution-2.8': {
    title: 'distribution 2.8 (docker-registry)',
    ...DISTRIBUTION,
    ignoredContentRange: 'all',
    tagPages: 'none',
    deletesTags: false,
    staleState: 'cancels',
  },
  'distribution-3': {
    title: 'distribution 3',
    ...DISTRIBUTION,
    // distribution-spec #590: the closing PUT appends, fails with DIGEST_INVALID, and the session is gone.
    ignoredContentRange: 'put',
  },
} as const satisfies Readonly<Record<string, Persona>>;

export type PersonaName = keyof typeof PERSONAS;

/** In the order of the table. */
export const PERSONA_NAMES = Object.keys(PERSONAS) as readonly PersonaName[];
