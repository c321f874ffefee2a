import type { Clock } from '../../../base/index.ts';
import type { Operation, OperationKind } from '../../../history/index.ts';
import type { Random } from '../../../load/index.ts';
import {
  bareMediaType,
  type Digest,
  digestParts,
  isDigest,
  isRepository,
  isTag,
  LIMITS,
  MANIFEST_ACCEPT,
  MEDIA_TYPES,
} from '../../../oci/index.ts';
import {
  headerIn,
  type LaneExchange,
  LaneExchanger,
  type LaneGrant,
  type LaneResult,
  namesIn,
  nextPage,
  type RegistryLane,
} from '../../../registry/index.ts';
import type { BlobSource, FreshBlob } from '../workloads/blobs.ts';
import { type BlobName, type Manifest, manifestOf } from './manifest.ts';
import type { Ending, Recorder } from './record.ts';
import type { Site } from './site.ts';

/** What all clients of a run share. */
export interface Equipment {
  readonly recorder: Recorder;
  /** Each with connections of its own. */
  readonly lanes: readonly RegistryLane[];
  /** The leave to list all repositories. */
  readonly catalogGrants: readonly LaneGrant[];
  readonly blobs: BlobSource;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly runId: string;
  /** Repositories of the run are below it: others are left out of what a catalog named. */
  readonly writePrefix: string;
}

/** An upload that a client has open. */
export interface Upload {
  /** The client's own name for it. */
  readonly name: string;
  path: string;
  sent: number;
}

/** Who a client is, over all repositories of a run. */
export interface Player {
  readonly id: number;
  readonly random: Random;
  /** Numbers what it writes. */
  readonly count: { written: number };
}

type Request = Omit<LaneExchange<OperationKind>, 'kind' | 'grant' | 'headers' | 'path'> & {
  readonly headers?: readonly string[];
  readonly path: string;
  readonly grants?: readonly LaneGrant[];
};

const NONE: readonly string[] = [];
const OCTETS = ['content-type', 'application/octet-stream'];
const MANIFEST = ['content-type', MEDIA_TYPES.ociManifest];
const ANY_MANIFEST = ['accept', MANIFEST_ACCEPT.join(', ')];
const JSON_LIST = ['accept', 'application/json'];
const INDEX = ['accept', MEDIA_TYPES.ociIndex];
const TAG_PAGE = 100;
const CATALOG_PAGE = 1000;
const MAX_PAGES = 1000;
const MAX_NAMES = 100_000;
/** What a registry that gives no answer is spared between two operations of one client. */
const NO_ANSWER_PAUSE_MS = 50;
const MAX_TEXT = 256;
/** Where registries say what they call a request. */
const REQUEST_IDS = ['x-request-id', 'x-amzn-requestid', 'x-ms-request-id', 'x-correlation-id', 'cf-ray'];

/**
 * One client of a registry, a session of the history: it does one operation after the other, retries none, and every
 * one is recorded with what came of it.
 */
export class Client {
  readonly id: number;
  readonly random: Random;
  readonly #equipment: Equipment;
  readonly #exchangers: readonly LaneExchanger<OperationKind>[];
  readonly #site: Site;
  readonly #count: Player['count'];
  #lane = 0;

  constructor(equipment: Equipment, { id, random, count }: Player, site: Site) {
    this.#equipment = equipment;
    this.#exchangers = equipment.lanes.map((lane) => new LaneExchanger(lane, () => {}));
    this.id = id;
    this.random = random;
    this.#site = site;
    this.#count = count;
  }

  /** From now on it uses the connections of this lane: another one than before is another connection for sure. */
  by(lane: number): this {
    this.#lane = lane % this.#exchangers.length;
    return this;
  }

  /** A whole number below `end`. */
  below(end: number): number {
    return Math.floor(this.random() * end);
  }

  /** Waits some time up to `maxMs`; less when the run is interrupted. */
  async pause(maxMs: number): Promise<void> {
    const { clock, signal } = this.#equipment;
    await clock.sleep(this.random() * maxMs, signal).catch(() => {});
  }

  /** A name that nothing else of this run has, good for a tag too. */
  freshName(): string {
    return `c${this.id}-${this.#count.written++}`;
  }

  /** A manifest that nobody has had before. */
  freshManifest(blobs: readonly BlobName[] = [], subject?: BlobName): Manifest {
    return manifestOf(`${this.#equipment.runId} ${this.freshName()}`, blobs, subject);
  }

  /** A blob that nobody has had before. To be released after its last upload. */
  freshBlob(): FreshBlob {
    const { blobs, runId } = this.#equipment;
    return blobs.make(blobs.sizeAt(this.random()), `${runId} ${this.freshName()}`);
  }

