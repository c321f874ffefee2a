/**
 * push-tar: gets the images of archives into registries without Docker. Archives are opened in place,
 * every image is planned, blobs go concurrently and each at most once per registry, then manifests from the
 * inside out, then tags.
 */
import { type Archive, openArchive, type SendAhead, STDIN_NAME } from '../../archive/index.ts';
import { asRegopsError, counted, mapConcurrently, RegopsError, throwIfAborted } from '../../base/index.ts';
import { digestMismatch, formatPlatform, formatReference, type Manifest } from '../../oci/index.ts';
import { headManifest, missingBlobsOf, putManifest, type RegistryClient } from '../../registry/index.ts';
import { LayersAhead, passLayersBy, placeAhead } from './ahead.ts';
import { type BlobWork, deliverBlob, type Served } from './blob-work.ts';
import { type Delivery, planDeliveries } from './destinations.ts';
import { toldProgress } from './events.ts';
import {
  type BlobPlan,
  blobsOf,
  type ManifestPlan,
  planImage,
  platformsOf,
  storedSize,
} from './image-plan.ts';
import type { PushTarContext, PushTarOptions } from './options.ts';
import type { PushedBlobResult, PushedImage, PushedManifest, PushTarResult } from './result.ts';
import { selectImages } from './select.ts';

export type { PushProgress, PushTarEvent } from './events.ts';
export type { Destinations, PushTarContext, PushTarOptions } from './options.ts';
export { parseRename, type Rename } from './renames.ts';
export { reportPushTar } from './report.ts';
export type * from './result.ts';

/** One image at one repository, while it is being pushed. */
interface Shipment {
  readonly delivery: Delivery;
  readonly plan: ManifestPlan;
  readonly client: RegistryClient;
  readonly outcomes: Map<string, Parameters<Served>[1]>;
  readonly manifests: PushedManifest[];
  readonly doneTags: Map<string, 'pushed' | 'exists'>;
  /** Indexes that stay whole although the archive does not hold all they name. */
  readonly wholeIndexes: ReadonlySet<ManifestPlan>;
  root?: Manifest;
}

/**
 * Pushes what the options say. When something fails or is interrupted, what has been done so far comes back
 * as `result` beside the `error`: blobs that arrived stay, sessions that were open are cancelled, no tag is
 * set before everything below it is there.
 *
 * @throws what keeps it from starting: unreadable archives, names that do not fit
 */
export async function pushTar(
  options: PushTarOptions,
  context: PushTarContext,
): Promise<{ result: PushTarResult; error?: RegopsError }> {
  const started = context.clock.now();
  const told = telling(context);
  const archives: Archive[] = [];
  try {
    const place = options.spool ? undefined : placeAhead(options);
    const ahead = place && !options.dryRun ? new LayersAhead(place, options, told) : undefined;
    const sendAhead = options.dryRun && !options.spool ? passLayersBy : ahead?.send;
    try {
      for (const path of options.archives) archives.push(await open(path, told, sendAhead));
    } finally {
      // What was compressed is known to the next run, whatever becomes of this one.
      if (ahead) await context.layerCache.save();
    }
    const deliveries = planDeliveries(selectImages(archives, options.images), options.destinations);
    const shipments = await planShipments(deliveries, options, context);
    let error: RegopsError | undefined;
    try {
      await ship(shipments, options, told, ahead);
    } catch (thrown) {
      error = asRegopsError(thrown);
    }
    await context.layerCache.save();
    const result = summarise(shipments, options.dryRun, context.clock.now() - started);
    return error ? { result, error } : { result };
  } finally {
    context.progress.close();
    await Promise.all(archives.map((archive) => archive.close()));
  }
}

/** The same context, its progress told as events too when somebody wants them. */
function telling(context: PushTarContext): PushTarContext {
  const { onEvent, progress, clock } = context;
  if (!onEvent) return context;
  const told = toldProgress(progress, clock, (sums) => onEvent({ type: 'progress', progress: sums }));
  return { ...context, progress: told };
}

async function open(
  path: string,
  context: PushTarContext,
  sendAhead: SendAhead | undefined,
): Promise<Archive> {
  const { signal, log, stdin, stdinName = STDIN_NAME } = context;
  throwIfAborted(signal);
  context.progress.phase(`reading ${path === '-' ? stdinName : path}`);
  return openArchive(path, { signal, log, stdin, stdinName, sendAhead });
}

