import { RegopsError, throwIfAborted } from '../../base/index.ts';
import { type BodyRecipe, discardBody, type HttpResponse, headerOf } from '../../http/index.ts';
import { type Digest, digestParts, isDigest } from '../../oci/index.ts';
import { headBlob } from '../blobs.ts';
import { pullScope, pushScope, type RegistryClient, type RegistryRequest } from '../client.ts';
import { failure } from '../failure.ts';
import { commitUrl, resolveLocation, type UploadLocation } from './location.ts';
import { openedOrClosed, PARTING_MS } from './opening.ts';
import type { BlobFacts } from './source.ts';

/** A server-chosen minimum chunk is memory and time of ours: no more than this. */
const MAX_CHUNK_MINIMUM = 1024 ** 3;
/** Bytes of a blob that a slow registry is granted a second for, beyond the usual timeout. */
const STORED_PER_SECOND = 10 * 1024 * 1024;
const OCTETS = 'application/octet-stream';

/** What it takes to find a session again; its Location lets whoever may push go on with the upload: never shown. */
export interface SessionPlace {
  readonly location: string;
  readonly chunkMinimum: number;
}

/** The offset after a `Range: 0-N` (some write `bytes=0-N`); undefined when it is something else. Pure. */
export function rangeEnd(range: string | undefined): number | undefined {
  const match = /^(?:bytes[= ])?0-(\d{1,15})$/.exec(range?.trim() ?? '');
  return match ? Number(match[1]) + 1 : undefined;
}

/** As {@link rangeEnd}, of a session that was asked how far it is: `0-0` is how distribution says that there is nothing. */
export function bytesStored(range: string | undefined): number | undefined {
  const reached = rangeEnd(range);
  return reached === 1 ? 0 : reached;
}

/** An upload in progress: the state a registry holds for us, and where its next request goes. */
export class UploadSession {
  readonly client: RegistryClient;
  readonly repository: string;
  /** Least bytes of every chunk but the last (`OCI-Chunk-Min-Length`); 0 when the registry does not say. */
  readonly chunkMinimum: number;
  #location: UploadLocation;

  private constructor(
    client: RegistryClient,
    repository: string,
    location: UploadLocation,
    chunkMinimum: number,
  ) {
    this.client = client;
    this.repository = repository;
    this.chunkMinimum = chunkMinimum;
    this.#location = location;
  }

