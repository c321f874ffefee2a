import type { DockerContent } from '../../archive/index.ts';
import { escapeText, RegopsError } from '../../base/index.ts';
import {
  type Descriptor,
  formatPlatform,
  type ImageConfig,
  isManifestMediaType,
  LIMITS,
  layerMediaType,
  type Manifest,
  MEDIA_TYPES,
  type Platform,
  parseImageConfig,
  platformMatches,
  platformOfConfig,
  platformsOf,
} from '../../oci/index.ts';
import { problemOf } from './check.ts';
import type { Content } from './content.ts';
import type { InspectOptions } from './options.ts';
import type {
  DescriptorView,
  HistoryView,
  ImageView,
  IndexEntryView,
  IndexView,
  LayerView,
  ManifestView,
  ProblemView,
  SettingsView,
} from './result.ts';

type ViewOptions = Pick<InspectOptions, 'tree' | 'keep' | 'platform'> & {
  /** Takes what is missing or broken, for a check to tell of, instead of failing. */
  readonly problems?: ProblemView[] | undefined;
};

/** Describes a manifest: an image with its configuration, an index with its entries (and theirs, with `tree`). */
export async function viewManifest(
  manifest: Manifest,
  content: Content,
  options: ViewOptions,
  signal: AbortSignal,
  platform?: Platform,
  depth = 1,
): Promise<ManifestView> {
  return manifest.kind === 'image'
    ? viewImage(manifest, content, options, signal, platform)
    : viewIndex(manifest, content, options, signal, depth);
}

/**
 * Describes an image of a docker-archive, which has no manifest until it is pushed.
 *
 * @param name how messages call it
 * @throws MANIFEST_NOT_FOUND when that or its digest is asked for
 */
export function viewDockerContent(
  docker: DockerContent,
  configBytes: Uint8Array,
  options: ViewOptions,
  name: string,
): ImageView {
  if (options.keep === 'manifest' || options.keep === 'digest') {
    throw new RegopsError('MANIFEST_NOT_FOUND', `${name} has no ${options.keep} before it is pushed`, {
      hints: ['docker save writes none for it: push it, and ask the registry.', '--config is there.'],
    });
  }
  const config = parseImageConfig(configBytes);
  refuseOtherPlatform(options, platformOfConfig(config), 'the image');
  const layers = docker.layers.map(
    (layer): LayerView => ({
      diffId: layer.diffId,
      mediaType: layerMediaType('docker', layer.compression),
      compression: layer.compression,
      sizeBytes: layer.size,
    }),
  );
  return {
    type: 'image',
    ...platformView(platformOfConfig(config)),
    sizeBytes: docker.config.size + layers.reduce((sum, layer) => sum + layer.sizeBytes, 0),
    ...configView(config, layers),
    config: {
      digest: docker.config.digest,
      mediaType: MEDIA_TYPES.dockerConfig,
      sizeBytes: docker.config.size,
    },
    layers,
    ...textView(options, undefined, configBytes),
  };
}

/** The entry of an index that serves a platform, or undefined. */
export function entryFor(
  manifest: Extract<Manifest, { kind: 'index' }>,
  platform: Platform,
): Descriptor | undefined {
  return manifest.document.manifests.find(
    (entry) => entry.platform !== undefined && platformMatches(platform, entry.platform),
  );
}

/** A descriptor for the answer. */
export function viewDescriptor(descriptor: Descriptor): DescriptorView {
  return {
    digest: descriptor.digest,
    mediaType: descriptor.mediaType,
    sizeBytes: descriptor.size,
    ...(descriptor.artifactType ? { artifactType: descriptor.artifactType } : {}),
    ...annotationsView(descriptor.annotations),
  };
}

async function viewImage(
  manifest: Extract<Manifest, { kind: 'image' }>,
  content: Content,
  options: ViewOptions,
  signal: AbortSignal,
  platform: Platform | undefined,
): Promise<ImageView> {
  const { document } = manifest;
  const isImage =
    document.config.mediaType === MEDIA_TYPES.ociConfig ||
    document.config.mediaType === MEDIA_TYPES.dockerConfig;
  const wanted = isImage || options.keep === 'config';
  const readable =
    wanted && (content.complete || (await content.presence(document.config, signal)) !== undefined);
  const bytes = readable
    ? await noting(options, document.config.digest, 'configuration', () =>
        content.read(document.config, LIMITS.configBytes, signal),
      )
    : undefined;
  if (options.keep === 'config' && !bytes) {
    throw new RegopsError(
      'BLOB_NOT_FOUND',
      `configuration ${document.config.digest} of ${manifest.digest} is not there`,
    );
  }
  const config =
    bytes && isImage ? parseImageConfig(bytes, `configuration ${document.config.digest}`) : undefined;
  const shownPlatform = platform ?? (config && platformOfConfig(config));
  refuseOtherPlatform(options, shownPlatform, `image ${manifest.digest}`);
  const diffIds = config?.rootfs.diff_ids ?? [];
  const layers = document.layers.map(
    (layer, at): LayerView => ({
      ...viewDescriptor(layer),
      ...(diffIds.length === document.layers.length ? { diffId: diffIds[at] as string } : {}),
    }),
  );
  return {
    type: 'image',
    digest: manifest.digest,
    mediaType: manifest.mediaType,
    ...(document.artifactType ? { artifactType: document.artifactType } : {}),
    ...platformView(shownPlatform),
    sizeBytes:
      manifest.bytes.length + document.config.size + layers.reduce((sum, layer) => sum + layer.sizeBytes, 0),
    ...(config ? configView(config, layers) : {}),
    config: viewDescriptor(document.config),
    layers,
    ...annotationsView(document.annotations),
    ...(document.subject ? { subject: viewDescriptor(document.subject) } : {}),
    ...textView(options, manifest.bytes, bytes),
  };
}

