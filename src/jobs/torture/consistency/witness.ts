import { formatDuration, isRegopsError, messageOf, redactUrl } from '../../../base/index.ts';
import { type Digest, type DigestAlgorithm, Digester } from '../../../oci/index.ts';
import { pullScope, type RegistryClient, type RegistryRequest } from '../../../registry/index.ts';
import { isoTime } from '../latency.ts';
import type { Fault } from './faults.ts';
import type { Evidence, FindingKind } from './result.ts';

const PASSING: readonly FindingKind[] = ['server-error', 'no-reply', 'truncated-reply', 'rate-limited'];
/** Tries in all for what passes by itself: 5xx, 429, no reply. */
const TRIES = 3;
/** So many requests in a row without a reply, and the registry is gone. */
const MAX_UNANSWERED = 20;
/** Replies to others' requests that are remembered as evidence. */
const MAX_RECENT = 1000;
/** Of a reply nobody wants; more is cut off. */
const DISCARDED_BYTES = 64 * 1024;
const SHOWN_HEADERS = [
  'docker-content-digest',
  'content-type',
  'content-length',
  'content-encoding',
  'location',
  'link',
  'retry-after',
  'date',
  'x-request-id',
];

/** A reply with its body read. */
export interface Reply {
  /** 0 when there was none. */
  readonly status: number;
  readonly evidence: Evidence;
  readonly url: URL | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The first of a name. */
  header(name: string): string | undefined;
  /** The body, when it was asked for and came whole. */
  readonly bytes: Buffer | undefined;
  /** Of the whole body, when it was asked for. */
  readonly digest: Digest | undefined;
  readonly size: number | undefined;
  /** The body broke off, or was longer than anything of its kind may be. */
  readonly broken: 'truncated' | 'oversized' | undefined;
}

/** What to do with the body of a 200. */
export type BodyUse =
  | { readonly keep: number }
  /** Hash it as it passes. */
  | { readonly hash: DigestAlgorithm }
  | 'discard';

export interface Question {
  readonly method: 'GET' | 'HEAD';
  readonly to: string | URL;
  readonly repository: string;
  /** What a failure is reported on: a tag, a digest, or null for the repository itself. */
  readonly reference: string | null;
  readonly accept?: string;
  readonly body?: BodyUse;
  readonly scopes?: readonly string[];
}

/** Hears what a {@link Witness} sees. */
export interface WitnessListener {
  /** Every reply to a question, failures too. */
  replied(question: Question, reply: Reply): void;
  /** A failure that is asked again, or a slow reply. */
  passing(fault: Fault): void;
}

/**
 * Asks a registry and writes down what it said. What passes by itself is asked again after a pause, and told to
 * the listener all the same.
 */
export class Witness {
  readonly #client: RegistryClient;
  readonly #options: { readonly slowMs: number; readonly confirmMs: number };
  readonly #listener: WitnessListener;
  readonly #recent = new Map<string, Evidence>();
  #answered = 0;
  #unanswered = 0;
  requests = 0;
  readBytes = 0;

  constructor(
    client: RegistryClient,
    options: { readonly slowMs: number; readonly confirmMs: number },
    listener: WitnessListener,
  ) {
    this.#client = client;
    this.#options = options;
    this.#listener = listener;
  }

  /** By the clock that evidence is dated with. */
  get nowMs(): number {
    return this.#client.clock.now();
  }

  /** The client, its requests counted and timed: for the verbs of `registry/` and for views. */
  get client(): RegistryClient {
    return {
      ...this.#client,
      request: async (request) => {
        const begun = this.#client.clock.now();
        this.requests++;
        const response = await this.#client.request(request);
        this.#answered++;
        const evidence: Evidence = {
          request: `${request.method} ${pathOf(request.to)}`,
          status: response.status,
          headers: {},
          at: isoTime(begun),
          durationMs: this.#client.clock.now() - begun,
        };
        this.#noteSlow(evidence);
        this.#recent.delete(evidence.request);
        this.#recent.set(evidence.request, evidence);
        for (const oldest of this.#recent.keys()) {
          if (this.#recent.size <= MAX_RECENT) break;
          this.#recent.delete(oldest);
        }
        return response;
      },
    };
  }

  /** The last replies through {@link client} to such requests (`GET /api/registry/state`). */
  lately(...requests: readonly string[]): Evidence[] {
    return requests.flatMap((request) => this.#recent.get(request) ?? []);
  }

  /**
   * The reply to a question; one with status 0 when none came in three tries.
   *
   * @throws INTERRUPTED; what the network gave, when the registry never answered or has stopped answering
   */
  async ask(question: Question, signal: AbortSignal): Promise<Reply> {
    for (let attempt = 1; ; attempt++) {
      const reply = await this.#askOnce(question, signal);
      this.#listener.replied(question, reply);
      const trouble = troubleOf(question, reply);
      const passing = trouble !== undefined && PASSING.includes(trouble.kind);
      if (!passing || attempt >= TRIES) return reply;
      this.#listener.passing(trouble);
      await this.#client.clock.sleep(this.#options.confirmMs, signal);
    }
  }

  async #askOnce(question: Question, signal: AbortSignal): Promise<Reply> {
    const { method, to, repository, accept = '*/*' } = question;
    const { clock } = this.#client;
    const begun = clock.now();
    const asked = { request: `${method} ${pathOf(to)}`, at: isoTime(begun) };
    this.requests++;
    let response: Awaited<ReturnType<RegistryClient['request']>>;
    try {
      response = await this.#client.request({
        method,
        to,
        // A proxy that packs the bytes on the way would change what the digest is of.
        headers: { accept, 'accept-encoding': 'identity' },
        scopes: question.scopes ?? [pullScope(repository)],
        signal,
      });
    } catch (error) {
      if (!isRegopsError(error) || !isNoReply(error.kind)) throw error;
      this.#unanswered++;
      if (this.#answered === 0 || this.#unanswered >= MAX_UNANSWERED) throw error;
      const durationMs = clock.now() - begun;
      return replyOf({ ...asked, status: null, headers: {}, durationMs, failure: messageOf(error) });
    }
    this.#answered++;
    this.#unanswered = 0;
    const headers: Record<string, string> = {};
    for (const name of SHOWN_HEADERS) {
      const value = [response.headers[name] ?? []].flat()[0];
      if (value !== undefined) headers[name] = name === 'location' ? redactUrl(value) : value.slice(0, 300);
    }
    const evidence: Evidence = {
      ...asked,
      status: response.status,
      headers,
      durationMs: clock.now() - begun,
    };
    this.#noteSlow(evidence);
    const header = (name: string): string | undefined => [response.headers[name] ?? []].flat()[0];
    const use = response.status === 200 && method === 'GET' ? (question.body ?? 'discard') : 'discard';
    const body = await this.#read(response.body, use, signal);
    return {
      ...replyOf({
        ...evidence,
        ...(body.size === undefined ? {} : { bodyBytes: body.size }),
        ...(body.failure === undefined || use === 'discard' ? {} : { failure: body.failure }),
      }),
      url: response.url,
      headers: response.headers,
      header,
      bytes: body.bytes,
      digest: body.digest,
      size: body.size,
      broken: use === 'discard' ? undefined : body.broken,
    };
  }