  /** The session that an answer 202 has opened. */
  static #opened(client: RegistryClient, repository: string, response: HttpResponse): UploadSession {
    const { origin, log } = client;
    const location = resolveLocation(headerOf(response, 'location'), response.url, origin, log);
    const minimum = Number(headerOf(response, 'oci-chunk-min-length') ?? 0);
    const isUsable = Number.isSafeInteger(minimum) && minimum > 0;
    return new UploadSession(
      client,
      repository,
      location,
      isUsable ? Math.min(minimum, MAX_CHUNK_MINIMUM) : 0,
    );
  }

  /**
   * A session that an earlier run has opened, at the Location and with the least chunk it noted; {@link reached}
   * tells whether it is still there. Throws as a Location of the registry's would.
   */
  static at(client: RegistryClient, repository: string, place: SessionPlace): UploadSession {
    const location = resolveLocation(place.location, client.origin, client.origin, client.log);
    return new UploadSession(client, repository, location, Math.min(place.chunkMinimum, MAX_CHUNK_MINIMUM));
  }

  /**
   * Where a later run finds this session. Undefined once it has left the registry: such a Location is signed, and
   * so a credential by itself.
   */
  get place(): SessionPlace | undefined {
    const { foreign, url } = this.#location;
    return foreign ? undefined : { location: url.href, chunkMinimum: this.chunkMinimum };
  }

  /** Opens a session (distribution spec, end-4a). */
  static async start(
    client: RegistryClient,
    repository: string,
    signal?: AbortSignal,
  ): Promise<UploadSession> {
    return openedOrClosed(
      signal,
      async (patient) => {
        const response = await post(client, `${repository}/blobs/uploads/`, [pushScope(repository)], patient);
        if (response.status !== 202) {
          const doing = `start of an upload to ${client.domain}/${repository}`;
          throw await failure(client, response, doing, 'REPOSITORY_NOT_FOUND');
        }
        await discardBody(response);
        return UploadSession.#opened(client, repository, response);
      },
      (session) => session.cancel(),
    );
  }

  /**
   * Asks the registry to take a blob over from another repository (end-11): `'mounted'`, or the session it
   * opened instead, or undefined when it refused outright.
   */
  static async mount(
    client: RegistryClient,
    repository: string,
    digest: Digest,
    from: string,
    signal?: AbortSignal,
  ): Promise<'mounted' | UploadSession | undefined> {
    return openedOrClosed<'mounted' | UploadSession | undefined>(
      signal,
      async (patient) => {
        const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
        const scopes = [pushScope(repository), pullScope(from)];
        const response = await post(client, `${repository}/blobs/uploads/?${query}`, scopes, patient);
        await discardBody(response);
        if (response.status === 201) return 'mounted';
        if (response.status === 202) return UploadSession.#opened(client, repository, response);
        client.log.trace(
          `${client.domain} refused a mount from ${from} (${response.status}); blobs are uploaded`,
        );
        return undefined;
      },
      async (outcome) => {
        if (outcome instanceof UploadSession) await outcome.cancel();
      },
    );
  }

  /**
   * Sends a part of the blob by PATCH (end-5): the registry's answer, whatever its status.
   * @param range its first and last byte, as `Content-Range: a-b` (ACR refuses any other spelling)
   */
  patch(
    body: BodyRecipe,
    range: readonly [first: number, last: number],
    signal: AbortSignal | undefined,
  ): Promise<HttpResponse> {
    return this.#send('PATCH', this.#location.url, {
      body,
      headers: { 'content-type': OCTETS, 'content-range': range.join('-') },
      signal,
    });
  }

  /** Sends the whole blob by PATCH, as a stream without a range; throws unless the registry took it. */
  async append(body: BodyRecipe, signal: AbortSignal | undefined): Promise<void> {
    const headers = { 'content-type': OCTETS };
    const response = await this.#send('PATCH', this.#location.url, { body, headers, signal });
    if (response.status < 200 || response.status >= 300) throw await this.refusal(response);
    await discardBody(response);
    this.follow(response);
  }

  /** Sends the whole blob and ends the upload in one PUT (end-6). */
  putWhole(blob: BlobFacts, body: BodyRecipe, signal: AbortSignal | undefined): Promise<HttpResponse> {
    return this.#send('PUT', commitUrl(this.#location.url, blob.digest), {
      body,
      headers: { 'content-type': OCTETS },
      timeoutMs: this.#patienceMs(blob.size),
      signal,
    });
  }

  /** Ends an upload whose bytes are all there (end-6), and checks what the registry calls the blob. */
  async commit(blob: BlobFacts, signal: AbortSignal | undefined): Promise<void> {
    const response = await this.#send('PUT', commitUrl(this.#location.url, blob.digest), {
      headers: { 'content-length': '0', 'content-type': OCTETS },
      timeoutMs: this.#patienceMs(blob.size),
      signal,
    });
    await this.accepted(response, blob.digest, signal);
  }

  /** How far the registry got (end-13): the answer, undigested. */
  status(signal: AbortSignal | undefined): Promise<HttpResponse> {
    return this.#send('GET', this.#location.url, { signal });
  }

  /**
   * How many bytes the registry has, after a request whose end is not known; undefined when it does not say, or
   * knows of no such session (distribution 2.8 drops one whose state is not the newest). Throws INTERRUPTED only.
   */
  async reached(signal: AbortSignal | undefined): Promise<number | undefined> {
    try {
      const response = await this.status(signal);
      await discardBody(response);
      if (response.status < 200 || response.status >= 300) return undefined;
      this.follow(response);
      return bytesStored(headerOf(response, 'range'));
    } catch {
      throwIfAborted(signal);
      return undefined;
    }
  }

  /**
   * Takes up the Location of an answer, if it brings one; always the newest one counts. A session that has left
   * the registry stays foreign: another server must not choose what we do there with our credentials.
   */
  follow(response: HttpResponse): void {
    const location = headerOf(response, 'location');
    if (location === undefined) return;
    const next = resolveLocation(location, response.url, this.client.origin, this.client.log);
    this.#location = { ...next, foreign: next.foreign || this.#location.foreign };
  }

  /** Makes sure that the answer says the blob is stored, under our digest. */
  async accepted(response: HttpResponse, digest: Digest, signal: AbortSignal | undefined): Promise<void> {
    if (![200, 201, 202, 204].includes(response.status)) throw await this.refusal(response);
    await discardBody(response);
    const { domain } = this.client;
    const stored = headerOf(response, 'docker-content-digest');
    // distribution calls by sha256 what was sent by sha512: only digests of one kind can contradict.
    if (
      isDigest(stored) &&
      stored !== digest &&
      digestParts(stored).algorithm === digestParts(digest).algorithm
    ) {
      throw new RegopsError('PROTOCOL_VIOLATION', `${domain} stored blob ${digest} as ${stored}`);
    }
    if (response.status !== 202) return;
    const scopes = [pushScope(this.repository)];
    const { state } = await headBlob(this.client, this.repository, digest, { signal, scopes });
    if (state === 'absent') {
      throw new RegopsError('PROTOCOL_VIOLATION', `${domain} accepted blob ${digest} but does not have it`);
    }
  }

  /** The error for an answer that ends this session. */
  refusal(response: HttpResponse): Promise<RegopsError> {
    return failure(
      this.client,
      response,
      `upload to ${this.client.domain}/${this.repository}`,
      'UPLOAD_REJECTED',
    );
  }

  /** Tells the registry that nothing more will come (DELETE of the location); never fails and never waits long. */
  async cancel(): Promise<void> {
    try {
      await discardBody(
        await this.#send('DELETE', this.#location.url, { signal: AbortSignal.timeout(PARTING_MS) }),
      );
    } catch {
      // The registry forgets old sessions by itself.
    }
  }

  /** How long a registry may take to put a blob in its place: it may hash it, or copy it in its storage. */
  #patienceMs(size: number): number {
    return this.client.timeoutMs + Math.ceil((size * 1000) / STORED_PER_SECOND);
  }

  #send(
    method: 'GET' | 'PUT' | 'PATCH' | 'DELETE',
    url: URL,
    request: Pick<RegistryRequest, 'headers' | 'signal' | 'timeoutMs'> & { body?: BodyRecipe },
  ): Promise<HttpResponse> {
    return this.client.request({
      method,
      to: url,
      scopes: [pushScope(this.repository)],
      // Bytes that may have arrived must not be sent to the same session twice (distribution 2.8 appends them).
      ...(method === 'PUT' || method === 'PATCH' ? { repeatable: false } : {}),
      ...(this.#location.foreign ? { foreign: true } : {}),
      ...request,
    });
  }
}

function post(
  client: RegistryClient,
  to: string,
  scopes: readonly string[],
  signal: AbortSignal,
): Promise<HttpResponse> {
  return client.request({ method: 'POST', to, headers: { 'content-length': '0' }, scopes, signal });
}
