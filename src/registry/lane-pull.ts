import type { LaneResult } from '../http/index.ts';
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
} from '../oci/index.ts';
import type { LaneGrant } from './fast-lane.ts';
import { faultOf, headerIn, type LaneExchange, type LaneExchanger } from './lane-exchange.ts';

export type PullRequestKind = 'getManifest' | 'getBlob';

export interface PullOptions {
  readonly platform: Platform;
  /** Blobs of one image at once: docker and containerd take three. */
  readonly layerConcurrency: number;
}

/** An image to pull. */
export interface PullOrder {
  /** Its path below `/v2/`. */
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  /** Goes with every request, escaped and without the question mark: containerd's `ns=` for mirrors. */
  readonly query?: string | undefined;
  readonly grant: LaneGrant;
  /** Told of each request once its answer has been judged. */
  readonly onRequest?: ((request: PulledRequest) => void) | undefined;
}

/** One request of a pull; redirects within the registry are part of it. */
export interface PulledRequest {
  readonly kind: PullRequestKind;
  /** The digest that was asked for, if it was by digest. */
  readonly digest: Digest | undefined;
  /** Why it brought nothing that counts: a short stable class. */
  readonly error: string | undefined;
  /** The registry keeps the blob elsewhere. */
  readonly redirected: boolean;
  readonly bytes: number;
  readonly firstByteMs: number | undefined;
  readonly ms: number;
}

/** What became of a pull. */
export interface PullResult {
  /** Why it is none: the first failure's class. */
  readonly error: string | undefined;
  /** Of manifests and blobs, as far as they came. */
  readonly bytes: number;
  /** From the start to the manifest's head. */
  readonly firstByteMs: number | undefined;
  /** At least one blob was not fetched, because the registry keeps it elsewhere. */
  readonly redirected: boolean;
  /** Of the manifest that was asked for; undefined when it did not come. */
  readonly digest: Digest | undefined;
  /** Blobs that came and were what they should be. */
  readonly blobs: number;
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
 * registry keeps elsewhere (a redirect to storage of another origin) is not fetched, since it is the registry
 * that is measured: the pull is then told as `redirected`.
 */
export class Puller {
  readonly exchanger: LaneExchanger<PullRequestKind>;
  readonly options: PullOptions;
  readonly #contents = new Map<string, Contents>();

  constructor(exchanger: LaneExchanger<PullRequestKind>, options: PullOptions) {
    this.exchanger = exchanger;
    this.options = options;
  }

  /** Starts a pull; `done` is told once, whatever happens. */
  pull(order: PullOrder, done: (result: PullResult) => void): void {
    new Pull(this, order, done).manifest(order.reference, undefined);
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
          ? { kind: 'index', child: chooseChild(manifest.document.manifests, this.options.platform) }
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
  readonly #order: PullOrder;
  readonly #query: string;
  readonly #done: (result: PullResult) => void;
  #blobs: readonly Descriptor[] = [];
  #next = 0;
  #active = 0;
  #fetched = 0;
  #bytes = 0;
  #firstByteMs: number | undefined;
  #digest: Digest | undefined;
  #redirected = false;
  #error: string | undefined;

  constructor(puller: Puller, order: PullOrder, done: (result: PullResult) => void) {
    this.#puller = puller;
    this.#order = order;
    this.#query = order.query === undefined ? '' : `?${order.query}`;
    this.#done = done;
  }

  /** @param expected what the index says of this manifest; undefined for the one that was asked for */
  manifest(reference: string, expected: Descriptor | undefined): void {
    const digest = isDigest(reference) ? reference : undefined;
    this.#get(
      digest,
      {
        kind: 'getManifest',
        path: `/v2/${this.#order.repository}/manifests/${reference}${this.#query}`,
        headers: MANIFEST_HEADERS,
        keep: true,
        maxBytes: LIMITS.manifestBytes,
        hash: digest ? digestParts(digest).algorithm : 'sha256',
      },
      (result) => faultOf(result, 200) ?? manifestFault(result, digest, expected),
      (result, error) => {
        if (error) this.#end(error);
        else this.#follow(result, digest, expected !== undefined);
      },
    );
  }

  #follow(result: LaneResult, asked: Digest | undefined, isChild: boolean): void {
    this.#digest ??= asked ?? (`sha256:${result.digest}` as Digest);
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
    while (this.#active < this.#puller.options.layerConcurrency && this.#error === undefined) {
      const blob = this.#blobs[this.#next];
      if (!blob) break;
      this.#next++;
      this.#active++;
      this.#blob(blob);
    }
    if (this.#active === 0) this.#end(this.#error);
  }

  #blob(blob: Descriptor): void {
    this.#get(
      blob.digest,
      {
        kind: 'getBlob',
        path: `/v2/${this.#order.repository}/blobs/${blob.digest}${this.#query}`,
        headers: BLOB_HEADERS,
        hash: digestParts(blob.digest).algorithm,
        maxBytes: blob.size,
      },
      (result) => faultOf(result, 200) ?? blobFault(result, blob),
      (_result, error) => {
        this.#active--;
        if (error === 'redirect') this.#redirected = true;
        else if (error === undefined) this.#fetched++;
        else this.#error ??= error;
        this.#fetch();
      },
    );
  }

  #get(
    digest: Digest | undefined,
    exchange: Omit<LaneExchange<PullRequestKind>, 'method' | 'grant'>,
    faultIn: (result: LaneResult) => string | undefined,
    next: (result: LaneResult, error: string | undefined) => void,
  ): void {
    const { grant, onRequest } = this.#order;
    const begun = performance.now();
    this.#puller.exchanger.read({ ...exchange, method: 'GET', grant }, (result) => {
      const error = faultIn(result);
      const { bytes, firstByteMs } = result;
      this.#bytes += bytes;
      this.#firstByteMs ??= firstByteMs;
      const redirected = error === 'redirect' && exchange.kind === 'getBlob';
      onRequest?.({
        kind: exchange.kind,
        digest,
        error: redirected ? undefined : error,
        redirected,
        bytes,
        firstByteMs,
        ms: performance.now() - begun,
      });
      next(result, error);
    });
  }

  #end(error: string | undefined): void {
    this.#done({
      error,
      bytes: this.#bytes,
      firstByteMs: this.#firstByteMs,
      redirected: this.#redirected,
      digest: this.#digest,
      blobs: this.#fetched,
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
