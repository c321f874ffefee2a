import {
  type Clock,
  isRegopsError,
  type Log,
  messageOf,
  RegopsError,
  redactText,
  SingleFlight,
} from '../base/index.ts';
import {
  type Digest,
  Digester,
  digestMismatch,
  digestParts,
  isDigest,
  LIMITS,
  MANIFEST_ACCEPT,
  type Manifest,
  parseManifest,
} from '../oci/index.ts';
import type { NamePage, PageRequest } from './names.ts';
import type {
  Content,
  Inventory,
  NameChange,
  RepositoryContents,
  Spool,
  Storage,
  StoredManifest,
} from './storage.ts';
import type { TrafficCounter } from './traffic.ts';
import type { Upstream, UpstreamResponse } from './upstream.ts';

/** When a tag was first pulled through, and last asked for; milliseconds since the epoch. */
export interface PullTimes {
  readonly createdAt: number;
  readonly accessedAt: number;
}

export interface PullThroughParts {
  readonly local: Storage;
  readonly upstream: Upstream;
  readonly traffic: TrafficCounter;
  readonly clock: Clock;
  readonly log: Log;
}

const ACCEPT = { accept: MANIFEST_ACCEPT.join(', ') };

/**
 * A storage that fetches what it misses from an upstream, verifies it, keeps it, and only then shows it:
 * no client ever gets bytes that were not compared with their digest. Clients that ask for the same
 * thing at once share one fetch, which goes on when any of them leaves.
 *
 * Lists (catalog, tags, referrers) are of what has been fetched or pushed here.
 */
export class PullThroughStorage implements Storage {
  readonly #local: Storage;
  readonly #upstream: Upstream;
  readonly #log: Log;
  readonly #traffic: TrafficCounter;
  readonly #clock: Clock;
  /** What a folder held before is as old as this. */
  readonly #openedAt: number;
  /** By `repository:tag`. */
  readonly #times = new Map<string, PullTimes>();
  readonly #flights = new SingleFlight<string, void>();
  readonly #life = new AbortController();
  #isServingStored = false;

  constructor({ local, upstream, traffic, clock, log }: PullThroughParts) {
    this.#local = local;
    this.#upstream = upstream;
    this.#log = log;
    this.#traffic = traffic;
    this.#clock = clock;
    this.#openedAt = clock.now();
  }

