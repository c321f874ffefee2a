import {
  type Archive,
  type ArchiveImage,
  type BlobSource,
  type LayerSource,
  plainLayer,
  readManifest,
  readSource,
} from '../../archive/index.ts';
import { escapeText, type Log, RegopsError } from '../../base/index.ts';
import {
  buildImageManifest,
  buildManifest,
  configMediaType,
  type Descriptor,
  type Digest,
  descriptorOf,
  formatPlatform,
  type ImageDocument,
  type IndexDocument,
  imageFamily,
  isForeignLayer,
  isIndexMediaType,
  isManifestMediaType,
  type LayerCompression,
  LIMITS,
  layerMediaType,
  type Manifest,
  MEDIA_TYPES,
  type Platform,
  parseImageConfig,
  platformMatches,
  platformOfConfig,
} from '../../oci/index.ts';
import type { PushTarOptions } from './options.ts';

type ImageManifest = Extract<Manifest, { kind: 'image' }>;
type IndexManifest = Extract<Manifest, { kind: 'index' }>;

/** A blob that an image needs in the registry, and how to get it there. */
export type BlobPlan = StoredBlobPlan | PackedBlobPlan;

/** Pushed as it lies in the archive. */
export interface StoredBlobPlan {
  readonly kind: 'stored';
  /** Two plans with one key are one piece of work. */
  readonly key: string;
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  /** Undefined when the archive lacks it: then the registry must have it already. */
  readonly source: BlobSource | undefined;
}

/** A layer of a docker-archive whose bytes have to be read before its digest is known, compressed on the way or not. */
export interface PackedBlobPlan {
  readonly kind: 'packed';
  readonly key: string;
  readonly mediaType: string;
  readonly source: LayerSource;
  readonly compression: LayerCompression;
}

/** Digest and size of a blob once it is known. */
export type Resolve = (blob: BlobPlan) => { readonly digest: Digest; readonly size: number };

/** A manifest that will be pushed, with all that has to be there before it. */
export type ManifestPlan =
  | {
      readonly kind: 'image';
      readonly blobs: readonly BlobPlan[];
      readonly platform: Platform | undefined;
      build(resolve: Resolve): Manifest;
    }
  | {
      readonly kind: 'index';
      readonly children: readonly ManifestPlan[];
      /** What the index names and the archive lacks (`docker save` from the containerd store). */
      readonly absent: readonly Descriptor[];
      /**
       * Says that the index is going to be pushed without what is absent. Throws ARCHIVE_INVALID where that is not
       * wanted.
       */
      leaveOutAbsent(): void;
      /** @param keepAbsent the registry has what is absent, so that the index may go on naming it */
      build(children: readonly Manifest[], keepAbsent?: boolean): Manifest;
    };

interface Planning {
  readonly archive: Archive;
  readonly options: Pick<PushTarOptions, 'compression' | 'platform' | 'preserveDigests'>;
  readonly log: Log;
  readonly what: string;
}

/**
 * Works out what an image of an archive becomes in a registry: which manifests, which blobs, what is
 * compressed and so gets a new digest.
 *
 * @throws PLATFORM_NOT_FOUND; ARCHIVE_INVALID when content that is asked for is not in the archive
 */
export async function planImage(
  archive: Archive,
  image: ArchiveImage,
  options: Planning['options'],
  log: Log,
): Promise<ManifestPlan> {
  const name = image.names[0] === undefined ? '' : ` (${escapeText(image.names[0])})`;
  const planning: Planning = {
    archive,
    options,
    log,
    what: `image @${image.index}${name} of ${archive.path}`,
  };
  if (image.content.kind === 'docker')
    return planDocker(planning, image.content.config, image.content.layers);
  const root = await readManifest(archive, image.content.root);
  return root.kind === 'index' ? planRootIndex(planning, root) : planRootImage(planning, root);
}

/** Every blob below a plan, in order, children first. */
export function blobsOf(plan: ManifestPlan): BlobPlan[] {
  return plan.kind === 'image' ? [...plan.blobs] : plan.children.flatMap(blobsOf);
}

/** Bytes of a blob as the archive holds them. */
export function storedSize(blob: BlobPlan): number {
  return blob.kind === 'stored' ? blob.size : blob.source.size;
}

/** The platforms below a plan, as text. */
export function platformsOf(plan: ManifestPlan): string[] {
  if (plan.kind === 'index') return [...new Set(plan.children.flatMap(platformsOf))];
  return plan.platform && plan.platform.os !== 'unknown' ? [formatPlatform(plan.platform)] : [];
}

