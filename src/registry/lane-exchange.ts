import type { LaneRequest, LaneResult } from '../http/index.ts';
import type { LaneGrant, RegistryLane } from './fast-lane.ts';

/** A request without what every request has: headers are of the grant. */
export type LaneExchange<Kind extends string> = Pick<
  LaneRequest,
  'method' | 'path' | 'body' | 'hash' | 'keep' | 'maxBytes' | 'timeoutMs'
> & {
  /** What it is for, to count by. */
  readonly kind: Kind;
  readonly grant: LaneGrant;
  /** A constant, not built per request. */
  readonly headers: readonly string[];
  /** This request's own headers. */
  readonly extra?: readonly string[];
  /** Of a body that comes in parts. */
  readonly length?: number;
};

const MAX_HOPS = 3;

/** A lane on which every request is told by its kind when it is sent. */
export class LaneExchanger<Kind extends string> {
  readonly lane: RegistryLane;
  readonly #onSend: (kind: Kind) => void;

  constructor(lane: RegistryLane, onSend: (kind: Kind) => void) {
    this.lane = lane;
    this.#onSend = onSend;
  }

  /** Sends a request, and tells it. */
  send(exchange: LaneExchange<Kind>, onDone: (result: LaneResult) => void): void {
    this.#onSend(exchange.kind);
    const { extra, length } = exchange;
    let headers = exchange.grant.headers(exchange.headers);
    if (extra) headers = [...headers, ...extra];
    if (length !== undefined) headers = [...headers, 'content-length', String(length)];
    const { method, path, body, hash, keep, maxBytes, timeoutMs } = exchange;
    this.lane.send({
      method,
      path,
      headers,
      body,
      hash,
      keep,
      maxBytes,
      timeoutMs,
      onDone,
    });
  }

  /**
   * As {@link send}, for a GET: redirects within the registry are followed, those to elsewhere are given back; a
   * refusal that names other token scopes is answered once by asking again with them.
   */
  read(exchange: LaneExchange<Kind>, onDone: (result: LaneResult) => void): void {
    const { grant } = exchange;
    const { version } = grant;
    this.#follow(exchange, 0, (result) => {
      if (result.status !== 401) onDone(result);
      else {
        void grant.reconsider(result.headers, version).then((isBetter) => {
          if (isBetter) this.#follow(exchange, 0, onDone);
          else onDone(result);
        });
      }
    });
  }

  #follow(exchange: LaneExchange<Kind>, hops: number, onDone: (result: LaneResult) => void): void {
    this.send(exchange, (result) => {
      const path = isRedirect(result)
        ? this.lane.pathTo(result.headers['location'], exchange.path)
        : undefined;
      if (path === undefined || hops === MAX_HOPS) onDone(result);
      else this.#follow({ ...exchange, path }, hops + 1, onDone);
    });
  }
}

/** Whether the answer sends the client elsewhere. */
function isRedirect({ status, error }: LaneResult): boolean {
  return (
    error === undefined &&
    (status === 307 || status === 302 || status === 301 || status === 308 || status === 303)
  );
}

/** What is wrong with an answer that should have one of these statuses: a class to count by, or undefined. */
export function faultOf(result: LaneResult, ...expected: readonly number[]): string | undefined {
  const isExpected = expected.includes(result.status);
  // A refusal may well be longer than what was asked for: that it refused is what matters.
  if (result.error !== undefined && (isExpected || result.error !== 'too-large')) return result.error;
  if (isExpected) return undefined;
  return isRedirect(result) ? 'redirect' : `status-${result.status}`;
}

/** A header's value; of a repeated one the first. */
export function headerIn(result: LaneResult, name: string): string | undefined {
  const value = result.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
