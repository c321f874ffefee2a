/**
 * The load of container clients: pulls of whole images, pushes of images nobody has had before, deletes of images
 * this thread has pushed, mixed by weight. All that is written lies below the run's prefix, under names the job can
 * tell from the ledger, so that it can clean up whatever becomes of this thread.
 */
import { mapConcurrently, silentLog, systemClock } from '../../../base/index.ts';
import type { CreateWorkload, Random, Workload } from '../../../load/index.ts';
import { type Digest, digestOf } from '../../../oci/index.ts';
import {
  bytesSource,
  deleteScope,
  faultOf,
  type LaneGrant,
  openRegistryLane,
  Puller,
  type PullOptions,
  pullScope,
  pushScope,
  type RegistryConnection,
  uploadBlob,
} from '../../../registry/index.ts';
import { type BlobSize, BlobSource } from './blobs.ts';
import { countedExchanger, type Done, settled } from './exchange.ts';
import { imagePlace, Ledger } from './ledger.ts';
import { type ImageName, pullImage } from './pull.ts';
import { CONFIG, Pusher, type PushOptions } from './push.ts';

/** How often each operation comes among the others. */
export interface TrafficWeights {
  readonly pull: number;
  readonly push: number;
  readonly delete: number;
}

/** What the job gives to every thread. */
export interface TrafficOptions {
  readonly connection: RegistryConnection;
  readonly ledger: SharedArrayBuffer;
  readonly weights: TrafficWeights;
  /** Images that are there to be pulled; with pushes those are pulled too. */
  readonly images: readonly ImageName[];
  readonly pull: PullOptions;
  readonly push: PushOptions;
  readonly blobSizes: readonly BlobSize[];
  readonly writePrefix: string;
  readonly runId: string;
}

/** An image this thread has pushed and not yet deleted. */
interface OwnImage {
  readonly tag: string;
  readonly digest: Digest;
}

/** Enough to delete from and to pull; older ones are left for the cleaning up. */
const MAX_STOCK = 100_000;
const GRANTS_AT_ONCE = 8;
/** What is under way when the run ends may take so long to end in order, so that nothing is written after it. */
const SETTLE_MS = 500;
const DELETED = [202, 200, 204] as const;
const NONE: readonly string[] = [];

