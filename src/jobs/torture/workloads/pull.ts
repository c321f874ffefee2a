import {
  bareMediaType,
  type Descriptor,
  type Digest,
  digestParts,
  isDigest,
  isForeignLayer,
  LIMITS,
  MANIFEST_ACCEPT,
  type Platform,
  parseManifest,
  platformMatches,
} from '../../../oci/index.ts';
import type { LaneGrant, LaneResult } from '../../../registry/index.ts';
import { type Done, type Exchanger, faultOf, headerIn } from './exchange.ts';

/** An image to pull: `reference` is a tag or a digest. */
export interface ImageName {
  readonly repository: string;
  readonly reference: string;
}

export interface PullOptions {
  readonly platform: Platform;
  /** Blobs of one image at once: docker and containerd take three. */
  readonly layerConcurrency: number;
}

/** What a manifest leads to, remembered by its digest. */
type Contents =
  | { readonly kind: 'index'; readonly child: Descriptor | undefined }
  | { readonly kind: 'image'; readonly blobs: readonly Descriptor[] };

const MANIFEST_HEADERS = ['accept', MANIFEST_ACCEPT.join(', ')];
const BLOB_HEADERS: readonly string[] = [];
const MAX_REMEMBERED = 2000;

/**
 * Pulls whole images as containerd does: the manifest, of an index the platform's child, then config and layers
 * some at a time. Sizes and digests are checked as the bytes come, and the bytes are dropped. A blob that the
 * registry keeps elsewhere (a redirect to storage of another origin) is not fetched: the pull then counts as
 * `pull_redirected`, since it is the registry that is measured.
 */
export class Puller {
  readonly #exchanger: Exchanger;
  readonly #options: PullOptions;
  readonly #contents = new Map<string, Contents>();

  constructor(exchanger: Exchanger, options: PullOptions) {
    this.#exchanger = exchanger;
    this.#options = options;
  }

  pull(image: ImageName, grant: LaneGrant, done: Done): void {
    const pull = new Pull(
      this,
      this.#exchanger,
      this.#options.layerConcurrency,
      image.repository,
      grant,
      done,
    );
    pull.manifest(image.reference, undefined);
  }

  /** What a manifest leads to; undefined when it is none. */
  contentsOf(digest: string, body: Buffer, mediaType: string | undefined): Contents | undefined {
    const known = this.#contents.get(digest);
    if (known) return known;
    let contents: Contents;
    try {
      const manifest = parseManifest(body, { contentType: mediaType && bareMediaType(mediaType) });
      contents =
        manifest.kind === 'index'
          ? { kind: 'index', child: chooseChild(manifest.document.manifests, this.#options.platform) }
          : { kind: 'image', blobs: blobsOf([manifest.document.config, ...manifest.document.layers]) };
    } catch {
      return undefined;
    }
    if (this.#contents.size >= MAX_REMEMBERED) this.#contents.clear();
    this.#contents.set(digest, contents);
    return contents;
  }
}

/** The platform's image; where there is none the first, because what is tested here is the registry. */
function chooseChild(children: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  return children.find(({ platform }) => platform && platformMatches(wanted, platform)) ?? children[0];
}

function blobsOf(all: readonly Descriptor[]): Descriptor[] {
  const own = all.filter(({ mediaType }) => !isForeignLayer(mediaType));
  return [...new Map(own.map((blob) => [blob.digest, blob])).values()];
}

/** One pull under way. */
class Pull {
  readonly #puller: Puller;
  readonly #exchanger: Exchanger;
  readonly #concurrency: number;
  readonly #repository: string;
  readonly #grant: LaneGrant;
  readonly #done: Done;
  #blobs: readonly Descriptor[] = [];
  #next = 0;
  #active = 0;
  #bytes = 0;
  #firstByteMs: number | undefined;
  #redirected = false;
  #error: string | undefined;

  constructor(
    puller: Puller,
    exchanger: Exchanger,
    concurrency: number,
    repository: string,
    grant: LaneGrant,
    done: Done,
  ) {
    this.#puller = puller;
    this.#exchanger = exchanger;
    this.#concurrency = concurrency;
    this.#repository = repository;
    this.#grant = grant;
    this.#done = done;
  }

  /** @param expected what the index says of this manifest; undefined for the one that was asked for */
  manifest(reference: string, expected: Descriptor | undefined): void {
    this.#exchanger.read(
      {
        kind: 'getManifest',
        method: 'GET',
        path: `/v2/${this.#repository}/manifests/${reference}`,
        grant: this.#grant,
        headers: MANIFEST_HEADERS,
        keep: true,
        maxBytes: LIMITS.manifestBytes,
        hash: isDigest(reference) ? digestParts(reference).algorithm : 'sha256',
      },
      (result) => {
        this.#count(result);
        const error =
          faultOf(result, 200) ??
          manifestFault(result, isDigest(reference) ? reference : undefined, expected);
        if (error) this.#end(error);
        else this.#follow(result, expected !== undefined);
      },
    );
  }

  #follow(result: LaneResult, isChild: boolean): void {
    const contents = this.#puller.contentsOf(
      result.digest as string,
      result.body as Buffer,
      headerIn(result, 'content-type'),
    );
    if (!contents || (isChild && contents.kind === 'index')) this.#end('manifest');
    else if (contents.kind === 'index') {
      if (contents.child) this.manifest(contents.child.digest, contents.child);
      else this.#end(undefined);
    } else {
      this.#blobs = contents.blobs;
      this.#fetch();
    }
  }