async function planShipments(
  deliveries: readonly Delivery[],
  options: PushTarOptions,
  context: PushTarContext,
): Promise<Shipment[]> {
  const plans = new Map<unknown, ManifestPlan>();
  const shipments: Shipment[] = [];
  for (const delivery of deliveries) {
    const { archive, image } = delivery.selected;
    // A digest that was asked for can only come out when nothing is packed anew.
    const exact = delivery.digest !== undefined;
    const key = exact ? delivery : image;
    let plan = plans.get(key);
    if (!plan) {
      const preserveDigests = options.preserveDigests || exact;
      plan = await planImage(archive, image, { ...options, preserveDigests }, context.log);
      plans.set(key, plan);
    }
    const client = await context.registry(delivery.domain);
    const wholeIndexes = await settleSparse(plan, client, delivery.repository, context.signal);
    shipments.push({
      ...{ delivery, plan, client, wholeIndexes },
      ...{ outcomes: new Map(), manifests: [], doneTags: new Map() },
    });
  }
  return shipments;
}

/**
 * Decides what becomes of indexes that name more than the archive holds: where the registry has the rest, from an
 * earlier push, they keep their digest; else the rest is left out. Gives those that stay whole.
 *
 * @throws ARCHIVE_INVALID where nothing may be left out
 */
async function settleSparse(
  plan: ManifestPlan,
  client: RegistryClient,
  repository: string,
  signal: AbortSignal,
): Promise<Set<ManifestPlan>> {
  const whole = new Set<ManifestPlan>();
  if (plan.kind === 'image') return whole;
  for (const child of plan.children) {
    for (const one of await settleSparse(child, client, repository, signal)) whole.add(one);
  }
  for (const { digest } of plan.absent) {
    if (await headManifest(client, repository, digest, signal)) continue;
    plan.leaveOutAbsent();
    return whole;
  }
  return whole.add(plan);
}

async function ship(
  shipments: readonly Shipment[],
  options: PushTarOptions,
  context: PushTarContext,
  ahead: LayersAhead | undefined,
): Promise<void> {
  const works = blobWorks(shipments);
  const registries = new Set(shipments.map((shipment) => shipment.client.domain));
  context.progress.phase(
    `${options.dryRun ? 'asking for' : 'pushing'} ${counted(works.length, 'blob')} of ${counted(shipments.length, 'image')} to ${[...registries].join(', ')}`,
  );
  const sizes = works.flatMap((work) => work.repositories.map(() => storedSize(work.plan)));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  context.onEvent?.({ type: 'plan', plan: { images: shipments.length, blobs: sizes.length, bytes } });
  const done = ahead?.sums ?? { blobs: 0, bytes: 0 };
  if (!options.dryRun) {
    context.progress.expect(Math.max(0, sizes.length - done.blobs), Math.max(0, bytes - done.bytes));
  }
  await mapConcurrently(works, options.concurrency, context.signal, async (work, signal) => {
    await deliverBlob(
      work,
      options,
      context,
      signal,
      (repository, outcome) => {
        context.onEvent?.({
          type: 'blob',
          repository: `${work.client.domain}/${repository}`,
          blob: describeBlob(work.plan, outcome),
        });
        for (const shipment of shipments) {
          const { client, delivery } = shipment;
          if (client === work.client && delivery.repository === repository) {
            shipment.outcomes.set(work.plan.key, outcome);
          }
        }
      },
      ahead,
    );
    // What was compressed is known to the next run, whatever becomes of this one.
    await context.layerCache.save();
  });
  for (const shipment of shipments) {
    throwIfAborted(context.signal);
    if (options.dryRun && !blobsOf(shipment.plan).every((blob) => shipment.outcomes.get(blob.key)?.digest))
      continue;
    await finishShipment(shipment, options, context);
  }
}

/** Groups the blobs of all shipments: one work per registry and blob, with every repository that needs it. */
function blobWorks(shipments: readonly Shipment[]): BlobWork[] {
  const works = new Map<string, { client: RegistryClient; plan: BlobPlan; repositories: Set<string> }>();
  for (const { client, plan, delivery } of shipments) {
    for (const blob of blobsOf(plan)) {
      const key = `${client.domain}\n${blob.key}`;
      let work = works.get(key);
      if (!work) {
        work = { client, plan: blob, repositories: new Set() };
        works.set(key, work);
      }
      work.repositories.add(delivery.repository);
    }
  }
  // The largest first: the last to start should be short.
  return [...works.values()]
    .sort((a, b) => storedSize(b.plan) - storedSize(a.plan))
    .map((work) => ({ ...work, repositories: [...work.repositories] }));
}