export const createWorkload: CreateWorkload = async (given, place): Promise<Workload> => {
  const options = given as TrafficOptions;
  const { weights, images } = options;
  const writes = weights.push > 0 || weights.delete > 0;
  const total = weights.pull + weights.push + weights.delete;
  const ledger = Ledger.over(options.ledger);
  const lane = await openRegistryLane(options.connection, {
    connections: place.concurrency * (weights.pull > 0 ? options.pull.layerConcurrency : 1),
    log: silentLog,
    clock: systemClock,
  });
  const exchanger = countedExchanger(lane, ledger, place.index);
  const puller = new Puller(exchanger, options.pull);
  const source = writes ? new BlobSource(options.blobSizes) : undefined;
  const pusher = source && new Pusher(exchanger, source, options.push);
  const own = imagePlace(options, place.index);
  const stock: OwnImage[] = [];
  const cancelling = new AbortController();
  let preparing: Promise<unknown> = Promise.resolve();
  let writing: LaneGrant;
  let deleting: LaneGrant;
  let deletesTags = true;

  function pull(random: Random, done: Done): boolean {
    const at = Math.floor(random() * (images.length + stock.length));
    const image = images[at];
    const pushed = stock[at - images.length];
    if (image) {
      const scopes = [pullScope(image.repository)];
      const grant = lane.granted(scopes);
      if (grant) pullImage(puller, image, grant, done);
      else {
        lane.grant(scopes).then(
          (fresh) => pullImage(puller, image, fresh, done),
          () => done({ kind: 'pull', ok: false, error: 'authorization', bytes: 0 }),
        );
      }
    } else if (pushed)
      pullImage(puller, { repository: own.repository, reference: pushed.tag }, writing, done);
    return image !== undefined || pushed !== undefined;
  }

  function push(random: Random, done: Done): void {
    const { upload } = options.push;
    const size = (source as BlobSource).sizeAt(random());
    const chunked = upload === 'chunked' || (upload === 'both' && random() < 0.5);
    const sequence = ledger.add(place.index, 'begun');
    const tag = own.tagOf(sequence);
    pusher?.push(
      {
        repository: own.repository,
        tag,
        name: `${own.repository}:${tag}`,
        size,
        chunked,
        grant: writing,
        onStored(digest) {
          ledger.add(place.index, 'stored');
          if (stock.length < MAX_STOCK) stock.push({ tag, digest });
        },
      },
      done,
    );
  }

  /**
   * Takes an image away: first its tag, where the registry can (a manifest that still has one is refused by
   * Google's), then the manifest, with which every other registry drops the tag.
   */
  function remove(random: Random, done: Done): boolean {
    const image = takeAny(stock, random());
    if (!image) return false;
    let firstByteMs: number | undefined;
    let bytes = 0;
    let untagged = false;
    const end = (error: string | undefined): void => {
      if (!error) ledger.add(place.index, 'deleted');
      else if (untagged) ledger.add(place.index, 'stranded');
      done({
        kind: 'delete',
        ok: error === undefined,
        bytes,
        ...(error === undefined ? {} : { error }),
        ...(firstByteMs === undefined ? {} : { firstByteMs }),
      });
    };
    const ask = (selector: string, next: (status: number, fault: string | undefined) => void): void => {
      exchanger.send(
        {
          kind: 'deleteManifest',
          method: 'DELETE',
          path: `/v2/${own.repository}/manifests/${selector}`,
          grant: deleting,
          headers: NONE,
        },
        (result) => {
          firstByteMs ??= result.firstByteMs;
          bytes += result.bytes;
          next(result.status, faultOf(result, ...DELETED));
        },
      );
    };
    const byDigest = (): void =>
      ask(image.digest, (status, fault) => end(untagged && status === 404 ? undefined : fault));
    if (!deletesTags) byDigest();
    else {
      ask(image.tag, (status, fault) => {
        untagged = fault === undefined;
        // distribution 2.8 answers 405, or 400/404 because a tag is no digest.
        if ([400, 404, 405, 501].includes(status)) deletesTags = false;
        else if (fault) return end(fault);
        byDigest();
      });
    }
    return true;
  }

  /** A run may be stopped before its preparations are over, too. */
  const quiet = async (): Promise<void> => {
    const prepared = preparing.catch(() => {});
    await Promise.all([settled(lane, SETTLE_MS), Promise.race([prepared, systemClock.sleep(SETTLE_MS)])]);
  };

  return {
    async start() {
      await lane.learn('/v2/', []);
      if (writes) {
        const { repository } = own;
        const config = bytesSource(CONFIG, digestOf(CONFIG));
        preparing = uploadBlob(lane.client, repository, config, { signal: cancelling.signal });
        await preparing;
        writing = await lane.grant([pushScope(repository)]);
        deleting = weights.delete > 0 ? await lane.grant([deleteScope(repository)]) : writing;
      }
      const [first] = images;
      if (first) {
        const path = `/v2/${first.repository}/tags/list?n=1`;
        await lane.learn(path, [pullScope(first.repository)]);
      }
      const repositories = new Set(images.map(({ repository }) => repository));
      await mapConcurrently(repositories, GRANTS_AT_ONCE, undefined, (name) => lane.grant([pullScope(name)]));
    },
    fire(random, done) {
      const choice = random() * total;
      if (choice < weights.pull && pull(random, done)) return;
      if (choice >= weights.pull + weights.push && remove(random, done)) return;
      // What there is nothing to be done to yet has to be pushed first.
      push(random, done);
    },
    async close() {
      pusher?.stop();
      if (writes) {
        await quiet();
        cancelling.abort();
        pusher?.cancelOpen();
        await quiet();
      }
      await lane.close();
    },
  };
};

/** Takes one out, without keeping the order of the others. */
function takeAny<T>(list: T[], choice: number): T | undefined {
  const at = Math.floor(choice * list.length);
  const last = list.pop();
  if (at === list.length || last === undefined) return last;
  const taken = list[at];
  list[at] = last;
  return taken;
}
