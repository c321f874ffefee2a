import { dispatch, type EndpointHandler, type Endpoints } from './endpoints.ts';
import { jsonReply, type Layer, type Reply } from './exchange.ts';

/** More digests are not told apart: they count in no figure of single blobs. */
const MOST_DIGESTS = 1_000_000;

/** What was fetched from a testbed since it began, or since its counts were set back. */
export interface Traffic {
  /** GETs that were answered with a manifest, or a part of one (200 and 206). */
  readonly manifestGets: number;
  readonly blobGets: number;
  /** Different blobs among them; of blobs that are not synthetic, a million are told apart. */
  readonly distinctBlobs: number;
  readonly maxGetsOfOneBlob: number;
  /** Bytes of blobs in those replies; a client that left early was sent fewer. */
  readonly blobBytes: number;
  /** Of a pull-through testbed: what it fetched itself, each thing once for all who waited for it. */
  readonly upstream?: {
    readonly manifestFetches: number;
    readonly blobFetches: number;
    /** As they arrived. */
    readonly blobBytes: number;
  };
}

/**
 * Counts what is fetched, when its reply begins: who has read a reply finds it counted. A fault that answers in a
 * registry's place is no fetch; one that spoils a reply later does not undo it.
 */
export class TrafficCounter {
  readonly #hasUpstream: boolean;
  /** Of blobs that their storage numbers; memory comes as they are fetched. */
  #byOrdinal: Uint32Array;
  readonly #byDigest = new Map<string, number>();
  #counts = zero();

  /** @param numbered how many blobs the storage numbers */
  constructor({ hasUpstream = false, numbered = 0 }: { hasUpstream?: boolean; numbered?: number } = {}) {
    this.#hasUpstream = hasUpstream;
    this.#byOrdinal = new Uint32Array(numbered);
  }

  /** The reply to a GET of a manifest. */
  countManifest({ status }: Reply): void {
    if (isFetch(status)) this.#counts.manifestGets++;
  }

  /**
   * The reply to a GET of a blob.
   * @param ordinal where the storage numbers its blobs
   */
  countBlob({ status, headers }: Reply, digest: string, ordinal: number | undefined): void {
    if (!isFetch(status)) return;
    const counts = this.#counts;
    counts.blobGets++;
    counts.blobBytes += Number(headers?.['content-length'] ?? 0);
    const gets = ordinal === undefined ? this.#countDigest(digest) : this.#countOrdinal(ordinal);
    if (gets === 1) counts.distinctBlobs++;
    counts.maxGetsOfOneBlob = Math.max(counts.maxGetsOfOneBlob, gets);
  }

  /** Something that was fetched from the upstream. */
  countFetch(what: 'manifest' | 'blob'): void {
    if (what === 'manifest') this.#counts.manifestFetches++;
    else this.#counts.blobFetches++;
  }

  /** Bytes of a blob that came from the upstream. */
  countFetchedBytes(bytes: number): void {
    this.#counts.fetchedBytes += bytes;
  }

  totals(): Traffic {
    const { manifestFetches, blobFetches, fetchedBytes, ...own } = this.#counts;
    return {
      ...own,
      ...(this.#hasUpstream && { upstream: { manifestFetches, blobFetches, blobBytes: fetchedBytes } }),
    };
  }

  /** Begins anew. */
  reset(): void {
    this.#counts = zero();
    this.#byOrdinal = new Uint32Array(this.#byOrdinal.length);
    this.#byDigest.clear();
  }

  #countOrdinal(ordinal: number): number {
    const gets = (this.#byOrdinal[ordinal] ?? 0) + 1;
    this.#byOrdinal[ordinal] = gets;
    return gets;
  }

  /** 0 for one blob too many. */
  #countDigest(digest: string): number {
    const gets = this.#byDigest.get(digest) ?? 0;
    if (gets === 0 && this.#byDigest.size >= MOST_DIGESTS) return 0;
    this.#byDigest.set(digest, gets + 1);
    return gets + 1;
  }
}

/**
 * The layer that answers for `/api/regops/traffic`: GET tells a {@link Traffic}, DELETE begins anew (204). It stands
 * before the faults, which must not spoil what their effect is measured by.
 */
export function answerTraffic(counter: TrafficCounter): Layer {
  const tell: EndpointHandler = async () => jsonReply(200, counter.totals());
  const forget: EndpointHandler = async () => {
    counter.reset();
    return { status: 204 };
  };
  const answer = dispatch({ traffic: { GET: tell, DELETE: forget } } satisfies Endpoints);
  return (next) => (request) => (request.route?.name === 'traffic' ? answer(request) : next(request));
}

function isFetch(status: number): boolean {
  return status === 200 || status === 206;
}

function zero() {
  return {
    manifestGets: 0,
    blobGets: 0,
    distinctBlobs: 0,
    maxGetsOfOneBlob: 0,
    blobBytes: 0,
    manifestFetches: 0,
    blobFetches: 0,
    fetchedBytes: 0,
  };
}