async function viewIndex(
  manifest: Extract<Manifest, { kind: 'index' }>,
  content: Content,
  options: ViewOptions,
  signal: AbortSignal,
  depth: number,
): Promise<IndexView> {
  const { document } = manifest;
  if (options.keep === 'config') {
    const platforms = platformsOf(document.manifests);
    throw new RegopsError('USAGE', `${manifest.digest} is an index, which has no configuration of its own`, {
      hints: [`Choose an image with --platform: ${escapeText(platforms.join(', ')) || 'none'}.`],
    });
  }
  const manifests: IndexEntryView[] = [];
  for (const entry of document.manifests) {
    const present = content.complete || (await content.presence(entry, signal)) !== undefined;
    const followed =
      options.tree && present && depth < LIMITS.indexDepth && isManifestMediaType(entry.mediaType);
    const child = followed
      ? await noting(options, entry.digest, 'manifest', () => content.manifest(entry, signal))
      : undefined;
    const inner =
      child &&
      (await viewManifest(
        child,
        content,
        { ...options, keep: undefined },
        signal,
        entry.platform,
        depth + 1,
      ));
    manifests.push({
      ...viewDescriptor(entry),
      ...platformView(entry.platform),
      ...(content.complete ? {} : { present }),
      ...(inner ? { manifest: inner } : {}),
    });
  }
  return {
    type: 'index',
    digest: manifest.digest,
    mediaType: manifest.mediaType,
    ...(document.artifactType ? { artifactType: document.artifactType } : {}),
    sizeBytes: manifest.bytes.length,
    manifests,
    ...annotationsView(document.annotations),
    ...(document.subject ? { subject: viewDescriptor(document.subject) } : {}),
    ...textView(options, manifest.bytes, undefined),
  };
}

/** Reads; what cannot be read is noted where problems are taken, and left out of the picture. */
async function noting<T>(
  { problems }: ViewOptions,
  digest: string,
  what: string,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!problems) throw error;
    problems.push(problemOf(error, digest, what));
    return undefined;
  }
}

/** A plain image has no choice to offer: asked for another platform, it must not pass for it. */
function refuseOtherPlatform({ platform }: ViewOptions, actual: Platform | undefined, what: string): void {
  if (!platform || !actual || platformMatches(platform, actual)) return;
  throw new RegopsError('PLATFORM_NOT_FOUND', `${what} is not for ${formatPlatform(platform)}`, {
    hints: [`It is for ${escapeText(formatPlatform(actual))}.`],
  });
}

function configView(
  config: ImageConfig,
  layers: readonly LayerView[],
): Pick<ImageView, 'created' | 'author' | 'settings' | 'history'> {
  const history = historyView(config, layers);
  return {
    ...(config.created ? { created: config.created } : {}),
    ...(config.author ? { author: config.author } : {}),
    settings: settingsView(config),
    ...(history.length > 0 ? { history } : {}),
  };
}

/** The history with each step's layer size; sizes are left out when steps and layers do not match up. */
function historyView(config: ImageConfig, layers: readonly LayerView[]): HistoryView[] {
  const steps = config.history ?? [];
  const withLayer = steps.filter((step) => !step.empty_layer).length;
  let at = 0;
  return steps.map((step) => {
    const layer = step.empty_layer || withLayer !== layers.length ? undefined : layers[at++];
    return {
      ...(step.created ? { created: step.created } : {}),
      ...(step.created_by ? { createdBy: step.created_by } : {}),
      ...(step.comment ? { comment: step.comment } : {}),
      emptyLayer: step.empty_layer ?? false,
      ...(layer ? { sizeBytes: layer.sizeBytes } : {}),
    };
  });
}

function settingsView({ config }: ImageConfig): SettingsView {
  return {
    ...(config?.User ? { user: config.User } : {}),
    ...(config?.Entrypoint?.length ? { entrypoint: config.Entrypoint } : {}),
    ...(config?.Cmd?.length ? { command: config.Cmd } : {}),
    ...(config?.WorkingDir ? { workingDir: config.WorkingDir } : {}),
    ...(config?.Env?.length ? { env: config.Env } : {}),
    ...(config?.ExposedPorts ? { exposedPorts: Object.keys(config.ExposedPorts) } : {}),
    ...(config?.Volumes ? { volumes: Object.keys(config.Volumes) } : {}),
    ...(config?.Labels && Object.keys(config.Labels).length > 0 ? { labels: config.Labels } : {}),
  };
}

function platformView(platform: Platform | undefined): { platform?: string } {
  return platform ? { platform: formatPlatform(platform) } : {};
}

function annotationsView(annotations: Readonly<Record<string, string>> | undefined): {
  annotations?: Readonly<Record<string, string>>;
} {
  return annotations && Object.keys(annotations).length > 0 ? { annotations } : {};
}

function textView(
  options: ViewOptions,
  manifest: Uint8Array | undefined,
  config: Uint8Array | undefined,
): { text?: string } {
  const bytes = options.keep === 'manifest' ? manifest : options.keep === 'config' ? config : undefined;
  if (!bytes) return {};
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    throw new RegopsError('MANIFEST_INVALID', `the ${options.keep} is not UTF-8 text`);
  }
}