  /** PUT of a manifest to a tag, or by its digest. */
  putManifest(reference: string, manifest: Manifest): Promise<Operation> {
    const { inventory } = this.#site;
    const { digest, body, blobs, subject } = manifest;
    inventory.manifests.add(digest);
    if (!isDigest(reference)) inventory.tags.add(reference);
    if (subject) inventory.subjects.add(subject.digest);
    const what = {
      value: digest,
      size: body.length,
      mediaType: MEDIA_TYPES.ociManifest,
      names: blobs,
      ...(subject ? { subject: subject.digest } : {}),
    };
    return this.#operation(
      'put-manifest',
      reference,
      () =>
        this.#send({ method: 'PUT', path: this.#path(`manifests/${reference}`), headers: MANIFEST, body }),
      (result) => ({ ...what, ...announcedBy(result, digest) }),
    );
  }

  /** GET of a manifest by tag or digest; its bytes are hashed. */
  getManifest(reference: string): Promise<Operation> {
    return this.#get('get-manifest', reference, `manifests/${reference}`, LIMITS.manifestBytes);
  }

  headManifest(reference: string): Promise<Operation> {
    return this.#head('head-manifest', reference, `manifests/${reference}`);
  }

  /** DELETE of a tag or a digest. */
  deleteManifest(reference: string): Promise<Operation> {
    return this.#operation('delete-manifest', reference, () =>
      this.#send({ method: 'DELETE', path: this.#path(`manifests/${reference}`) }),
    );
  }

  /** POST and PUT of a blob, as one operation. */
  putBlob(blob: FreshBlob): Promise<Operation> {
    const { digest, size } = blob;
    this.#site.inventory.blobs.add(digest);
    return this.#operation(
      'put-blob',
      digest,
      async () => {
        const from = this.#path('blobs/uploads/');
        const opened = await this.#send({ method: 'POST', path: from });
        const path = opened.status === 202 ? this.#follow(opened, from) : undefined;
        return path === undefined ? notPut(opened) : this.#commit(path, blob, 0);
      },
      (result) => ({ value: digest, size, ...announcedBy(result, digest) }),
    );
  }

  getBlob(digest: Digest): Promise<Operation> {
    return this.#get('get-blob', digest, `blobs/${digest}`);
  }

  headBlob(digest: Digest): Promise<Operation> {
    return this.#head('head-blob', digest, `blobs/${digest}`);
  }

  deleteBlob(digest: Digest): Promise<Operation> {
    return this.#operation('delete-blob', digest, () =>
      this.#send({ method: 'DELETE', path: this.#path(`blobs/${digest}`) }),
    );
  }

  /** POST of an upload; undefined when there is none. */
  async openUpload(): Promise<Upload | undefined> {
    const name = this.freshName();
    const from = this.#path('blobs/uploads/');
    let path: string | undefined;
    await this.#operation('open-upload', name, async () => {
      const result = await this.#send({ method: 'POST', path: from });
      path = result.status === 202 ? this.#follow(result, from) : undefined;
      return path === undefined ? notPut(result) : result;
    });
    return path === undefined ? undefined : { name, path, sent: 0 };
  }

  /** PATCH of an upload: the blob's bytes up to, but not including, `end`. */
  extendUpload(upload: Upload, blob: FreshBlob, end: number): Promise<Operation> {
    return this.#operation('extend-upload', upload.name, async () => {
      const range = ['content-range', `${upload.sent}-${end - 1}`];
      const body = bytesOf(blob, upload.sent, end);
      const { path } = upload;
      const result = await this.#send({ method: 'PATCH', path, headers: OCTETS, extra: range, body });
      if (outcomeOf(result) === 'ok') {
        upload.path = this.#follow(result, path) ?? path;
        upload.sent = end;
      }
      return result;
    });
  }

  /** PUT of an upload with what is left of the blob. */
  endUpload(upload: Upload, blob: FreshBlob): Promise<Operation> {
    const { digest, size } = blob;
    this.#site.inventory.blobs.add(digest);
    return this.#operation(
      'put-blob',
      digest,
      () => this.#commit(upload.path, blob, upload.sent),
      (result) => ({ value: digest, size, upload: upload.name, ...announcedBy(result, digest) }),
    );
  }

  /** DELETE of an upload. */
  cancelUpload(upload: Upload): Promise<Operation> {
    return this.#operation('cancel-upload', upload.name, () =>
      this.#send({ method: 'DELETE', path: upload.path }),
    );
  }

  /** All pages of the list of tags, as one operation. */
  listTags(): Promise<Operation> {
    return this.#list(
      'list-tags',
      '',
      { method: 'GET', path: `${this.#path('tags/list')}?n=${TAG_PAGE}`, headers: JSON_LIST },
      (page) => namesIn(page, 'tags', 'tags').filter(isTag),
    );
  }

  /** All pages of what refers to a manifest, by the referrers API. */
  listReferrers(subject: Digest): Promise<Operation> {
    return this.#list(
      'list-referrers',
      subject,
      { method: 'GET', path: this.#path(`referrers/${subject}`), headers: INDEX },
      digestsIn,
    );
  }

  /** All pages of the catalog; only the run's own repositories are recorded. */
  listRepositories(): Promise<Operation> {
    const { catalogGrants, writePrefix } = this.#equipment;
    const ours = `${writePrefix}/`;
    return this.#list(
      'list-repositories',
      '',
      { method: 'GET', path: `/v2/_catalog?n=${CATALOG_PAGE}`, headers: JSON_LIST, grants: catalogGrants },
      (page) =>
        namesIn(page, 'repositories', 'catalog').filter(
          (name) => name.startsWith(ours) && isRepository(name),
        ),
    );
  }

  /** A garbage collection that somebody else does; `collect` says whether it did. */
  async collectGarbage(collect: () => Promise<boolean>): Promise<void> {
    const { recorder } = this.#equipment;
    const call = recorder.begin({ kind: 'collect-garbage', client: this.id, repository: '', reference: '' });
    const done = await collect().catch(() => false);
    recorder.end(call, { outcome: done ? 'ok' : 'unknown', status: 0, value: null });
  }

  #get(kind: OperationKind, reference: string, path: string, maxBytes?: number): Promise<Operation> {
    return this.#operation(
      kind,
      reference,
      () =>
        this.#send({
          method: 'GET',
          path: this.#path(path),
          headers: kind === 'get-manifest' ? ANY_MANIFEST : NONE,
          hash: 'sha256',
          ...(maxBytes === undefined ? {} : { maxBytes }),
        }),
      (result) => {
        if (outcomeOf(result) !== 'ok') return absent(result);
        const value = `sha256:${result.digest}` as Digest;
        return { value, size: result.bytes, ...announcedBy(result, value), ...typeOf(result, kind) };
      },
    );
  }

  #head(kind: OperationKind, reference: string, path: string): Promise<Operation> {
    return this.#operation(
      kind,
      reference,
      () =>
        this.#send({
          method: 'HEAD',
          path: this.#path(path),
          headers: kind === 'head-manifest' ? ANY_MANIFEST : NONE,
        }),
      (result) => {
        if (outcomeOf(result) !== 'ok') return absent(result);
        const announced = headerIn(result, 'docker-content-digest');
        const length = headerIn(result, 'content-length');
        const size = length !== undefined && /^\d{1,15}$/.test(length) ? { size: Number(length) } : {};
        if (isDigest(announced)) return { value: announced, ...size, ...typeOf(result, kind) };
        // Without a digest HEAD says nothing of a tag, and of a digest only that it is there.
        return isDigest(reference)
          ? { value: reference, ...size, ...announcedBy(result, reference), ...typeOf(result, kind) }
          : { outcome: 'unknown' };
      },
    );
  }

  #list(
    kind: OperationKind,
    reference: string,
    first: Request,
    parse: (page: Buffer) => readonly string[],
  ): Promise<Operation> {
    const names: string[] = [];
    let whole = false;
    return this.#operation(
      kind,
      reference,
      async () => {
        const visited = new Set<string>();
        let path: string | undefined = first.path;
        let result: LaneResult;
        do {
          visited.add(path);
          result = await this.#send({ ...first, path, keep: true, maxBytes: LIMITS.listPageBytes });
          if (outcomeOf(result) !== 'ok') return result;
          try {
            for (const name of parse(result.body as Buffer)) names.push(name);
            path = this.#nextPage(result, path);
          } catch {
            return result;
          }
        } while (path !== undefined && !visited.has(path) && visited.size < MAX_PAGES);
        whole = names.length <= MAX_NAMES && path === undefined;
        return result;
      },
      (result) => {
        if (outcomeOf(result) !== 'ok') return {};
        return whole ? { names } : { outcome: 'unknown' };
      },
    );
  }

  /** Throws what is wrong with a Link to the next page. */
  #nextPage(result: LaneResult, from: string): string | undefined {
    const { origin } = (this.#exchangers[this.#lane] as LaneExchanger<OperationKind>).lane.client;
    const next = nextPage({ headers: result.headers, url: new URL(from, origin) }, origin, 'list');
    return next && `${next.pathname}${next.search}`;
  }

  async #operation(
    kind: OperationKind,
    reference: string,
    act: () => Promise<LaneResult>,
    more: (result: LaneResult) => Partial<Ending> = () => ({}),
  ): Promise<Operation> {
    const { recorder } = this.#equipment;
    const repository = kind === 'list-repositories' ? '' : this.#site.repository;
    const call = recorder.begin({ kind, client: this.id, repository, reference });
    const result = await act();
    const operation = recorder.end(call, {
      outcome: outcomeOf(result),
      status: result.status,
      value: null,
      ...originOf(result),
      ...more(result),
    });
    this.#site.operations++;
    if (result.status === 0) await this.pause(NO_ANSWER_PAUSE_MS);
    return operation;
  }

  async #commit(path: string, blob: FreshBlob, from: number): Promise<LaneResult> {
    return this.#send({
      method: 'PUT',
      path: `${path}${path.includes('?') ? '&' : '?'}digest=${encodeURIComponent(blob.digest)}`,
      headers: OCTETS,
      ...(from < blob.size ? { body: bytesOf(blob, from, blob.size) } : {}),
    });
  }

  #send({ headers = NONE, grants = this.#site.grants, ...request }: Request): Promise<LaneResult> {
    const exchanger = this.#exchangers[this.#lane] as LaneExchanger<OperationKind>;
    const exchange = {
      ...request,
      headers,
      grant: grants[this.#lane] as LaneGrant,
      kind: 'get-blob' as const,
    };
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    return new Promise((resolve) => {
      if (isRead) exchanger.read(exchange, resolve);
      else exchanger.send(exchange, resolve);
    });
  }

  #follow(result: LaneResult, from: string): string | undefined {
    return this.#exchangers[this.#lane]?.lane.pathTo(result.headers['location'], from);
  }

  #path(below: string): string {
    return `/v2/${this.#site.repository}/${below}`;
  }
}

