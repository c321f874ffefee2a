import { silentLog, systemClock } from '../../base/index.ts';
import {
  evaluateThresholds,
  type GeneratorFigures,
  Histogram,
  type Judged,
  judgeGenerator,
  type Threshold,
  type ThresholdResult,
  watchThread,
} from '../../load/index.ts';
import {
  type Descriptor,
  isForeignLayer,
  LIMITS,
  MANIFEST_ACCEPT,
  type Platform,
  parseManifest,
  platformMatches,
} from '../../oci/index.ts';
import {
  faultOf,
  LaneExchanger,
  type LaneGrant,
  openRegistryLane,
  Puller,
  type PullRequestKind,
  type PullResult,
  type RegistryConnection,
  type RegistryLane,
} from '../../registry/index.ts';
import { type CachePlace, placeOf } from './addressing.ts';
import type { Counters } from './counters.ts';
import type { DigestSet } from './digest-set.ts';
import { perSecond, upstreamShare } from './figures.ts';
import type { ImageTable } from './image-table.ts';
import type { BenchPlan } from './plan.ts';
import type { HerdImage, Probe, UpstreamWatch } from './result.ts';
import { queryOf } from './workload.ts';

/** What a herd runs with. */
export interface HerdContext {
  readonly connection: RegistryConnection;
  readonly table: ImageTable;
  readonly plan: BenchPlan & { readonly herd: NonNullable<BenchPlan['herd']> };
  readonly counters: Counters;
  readonly digests: DigestSet;
  readonly thresholds: readonly Threshold[];
  /** After the first image that misses one there is no other. */
  readonly abortOnFail: boolean;
  readonly signal: AbortSignal;
  readonly watchUpstream: (() => UpstreamWatch) | undefined;
  onImage?(image: HerdImage): void;
}

/** What became of all herds. */
export interface HerdRun {
  readonly images: readonly HerdImage[];
  readonly thresholds: readonly ThresholdResult[];
  /** The threshold that ended the run, if one did. */
  readonly abortedBy: string | null;
  readonly generator: GeneratorFigures;
}

const PROBE_HEADERS = ['accept', MANIFEST_ACCEPT.join(', ')];

/**
 * Sends many clients for the same image at once, image after image; an aborted signal ends it with the images
 * that are done.
 */
