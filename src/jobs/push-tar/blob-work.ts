import {
  type BlobFacts,
  type CacheKey,
  type LayerSource,
  type PackedLayer,
  packedFacts,
  packLayer,
} from '../../archive/index.ts';
import { isRegopsError, metered, RegopsError, throwIfAborted } from '../../base/index.ts';
import { type Digest, shortDigest } from '../../oci/index.ts';
import type { ProgressTask } from '../../progress/events.ts';
import {
  headBlob,
  type PushBlobOptions,
  type PushedBlob,
  pushBlob,
  pushScope,
  type RegistryClient,
  type UploadSource,
  uploadBlob,
} from '../../registry/index.ts';
import { mountCandidates } from '../mount-candidates.ts';
import { type BlobPlan, type PackedBlobPlan, storedSize } from './image-plan.ts';
import type { PushTarContext, PushTarOptions } from './options.ts';

/** What became of a blob in one repository. */
export interface BlobOutcome {
  /** Digest and size; undefined in a dry run that did not compress. */
  readonly digest?: Digest;
  readonly size: number;
  readonly status: PushedBlob['status'] | 'planned';
  readonly sentBytes: number;
  /** Time spent on it before its turn came. */
  readonly durationMs?: number;
}

/** Blobs that went to a repository before their turn came. */
export interface BlobsAhead {
  outcome(client: RegistryClient, repository: string, digest: Digest): BlobOutcome | undefined;
}

/** Told what became of the blob in a repository, and how long that took. */
export type Served = (repository: string, outcome: BlobOutcome & { readonly durationMs: number }) => void;

/** One blob and every repository of one registry that needs it. */
export interface BlobWork {
  readonly client: RegistryClient;
  readonly plan: BlobPlan;
  readonly repositories: readonly string[];
  /** Blobs that the registry missed although it had said it has them. */
  readonly missing?: ReadonlySet<string>;
}

type Options = Pick<PushTarOptions, 'compressionLevel' | 'chunkSize' | 'dryRun'>;

/**
 * Brings a blob to its repositories: those that have it are found by asking, the others mount it from there, or
 * from where it was seen before, or the first of them gets it sent. A layer is compressed at most once for a
 * registry that mounts.
 *
 * @param served told of each repository in turn
 * @param ahead what need not be looked for any more
 */
export async function deliverBlob(
  work: BlobWork,
  options: Options,
  context: PushTarContext,
  signal: AbortSignal,
  served: Served,
  ahead?: BlobsAhead,
): Promise<void> {
  const delivery = new BlobDelivery(work, options, context, signal, ahead);
  const serve = async (
    repository: string,
    bring: () => Promise<BlobOutcome | undefined>,
  ): Promise<boolean> => {
    throwIfAborted(signal);
    const began = context.clock.now();
    const outcome = await bring();
    if (outcome) served(repository, { durationMs: context.clock.now() - began, ...outcome });
    return outcome !== undefined;
  };
  if (options.dryRun) {
    for (const repository of work.repositories) await serve(repository, () => delivery.ask(repository));
    return;
  }
  const lacking: string[] = [];
  for (const repository of work.repositories) {
    if (!(await serve(repository, () => delivery.find(repository)))) lacking.push(repository);
  }
  for (const repository of lacking) await serve(repository, () => delivery.bring(repository));
}

/** One blob on its way to the repositories of a registry. */
class BlobDelivery {
  readonly #work: BlobWork;
  readonly #options: Options;
  readonly #context: PushTarContext;
  readonly #signal: AbortSignal;
  readonly #ahead: BlobsAhead | undefined;
  /** Repositories that have it. */
  readonly #holders: string[] = [];
  /** Digest and size as far as they are known: of a layer, what an earlier push found it to become. */
  #known: BlobFacts | undefined;
  /** Under what the layer cache remembers that, for as long as nobody but the cache says so. */
  #recalledBy: CacheKey | undefined;

  constructor(
    work: BlobWork,
    options: Options,
    context: PushTarContext,
    signal: AbortSignal,
    ahead: BlobsAhead | undefined,
  ) {
    this.#work = work;
    this.#options = options;
    this.#context = context;
    this.#signal = signal;
    this.#ahead = ahead;
    const { plan } = work;
    if (plan.kind === 'stored') {
      this.#known = plan;
    } else {
      this.#recalledBy = pack(plan.source, plan, options).cacheKey;
      this.#known = context.layerCache.get(this.#recalledBy);
    }
  }

