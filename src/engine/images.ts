import { Readable } from 'node:stream';
import { isRegopsError, RegopsError } from '../base/index.ts';
import {
  type Digest,
  digestMismatch,
  familiarReference,
  formatPlatform,
  formatReference,
  isDigest,
  type Platform,
  parseDigest,
  type Reference,
} from '../oci/index.ts';
import { type CallOptions, type EngineConnection, type EngineRequest, transferring } from './connection.ts';
import { readJsonLines } from './json-lines.ts';
import {
  distributionSchema,
  type HistoryStep,
  historySchema,
  type Image,
  type ImageEntry,
  imageListSchema,
  imageSchema,
  type RemovedImages,
  removedSchema,
} from './model.ts';
import { type ImageName, imageText, repositoryText, tagOf } from './names.ts';
import type { RegistryCredential } from './registry-auth.ts';
import { type LayerCounts, Transfer, type TransferEvent, throwIfError } from './transfer.ts';

export interface TransferOptions extends CallOptions {
  /** Who the engine is to be towards the registry; it never looks into the user's own files. */
  readonly credential?: RegistryCredential | undefined;
  readonly onEvent?: (event: TransferEvent) => void;
}

export interface Pushed {
  /** Of the manifest (or index) that the registry was given, in the engine's words: ask the registry to be sure. */
  readonly digest: Digest;
  readonly manifestBytes?: number;
  /** Undefined when the engine does not tell (podman). */
  readonly layers: LayerCounts | undefined;
}

export interface Pulled {
  readonly image: Image;
  /** Of the manifest (or index) in the registry; undefined when the engine does not tell (old podman). */
  readonly digest?: Digest;
  readonly upToDate: boolean;
  /** Undefined when the engine does not tell (podman). */
  readonly layers: LayerCounts | undefined;
}

/** What a registry says of a reference, asked by the engine. */
export interface RegistryView {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly manifestBytes: number;
  readonly platforms: readonly Platform[];
}

/** What `load` brought in. */
export interface Loaded {
  /** Names as the archive has them. */
  readonly names: readonly string[];
  readonly ids: readonly string[];
}

/** The engine's images. */
export class Images {
  readonly #connection: EngineConnection;

  constructor(connection: EngineConnection) {
    this.#connection = connection;
  }

