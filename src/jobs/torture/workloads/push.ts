import { type Digest, digestOf, MEDIA_TYPES } from '../../../oci/index.ts';
import { faultOf, headerIn, type LaneGrant } from '../../../registry/index.ts';
import type { BlobSource, FreshBlob } from './blobs.ts';
import type { Done, Exchanger } from './exchange.ts';

/** The config that all images share; it is there before the run. */
export const CONFIG = Buffer.from('{}');
const CONFIG_DIGEST = digestOf(CONFIG);

export interface PushOptions {
  /** Blobs in one PUT, by PATCHes, or every other way. NSCR only takes PATCHes. */
  readonly upload: 'monolithic' | 'chunked' | 'both';
  readonly chunkBytes: number;
}

/** A push that is to be made. */
export interface PushOrder {
  readonly repository: string;
  readonly tag: string;
  /** The same for no two images, ever. */
  readonly name: string;
  readonly size: number;
  readonly chunked: boolean;
  readonly grant: LaneGrant;
  /** Told of a manifest that the registry says it stored, before `done`. */
  onStored(digest: Digest): void;
}

const OCTETS = ['content-type', 'application/octet-stream'];
const MANIFEST = ['content-type', MEDIA_TYPES.ociManifest];
const NONE: readonly string[] = [];
/** How fast a registry must put a blob in its place: it may hash it, or copy it in its storage. */
const STORED_PER_SECOND = 1024 * 1024;

/** Pushes images of one unique layer each: blob, then manifest, as the distribution spec has it. */
export class Pusher {
  readonly #exchanger: Exchanger;
  readonly #source: BlobSource;
  readonly #options: PushOptions;
  readonly #timeoutMs: number;
  /** Uploads that are open at the registry. */
  readonly #sessions = new Map<string, LaneGrant>();
  #closing = false;

  constructor(exchanger: Exchanger, source: BlobSource, options: PushOptions) {
    this.#exchanger = exchanger;
    this.#source = source;
    this.#options = options;
    this.#timeoutMs = exchanger.lane.client.timeoutMs;
  }