/** A manifest of Docker's schema 2 for what `docker save` wrote; OCI when a layer is packed with zstd, which schema 2 does not know. */
async function planDocker(
  planning: Planning,
  config: BlobSource,
  layers: readonly LayerSource[],
): Promise<ManifestPlan> {
  const wanted = wantedCompression(planning);
  const packings = layers.map((layer) => (layer.compression === 'none' ? wanted : layer.compression));
  const family = imageFamily(packings);
  const configPlan: StoredBlobPlan = {
    kind: 'stored',
    key: config.digest,
    mediaType: configMediaType(family),
    digest: config.digest,
    size: config.size,
    source: config,
  };
  const layerPlans = layers.map((source, at): BlobPlan => {
    const packing = packings[at] ?? 'none';
    const mediaType = layerMediaType(family, packing);
    // A plain layer that stays plain is known already: its digest is the diffID.
    if (packing === 'none') {
      const stored = { digest: source.diffId, size: source.size, open: () => source.open() };
      return {
        kind: 'stored',
        key: source.diffId,
        mediaType,
        digest: source.diffId,
        size: source.size,
        source: stored,
      };
    }
    return packedPlan(source, packing, mediaType);
  });
  const platform = await configPlatform(planning.archive, config, `configuration of ${planning.what}`);
  refusePlatform(planning, platform);
  return {
    kind: 'image',
    blobs: [configPlan, ...layerPlans],
    platform,
    build: (resolve) =>
      buildImageManifest(
        family,
        config,
        layerPlans.map((blob) => ({ ...resolve(blob), mediaType: blob.mediaType })),
      ),
  };
}

async function planRootImage(planning: Planning, manifest: ImageManifest): Promise<ManifestPlan> {
  const plan = await planOciImage(planning, manifest, undefined, false);
  if (plan.kind === 'image') refusePlatform(planning, plan.platform);
  return plan;
}

async function planRootIndex(planning: Planning, root: IndexManifest): Promise<ManifestPlan> {
  const { platform } = planning.options;
  if (platform === undefined || platform === 'all') {
    return planIndex(planning, root, await planEntries(planning, root, 1));
  }
  const found = await findPlatform(planning, root, platform, 1);
  if (found.kind === 'absent') {
    const offered = found.offered.join(', ') || 'none';
    throw new RegopsError('PLATFORM_NOT_FOUND', `${planning.what} has no ${formatPlatform(platform)}`, {
      hints: [`Its platforms: ${escapeText(offered)}.`],
    });
  }
  return planOciImage(planning, found.manifest, platform, false);
}

/** The children of an index that the archive holds whole, and those that it does not. */
interface IndexEntries {
  readonly held: readonly { readonly descriptor: Descriptor; readonly plan: ManifestPlan }[];
  readonly absent: readonly Descriptor[];
}

async function planEntries(planning: Planning, index: IndexManifest, depth: number): Promise<IndexEntries> {
  refuseDepth(planning, depth);
  const children: { descriptor: Descriptor; manifest: Manifest | undefined }[] = [];
  for (const descriptor of index.document.manifests) {
    children.push({ descriptor, manifest: await readChild(planning, descriptor) });
  }
  const pinned = pinnedDigests(children);
  const held: { descriptor: Descriptor; plan: ManifestPlan }[] = [];
  const absent: Descriptor[] = [];
  for (const { descriptor, manifest } of children) {
    const plan = manifest && (await planChild(planning, descriptor, manifest, pinned, depth));
    if (plan) held.push({ descriptor, plan });
    else absent.push(descriptor);
  }
  return { held, absent };
}

/** Undefined for what is not there, and for what is no manifest of ours, which no registry would take as one. */
async function readChild(planning: Planning, descriptor: Descriptor): Promise<Manifest | undefined> {
  const present = isManifestMediaType(descriptor.mediaType) && planning.archive.blob(descriptor.digest);
  return present ? readManifest(planning.archive, descriptor) : undefined;
}