/**
 * Manifests from the inside out, then the tags. A registry that misses blobs gets them once more, also against
 * its own word that it has them: each at most once, for some name one after the other.
 */
async function finishShipment(
  shipment: Shipment,
  options: PushTarOptions,
  context: PushTarContext,
): Promise<void> {
  const again = new Set<string>();
  for (let rounds = 0; ; rounds++) {
    try {
      await pushManifests(shipment, options, context);
      return;
    } catch (error) {
      const missing = options.dryRun ? undefined : missingBlobsOf(error);
      const ours = new Set([...shipment.outcomes.values()].map(({ digest }) => digest as string));
      const isNew = (digest: string): boolean => ours.has(digest) && !again.has(digest);
      if (!missing || (rounds > 0 && ![...missing].some(isNew))) throw error;
      for (const digest of missing) again.add(digest);
    }
    context.log.trace(
      `${shipment.client.domain} misses blobs of ${shipment.delivery.repository}: they are pushed again`,
    );
    shipment.manifests.length = 0;
    const works = blobWorks([shipment]).map((work) => ({ ...work, missing: again }));
    await mapConcurrently(works, options.concurrency, context.signal, (work, signal) =>
      deliverBlob(work, options, context, signal, (_, outcome) => {
        const before = shipment.outcomes.get(work.plan.key);
        // What was sent before the registry lost it was sent all the same.
        if (outcome.status !== 'exists' || !before) shipment.outcomes.set(work.plan.key, outcome);
      }),
    );
  }
}

async function pushManifests(
  shipment: Shipment,
  options: PushTarOptions,
  context: PushTarContext,
): Promise<void> {
  const { delivery, client } = shipment;
  const { repository } = delivery;
  const root = await pushBelow(shipment, shipment.plan, options, context, true);
  shipment.root = root;
  if (delivery.digest !== undefined && delivery.digest !== root.digest) {
    throw digestMismatch(`image @${delivery.selected.image.index}`, delivery.digest, root.digest);
  }
  const selectors = delivery.tags.length > 0 ? delivery.tags : [root.digest];
  const began = context.clock.now();
  let sentBytes = 0;
  const tagged = (selector: string, status: 'pushed' | 'exists'): void => {
    shipment.doneTags.set(selector, status);
    const reference = referenceOf(delivery, selector);
    context.onEvent?.({ type: 'tag', tag: { reference, status }, digest: root.digest });
  };
  try {
    for (const selector of selectors) {
      const there = await headManifest(client, repository, selector, context.signal);
      if (there?.digest === root.digest) {
        tagged(selector, 'exists');
      } else if (!options.dryRun) {
        await putManifest(client, repository, selector, root, context.signal);
        sentBytes += root.bytes.length;
        tagged(selector, 'pushed');
      }
    }
  } finally {
    const status = sentBytes > 0 ? 'pushed' : shipment.doneTags.size > 0 ? 'exists' : 'planned';
    record(shipment, shipment.plan, root, context, {
      status,
      sentBytes,
      durationMs: context.clock.now() - began,
    });
  }
}

/** Pushes everything below a manifest, by digest; gives the manifest itself back, not pushed yet when it is the root. */
async function pushBelow(
  shipment: Shipment,
  plan: ManifestPlan,
  options: PushTarOptions,
  context: PushTarContext,
  isRoot: boolean,
): Promise<Manifest> {
  let manifest: Manifest;
  if (plan.kind === 'image') {
    manifest = plan.build((blob) => {
      const outcome = shipment.outcomes.get(blob.key);
      if (!outcome?.digest) throw new RegopsError('BUG', `blob ${blob.key} was not pushed`);
      return { digest: outcome.digest, size: outcome.size };
    });
  } else {
    const children: Manifest[] = [];
    for (const child of plan.children)
      children.push(await pushBelow(shipment, child, options, context, false));
    manifest = plan.build(children, shipment.wholeIndexes.has(plan));
  }
  if (!isRoot) await pushByDigest(shipment, plan, manifest, options, context);
  return manifest;
}