  async #read(
    stream: AsyncIterable<unknown> & { destroy(): unknown },
    use: BodyUse,
    signal: AbortSignal,
  ): Promise<{ bytes?: Buffer; digest?: Digest; size?: number; broken?: Reply['broken']; failure?: string }> {
    const chunks: Buffer[] = [];
    const digester = typeof use === 'object' && 'hash' in use ? new Digester(use.hash) : undefined;
    const most =
      typeof use !== 'object' ? DISCARDED_BYTES : 'keep' in use ? use.keep : Number.POSITIVE_INFINITY;
    let size = 0;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        size += chunk.length;
        this.readBytes += chunk.length;
        // Leaving the loop destroys the body.
        if (size > most) return { broken: 'oversized', failure: `more than ${most} bytes` };
        if (digester) digester.update(chunk);
        else if (use !== 'discard') chunks.push(chunk);
      }
    } catch (error) {
      if (signal.aborted) throw error;
      return { broken: 'truncated', failure: messageOf(error), size };
    }
    return digester ? { digest: digester.digest(), size } : { bytes: Buffer.concat(chunks, size), size };
  }

  #noteSlow(evidence: Evidence): void {
    if (evidence.durationMs <= this.#options.slowMs) return;
    const endpoint = endpointOf(evidence.request);
    this.#listener.passing({
      kind: 'slow',
      repository: null,
      reference: endpoint,
      message: `${evidence.request} took ${formatDuration(evidence.durationMs)} to answer`,
      evidence: [evidence],
    });
  }
}

/** What keeps a reply from being judged, if anything: a failure of the server, or its refusal. Pure. */
export function troubleOf(
  question: Pick<Question, 'repository' | 'reference'>,
  reply: Reply,
): Fault | undefined {
  const { repository, reference } = question;
  const { status, evidence } = reply;
  const fault = (kind: Fault['kind'], message: string): Fault => ({
    kind,
    repository,
    reference,
    message: `${evidence.request} ${message}`,
    evidence: [evidence],
  });
  if (status === 0) return fault('no-reply', `was not answered: ${evidence.failure ?? ''}`);
  if (status >= 500) return fault('server-error', `answered ${status}`);
  if (status === 429) return fault('rate-limited', 'answered 429: it was not checked');
  if (status === 401 || status === 403) return fault('denied', `answered ${status}: it was not checked`);
  if (reply.broken === 'truncated') return fault('truncated-reply', `broke off: ${evidence.failure ?? ''}`);
  if (reply.broken) return fault('invalid-manifest', `sent ${evidence.failure ?? 'too much'}`);
  return undefined;
}

function isNoReply(kind: string): boolean {
  return kind === 'unreachable' || kind === 'temporary' || kind === 'protocol';
}

function replyOf(evidence: Evidence): Reply {
  return {
    status: evidence.status ?? 0,
    evidence,
    url: undefined,
    headers: {},
    header: () => undefined,
    bytes: undefined,
    digest: undefined,
    size: undefined,
    broken: undefined,
  };
}

function pathOf(to: RegistryRequest['to']): string {
  if (typeof to === 'string') return `/v2/${to}`;
  const shown = new URL(redactUrl(to));
  return shown.pathname + shown.search;
}

/** Which kind of request it is: what slow replies are gathered by. */
function endpointOf(request: string): string {
  if (request.includes(' /api/')) return 'admin';
  return (
    /\/(manifests|blobs|tags|_catalog)(?:[/?]|$)(?!.*\/(?:manifests|blobs|tags)\/)/.exec(request)?.[1] ??
    'base'
  );
}
