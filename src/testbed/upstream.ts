import type { Readable } from 'node:stream';

/** A registry to fetch from what is missing here. Injected: this room opens no connections itself. */
export interface Upstream {
  /** Rejects when the upstream cannot be reached; any answer, good or bad, is a response. */
  fetch(request: UpstreamRequest): Promise<UpstreamResponse>;
}

export interface UpstreamRequest {
  readonly method: 'GET' | 'HEAD';
  /** From `/v2/` on. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface UpstreamResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}