export async function runHerd(context: HerdContext): Promise<HerdRun> {
  const { connection, plan, table, signal, thresholds } = context;
  const lane = await openRegistryLane(connection, {
    connections: plan.herd.clients * plan.layerConcurrency,
    log: silentLog,
    clock: systemClock,
  });
  const onAbort = (): void => void lane.close();
  signal.addEventListener('abort', onAbort, { once: true });
  const images: HerdImage[] = [];
  const figures = new HerdFigures();
  let abortedBy: string | undefined;
  try {
    const first = placeIn(context, 0);
    await lane.learn('/v2/', []);
    await lane.learn(`/v2/${first.repository}/tags/list${queryOf(first)}`, first.scopes);
    const watch = watchThread();
    try {
      const count = Math.min(plan.herd.images, table.size);
      for (let image = 0; image < count && !signal.aborted && abortedBy === undefined; image++) {
        const { outcome, pulls, ms } = await herdOf(context, lane, image, count);
        if (signal.aborted) break;
        figures.add(pulls, ms);
        images.push(outcome);
        context.onImage?.(outcome);
        if (context.abortOnFail) abortedBy = missedBy(evaluateThresholds(thresholds, figures.judged()));
      }
      return {
        images,
        thresholds: evaluateThresholds(thresholds, figures.judged()),
        abortedBy: abortedBy ?? null,
        generator: judgeGenerator([watch.figures(0)], 1),
      };
    } finally {
      watch.stop();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await lane.close();
  }
}

/** The pulls of all clients, for thresholds. */
class HerdFigures {
  readonly #latency = new Histogram();
  #count = 0;
  #failed = 0;
  #ms = 0;

  /** @param ms from the herd's start until its last client had its answer */
  add(pulls: readonly TimedPull[], ms: number): void {
    for (const pull of pulls) {
      this.#latency.record(pull.ms);
      if (pull.error !== undefined) this.#failed++;
    }
    this.#count += pulls.length;
    this.#ms += ms;
  }

  judged(): Judged {
    const totals = {
      count: this.#count,
      failed: this.#failed,
      ratePerSecond: perSecond(this.#count, this.#ms),
      latency: this.#latency.distribution(),
    };
    return { totals, kinds: [{ kind: 'pull', ...totals }], dropped: 0 };
  }
}

function missedBy(results: readonly ThresholdResult[]): string | undefined {
  return results.find(({ ok }) => !ok)?.text;
}

async function herdOf(
  context: HerdContext,
  lane: RegistryLane,
  image: number,
  herded: number,
): Promise<{ readonly outcome: HerdImage; readonly pulls: readonly TimedPull[]; readonly ms: number }> {
  const { counters, digests, plan, table } = context;
  const { clients, kill } = plan.herd;
  const { tag } = table.at(image);
  const place = placeIn(context, image);
  const { repository, query, scopes } = place;
  const grant = await lane.grant(scopes);
  const puller = new Puller(new LaneExchanger<PullRequestKind>(lane, (kind) => counters.add(kind)), {
    platform: plan.platform,
    layerConcurrency: plan.layerConcurrency,
  });
  const watch = context.watchUpstream?.();
  let blobGets = 0;
  const blobs = new Set<string>();
  const onRequest = ({
    kind,
    digest,
  }: {
    readonly kind: PullRequestKind;
    readonly digest?: string | undefined;
  }): void => {
    if (kind !== 'getBlob' || digest === undefined) return;
    blobGets++;
    blobs.add(digest);
    digests.add(digest as Parameters<DigestSet['add']>[0]);
  };
  const killed = kill ? killedClient(context, place, tag) : undefined;
  const begun = performance.now();
  const pulls = await Promise.all(
    Array.from({ length: clients }, () =>
      timedPull(puller, { repository, reference: tag, query, grant, onRequest }),
    ),
  );
  const ms = performance.now() - begun;
  const wasKilled = killed ? await killed : null;
  const probe = kill ? await probeBeside(context, lane, image, herded) : null;
  watch?.end();
  const outcome = {
    image: table.nameOf(image),
    clients,
    ...summed(pulls),
    killed: wasKilled,
    probe,
    upstream: watch
      ? upstreamShare(watch.traffic(), {
          // The one that was cut off asked for a blob too.
          blobGets: blobGets + (wasKilled ? 1 : 0),
          distinctBlobs: blobs.size,
        })
      : null,
  };
  return { outcome, pulls, ms };
}

interface TimedPull extends PullResult {
  readonly ms: number;
}

function timedPull(puller: Puller, order: Parameters<Puller['pull']>[0]): Promise<TimedPull> {
  const begun = performance.now();
  return new Promise((resolve) =>
    puller.pull(order, (result) => resolve({ ...result, ms: performance.now() - begun })),
  );
}

function summed(pulls: readonly TimedPull[]) {
  const errors: Record<string, number> = {};
  for (const { error } of pulls) if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  const times = pulls
    .filter(({ error }) => error === undefined)
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  return {
    ok: times.length,
    failed: pulls.length - times.length,
    errors,
    fastestMs: times[0] ?? null,
    medianMs: times[Math.ceil(times.length / 2) - 1] ?? null,
    slowestMs: times.at(-1) ?? null,
    bytes: pulls.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/**
 * A client with a connection of its own that is cut off as soon as the first bytes of the image's largest blob
 * have come. Gives whether it got so far. Never rejects.
 */
async function killedClient(
  { connection, plan, counters, signal }: HerdContext,
  place: CachePlace,
  tag: string,
): Promise<boolean> {
  const own = await openRegistryLane(connection, { connections: 1, log: silentLog, clock: systemClock });
  const get = async (kind: PullRequestKind, path: string, accept: string) => {
    counters.add(kind);
    return own.client.request({
      method: 'GET',
      to: `${place.repository}/${path}${queryOf(place)}`,
      headers: { accept },
      scopes: place.scopes,
      signal,
    });
  };
  try {
    const largest = await largestBlob(
      async (reference) => {
        const { body } = await get('getManifest', `manifests/${reference}`, MANIFEST_ACCEPT.join(', '));
        return readUpTo(body, LIMITS.manifestBytes);
      },
      tag,
      plan.platform,
    );
    if (!largest) return false;
    const { status, body } = await get('getBlob', `blobs/${largest.digest}`, '*/*');
    for await (const _ of body) return status === 200;
    return false;
  } catch {
    return false;
  } finally {
    await own.close();
  }
}

async function largestBlob(
  manifestBytes: (reference: string) => Promise<Buffer>,
  tag: string,
  platform: Platform,
): Promise<Descriptor | undefined> {
  let manifest = parseManifest(await manifestBytes(tag));
  if (manifest.kind === 'index') {
    const children = manifest.document.manifests;
    const child =
      children.find((one) => one.platform && platformMatches(platform, one.platform)) ?? children[0];
    if (!child) return undefined;
    manifest = parseManifest(await manifestBytes(child.digest), { digest: child.digest });
  }
  if (manifest.kind === 'index') return undefined;
  const { config, layers } = manifest.document;
  return [config, ...layers]
    .filter(({ mediaType }) => !isForeignLayer(mediaType))
    .reduce<Descriptor | undefined>((most, one) => (most && most.size >= one.size ? most : one), undefined);
}

async function readUpTo(body: AsyncIterable<unknown>, limit: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += (part as Uint8Array).length;
    if (size > limit) break;
    parts.push(part as Uint8Array);
  }
  return Buffer.concat(parts);
}

/** Asks for the manifest of an image that no herd was sent for; null when there is none. */
async function probeBeside(
  context: HerdContext,
  lane: RegistryLane,
  image: number,
  herded: number,
): Promise<Probe | null> {
  const { table, plan, counters } = context;
  const spare = table.size - herded;
  if (spare === 0) return null;
  const other = herded + (image % spare);
  const { tag } = table.at(other);
  const place = placeIn(context, other);
  const grant: LaneGrant = await lane.grant(place.scopes);
  const exchanger = new LaneExchanger<PullRequestKind>(lane, (kind) => counters.add(kind));
  const begun = performance.now();
  const error = await new Promise<string | undefined>((resolve) => {
    exchanger.read(
      {
        kind: 'getManifest',
        method: 'GET',
        path: `/v2/${place.repository}/manifests/${tag}${queryOf(place)}`,
        grant,
        headers: PROBE_HEADERS,
        maxBytes: LIMITS.manifestBytes,
        timeoutMs: plan.herd.probeTimeoutMs,
      },
      (result) => resolve(faultOf(result, 200)),
    );
  });
  return {
    image: table.nameOf(other),
    ok: error === undefined,
    error: error ?? null,
    ms: performance.now() - begun,
  };
}

function placeIn({ plan, table }: HerdContext, image: number): CachePlace {
  return placeOf(plan.pathStyle, plan.upstreamName, table.at(image).repository);
}