/** A refusal did not happen; what has no whole answer, or one of the server's failures, may have. */
function outcomeOf({ status, error }: LaneResult): Operation['outcome'] {
  if (status >= 400 && status < 500) return 'fail';
  return error === undefined && status >= 200 && status < 300 ? 'ok' : 'unknown';
}

/** The end of an upload that came to nothing before a byte of the blob was sent. */
function notPut(opened: LaneResult): LaneResult {
  return outcomeOf(opened) === 'ok' ? { ...opened, status: 400 } : opened;
}

/** A read that found nothing is one that was answered. */
function absent({ status }: LaneResult): Partial<Ending> {
  return status === 404 ? { outcome: 'ok', value: null } : {};
}

/** What Docker-Content-Digest said, where it says something else; a digest of another kind cannot contradict. */
function announcedBy(result: LaneResult, digest: Digest): Pick<Ending, 'announced'> {
  const announced = headerIn(result, 'docker-content-digest');
  if (announced === undefined || announced === '' || announced === digest) return {};
  if (isDigest(announced) && digestParts(announced).algorithm !== digestParts(digest).algorithm) return {};
  return { announced: announced.slice(0, MAX_TEXT) };
}

function typeOf(result: LaneResult, kind: OperationKind): Pick<Ending, 'mediaType'> {
  const type = headerIn(result, 'content-type');
  if (type === undefined || type === '' || !kind.endsWith('manifest')) return {};
  return { mediaType: bareMediaType(type).slice(0, MAX_TEXT) };
}

/** Who answered, and what he calls it. */
function originOf(result: LaneResult): Pick<Ending, 'requestId' | 'remote'> {
  const requestId = REQUEST_IDS.map((name) => headerIn(result, name)).find((id) => id);
  return {
    ...(requestId === undefined ? {} : { requestId: requestId.slice(0, MAX_TEXT) }),
    ...(result.remote === undefined ? {} : { remote: result.remote }),
  };
}

function bytesOf(blob: FreshBlob, from: number, end: number): Uint8Array {
  const body = blob.range(from, end);
  return body instanceof Uint8Array ? body : Buffer.concat([...body]);
}

/** The digests of an index. Throws for what is none. */
function digestsIn(page: Buffer): string[] {
  const { manifests } = JSON.parse(page.toString('utf8')) as { manifests?: unknown };
  if (!Array.isArray(manifests)) throw new TypeError('no index');
  return manifests.map((one: { digest?: unknown } | null) => one?.digest).filter(isDigest);
}
