import type { Readable } from 'node:stream';

/** A registry to fetch from what is missing here. Injected: this room opens no connections itself. */
export interface Upstream {
  /**
   * `host[:port]` by which clients may name it, in a path (`/v2/host:port/app/…`) or as `?ns=host:port`; without
   * one they cannot, and `ns` is not looked at.
   */
  readonly domain?: string;
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