async function pushByDigest(
  shipment: Shipment,
  plan: ManifestPlan,
  manifest: Manifest,
  options: PushTarOptions,
  context: PushTarContext,
): Promise<void> {
  const { client, delivery } = shipment;
  const { clock, signal } = context;
  const began = clock.now();
  const there = await headManifest(client, delivery.repository, manifest.digest, signal);
  const isSent = !there && !options.dryRun;
  if (isSent) await putManifest(client, delivery.repository, manifest.digest, manifest, signal);
  record(shipment, plan, manifest, context, {
    status: there ? 'exists' : isSent ? 'pushed' : 'planned',
    sentBytes: isSent ? manifest.bytes.length : 0,
    durationMs: clock.now() - began,
  });
}

function record(
  shipment: Shipment,
  plan: ManifestPlan,
  manifest: Manifest,
  context: PushTarContext,
  outcome: Pick<PushedManifest, 'status' | 'sentBytes' | 'durationMs'>,
): void {
  const platform = plan.kind === 'image' ? plan.platform : undefined;
  const pushed: PushedManifest = {
    digest: manifest.digest,
    mediaType: manifest.mediaType,
    sizeBytes: manifest.bytes.length,
    ...(platform ? { platform: formatPlatform(platform) } : {}),
    ...outcome,
  };
  shipment.manifests.push(pushed);
  context.onEvent?.({ type: 'manifest', repository: nameOf(shipment.delivery), manifest: pushed });
}

function nameOf({ domain, repository }: Delivery): string {
  return `${domain}/${repository}`;
}

/** Complete, with tag or digest. */
function referenceOf(delivery: Delivery, selector: string): string {
  const { domain, repository, tags } = delivery;
  return tags.length > 0
    ? formatReference({ domain, repository, tag: selector })
    : `${nameOf(delivery)}@${selector}`;
}

function summarise(shipments: readonly Shipment[], dryRun: boolean, durationMs: number): PushTarResult {
  const images = shipments.map(describeShipment);
  // Two images in one repository may share a blob: it counts, and was sent, once.
  const distinct = new Map<string, PushedImage['blobs'][number]>();
  for (const image of images) {
    for (const blob of image.blobs) distinct.set(`${image.repository}\n${blob.digest ?? blob.diffId}`, blob);
  }
  const blobs = [...distinct.values()];
  const withStatus = (status: string): number => blobs.filter((blob) => blob.status === status).length;
  const manifestBytes = images
    .flatMap((image) => image.manifests)
    .reduce((sum, manifest) => sum + manifest.sentBytes, 0);
  return {
    dryRun,
    images,
    totals: {
      images: images.length,
      tags: images.reduce(
        (sum, image) => sum + image.tags.filter((tag) => tag.status !== 'planned').length,
        0,
      ),
      blobs: blobs.length,
      uploaded: withStatus('uploaded'),
      mounted: withStatus('mounted'),
      existing: withStatus('exists'),
      sentBytes: blobs.reduce((sum, blob) => sum + blob.sentBytes, manifestBytes),
      durationMs: Math.round(durationMs),
    },
  };
}

function describeBlob(blob: BlobPlan, outcome: Parameters<Served>[1] | undefined): PushedBlobResult {
  const digest = outcome?.digest ?? (blob.kind === 'stored' ? blob.digest : undefined);
  return {
    ...(digest ? { digest } : {}),
    ...(blob.kind === 'packed' ? { diffId: blob.source.diffId } : {}),
    mediaType: blob.mediaType,
    sizeBytes: outcome?.size ?? storedSize(blob),
    status: outcome?.status ?? 'planned',
    sentBytes: outcome?.sentBytes ?? 0,
    durationMs: outcome?.durationMs ?? 0,
  };
}

function describeShipment(shipment: Shipment): PushedImage {
  const { delivery, plan, root, outcomes } = shipment;
  const { archive, image } = delivery.selected;
  const unique = new Map(blobsOf(plan).map((blob) => [blob.key, blob]));
  const blobs = [...unique.values()].map((blob) => describeBlob(blob, outcomes.get(blob.key)));
  const selectors = delivery.tags.length > 0 ? delivery.tags : [delivery.digest as string];
  return {
    archive: archive.path,
    index: image.index,
    names: image.names,
    repository: nameOf(delivery),
    ...(root ? { digest: root.digest, mediaType: root.mediaType } : {}),
    platforms: platformsOf(plan),
    sizeBytes:
      blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0) +
      shipment.manifests.reduce((sum, manifest) => sum + manifest.sizeBytes, 0),
    tags: selectors.map((selector) => ({
      reference: referenceOf(delivery, selector),
      status: shipment.doneTags.get(selector) ?? 'planned',
    })),
    manifests: shipment.manifests,
    blobs,
  };
}
