import { finished } from 'node:stream/promises';
import { type BlobFacts, type LayerSource, type PackedLayer, packLayer } from '../../archive/index.ts';
import { metered, RegopsError, throwIfAborted } from '../../base/index.ts';
import { type Digest, shortDigest } from '../../oci/index.ts';
import type { ProgressTask } from '../../progress/events.ts';
import {
  headBlob,
  type PushedBlob,
  pushBlob,
  pushScope,
  type RegistryClient,
  type UploadSource,
  uploadBlob,
} from '../../registry/index.ts';
import { type BlobPlan, type PackedBlobPlan, type StoredBlobPlan, storedSize } from './image-plan.ts';
import type { PushTarContext, PushTarOptions } from './options.ts';

/** What became of a blob in one repository. */
export interface BlobOutcome {
  /** Digest and size; undefined in a dry run that did not compress. */
  readonly digest?: Digest;
  readonly size: number;
  readonly status: PushedBlob['status'] | 'planned';
  readonly sentBytes: number;
}

/** Told what became of the blob in a repository, and how long that took. */
export type Served = (repository: string, outcome: BlobOutcome & { readonly durationMs: number }) => void;

/** One blob and every repository of one registry that needs it. */
export interface BlobWork {
  readonly client: RegistryClient;
  readonly plan: BlobPlan;
  readonly repositories: readonly string[];
}

type Options = Pick<PushTarOptions, 'compressionLevel' | 'chunkSize' | 'dryRun'>;

/**
 * Brings a blob to its repositories: to the first by asking, mounting or sending, to the others by mount
 * from there. A layer is compressed at most once for a registry that mounts.
 *
 * @param served told of each repository in turn
 */
export async function deliverBlob(
  work: BlobWork,
  options: Options,
  context: PushTarContext,
  signal: AbortSignal,
  served: Served,
): Promise<void> {
  const { client, plan } = work;
  const holders: string[] = [];
  let known: BlobFacts | undefined = plan.kind === 'stored' ? plan : recall(plan, options, context);
  for (const repository of work.repositories) {
    throwIfAborted(signal);
    const began = context.clock.now();
    const done = (outcome: BlobOutcome): void =>
      served(repository, { ...outcome, durationMs: context.clock.now() - began });
    if (options.dryRun) {
      done(await askOnly(client, repository, known, plan, signal));
      continue;
    }
    const task = context.progress.task(labelOf(plan, repository), storedSize(plan));
    let outcome: BlobOutcome;
    try {
      outcome = await deliverTo(repository, known, work, options, context, task, signal, holders);
    } catch (error) {
      task.end('failed');
      throw error;
    }
    task.end(outcome.status);
    if (outcome.digest) known = { digest: outcome.digest, size: outcome.size };
    holders.push(repository);
    done(outcome);
  }
}

/** What an earlier push found this layer to become: a hint, which the registry is asked about. */
function recall(plan: PackedBlobPlan, options: Options, context: PushTarContext): BlobFacts | undefined {
  const { cacheKey } = pack(plan.source, plan, options);
  return cacheKey && context.layerCache.get(cacheKey);
}

function pack(source: LayerSource, plan: PackedBlobPlan, options: Options): PackedLayer {
  return packLayer(source, { compression: plan.compression, level: options.compressionLevel });
}

