import type { OperationOutcome } from '../../../load/index.ts';
import type { LaneGrant, LaneRequest, LaneResult, RegistryLane } from '../../../registry/index.ts';
import type { Ledger, RequestKind } from './ledger.ts';

export type Done = (outcome: OperationOutcome) => void;

/** A request without what every request has: headers are of the grant. */
export type Exchange = Pick<
  LaneRequest,
  'method' | 'path' | 'body' | 'hash' | 'keep' | 'maxBytes' | 'timeoutMs'
> & {
  readonly kind: RequestKind;
  readonly grant: LaneGrant;
  /** A constant, not built per request. */
  readonly headers: readonly string[];
  /** This request's own headers. */
  readonly extra?: readonly string[];
  /** Of a body that comes in parts. */
  readonly length?: number;
};

const MAX_HOPS = 3;

/** A thread's lane with its counting. */
export class Exchanger {
  readonly lane: RegistryLane;
  readonly #ledger: Ledger;
  readonly #thread: number;

  constructor(lane: RegistryLane, ledger: Ledger, thread: number) {
    this.lane = lane;
    this.#ledger = ledger;
    this.#thread = thread;
  }

  /** Sends a request, and counts it. */
  send(exchange: Exchange, onDone: (result: LaneResult) => void): void {
    this.#ledger.add(this.#thread, exchange.kind);
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

  /** As {@link send}, for a GET: redirects within the registry are followed, those to elsewhere are given back. */
  read(exchange: Exchange, onDone: (result: LaneResult) => void, hops = 0): void {
    this.send(exchange, (result) => {
      const path = isRedirect(result)
        ? this.lane.pathTo(result.headers['location'], exchange.path)
        : undefined;
      if (path === undefined || hops === MAX_HOPS) onDone(result);
      else this.read({ ...exchange, path }, onDone, hops + 1);
    });
  }
}

/** Whether the answer sends the client elsewhere. */
export function isRedirect({ status, error }: LaneResult): boolean {
  return (
    error === undefined &&
    (status === 307 || status === 302 || status === 301 || status === 308 || status === 303)
  );
}

/** What is wrong with an answer that should have one of these statuses: a class to count by, or undefined. */
export function faultOf(result: LaneResult, ...expected: readonly number[]): string | undefined {
  if (result.error !== undefined) return result.error;
  if (expected.includes(result.status)) return undefined;
  return isRedirect(result) ? 'redirect' : `status-${result.status}`;
}

/** A header's value; of a repeated one the first. */
export function headerIn(result: LaneResult, name: string): string | undefined {
  const value = result.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Resolves when nothing is under way any more, or after so long. */
export async function settled(lane: RegistryLane, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  while (lane.active > 0 && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 10));
}
