import { pipeline, Readable } from 'node:stream';
import {
  decompress,
  layerPacking,
  type PassingFile,
  packLayer,
  type SendAhead,
  type SentFile,
} from '../../archive/index.ts';
import { throwIfAborted, withHint } from '../../base/index.ts';
import { type Digest, isDigest, type LayerCompression, verifyingStream } from '../../oci/index.ts';
import { hasPassed, openBlob, type RegistryClient } from '../../registry/index.ts';
import {
  findBlob,
  findLayer,
  type PassingTarget,
  type PushedPassing,
  pushPassingLayer,
  sendPassing,
} from '../passing-layer.ts';
import type { BlobOutcome } from './blob-work.ts';
import type { PushTarContext, PushTarOptions } from './options.ts';

/** The one repository that everything of an archive goes to. */
export interface Place {
  readonly domain: string;
  readonly repository: string;
}

/**
 * The repository that layers can be sent to before the archive has told what they belong to; undefined when it may
 * be several, or names that the archive brings, or when not all of the archive is wanted. Pure.
 */
export function placeAhead(options: PushTarOptions): Place | undefined {
  const { archives, images, platform, destinations } = options;
  const isWhole =
    archives.length === 1 && images.length === 0 && (platform === undefined || platform === 'all');
  if (!isWhole) return undefined;
  if (destinations.kind === 'registry') {
    const { domain, repository } = destinations;
    return repository === undefined ? undefined : { domain, repository };
  }
  const [first, ...others] = destinations.references;
  const isOne = others.every(
    ({ domain, repository }) => domain === first?.domain && repository === first.repository,
  );
  return isOne ? first : undefined;
}

/** What tells a layer in a tar by its name: a digest or docker's ID. The content has to agree. */
const LAYER_NAME = /(?:^|\/)([0-9a-f]{64}|[0-9a-f]{128})(?:\/layer\.tar|\.tar(?:\.gz|\.zst)?)?$/;
const BLOB_NAME = /^blobs\/([a-z0-9]+)\/([0-9a-f]+)$/;
/** How podman and skopeo name the plain layers of a docker-archive: a hint, and no proof. */
const DIFF_ID_NAME = /^([0-9a-f]{64})\.tar$/;

const SPOOL_HINT =
  'The pipe cannot be read again: run it once more with --spool, which copies it to a temporary file first.';

/** Lets layers pass without reading them, for a dry run: what they are is found out by name and configuration. */
export const passLayersBy: SendAhead = async ({ name, head }) => {
  if (!LAYER_NAME.test(name) || layerPacking(head) === undefined) return undefined;
  return { open: () => Readable.from([]) };
};

/** Sends the layers of an archive to a repository while they pass, and remembers what became of them. */
export class LayersAhead {
  readonly #place: Place;
  readonly #options: PushTarOptions;
  readonly #context: PushTarContext;
  readonly #outcomes = new Map<Digest, BlobOutcome & { readonly durationMs: number }>();
  #sums = { blobs: 0, bytes: 0 };

  constructor(place: Place, options: PushTarOptions, context: PushTarContext) {
    this.#place = place;
    this.#options = options;
    this.#context = context;
  }

  /** How many blobs went ahead, and their bytes as the archive holds them. */
  get sums(): { readonly blobs: number; readonly bytes: number } {
    return this.#sums;
  }

  /** What became of a blob that went ahead. */
  outcome(client: RegistryClient, repository: string, digest: Digest): BlobOutcome | undefined {
    const { domain, repository: ours } = this.#place;
    return client.domain === domain && repository === ours ? this.#outcomes.get(digest) : undefined;
  }