  /** Throws IMAGE_NOT_FOUND. */
  inspect(image: ImageName, call: CallOptions = {}): Promise<Image> {
    const name = imageText(image);
    return this.#connection.json(
      {
        ...call,
        ...about(`inspect ${name}`),
        method: 'GET',
        path: `/images/${name}/json`,
      },
      imageSchema,
    );
  }

  /** As {@link inspect}; undefined when there is no such image. */
  async find(image: ImageName, call: CallOptions = {}): Promise<Image | undefined> {
    try {
      return await this.inspect(image, call);
    } catch (error) {
      if (isRegopsError(error, 'IMAGE_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** @param labels all of which an image must have: `name` or `name=value` */
  list(labels: readonly string[], call: CallOptions = {}): Promise<readonly ImageEntry[]> {
    return this.#connection.json(
      { ...call, what: 'cannot list images', method: 'GET', path: '/images/json', query: filters(labels) },
      imageListSchema,
    );
  }

  /** Newest layer first. Throws IMAGE_NOT_FOUND. */
  history(image: ImageName, call: CallOptions = {}): Promise<readonly HistoryStep[]> {
    const name = imageText(image);
    return this.#connection.json(
      {
        ...call,
        ...about(`read the history of ${name}`),
        method: 'GET',
        path: `/images/${name}/history`,
      },
      historySchema,
    );
  }

  /** Gives an image one more name, which must have a tag. Another image that had it loses it. */
  async tag(image: ImageName, name: Reference, call: CallOptions = {}): Promise<void> {
    await this.#connection.done({
      ...call,
      ...about(`tag ${imageText(image)} as ${formatReference(name)}`),
      method: 'POST',
      path: `/images/${imageText(image)}/tag`,
      query: { repo: repositoryText(name), tag: tagOf(name) },
    });
  }

  /**
   * Takes a name away; the image goes with its last one. Throws IMAGE_NOT_FOUND, and ENGINE_CONFLICT when a container
   * or another name needs it and `force` is not given.
   */
  remove(image: ImageName, call: CallOptions & { readonly force?: boolean } = {}): Promise<RemovedImages> {
    const name = imageText(image);
    return this.#connection.json(
      {
        ...call,
        ...about(`remove ${name}`),
        method: 'DELETE',
        path: `/images/${name}`,
        query: { force: call.force },
      },
      removedSchema,
    );
  }

  /**
   * Pushes one tag. Throws what the engine or the registry said, also under status 200, and PROTOCOL_VIOLATION when the
   * engine ends without naming the digest: that is what a cut stream and a lost push look like. Closing the connection
   * (an abort, an error) ends the push in the engine. There is no resuming: pushed layers are found to exist.
   */
  async push(reference: Reference, options: TransferOptions = {}): Promise<Pushed> {
    const what = `cannot push ${formatReference(reference)}`;
    const transfer = await this.#transfer(
      {
        ...this.#registryCall(reference, options),
        what,
        missing: 'IMAGE_NOT_FOUND',
        path: `/images/${repositoryText(reference)}/push`,
        // Without it every tag of the repository is pushed.
        query: { tag: tagOf(reference) },
      },
      options,
    );
    const { digest, manifestBytes, layers } = transfer.outcome;
    if (digest === undefined) {
      throw new RegopsError(
        'PROTOCOL_VIOLATION',
        `${what}: the engine's answer ended before it named a digest`,
        {
          hints: ['The push may be incomplete: push again. The engine’s log may say more.'],
        },
      );
    }
    return { digest, layers, ...(manifestBytes === undefined ? {} : { manifestBytes }) };
  }

  /**
   * Pulls one tag or digest, and makes sure that the image is there. Throws MANIFEST_NOT_FOUND, DIGEST_MISMATCH when
   * another digest than the one asked for came, and else as {@link push}.
   */
  async pull(
    reference: Reference,
    options: TransferOptions & { readonly platform?: Platform } = {},
  ): Promise<Pulled> {
    const transfer = await this.#transfer(
      {
        ...this.#registryCall(reference, options),
        what: `cannot pull ${formatReference(reference)}`,
        missing: 'MANIFEST_NOT_FOUND',
        path: '/images/create',
        query: {
          fromImage: repositoryText(reference),
          // Without it every tag of the repository is pulled.
          tag: reference.digest ?? tagOf(reference),
          platform: options.platform && formatPlatform(options.platform),
        },
      },
      options,
    );
    const { upToDate, layers, digest: said } = transfer.outcome;
    const { tag: _tag, ...byDigest } = reference;
    const image = await this.inspect(reference.digest === undefined ? reference : byDigest, {
      signal: options.signal,
    });
    const digest = said ?? reference.digest ?? repoDigest(image, reference);
    if (digest !== undefined && reference.digest !== undefined && digest !== reference.digest) {
      throw digestMismatch(formatReference(reference), reference.digest, digest);
    }
    return { image, upToDate, layers, ...(digest === undefined ? {} : { digest }) };
  }

  /**
   * Asks the registry, through the engine, what a reference is there. Throws MANIFEST_NOT_FOUND, and
   * UNSUPPORTED_BY_SERVER for podman, which cannot.
   */
  async inRegistry(
    reference: Reference,
    options: CallOptions & { readonly credential?: RegistryCredential | undefined } = {},
  ): Promise<RegistryView> {
    const { Descriptor, Platforms } = await this.#connection.json(
      {
        ...options,
        what: `cannot ask for ${formatReference(reference)}`,
        method: 'GET',
        path: `/distribution/${formatReference(reference)}/json`,
        registry: { domain: reference.domain, credential: options.credential },
      },
      distributionSchema,
    );
    return {
      digest: parseDigest(Descriptor.digest),
      mediaType: Descriptor.mediaType,
      manifestBytes: Descriptor.size,
      platforms: Platforms.map(({ variant, ...platform }) => ({
        ...platform,
        ...(variant ? { variant } : {}),
      })),
    };
  }

  /**
   * The images as `docker save` writes them, in one archive. The stream fails with a RegopsError; leaving it ends the
   * call. Throws IMAGE_NOT_FOUND.
   */
  async export(images: readonly ImageName[], call: CallOptions = {}): Promise<Readable> {
    const reply = await this.#connection.open({
      ...transferring(call),
      ...about(`export ${images.map(imageText).join(', ')}`),
      method: 'GET',
      path: '/images/get',
      query: { names: images.map(imageText) },
    });
    const stream = Readable.from(reply.chunks(), { objectMode: false });
    // A stream that nobody begins to read never enters its generator.
    stream.once('close', reply.close);
    return stream;
  }

  /** Takes in what `docker save` or {@link export} wrote. The archive is destroyed in the end. */
  async load(archive: Readable, call: CallOptions = {}): Promise<Loaded> {
    const what = 'cannot load the archive';
    const names: string[] = [];
    const ids: string[] = [];
    const events = this.#events({
      ...call,
      what,
      method: 'POST',
      path: '/images/load',
      query: { quiet: true },
      upload: archive,
    });
    for await (const event of events) {
      const said = typeof event['stream'] === 'string' ? event['stream'].trim() : '';
      const loaded = /^Loaded image(?:\(s\))?(?: ID)?: (.+)$/.exec(said)?.[1];
      for (const one of loaded?.split(',') ?? []) (isDigest(one) ? ids : names).push(one);
    }
    if (names.length + ids.length === 0) {
      throw new RegopsError('PROTOCOL_VIOLATION', `${what}: the engine did not say that it loaded anything`);
    }
    return { names, ids };
  }

  /** Makes an image of one layer from a tar of a file system. @param changes Dockerfile steps: `CMD ["sh"]` */
  async importFiles(
    files: Readable,
    name: Reference,
    options: CallOptions & { readonly changes?: readonly string[]; readonly message?: string } = {},
  ): Promise<Image> {
    const { changes, message, ...call } = options;
    const events = this.#events({
      ...call,
      what: `cannot import ${formatReference(name)}`,
      method: 'POST',
      path: '/images/create',
      query: { fromSrc: '-', repo: repositoryText(name), tag: tagOf(name), changes, message },
      upload: files,
    });
    let id: string | undefined;
    for await (const { status } of events) if (isDigest(status)) id = status;
    return this.inspect(id ?? name, { signal: options.signal });
  }

  #registryCall(
    reference: Reference,
    options: TransferOptions,
  ): Pick<EngineRequest, 'method' | 'signal' | 'timeoutMs' | 'registry'> {
    return {
      method: 'POST',
      signal: options.signal,
      timeoutMs: options.timeoutMs,
      registry: { domain: reference.domain, credential: options.credential },
    };
  }

  async #transfer(asked: EngineRequest, options: TransferOptions): Promise<Transfer> {
    const transfer = new Transfer(asked, options.onEvent);
    for await (const event of this.#events(asked)) transfer.take(event);
    return transfer;
  }

  /** The events of a call that goes on for long; `timeoutMs` is how long it may be silent. */
  async *#events(asked: EngineRequest): AsyncGenerator<Readonly<Record<string, unknown>>> {
    const { timeoutMs: _timeoutMs, ...request } = asked;
    const reply = await this.#connection.open({ ...request, ...transferring(asked) });
    for await (const event of readJsonLines(reply.chunks(), asked.what)) {
      throwIfError(asked, event);
      yield event;
    }
  }
}

/** A call about an image that must be there. */
function about(deed: string) {
  return { what: `cannot ${deed}`, missing: 'IMAGE_NOT_FOUND' } as const;
}

/** The engine's filter by label, for lists. */
export function filters(labels: readonly string[]): { filters?: string } {
  return labels.length === 0 ? {} : { filters: JSON.stringify({ label: labels }) };
}

/** The digest by which an image is known in a repository; undefined when it was never there. */
export function repoDigest(
  image: Pick<Image, 'repoDigests'>,
  { domain, repository }: Reference,
): Digest | undefined {
  const familiar = new Set([`${domain}/${repository}`, familiarReference({ domain, repository })]);
  for (const known of image.repoDigests) {
    const [name = '', digest = ''] = known.split('@');
    if (familiar.has(name) && isDigest(digest)) return digest;
  }
  return undefined;
}
