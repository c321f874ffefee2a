import {
  asRegopsError,
  escapeText,
  isRegopsError,
  type Log,
  mapConcurrently,
  RegopsError,
} from '../../base/index.ts';
import {
  type Digest,
  formatPlatform,
  type ImageConfig,
  isImageMediaType,
  LIMITS,
  type Manifest,
  MEDIA_TYPES,
  type Platform,
  parseImageConfig,
  platformMatches,
  platformsOf,
} from '../../oci/index.ts';
import { collect, getManifest, listTags, type RegistryClient, readBlob } from '../../registry/index.ts';
import { readSnapshotLabels, type SnapshotFacts } from './labels.ts';
import type { Candidate } from './policy.ts';

const TAGS_AT_ONCE = 8;

/** An image as a registry holds it. */
export interface RegistryImage {
  /** What the tag points at: a manifest, or the index round it. */
  readonly digest: Digest;
  readonly manifest: Extract<Manifest, { kind: 'image' }>;
  readonly sizeBytes: number;
  readonly parts: Candidate['parts'];
}

/** A snapshot as a registry holds it. */
export interface RegistrySnapshot extends RegistryImage {
  readonly facts: SnapshotFacts;
  readonly tags: readonly string[];
}

/**
 * The image under a tag or digest; of an index (which Docker 29's image store pushes) its first image that runs, or the
 * one for a platform. Throws as `getManifest` does, and for an index MANIFEST_INVALID when it has no images,
 * PLATFORM_NOT_FOUND when it has none for the platform.
 */
export async function registryImage(
  client: RegistryClient,
  repository: string,
  selector: string,
  signal: AbortSignal,
  platform?: Platform,
): Promise<RegistryImage> {
  const root = await getManifest(client, repository, selector, signal);
  const manifest = root.kind === 'image' ? root : await imageOf(client, repository, root, signal, platform);
  const { config, layers } = manifest.document;
  const blobs = [
    { digest: root.digest, size: root.bytes.length },
    ...(root === manifest ? [] : [{ digest: manifest.digest, size: manifest.bytes.length }]),
    config,
    ...layers,
  ];
  const parts = [
    ...new Map(blobs.map(({ digest, size }) => [digest, { key: digest, bytes: size }])).values(),
  ];
  return {
    digest: root.digest,
    manifest,
    parts,
    sizeBytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

async function imageOf(
  client: RegistryClient,
  repository: string,
  index: Extract<Manifest, { kind: 'index' }>,
  signal: AbortSignal,
  wanted: Platform | undefined,
): Promise<RegistryImage['manifest']> {
  // BuildKit's attestations are for the platform unknown/unknown.
  const images = index.document.manifests.filter(
    ({ mediaType, platform }) => isImageMediaType(mediaType) && platform?.os !== 'unknown',
  );
  const entry = wanted
    ? images.find(({ platform }) => platform && platformMatches(wanted, platform))
    : images[0];
  if (wanted && !entry && images.length > 0) {
    const offered = platformsOf(images).slice(0, 20);
    throw new RegopsError(
      'PLATFORM_NOT_FOUND',
      `index ${index.digest} in ${repository} has no ${formatPlatform(wanted)}`,
      { hints: [`Its platforms: ${escapeText(offered.join(', ')) || 'none'}.`] },
    );
  }
  const found = entry && (await getManifest(client, repository, entry.digest, signal));
  if (found?.kind === 'image') return found;
  throw new RegopsError('MANIFEST_INVALID', `index ${index.digest} in ${repository} names no image`);
}

/** The configuration of an image; undefined for an artifact that is no image. */
export async function configOf(
  client: RegistryClient,
  repository: string,
  { manifest }: Pick<RegistryImage, 'manifest'>,
  signal: AbortSignal,
): Promise<ImageConfig | undefined> {
  const { config } = manifest.document;
  if (config.mediaType !== MEDIA_TYPES.ociConfig && config.mediaType !== MEDIA_TYPES.dockerConfig)
    return undefined;
  return parseImageConfig(
    await readBlob(client, repository, config, LIMITS.configBytes, signal),
    `configuration ${config.digest}`,
  );
}

/** What a repository holds of snapshots. */
export interface RepositoryContent {
  readonly snapshots: readonly RegistrySnapshot[];
  /** Tags that are none of regops' snapshots. */
  readonly otherTags: number;
}

/**
 * Reads every tag of a repository, two requests each. A tag that goes away meanwhile is left out; what cannot be
 * read is another's. A repository that does not exist is an empty one.
 */
export async function repositoryContent(
  client: RegistryClient,
  repository: string,
  context: { readonly signal: AbortSignal; readonly log: Log },
): Promise<RepositoryContent> {
  const { log, signal } = context;
  const tags = await tagsOf(client, repository, signal);
  const byDigest = new Map<Digest, Promise<RegistrySnapshot | undefined>>();
  const read = await mapConcurrently(tags, TAGS_AT_ONCE, signal, async (tag, either) => {
    try {
      const image = await registryImage(client, repository, tag, either);
      let snapshot = byDigest.get(image.digest);
      if (!snapshot) {
        snapshot = asSnapshot(client, repository, image, either);
        byDigest.set(image.digest, snapshot);
      }
      return { tag, snapshot: await snapshot };
    } catch (error) {
      if (isMissing(error)) return undefined;
      if (asRegopsError(error).kind !== 'data') throw error;
      log.trace(`${client.domain}/${repository}:${tag} is no snapshot: ${asRegopsError(error).message}`);
      return { tag, snapshot: undefined };
    }
  });
  const there = read.filter((entry) => entry !== undefined);
  const grouped = Map.groupBy(
    there.filter(({ snapshot }) => snapshot !== undefined),
    ({ snapshot }) => snapshot,
  );
  return {
    snapshots: [...grouped].flatMap(([snapshot, entries]) =>
      snapshot ? [{ ...snapshot, tags: entries.map(({ tag }) => tag) }] : [],
    ),
    otherTags: there.filter(({ snapshot }) => snapshot === undefined).length,
  };
}

async function asSnapshot(
  client: RegistryClient,
  repository: string,
  image: RegistryImage,
  signal: AbortSignal,
): Promise<RegistrySnapshot | undefined> {
  const config = await configOf(client, repository, image, signal);
  const facts =
    config && readSnapshotLabels(config.config?.Labels ?? {}, Date.parse(config.created ?? '') || 0);
  return facts && { ...image, facts, tags: [] };
}

async function tagsOf(client: RegistryClient, repository: string, signal: AbortSignal): Promise<string[]> {
  try {
    return await collect(listTags(client, repository, { signal }));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** What to give as `--registry-url` for the registry that a client speaks to: without a scheme https is meant. */
export function registryUrl({ domain, origin }: Pick<RegistryClient, 'domain' | 'origin'>): string {
  return origin.protocol === 'http:' ? `http://${domain}` : domain;
}

/** Whether an error says that a manifest, or the repository round it, is not there. */
export function isMissing(error: unknown): boolean {
  return isRegopsError(error, 'MANIFEST_NOT_FOUND') || isRegopsError(error, 'REPOSITORY_NOT_FOUND');
}