/** An index with those of its children that the archive holds whole. */
function planIndex(planning: Planning, index: IndexManifest, { held, absent }: IndexEntries): ManifestPlan {
  const names = absent.map((one) => (one.platform ? formatPlatform(one.platform) : one.digest));
  const lacked = escapeText([...new Set(names)].slice(0, 8).join(', '));
  const refused = (hint: string): RegopsError =>
    new RegopsError(
      'ARCHIVE_INVALID',
      `${planning.what}: its index ${index.digest} names what the archive lacks: ${lacked}`,
      { hints: [hint] },
    );
  if (absent.length > 0 && held.length === 0) {
    throw refused('The archive holds no image of this index whole: save it again.');
  }
  let isTold = false;
  return {
    kind: 'index',
    children: held.map((child) => child.plan),
    absent,
    leaveOutAbsent() {
      const { platform, preserveDigests } = planning.options;
      if (platform === 'all' || preserveDigests) {
        throw refused(
          'Choose one platform with --platform, or let the absent ones be left out (neither --platform all nor --preserve-digests).',
        );
      }
      if (isTold) return;
      isTold = true;
      planning.log.warn(
        `${planning.what}: the archive lacks ${lacked}; the index is pushed without, and so gets a new digest`,
      );
    },
    build(manifests, keepAbsent = false) {
      const places = new Map(held.map(({ descriptor }, at) => [descriptor, at]));
      const entries = index.document.manifests.flatMap((descriptor): Descriptor[] => {
        const at = places.get(descriptor);
        if (at === undefined) return keepAbsent ? [descriptor] : [];
        const manifest = manifests[at] as Manifest;
        return [
          manifest.digest === descriptor.digest ? descriptor : { ...descriptor, ...descriptorOf(manifest) },
        ];
      });
      const isUnchanged =
        entries.length === index.document.manifests.length &&
        entries.every((entry, at) => entry === index.document.manifests[at]);
      return isUnchanged ? index : rebuilt(planning, index, { ...index.document, manifests: entries });
    },
  };
}

/** Undefined for what the archive does not hold whole. */
async function planChild(
  planning: Planning,
  descriptor: Descriptor,
  manifest: Manifest,
  pinned: ReadonlySet<string>,
  depth: number,
): Promise<ManifestPlan | undefined> {
  if (manifest.kind === 'index') {
    const entries = await planEntries(planning, manifest, depth + 1);
    const isEmptied = entries.held.length === 0 && entries.absent.length > 0;
    return isEmptied ? undefined : planIndex(planning, manifest, entries);
  }
  const incomplete = [manifest.document.config, ...manifest.document.layers].some(
    (blob) => !isForeignLayer(blob.mediaType) && !planning.archive.blob(blob.digest),
  );
  const isPinned = pinned.has(descriptor.digest);
  return incomplete ? undefined : planOciImage(planning, manifest, descriptor.platform, isPinned);
}

/** @param pinned true when something else names this manifest by its digest, so that it must not change */
async function planOciImage(
  planning: Planning,
  manifest: ImageManifest,
  platform: Platform | undefined,
  pinned: boolean,
): Promise<ManifestPlan> {
  const { archive } = planning;
  const { document } = manifest;
  const compression = pinned || document.subject ? 'none' : wantedCompression(planning);
  const family = manifest.mediaType === MEDIA_TYPES.dockerManifest ? 'docker' : 'oci';
  const plans = [document.config, ...document.layers].map((descriptor, at): BlobPlan | undefined => {
    if (isForeignLayer(descriptor.mediaType)) return undefined;
    const source = archive.blob(descriptor.digest);
    if (at > 0 && compression !== 'none' && source && isPlainLayer(descriptor.mediaType)) {
      return packedPlan(plainLayer(source), compression, layerMediaType(family, compression));
    }
    const { mediaType, digest, size } = descriptor;
    return { kind: 'stored', key: digest, mediaType, digest, size, source };
  });
  return {
    kind: 'image',
    blobs: plans.filter((plan) => plan !== undefined),
    platform: platform ?? (await platformOf(archive, document)),
    build(resolve) {
      if (!plans.some((plan) => plan?.kind === 'packed')) return manifest;
      const layers = document.layers.map((descriptor, at): Descriptor => {
        const plan = plans[at + 1];
        return plan?.kind === 'packed'
          ? { ...descriptor, ...resolve(plan), mediaType: plan.mediaType }
          : descriptor;
      });
      return rebuilt(planning, manifest, { ...document, layers });
    },
  };
}

/** What becomes of plain layers. Digests that somebody may rely on are not changed unasked. */
function wantedCompression({ archive, options }: Planning): LayerCompression {
  if (options.preserveDigests) return 'none';
  return options.compression ?? (archive.format === 'docker-archive' ? 'gzip' : 'none');
}