  push(order: PushOrder, done: Done): void {
    const { repository, grant } = order;
    const blob = this.#source.make(order.size, order.name);
    let sent = 0;
    let firstByteMs: number | undefined;
    const end = (error: string | undefined): void => {
      blob.release();
      done({
        kind: order.chunked ? 'push_chunked' : 'push',
        ok: error === undefined,
        bytes: error === undefined ? sent : 0,
        ...(error === undefined ? {} : { error }),
        ...(firstByteMs === undefined ? {} : { firstByteMs }),
      });
    };
    const path = `/v2/${repository}/blobs/uploads/`;
    this.#exchanger.send({ kind: 'startUpload', method: 'POST', path, grant, headers: NONE }, (result) => {
      firstByteMs = result.firstByteMs;
      const error = faultOf(result, 202);
      const location = error ? undefined : this.#open(result.headers['location'], path, grant);
      if (error) end(error);
      else if (location === undefined) end('location');
      else if (order.chunked) {
        this.#patch(
          blob,
          location,
          0,
          chunkSize(this.#options.chunkBytes, headerIn(result, 'oci-chunk-min-length')),
          grant,
          stored,
        );
      } else this.#commit(blob, location, true, grant, stored);
    });
    const stored = (error: string | undefined): void => {
      if (error) end(error);
      else {
        sent = blob.size;
        this.#manifest(order, blob, (bytes, fault) => {
          sent += bytes;
          end(fault);
        });
      }
    };
  }

  /** Begins no more steps of pushes but their last, which is soon over. */
  stop(): void {
    this.#closing = true;
  }

  /** Tells the registry that nothing more will come for uploads that are still open. */
  cancelOpen(): void {
    for (const [path, grant] of this.#sessions) {
      this.#exchanger.send({ kind: 'cancelUpload', method: 'DELETE', path, grant, headers: NONE }, () => {});
    }
    this.#sessions.clear();
  }

  #patch(
    blob: FreshBlob,
    path: string,
    first: number,
    chunkBytes: number,
    grant: LaneGrant,
    done: (error: string | undefined) => void,
  ): void {
    if (this.#closing) {
      done('interrupted');
      return;
    }
    const end = Math.min(blob.size, first + chunkBytes);
    this.#exchanger.send(
      {
        kind: 'patchUpload',
        method: 'PATCH',
        path,
        grant,
        headers: OCTETS,
        extra: ['content-range', `${first}-${end - 1}`],
        ...bodyOf(blob, first, end),
        timeoutMs: this.#patienceMs(end - first),
      },
      (result) => {
        const error = faultOf(result, 202, 201, 204);
        const next = error ? undefined : this.#move(path, result.headers['location'], grant);
        if (error || next === undefined) {
          done(error ?? 'location');
        } else if (end < blob.size) this.#patch(blob, next, end, chunkBytes, grant, done);
        else this.#commit(blob, next, false, grant, done);
      },
    );
  }

  #commit(
    blob: FreshBlob,
    path: string,
    withBody: boolean,
    grant: LaneGrant,
    done: (error: string | undefined) => void,
  ): void {
    if (this.#closing) {
      done('interrupted');
      return;
    }
    this.#exchanger.send(
      {
        kind: 'putUpload',
        method: 'PUT',
        path: `${path}${path.includes('?') ? '&' : '?'}digest=${encodeURIComponent(blob.digest)}`,
        grant,
        headers: OCTETS,
        ...(withBody ? bodyOf(blob, 0, blob.size) : {}),
        timeoutMs: this.#patienceMs(blob.size),
      },
      (result) => {
        const error =
          faultOf(result, 201, 204) ?? namedOtherwise(headerIn(result, 'docker-content-digest'), blob.digest);
        if (!error) this.#sessions.delete(path);
        done(error);
      },
    );
  }

  #manifest(
    { repository, tag, name, grant, onStored }: PushOrder,
    blob: FreshBlob,
    done: (bytes: number, error: string | undefined) => void,
  ): void {
    const body = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, digest: CONFIG_DIGEST, size: CONFIG.length },
        layers: [{ mediaType: MEDIA_TYPES.ociLayer, digest: blob.digest, size: blob.size }],
        annotations: { 'regops.torture': name },
      }),
    );
    const digest = digestOf(body);
    this.#exchanger.send(
      {
        kind: 'putManifest',
        method: 'PUT',
        path: `/v2/${repository}/manifests/${tag}`,
        grant,
        headers: MANIFEST,
        body,
      },
      (result) => {
        const fault = faultOf(result, 201, 200, 202);
        if (!fault) onStored(digest);
        done(body.length, fault ?? namedOtherwise(headerIn(result, 'docker-content-digest'), digest));
      },
    );
  }

  /** Takes up the Location of a new upload; one that leads elsewhere is of no use to a lane. */
  #open(location: string | string[] | undefined, from: string, grant: LaneGrant): string | undefined {
    const path = this.#exchanger.lane.pathTo(location, from);
    if (path !== undefined) this.#sessions.set(path, grant);
    return path;
  }

  /** The newest Location counts; an answer without one changes nothing. */
  #move(from: string, location: string | string[] | undefined, grant: LaneGrant): string | undefined {
    if (location === undefined) return from;
    this.#sessions.delete(from);
    return this.#open(location, from, grant);
  }

  #patienceMs(bytes: number): number {
    return this.#timeoutMs + Math.ceil(bytes / STORED_PER_SECOND) * 1000;
  }
}

function bodyOf(blob: FreshBlob, first: number, end: number) {
  const body = blob.range(first, end);
  return body instanceof Uint8Array ? { body } : { body, length: end - first };
}

function chunkSize(wanted: number, least: string | undefined): number {
  return /^\d{1,12}$/.test(least ?? '') ? Math.max(wanted, Number(least)) : wanted;
}

/** `digest` when the registry calls by another name what it stored; only names of one kind can contradict. */
function namedOtherwise(stored: string | undefined, digest: Digest): string | undefined {
  return stored?.startsWith('sha256:') && stored !== digest ? 'digest' : undefined;
}
