import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type LayerCache, type PassingFile, passTar } from '../../archive/index.ts';
import { isRegopsError, RegopsError } from '../../base/index.ts';
import type { Engine, Image } from '../../engine/index.ts';
import {
  buildImageManifest,
  type Digest,
  digestOf,
  formatReference,
  imageFamily,
  isDigest,
  LIMITS,
  layerMediaType,
  type Reference,
  shortDigest,
} from '../../oci/index.ts';
import {
  bytesSource,
  hasPassed,
  type PushedBlob,
  pushBlob,
  putManifest,
  type RegistryClient,
  registryCodeOf,
  type UploadJournal,
} from '../../registry/index.ts';
import { pushPassingLayer } from '../passing-layer.ts';
import type { PushedArchive, SnapshotContext } from './options.ts';
import { isSavedConfig, savedLayerNames } from './saved-layers.ts';

/** Its layers come plain, under names that tell which they are; podman and containerd's image store do otherwise. */
export async function savesPlainLayers(engine: Engine): Promise<boolean> {
  return engine.version.product === 'docker' && !(await engine.info()).containerdStore;
}

/**
 * Pushes an image to one registry while its engine exports it: each layer is packed and sent as it passes, one that
 * the registry has is dropped, and nothing is stored in between. Every layer is verified by its diffID before the
 * registry stores it, and the manifest comes last.
 *
 * @returns undefined when it takes more than one pass: an upload must begin anew, or the archive is another than
 *   expected; what the registry has by then is not sent again
 * @throws what the engine or the registry said
 */
export async function pushPassing(
  image: Image,
  exported: Readable,
  reference: Reference,
  client: RegistryClient,
  context: SnapshotContext,
): Promise<PushedArchive['images'][number] | undefined> {
  const { packing } = context;
  const memory = { cache: await packing.cache(), journal: await packing.journal?.() };
  const push = new PassingPush(image, reference, client, context, memory);
  try {
    await passTar(exported, 'what the engine exports', (file) => push.take(file));
    return await push.finish();
  } catch (error) {
    if (context.signal.aborted || !push.wantsAnotherPass(error)) throw error;
    context.log.trace(`one pass over the export was not enough: ${(error as RegopsError).message}`);
    return undefined;
  } finally {
    exported.destroy();
    await push.save();
  }
}

class PassingPush {
  readonly #image: Image;
  readonly #reference: Reference;
  readonly #client: RegistryClient;
  readonly #context: SnapshotContext;
  readonly #cache: LayerCache;
  readonly #journal: UploadJournal | undefined;
  readonly #layerOf: ReturnType<typeof savedLayerNames>;
  readonly #layers = new Map<Digest, PushedBlob>();
  #config: Buffer | undefined;
  #sentBytes = 0;

  constructor(
    image: Image,
    reference: Reference,
    client: RegistryClient,
    context: SnapshotContext,
    { cache, journal }: { readonly cache: LayerCache; readonly journal: UploadJournal | undefined },
  ) {
    this.#image = image;
    this.#reference = reference;
    this.#client = client;
    this.#context = context;
    this.#cache = cache;
    this.#journal = journal;
    this.#layerOf = savedLayerNames(image.layers.filter(isDigest));
  }

  async take(file: PassingFile): Promise<void> {
    if (isSavedConfig(file.name, this.#image.id)) this.#config = await readConfig(file);
    const diffId = this.#layerOf(file.name);
    if (diffId === undefined || this.#layers.has(diffId)) return;
    const { progress } = this.#context;
    if (this.#layers.size === 0) progress.phase(`pushing ${formatReference(this.#reference)}`);
    const task = progress.task(`${this.#client.domain} ${shortDigest(diffId)}`, file.size);
    try {
      const pushed = await this.#push(diffId, file, (bytes) => task.advance(bytes));
      this.#layers.set(diffId, pushed);
      task.end(pushed.status);
    } finally {
      task.end('failed');
    }
  }

  /** The configuration, the manifest and the tag, once every layer is there. */
  async finish(): Promise<PushedArchive['images'][number]> {
    const { layers, id } = this.#image;
    const { domain, repository, tag = '' } = this.#reference;
    const config = this.#config;
    if (!config || digestOf(config) !== id || layers.some((layer) => !this.#layers.has(layer as Digest))) {
      throw this.#unfit('the archive lacks a part of the image');
    }
    const { signal, packing } = this.#context;
    const family = imageFamily([packing.compression]);
    const facts = { digest: digestOf(config), size: config.length };
    const source = bytesSource(config, facts.digest);
    const pushed = await pushBlob(this.#client, repository, facts, source, { signal });
    if (pushed?.status === 'uploaded') this.#sentBytes += config.length;
    const mediaType = layerMediaType(family, packing.compression);
    const manifest = buildImageManifest(
      family,
      facts,
      layers.map((layer) => ({ ...(this.#layers.get(layer as Digest) as PushedBlob), mediaType })),
    );
    await putManifest(this.#client, repository, tag, manifest, signal);
    this.#sentBytes += manifest.bytes.length;
    const counted = (status: PushedBlob['status']): number =>
      [...this.#layers.values()].filter((layer) => layer.status === status).length;
    return {
      ...{ domain, repository, digest: manifest.digest, sentBytes: this.#sentBytes },
      layers: { moved: counted('uploaded'), existing: counted('exists'), mounted: counted('mounted') },
    };
  }

  /** Whether a failure is one that a second export could do without. */
  wantsAnotherPass(error: unknown): boolean {
    return (
      hasPassed(error) ||
      isRegopsError(error, 'ARCHIVE_INVALID') ||
      isRegopsError(error, 'DIGEST_MISMATCH') ||
      ['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN'].includes(registryCodeOf(error) ?? '')
    );
  }

  save(): Promise<void> {
    return this.#cache.save();
  }

  async #push(diffId: Digest, file: PassingFile, onBytes: (bytes: number) => void): Promise<PushedBlob> {
    const { signal, packing } = this.#context;
    const { repository } = this.#reference;
    const layer = { diffId, compression: 'none', size: file.size, bytes: () => file.bytes() } as const;
    const target = {
      ...{ client: this.#client, repository, signal },
      ...{ cache: this.#cache, journal: this.#journal },
    };
    const { digest, size, status, sentBytes } = await pushPassingLayer(layer, packing, target, onBytes);
    this.#sentBytes += sentBytes;
    return { digest, size, status };
  }

  #unfit(why: string): RegopsError {
    return new RegopsError('ARCHIVE_INVALID', `${formatReference(this.#reference)}: ${why}`);
  }
}

async function readConfig(file: PassingFile): Promise<Buffer | undefined> {
  if (file.size > LIMITS.configBytes) return undefined;
  return buffer(file.bytes());
}
