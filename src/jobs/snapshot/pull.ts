import {
  counted,
  escapeText,
  formatDuration,
  isRegopsError,
  RegopsError,
  throwIfAborted,
} from '../../base/index.ts';
import type { Engine, Image } from '../../engine/index.ts';
import {
  type Digest,
  formatPlatform,
  formatReference,
  type Manifest,
  manifestSelector,
  type Platform,
  platformMatches,
  platformOfConfig,
  type Reference,
  withDefaultTag,
} from '../../oci/index.ts';
import { collect, getManifest, listTags, type RegistryClient } from '../../registry/index.ts';
import { checkEngineAccess } from './access.ts';
import { dockerArchive } from './docker-archive.ts';
import { factsOf, identityOf, LayerBars } from './engine-side.ts';
import { heldLayers } from './held-layers.ts';
import { isLocalName, unnamedTag } from './names.ts';
import type { SnapshotContext, SnapshotPullOptions } from './options.ts';
import { isExpired } from './policy.ts';
import { configOf, isMissing, registryImage, registryUrl } from './registry-side.ts';
import type { SnapshotPullResult } from './result.ts';
import { startContainer } from './start.ts';
import { refuseZstd } from './zstd.ts';

/** A snapshot in the engine. */
interface Present {
  readonly image: Image;
  readonly digest?: Digest | undefined;
  readonly status: SnapshotPullResult['status'];
}

/**
 * Gets a snapshot into the engine and, when asked, runs it. One that is there already, by its digest, is used at
 * once. Throws MANIFEST_NOT_FOUND with what the repository still holds, IMAGE_NOT_FOUND for a local one, and what
 * keeps the engine or the registry from it.
 */
export async function pullSnapshot(
  options: SnapshotPullOptions,
  context: SnapshotContext,
): Promise<SnapshotPullResult> {
  const started = context.clock.now();
  const reference = withDefaultTag(options.reference);
  try {
    const engine = await context.engine();
    const { image, digest, status } = isLocalName(reference)
      ? { image: await engine.images.inspect(reference), digest: undefined, status: 'present' as const }
      : await obtain(reference, options, engine, context);
    refuseOther(options, image.platform, reference);
    const facts = factsOf(image);
    if (facts && isExpired(facts, context.clock.now())) {
      const age = formatDuration(context.clock.now() - (facts.expiresMs ?? 0));
      context.log.warn(`this snapshot expired ${age} ago: a prune may take it at any time`);
    }
    if (!facts)
      context.log.warn(
        `${formatReference(reference)} is no snapshot of regops: it says nothing of how it was run`,
      );
    const container = options.start
      ? await startContainer(image, facts, options, engine, context)
      : undefined;
    return {
      reference: formatReference(reference),
      ...(digest === undefined ? {} : { digest }),
      imageId: image.id,
      sizeBytes: image.sizeBytes,
      status,
      snapshot: facts ? identityOf(facts) : null,
      ...(container ? { container } : {}),
      durationMs: context.clock.now() - started,
    };
  } finally {
    context.progress.close();
  }
}

async function obtain(
  reference: Reference,
  options: SnapshotPullOptions,
  engine: Engine,
  context: SnapshotContext,
): Promise<Present> {
  const { domain, repository } = reference;
  const { platform } = options;
  const fits = (image: Image): boolean => !platform || platformMatches(platform, image.platform);
  if (reference.digest !== undefined) {
    const image = await engine.images.find({ domain, repository, digest: reference.digest });
    if (image && fits(image)) return { image, digest: reference.digest, status: 'present' };
  }
  const client = await context.registry(domain);
  const manifest = await manifestOf(client, reference, context);
  const { digest } = manifest;
  const present = await findPresent(reference, manifest, engine);
  if (present && fits(present)) {
    if (reference.tag !== undefined)
      await engine.images.tag(present.id, { domain, repository, tag: reference.tag });
    context.log.info('the image is in the engine already');
    return { image: present, digest, status: 'present' };
  }
  if (platform) await refuseOtherThere(reference, digest, client, platform, context);
  await refuseZstd(reference, digest, client, engine, context, platform);
  throwIfAborted(context.signal);
  context.progress.phase(`pulling ${formatReference(reference)}`);
  const image =
    options.transport === 'direct'
      ? await loadDirect(reference, manifest, client, options, engine, context)
      : await pullByEngine({ domain, repository, digest }, client, options, engine, context);
  if (reference.tag !== undefined)
    await engine.images.tag(image.id, { domain, repository, tag: reference.tag });
  return { image, digest, status: 'pulled' };
}