function packedPlan(source: LayerSource, compression: LayerCompression, mediaType: string): PackedBlobPlan {
  const how = source.compression === 'none' ? compression : `stored-${source.compression}`;
  return { kind: 'packed', key: `${source.diffId} ${how}`, mediaType, source, compression };
}

function rebuilt(planning: Planning, before: Manifest, document: ImageDocument | IndexDocument): Manifest {
  const after = buildManifest({ ...document, mediaType: before.mediaType });
  planning.log.trace(`${planning.what}: manifest ${before.digest} becomes ${after.digest}`);
  return after;
}

/** Finds the first image for a platform, also in indexes inside the index. */
async function findPlatform(
  planning: Planning,
  index: IndexManifest,
  platform: Platform,
  depth: number,
): Promise<{ kind: 'found'; manifest: ImageManifest } | { kind: 'absent'; offered: string[] }> {
  refuseDepth(planning, depth);
  const offered: string[] = [];
  for (const descriptor of index.document.manifests) {
    const present = planning.archive.blob(descriptor.digest) !== undefined;
    if (isIndexMediaType(descriptor.mediaType)) {
      if (!present) continue;
      const inner = await readManifest(planning.archive, descriptor);
      if (inner.kind !== 'index') continue;
      const found = await findPlatform(planning, inner, platform, depth + 1);
      if (found.kind === 'found') return found;
      offered.push(...found.offered);
      continue;
    }
    if (!descriptor.platform || descriptor.platform.os === 'unknown') continue;
    const name = formatPlatform(descriptor.platform);
    if (!platformMatches(platform, descriptor.platform)) {
      offered.push(name);
    } else if (present) {
      const manifest = await readManifest(planning.archive, descriptor);
      if (manifest.kind === 'image') return { kind: 'found', manifest };
    } else {
      offered.push(`${name} (named, but not in the archive)`);
    }
  }
  return { kind: 'absent', offered: [...new Set(offered)] };
}

/**
 * Manifests that others beside them name by digest: as their subject, or as BuildKit's attestations do in
 * `vnd.docker.reference.digest`.
 */
function pinnedDigests(
  children: readonly { readonly descriptor: Descriptor; readonly manifest: Manifest | undefined }[],
): Set<string> {
  const pins = children.flatMap(({ descriptor, manifest }) => [
    descriptor.annotations?.['vnd.docker.reference.digest'],
    manifest?.document.subject?.digest,
  ]);
  return new Set(pins.filter((digest) => digest !== undefined));
}

function refusePlatform(planning: Planning, platform: Platform | undefined): void {
  const wanted = planning.options.platform;
  if (wanted === undefined || wanted === 'all' || !platform || platformMatches(wanted, platform)) return;
  throw new RegopsError('PLATFORM_NOT_FOUND', `${planning.what} has no ${formatPlatform(wanted)}`, {
    hints: [`It is ${escapeText(formatPlatform(platform))}.`],
  });
}

function refuseDepth(planning: Planning, depth: number): void {
  if (depth > LIMITS.indexDepth) {
    throw new RegopsError(
      'ARCHIVE_INVALID',
      `${planning.what}: indexes are nested deeper than ${LIMITS.indexDepth}`,
    );
  }
}

function isPlainLayer(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociLayer || mediaType === MEDIA_TYPES.dockerLayer;
}

async function platformOf(archive: Archive, document: ImageDocument): Promise<Platform | undefined> {
  const { config } = document;
  const isImage = config.mediaType === MEDIA_TYPES.ociConfig || config.mediaType === MEDIA_TYPES.dockerConfig;
  const source = isImage ? archive.blob(config.digest) : undefined;
  return source && configPlatform(archive, source, `configuration ${source.digest}`);
}

/** Configurations of an archive whose platforms are remembered: far more than any real one has. */
const MOST_PLATFORMS = 10_000;
/** The platforms of configurations that were read already, by digest: a thousand images may share one of 8 MiB. */
const knownPlatforms = new WeakMap<Archive, Map<Digest, Platform | undefined>>();

async function configPlatform(
  archive: Archive,
  config: BlobSource,
  what: string,
): Promise<Platform | undefined> {
  const known = knownPlatforms.get(archive) ?? new Map<Digest, Platform | undefined>();
  knownPlatforms.set(archive, known);
  if (known.has(config.digest)) return known.get(config.digest);
  const platform = platformOfConfig(parseImageConfig(await readSource(config, LIMITS.configBytes, what)));
  if (known.size < MOST_PLATFORMS) known.set(config.digest, platform);
  return platform;
}
