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

/** A count of its own, from the moment it was asked for. */
export interface TrafficWatch {
  traffic(): Traffic;
  end(): void;
}

/**
 * Counts what is fetched, when its reply begins: who has read a reply finds it counted. A fault that answers in a
 * registry's place is no fetch; one that spoils a reply later does not undo it.
 */
export class TrafficCounter {
  readonly #hasUpstream: boolean;
  #own = new Count();
  readonly #watches = new Set<Count>();

  constructor({ hasUpstream = false }: { hasUpstream?: boolean } = {}) {
    this.#hasUpstream = hasUpstream;
  }

  /** The reply to a GET of a manifest. */
  countManifest({ status }: Reply): void {
    if (isFetch(status)) this.#each((count) => count.add('manifestGets', 1));
  }

  /**
   * The reply to a GET of a blob.
   * @param ordinal where the storage numbers its blobs
   */
  countBlob({ status, headers }: Reply, digest: string, ordinal: number | undefined): void {
    if (!isFetch(status)) return;
    const bytes = Number(headers?.['content-length'] ?? 0);
    this.#each((count) => count.addBlob(digest, ordinal, bytes));
  }

  /** Something that was fetched from the upstream. */
  countFetch(what: 'manifest' | 'blob'): void {
    this.#each((count) => count.add(what === 'manifest' ? 'manifestFetches' : 'blobFetches', 1));
  }

  /** Bytes of a blob that came from the upstream. */
  countFetchedBytes(bytes: number): void {
    this.#each((count) => count.add('fetchedBytes', bytes));
  }

  totals(): Traffic {
    return this.#own.traffic(this.#hasUpstream);
  }

  /** Begins anew; watches go on. */
  reset(): void {
    this.#own = new Count();
  }

  /** Counts from now on, whatever was before. */
  watch(): TrafficWatch {
    const count = new Count();
    this.#watches.add(count);
    return {
      traffic: () => count.traffic(this.#hasUpstream),
      end: () => void this.#watches.delete(count),
    };
  }

  #each(tell: (count: Count) => void): void {
    tell(this.#own);
    for (const count of this.#watches) tell(count);
  }
}

type Sum =
  | 'manifestGets'
  | 'blobGets'
  | 'distinctBlobs'
  | 'maxGetsOfOneBlob'
  | 'blobBytes'
  | 'manifestFetches'
  | 'blobFetches'
  | 'fetchedBytes';

/** What was fetched since one moment. */
class Count {
  readonly #byOrdinal = new OrdinalCounts();
  readonly #byDigest = new Map<string, number>();
  readonly #sums: Record<Sum, number> = {
    manifestGets: 0,
    blobGets: 0,
    distinctBlobs: 0,
    maxGetsOfOneBlob: 0,
    blobBytes: 0,
    manifestFetches: 0,
    blobFetches: 0,
    fetchedBytes: 0,
  };

  add(sum: Sum, by: number): void {
    this.#sums[sum] += by;
  }

  addBlob(digest: string, ordinal: number | undefined, bytes: number): void {
    const gets = ordinal === undefined ? this.#addDigest(digest) : this.#byOrdinal.add(ordinal);
    const sums = this.#sums;
    sums.blobGets++;
    sums.blobBytes += bytes;
    if (gets === 1) sums.distinctBlobs++;
    sums.maxGetsOfOneBlob = Math.max(sums.maxGetsOfOneBlob, gets);
  }

  traffic(hasUpstream: boolean): Traffic {
    const { manifestFetches, blobFetches, fetchedBytes, ...own } = this.#sums;
    return {
      ...own,
      ...(hasUpstream && { upstream: { manifestFetches, blobFetches, blobBytes: fetchedBytes } }),
    };
  }

  /** 0 for one blob too many. */
  #addDigest(digest: string): number {
    const gets = this.#byDigest.get(digest) ?? 0;
    if (gets === 0 && this.#byDigest.size >= MOST_DIGESTS) return 0;
    this.#byDigest.set(digest, gets + 1);
    return gets + 1;
  }
}

const PAGE = 4096;

/** How often each of very many numbered things came; memory comes with them. */
class OrdinalCounts {
  readonly #pages = new Map<number, Uint32Array>();

  /** The count with this one. */
  add(ordinal: number): number {
    const number = Math.floor(ordinal / PAGE);
    let page = this.#pages.get(number);
    if (!page) {
      page = new Uint32Array(PAGE);
      this.#pages.set(number, page);
    }
    const count = (page[ordinal % PAGE] as number) + 1;
    page[ordinal % PAGE] = count;
    return count;
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