/** What the registry has under a name; for one that it does not have, why that may be. */
async function manifestOf(
  client: RegistryClient,
  reference: Reference,
  context: SnapshotContext,
): Promise<Manifest> {
  const { repository } = reference;
  try {
    return await getManifest(client, repository, manifestSelector(reference), context.signal);
  } catch (error) {
    if (!isMissing(error)) throw error;
    const others = await collect(listTags(client, repository, { signal: context.signal })).catch(
      () => undefined,
    );
    const place = `${client.domain}/${repository}`;
    throw new RegopsError(
      'MANIFEST_NOT_FOUND',
      others === undefined || others.length === 0
        ? `there is no snapshot ${formatReference(reference)}: ${place} holds nothing at all`
        : `there is no snapshot ${formatReference(reference)} among the ${others.length} tags of ${place}: it was deleted, or it expired and was pruned`,
      {
        hints: [
          `See what there is: regops snapshot list --registry-url ${registryUrl(client)} --repository ${repository}`,
        ],
        cause: error,
      },
    );
  }
}

/** The image of this manifest if the engine has it: under the registry's digest, or by its configuration's. */
async function findPresent(
  { domain, repository }: Reference,
  manifest: Manifest,
  engine: Engine,
): Promise<Image | undefined> {
  const byDigest = await engine.images.find({ domain, repository, digest: manifest.digest });
  // An image that was committed or loaded here is known by no registry's digest, but its ID is the same content.
  return (
    byDigest ??
    (manifest.kind === 'image' ? await engine.images.find(manifest.document.config.digest) : undefined)
  );
}

/** Asked for a platform, an image for another one must not pass for it. */
function refuseOther(
  { platform }: Pick<SnapshotPullOptions, 'platform'>,
  actual: Platform | undefined,
  reference: Reference,
): void {
  if (!platform || !actual || platformMatches(platform, actual)) return;
  throw new RegopsError(
    'PLATFORM_NOT_FOUND',
    `${formatReference(reference)} is not for ${formatPlatform(platform)}`,
    { hints: [`It is for ${escapeText(formatPlatform(actual))}.`] },
  );
}

/** As {@link refuseOther}, before anything is fetched. */
async function refuseOtherThere(
  reference: Reference,
  digest: Digest,
  client: RegistryClient,
  platform: Platform,
  { signal }: SnapshotContext,
): Promise<void> {
  const image = await registryImage(client, reference.repository, digest, signal, platform);
  const config = await configOf(client, reference.repository, image, signal);
  refuseOther({ platform }, config && platformOfConfig(config), reference);
}

/** By digest, never by tag: what comes is what was asked about, whoever moves the tag meanwhile. */
async function pullByEngine(
  reference: Reference,
  client: RegistryClient,
  { platform }: Pick<SnapshotPullOptions, 'platform'>,
  engine: Engine,
  context: SnapshotContext,
): Promise<Image> {
  await checkEngineAccess(engine, client, reference.repository, context);
  const bars = new LayerBars(context.progress, reference.domain);
  try {
    const credential = await context.credential(reference.domain, reference.repository);
    const pulled = await engine.images.pull(reference, {
      credential,
      onEvent: bars.take,
      ...(platform ? { platform } : {}),
    });
    return pulled.image;
  } finally {
    bars.close('ended');
  }
}

/** The registry's blobs, as an archive that the engine loads: for engines that do not trust the registry. */
async function loadDirect(
  reference: Reference,
  { digest }: Manifest,
  client: RegistryClient,
  { platform }: Pick<SnapshotPullOptions, 'platform'>,
  engine: Engine,
  context: SnapshotContext,
): Promise<Image> {
  const { domain, repository } = reference;
  const { signal } = context;
  const found = await registryImage(client, repository, digest, signal, platform);
  const config = await configOf(client, repository, found, signal);
  if (!config) throw new RegopsError('MANIFEST_INVALID', `${formatReference(reference)} is no image`);
  const name = { domain, repository, tag: reference.tag ?? unnamedTag(digest) };
  const wanted = config.rootfs.diff_ids ?? [];
  const load = (held: number) =>
    engine.images.load(dockerArchive(client, repository, found.manifest, name, held, context));
  const layers = found.manifest.document.layers.length;
  const held = layers === wanted.length ? await heldLayers(engine, wanted, signal) : 0;
  if (held > 0) context.log.info(`${held} of ${counted(layers, 'layer')} are in the engine already`);
  try {
    await load(held);
  } catch (error) {
    // The image that had them went meanwhile.
    if (held === 0 || !isRegopsError(error, 'ENGINE_FAILED')) throw error;
    await load(0);
  }
  const image = await engine.images.inspect(name);
  // The containerd store makes an ID of its own; the layers' content is the same everywhere.
  if (image.layers.length !== wanted.length || image.layers.some((layer, at) => layer !== wanted[at])) {
    throw new RegopsError(
      'DIGEST_MISMATCH',
      `${formatReference(reference)}: the engine loaded other layers than the image has`,
    );
  }
  return image;
}