  /** See {@link SendAhead}. */
  readonly send: SendAhead = async (file) => {
    const compression = LAYER_NAME.test(file.name) ? layerPacking(file.head) : undefined;
    if (compression === undefined) return undefined;
    const { clock, layerCache, progress, signal } = this.#context;
    throwIfAborted(signal);
    const client = await this.#context.registry(this.#place.domain);
    const { repository } = this.#place;
    if (this.#sums.blobs === 0)
      progress.phase(`pushing layers to ${client.domain}/${repository} as they pass`);
    progress.expect(1, file.size);
    const task = progress.task(`${repository} ${shownName(file.name)}`, file.size);
    const began = clock.now();
    const target: PassingTarget = {
      ...{ client, repository, signal, cache: layerCache },
      ...{ journal: this.#context.journal, chunkSize: this.#options.chunkSize },
    };
    try {
      const { pushed, sent } = await this.#push(file, compression, target, (bytes) => task.advance(bytes));
      const { digest, size, status, sentBytes } = pushed;
      layerCache.addHolder(client.domain, repository, digest);
      if (!this.#outcomes.has(digest)) {
        this.#outcomes.set(digest, { digest, size, status, sentBytes, durationMs: clock.now() - began });
      }
      this.#sums = { blobs: this.#sums.blobs + 1, bytes: this.#sums.bytes + file.size };
      task.end(status);
      return sent;
    } catch (error) {
      throw hasPassed(error) ? withHint(error, SPOOL_HINT) : error;
    } finally {
      task.end('failed');
    }
  };

  async #push(
    file: PassingFile,
    compression: LayerCompression,
    target: PassingTarget,
    onBytes: (bytes: number) => void,
  ): Promise<{ pushed: PushedPassing; sent: SentFile }> {
    const { compressionLevel: level } = this.#options;
    const packing = { compression: this.#wantedCompression(), level };
    const named = digestIn(file.name);
    if (named && (compression !== 'none' || packing.compression === 'none')) {
      return this.#pushStored(file, named, target, onBytes);
    }
    const layer = { ...(named ? { diffId: named } : {}), compression, size: file.size };
    const packedAs = compression === 'none' ? packing.compression : 'none';
    const there = compression === 'none' && !named && (await findByHint(file, packing, target));
    if (there) return { pushed: there, sent: this.#sent(there, packedAs, target) };
    const bytes = (): AsyncIterable<Buffer> => file.bytes();
    const pushed = await pushPassingLayer({ ...layer, bytes }, packing, target, onBytes);
    const { diffId, digest, size } = pushed;
    const sent = { ...this.#sent(pushed, packedAs, target), diffId };
    if (compression === 'none' || !diffId) return { pushed, sent };
    // By its digest the second look at it, when the archive has told what it is, finds it again.
    const stored = { ...layer, ...sent, diffId, identity: digest };
    const { cacheKey } = packLayer(stored, packing);
    if (cacheKey) target.cache.set(cacheKey, { digest, size });
    return { pushed, sent: stored };
  }

  /** A blob that goes as it is, under the digest that its name says. */
  async #pushStored(
    { size, bytes }: PassingFile,
    digest: Digest,
    target: PassingTarget,
    onBytes: (bytes: number) => void,
  ): Promise<{ pushed: PushedPassing; sent: SentFile }> {
    const facts = { digest, size };
    const checked = (): Readable => {
      const stream = verifyingStream(facts, `blob ${digest}`, onBytes);
      pipeline(Readable.from(bytes(), { objectMode: false }), stream, () => {});
      return stream;
    };
    const blob = { contentName: digest, open: checked, result: () => facts };
    const pushed = (await findBlob(facts, target)) ?? (await sendPassing(blob, target));
    return { pushed, sent: { ...this.#sent(pushed, 'none', target), identity: digest } };
  }

  /** What is said of plain layers, or becomes of those of docker save: the archive's kind is seen only at its end. */
  #wantedCompression(): LayerCompression {
    const { compression = 'gzip', destinations, preserveDigests } = this.#options;
    const isExact =
      destinations.kind === 'references' &&
      destinations.references.some(({ digest }) => digest !== undefined);
    return preserveDigests || isExact ? 'none' : compression;
  }

  /** The bytes as they were in the archive, for who needs them after all: read back from where they are now. */
  #sent(
    { digest, size }: PushedPassing,
    packedAs: LayerCompression,
    { client, repository, signal }: PassingTarget,
  ): SentFile {
    const { log } = this.#context;
    async function* bytes(): AsyncGenerator<Buffer> {
      log.trace(`blob ${digest} has passed: it is read back from ${client.domain}/${repository}`);
      try {
        const stored = await openBlob(client, repository, { digest, size }, signal);
        yield* decompress(stored, packedAs, `blob ${digest}`);
      } catch (error) {
        throw withHint(error, SPOOL_HINT);
      }
    }
    return { open: () => Readable.from(bytes(), { objectMode: false }) };
  }
}

/** What the registry has of a layer that its name seems to tell; no byte of it is read then. */
async function findByHint(
  { name, size }: PassingFile,
  packing: Parameters<typeof packLayer>[1],
  target: PassingTarget,
): Promise<PushedPassing | undefined> {
  const hex = DIFF_ID_NAME.exec(name)?.[1];
  const diffId = `sha256:${hex}`;
  if (!isDigest(diffId)) return undefined;
  const layer = { diffId, compression: 'none', size, open: () => Readable.from([]) } as const;
  return findLayer(packLayer(layer, packing), target);
}

function digestIn(name: string): Digest | undefined {
  const [, algorithm, hex] = BLOB_NAME.exec(name) ?? [];
  const digest = `${algorithm}:${hex}`;
  return isDigest(digest) ? digest : undefined;
}

/** The telling part of a layer's name. */
function shownName(name: string): string {
  return LAYER_NAME.exec(name)?.[1]?.slice(0, 12) ?? name;
}