  /** Fetches as many blobs as may be under way; after a failure no more. */
  #fetch(): void {
    while (this.#active < this.#concurrency && this.#error === undefined) {
      const blob = this.#blobs[this.#next];
      if (!blob) break;
      this.#next++;
      this.#active++;
      this.#blob(blob);
    }
    if (this.#active === 0) this.#end(this.#error);
  }

  #blob(blob: Descriptor): void {
    this.#exchanger.read(
      {
        kind: 'getBlob',
        method: 'GET',
        path: `/v2/${this.#repository}/blobs/${blob.digest}`,
        grant: this.#grant,
        headers: BLOB_HEADERS,
        hash: digestParts(blob.digest).algorithm,
        maxBytes: blob.size,
      },
      (result) => {
        this.#count(result);
        this.#active--;
        const error = faultOf(result, 200) ?? blobFault(result, blob);
        if (error === 'redirect') this.#redirected = true;
        else this.#error ??= error;
        this.#fetch();
      },
    );
  }

  #count(result: LaneResult): void {
    this.#bytes += result.bytes;
    this.#firstByteMs ??= result.firstByteMs;
  }

  #end(error: string | undefined): void {
    this.#done({
      kind: this.#redirected ? 'pull_redirected' : 'pull',
      ok: error === undefined,
      bytes: this.#bytes,
      ...(error === undefined ? {} : { error }),
      ...(this.#firstByteMs === undefined ? {} : { firstByteMs: this.#firstByteMs }),
    });
  }
}

/** By digest the bytes must have it; by tag they must have the one the registry names, if it does. */
function manifestFault(
  result: LaneResult,
  asked: Digest | undefined,
  expected: Descriptor | undefined,
): string | undefined {
  if (expected && result.bytes !== expected.size) return 'size';
  const claimed = asked ?? headerIn(result, 'docker-content-digest');
  if (claimed === undefined) return undefined;
  if (!isDigest(claimed)) return 'digest';
  const { algorithm, hex } = digestParts(claimed);
  // A tag's digest of another algorithm than we hashed by cannot contradict.
  if (asked === undefined && algorithm !== 'sha256') return undefined;
  return hex === result.digest ? undefined : 'digest';
}

function blobFault(result: LaneResult, blob: Descriptor): string | undefined {
  if (result.bytes !== blob.size) return 'size';
  return digestParts(blob.digest).hex === result.digest ? undefined : 'digest';
}