  /**
   * Asks the upstream each time, for tags move. When it cannot be asked, or knows the tag no longer, the
   * stored one is served (as distribution's cache does).
   */
  async resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    let failure: unknown;
    try {
      await this.#flights.run(`tag ${repository}:${tag}`, () => this.#revalidate(repository, tag));
      this.#isServingStored = false;
    } catch (error) {
      failure = error;
    }
    const digest = await this.#local.resolveTag(repository, tag);
    if (failure && !digest) throw failure;
    if (digest) this.#touch(repository, tag);
    if (failure && !this.#isServingStored) {
      this.#isServingStored = true;
      this.#log.warn(`testbed: serving stored tags: ${messageOf(failure)}`);
    }
    return digest;
  }

  async manifest(repository: string, digest: Digest): Promise<StoredManifest | undefined> {
    const stored = await this.#local.manifest(repository, digest);
    if (stored) return stored;
    await this.#flights.run(`manifest ${repository}@${digest}`, async () => {
      await this.#fetchManifest(repository, digest, digest);
    });
    return this.#local.manifest(repository, digest);
  }

  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    const stored = await this.#local.blobSize(repository, digest);
    if (stored !== undefined) return stored;
    const head = await this.#ask('HEAD', `/v2/${repository}/blobs/${digest}`);
    const length = head?.headers['content-length'];
    if (!head || typeof length === 'string') return head && Number(length);
    // An upstream that does not tell the size: the content will.
    return (await this.blob(repository, digest))?.size;
  }

  async blob(repository: string, digest: Digest): Promise<Content | undefined> {
    const stored = await this.#local.blob(repository, digest);
    if (stored) return stored;
    await this.#flights.run(`blob ${repository}@${digest}`, () => this.#fetchBlob(repository, digest));
    return this.#local.blob(repository, digest);
  }

  hasRepository(repository: string): Promise<boolean> {
    return this.#local.hasRepository(repository);
  }

  repositories(page: PageRequest): Promise<NamePage> {
    return this.#local.repositories(page);
  }

  tags(repository: string, page: PageRequest): Promise<NamePage | undefined> {
    return this.#local.tags(repository, page);
  }

  referrers(repository: string, subject: Digest): Promise<readonly Digest[]> {
    return this.#local.referrers(repository, subject);
  }

  inventory(): Inventory {
    return this.#local.inventory();
  }

  contents(repository: string): RepositoryContents | undefined {
    return this.#local.contents(repository);
  }

  watchNames(watcher: (change: NameChange) => void): void {
    this.#local.watchNames(watcher);
  }

  spool(): Spool {
    return this.#local.spool();
  }

  keepBlob(repository: string, digest: Digest, spool: Spool, size: number): Promise<void> {
    return this.#local.keepBlob(repository, digest, spool, size);
  }

  mountBlob(repository: string, digest: Digest, from: string): Promise<boolean> {
    return this.#local.mountBlob(repository, digest, from);
  }

  keepManifest(repository: string, manifest: Manifest): Promise<void> {
    return this.#local.keepManifest(repository, manifest);
  }

  setTag(repository: string, tag: string, digest: Digest): Promise<boolean> {
    return this.#local.setTag(repository, tag, digest);
  }

  deleteTag(repository: string, tag: string): Promise<boolean> {
    this.#times.delete(`${repository}:${tag}`);
    return this.#local.deleteTag(repository, tag);
  }

  deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    return this.#local.deleteManifest(repository, digest);
  }

  deleteBlob(repository: string, digest: Digest): Promise<boolean> {
    return this.#local.deleteBlob(repository, digest);
  }

  /** When a tag that is held here was pulled. */
  timesOf(repository: string, tag: string): PullTimes {
    const known = this.#times.get(`${repository}:${tag}`);
    return known ?? { createdAt: this.#openedAt, accessedAt: this.#openedAt };
  }

  /** Fetches under way are given up. */
  async close(): Promise<void> {
    this.#life.abort();
    await this.#local.close();
  }

  #touch(repository: string, tag: string): void {
    const accessedAt = this.#clock.now();
    const createdAt = this.#times.get(`${repository}:${tag}`)?.createdAt ?? accessedAt;
    this.#times.set(`${repository}:${tag}`, { createdAt, accessedAt });
  }

  async #revalidate(repository: string, tag: string): Promise<void> {
    const head = await this.#ask('HEAD', `/v2/${repository}/manifests/${tag}`, ACCEPT);
    if (!head) return;
    const told = head.headers['docker-content-digest'];
    let digest: Digest | undefined;
    if (isDigest(told)) {
      digest = (await this.manifest(repository, told)) && told;
    } else {
      digest = await this.#fetchManifest(repository, tag);
    }
    if (digest) await this.#local.setTag(repository, tag, digest);
  }

  /** Undefined when the upstream does not have it. */
  async #fetchManifest(repository: string, reference: string, digest?: Digest): Promise<Digest | undefined> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const response = await this.#ask('GET', path, ACCEPT);
    if (!response) return undefined;
    this.#traffic.countFetch('manifest');
    return this.#blamingUpstream(path, async () => {
      const bytes = await readAtMost(response, LIMITS.manifestBytes);
      const type = response.headers['content-type'];
      const contentType = typeof type === 'string' ? type : undefined;
      const manifest = parseManifest(bytes, { contentType, digest });
      await this.#local.keepManifest(repository, manifest);
      return manifest.digest;
    });
  }

  async #fetchBlob(repository: string, digest: Digest): Promise<void> {
    const path = `/v2/${repository}/blobs/${digest}`;
    const response = await this.#ask('GET', path);
    if (!response) return;
    this.#traffic.countFetch('blob');
    const spool = this.#local.spool();
    try {
      await this.#blamingUpstream(path, async () => {
        const digester = new Digester(digestParts(digest).algorithm);
        for await (const chunk of response.body) {
          digester.update(chunk as Uint8Array);
          this.#traffic.countFetchedBytes((chunk as Uint8Array).length);
          await spool.write(chunk as Uint8Array);
        }
        const actual = digester.digest();
        if (actual !== digest) throw digestMismatch('the blob', digest, actual);
        await this.#local.keepBlob(repository, digest, spool, digester.size);
      });
    } finally {
      await spool.discard();
    }
  }

  /** A response with status 200, or undefined for a 404. Anything else throws: CONNECTION_FAILED, RATE_LIMITED, SERVER_ERROR. */
  async #ask(
    method: 'GET' | 'HEAD',
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<UpstreamResponse | undefined> {
    let response: UpstreamResponse;
    try {
      response = await this.#upstream.fetch({ method, path, headers, signal: this.#life.signal });
    } catch (error) {
      throw failed('CONNECTION_FAILED', path, messageOf(error), error);
    }
    const { status, body } = response;
    if (status === 200 && method === 'GET') return response;
    // Nobody will read it; a stream that is destroyed early may say so.
    body.on('error', () => {}).destroy();
    if (status === 200) return response;
    if (status === 404) return undefined;
    throw failed(status === 429 ? 'RATE_LIMITED' : 'SERVER_ERROR', path, `it answered ${status}`);
  }

  /** What the upstream sent and did not hold together is its fault, not that of the client who asked us. */
  async #blamingUpstream<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isRegopsError(error)) throw failed('PROTOCOL_VIOLATION', path, error.message, error);
      throw error;
    }
  }
}

function failed(
  code: 'CONNECTION_FAILED' | 'RATE_LIMITED' | 'SERVER_ERROR' | 'PROTOCOL_VIOLATION',
  path: string,
  why: string,
  cause?: unknown,
): RegopsError {
  return new RegopsError(code, `the upstream failed on ${path}: ${redactText(why).slice(0, 500)}`, { cause });
}

async function readAtMost({ body }: UpstreamResponse, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += (chunk as Uint8Array).length;
    if (size > limit) throw new RegopsError('MANIFEST_TOO_LARGE', `larger than ${limit} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks);
}