async function deliverTo(
  repository: string,
  known: BlobFacts | undefined,
  work: BlobWork,
  options: Options,
  context: PushTarContext,
  task: ProgressTask,
  signal: AbortSignal,
  holders: readonly string[],
): Promise<BlobOutcome> {
  const { client, plan } = work;
  const { chunkSize } = options;
  const push = { signal, chunkSize, mountFrom: holders };
  if (plan.kind === 'stored') {
    const source: UploadSource | undefined = plan.source && {
      kind: 'known',
      digest: plan.digest,
      size: plan.size,
      open: () => (plan.source as NonNullable<StoredBlobPlan['source']>).open(),
    };
    const pushed = await pushBlob(client, repository, plan, source, {
      ...push,
      onBytes: (bytes) => task.advance(bytes),
    });
    if (!pushed) {
      throw new RegopsError(
        'ARCHIVE_INVALID',
        `blob ${plan.digest} is neither in the archive nor in ${client.domain}/${repository}`,
        { hints: ['The archive was saved without it: save it again, or choose another --platform.'] },
      );
    }
    return outcomeOf(pushed);
  }
  // What the cache or the first repository tells is asked for before anything is compressed.
  const there = known && (await pushBlob(client, repository, known, undefined, push));
  if (there) return outcomeOf(there);
  const meter = new Meter(task);
  const packed = pack(meter.over(plan.source), plan, options);
  const pushed = await sendPacked(client, repository, packed, meter, options, signal);
  if (packed.cacheKey) context.layerCache.set(packed.cacheKey, { digest: pushed.digest, size: pushed.size });
  return outcomeOf(pushed);
}

/**
 * Packs a layer while it is sent, and remembers what came out. Chunks need to know the size first: for them
 * the layer is packed once to learn it, and once more to send it.
 */
async function sendPacked(
  client: RegistryClient,
  repository: string,
  packed: PackedLayer,
  meter: Meter,
  options: Options,
  signal: AbortSignal,
): Promise<PushedBlob> {
  const { chunkSize } = options;
  const facts = (): BlobFacts => {
    if (!packed.facts) throw new RegopsError('BUG', 'a packed layer ended without its digest');
    return packed.facts;
  };
  if (chunkSize === undefined) {
    const open = () => {
      meter.restart();
      return { stream: packed.open(), result: facts };
    };
    const uploaded = await uploadBlob(client, repository, { kind: 'streamed', open }, { signal });
    return { ...uploaded, status: 'uploaded' };
  }
  await finished(packed.open().resume(), { signal });
  const source: UploadSource = { kind: 'known', ...facts(), open: () => packed.open() };
  const pushed = await pushBlob(client, repository, facts(), source, { signal, chunkSize });
  if (!pushed) throw new RegopsError('BUG', 'a blob with a source was not pushed');
  return pushed;
}

/** Counts a layer's stored bytes as they are read, for its progress bar. */
class Meter {
  readonly #task: ProgressTask;
  #read = 0;

  constructor(task: ProgressTask) {
    this.#task = task;
  }

  /** The same layer, counted. */
  over(source: LayerSource): LayerSource {
    const { diffId, compression, size, identity } = source;
    return {
      diffId,
      compression,
      size,
      ...(identity === undefined ? {} : { identity }),
      open: () => metered(source.open(), (bytes) => this.#count(bytes)),
    };
  }

  /** The layer is read from its beginning again. */
  restart(): void {
    this.#count(-this.#read);
  }

  #count(bytes: number): void {
    this.#read += bytes;
    this.#task.advance(bytes);
  }
}

/** A dry run: the registry is asked, nothing is sent. */
async function askOnly(
  client: RegistryClient,
  repository: string,
  known: BlobFacts | undefined,
  plan: BlobPlan,
  signal: AbortSignal,
): Promise<BlobOutcome> {
  if (!known) return { size: plan.kind === 'packed' ? plan.source.size : 0, status: 'planned', sentBytes: 0 };
  const presence = await headBlob(client, repository, known.digest, {
    signal,
    scopes: [pushScope(repository)],
  });
  return { ...known, status: presence.state === 'present' ? 'exists' : 'planned', sentBytes: 0 };
}

function outcomeOf(pushed: PushedBlob): BlobOutcome {
  return { ...pushed, sentBytes: pushed.status === 'uploaded' ? pushed.size : 0 };
}

function labelOf(plan: BlobPlan, repository: string): string {
  const digest = plan.kind === 'stored' ? plan.digest : plan.source.diffId;
  return `${repository} ${shortDigest(digest)}`;
}