  /** A dry run: the registry is asked, nothing is sent. */
  async ask(repository: string): Promise<BlobOutcome> {
    const { client, plan } = this.#work;
    const known = this.#known;
    if (!known) return { size: storedSize(plan), status: 'planned', sentBytes: 0 };
    const presence = await headBlob(client, repository, known.digest, {
      signal: this.#signal,
      scopes: [pushScope(repository)],
    });
    return { ...known, status: presence.state === 'present' ? 'exists' : 'planned', sentBytes: 0 };
  }

  /** The blob as it is there already; undefined when it is not. */
  async find(repository: string): Promise<BlobOutcome | undefined> {
    const { client, missing } = this.#work;
    const known = this.#known;
    if (!known || missing?.has(known.digest)) return undefined;
    const sent = this.#ahead?.outcome(client, repository, known.digest);
    if (sent) {
      this.#holders.push(repository);
      return sent;
    }
    try {
      const pushed = await pushBlob(client, repository, known, undefined, { signal: this.#signal });
      return pushed && this.#settled(repository, pushed, this.#task(repository));
    } catch (error) {
      if (this.#recalledBy === undefined || !isRegopsError(error, 'PROTOCOL_VIOLATION')) throw error;
      // The registry and the cache contradict each other: the layer itself says who is right.
      this.#context.log.trace(`the layer cache may be wrong: ${error.message}; the layer is packed again`);
      this.#context.layerCache.forget(this.#recalledBy);
      this.#known = undefined;
      return undefined;
    }
  }

  /** Gets the blob into a repository that lacks it. */
  async bring(repository: string): Promise<BlobOutcome> {
    const task = this.#task(repository);
    try {
      return this.#settled(repository, await this.#push(repository, task), task);
    } catch (error) {
      task.end('failed');
      throw error;
    }
  }

  async #push(repository: string, task: ProgressTask): Promise<PushedBlob> {
    const { client, plan } = this.#work;
    const { chunkSize } = this.#options;
    const { journal } = this.#context;
    if (plan.kind === 'stored') {
      const { digest, size, source } = plan;
      const known: UploadSource | undefined = source && {
        kind: 'known',
        digest,
        size,
        disposable: true,
        open: () => source.open(),
      };
      const pushed = await pushBlob(client, repository, plan, known, {
        ...this.#mounts(digest),
        chunkSize,
        journal,
        onBytes: (bytes) => task.advance(bytes),
      });
      if (pushed) return pushed;
      throw new RegopsError(
        'ARCHIVE_INVALID',
        `blob ${digest} is neither in the archive nor in ${client.domain}/${repository}`,
        { hints: ['The archive was saved without it: save it again, or choose another --platform.'] },
      );
    }
    // What is known of it is made use of before anything is compressed.
    const known = this.#known;
    const there = known && (await pushBlob(client, repository, known, undefined, this.#mounts(known.digest)));
    if (there) return there;
    const meter = new Meter(task);
    const packed = pack(meter.over(plan.source), plan, this.#options);
    const source: UploadSource = {
      kind: 'streamed',
      contentName: packed.cacheKey,
      open() {
        meter.restart();
        return { stream: packed.open(), result: () => packedFacts(packed) };
      },
    };
    const uploaded = await uploadBlob(client, repository, source, {
      signal: this.#signal,
      chunkSize,
      journal,
    });
    const { digest, size } = uploaded;
    if (packed.cacheKey) this.#context.layerCache.set(packed.cacheKey, { digest, size });
    return { ...uploaded, status: 'uploaded' };
  }

  #mounts(digest: Digest): PushBlobOptions {
    return {
      signal: this.#signal,
      isAbsent: true,
      mountFrom: this.#holders,
      ...mountCandidates(this.#context.layerCache, this.#work.client, digest),
    };
  }

  #settled(repository: string, pushed: PushedBlob, task: ProgressTask): BlobOutcome {
    const { digest, size, status, resumedBytes = 0 } = pushed;
    task.end(status);
    this.#known = { digest, size };
    this.#recalledBy = undefined;
    this.#holders.push(repository);
    this.#context.layerCache.addHolder(this.#work.client.domain, repository, digest);
    return { digest, size, status, sentBytes: status === 'uploaded' ? size - resumedBytes : 0 };
  }

  #task(repository: string): ProgressTask {
    const { plan } = this.#work;
    const digest = plan.kind === 'stored' ? plan.digest : plan.source.diffId;
    return this.#context.progress.task(`${repository} ${shortDigest(digest)}`, storedSize(plan));
  }
}

function pack(source: LayerSource, plan: PackedBlobPlan, options: Options): PackedLayer {
  return packLayer(source, { compression: plan.compression, level: options.compressionLevel });
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
