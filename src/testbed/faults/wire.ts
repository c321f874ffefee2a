import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { type Clock, parseRate, RegopsError } from '../../base/index.ts';
import { altsFault } from '../alts/replies.ts';
import { type ApiRequest, type Body, changedRequest, type Reply } from '../exchange.ts';
import type { RouteName } from '../routes.ts';
import { errorReply, refusal, type WireCode } from '../wire-errors.ts';
import type { FaultEffect } from './model.ts';
import type { Rule } from './rule.ts';

/** What an endless body goes on with: harmless in JSON and in text. */
const FILLER = Buffer.alloc(64 * 1024, ' ');
/** A body that is sent slowly goes out in pieces for this long. */
const SLICE_MS = 50;

/** The reply that is no reply: the connection is reset. */
export const RESET: Reply = { status: 500, cut: { after: 'nothing', with: 'reset' } };

/** Nothing is said, and the connection stays until the client leaves. */
export function silence(until: AbortSignal): Reply {
  return { status: 500, cut: { after: 'nothing', with: 'silence', until } };
}

/** The reply of a fault that answers in the registry's place; undefined when it does not. */
export function statusReply({ status, body, retryAfter }: FaultEffect, route?: RouteName): Reply | undefined {
  if (status === undefined && retryAfter === undefined) return undefined;
  const code = status ?? 429;
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  if (body !== undefined) {
    const contentType = /^\s*[[{]/.test(body) ? 'application/json' : 'text/plain';
    return { status: code, headers: { 'content-type': contentType, ...headers }, body: [Buffer.from(body)] };
  }
  if (code < 400) return { status: code, headers };
  if (route?.startsWith('alts-')) return altsFault(code, headers);
  return errorReply(wireCode(code, route), 'made so by a fault', { status: code, headers });
}

function wireCode(status: number, route: RouteName | undefined): WireCode {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 429) return 'TOOMANYREQUESTS';
  if (status === 404) {
    if (route === 'blob') return 'BLOB_UNKNOWN';
    if (route === 'manifest') return 'MANIFEST_UNKNOWN';
    return route === 'upload' ? 'BLOB_UPLOAD_UNKNOWN' : 'NAME_UNKNOWN';
  }
  return status < 500 ? 'UNSUPPORTED' : 'UNKNOWN';
}

/**
 * Changes a reply on its way out: how long it is, what it holds, how fast it goes, where it breaks off. Gives
 * the same reply when there is nothing to change.
 */
export function alterReply(rule: Rule, reply: Reply, method: string, clock: Clock, life: AbortSignal): Reply {
  const { reset, hang, corrupt, length, digest, rate } = rule.effect;
  const breaksOff = reset ?? hang;
  if (breaksOff !== undefined) {
    const ending = reset ? { with: 'reset' as const } : { with: 'silence' as const, until: life };
    if (breaksOff === 'after') return discarded(reply, reset ? RESET : silence(life));
    return {
      ...reply,
      cut: { after: breaksOff === 'head' ? 0 : Math.floor(lengthOf(reply) / 2), ...ending },
    };
  }
  let altered = reply;
  if (rule.endlessBytes !== undefined && method !== 'HEAD')
    altered = prolonged(reply, rule.endlessBytes, life);
  if (reply.status >= 300) return altered;

  if (digest !== undefined) altered = withDigest(altered, digest);
  const hasBody = method !== 'HEAD' && lengthOf(reply) > 0;
  if (rule.shorten && lengthOf(altered) > 0) altered = shortened(altered, rule.shorten(lengthOf(altered)));
  if (corrupt !== undefined && hasBody) {
    altered = corrupted(altered, corrupt === true ? 1 : corrupt, rule.random);
  }
  if (rate !== undefined && hasBody) altered = slowed(altered, parseRate(rate), clock, life);
  const actual = lengthOf(altered);
  if (rule.truncate && hasBody) {
    altered = withLength({ ...altered, cut: { after: rule.truncate(actual), with: 'end' } }, actual);
  }
  if (length !== undefined) {
    altered = withLength(altered, Math.max(0, actual + length));
    if (method !== 'HEAD') altered = { cut: { after: actual, with: 'end' }, ...altered };
  }
  return altered;
}

/** Another reply in the place of one whose body nobody will read. */
export function discarded(reply: Reply, instead: Reply): Reply {
  if (reply.body instanceof Readable) reply.body.destroy();
  return instead;
}

/** True when a request brings bytes. */
export function bringsBody({ headers }: ApiRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** A request whose body is refused at this byte, as if the upload it belongs to had ended then. */
export function refusedFrom(request: ApiRequest, bytes: number): ApiRequest {
  async function* until(): AsyncGenerator<Buffer> {
    let left = bytes;
    for await (const chunk of request.body) {
      yield chunk.subarray(0, left);
      left -= chunk.length;
      if (left <= 0) throw refusal('BLOB_UPLOAD_UNKNOWN', 'the upload has ended');
    }
  }
  return changedRequest(request, { body: until() });
}

/** A request whose body breaks off in its middle; without a known length, in its first piece. */
export function cutRequest(request: ApiRequest): ApiRequest {
  const half = Math.floor(Number(request.headers['content-length'] ?? 0) / 2);
  async function* cut(): AsyncGenerator<Buffer> {
    let passed = 0;
    for await (const chunk of request.body) {
      const part = chunk.subarray(0, half > 0 ? half - passed : Math.ceil(chunk.length / 2));
      passed += part.length;
      if (part.length > 0) yield part;
      if (passed >= half) break;
    }
    throw new RegopsError('INTERRUPTED', 'the connection was cut by a fault');
  }
  return changedRequest(request, { body: cut() });
}

/** How many bytes of body a reply has. */
function lengthOf({ headers, body = [] }: Reply): number {
  const told = headers?.['content-length'];
  if (told !== undefined) return Number(told);
  return body instanceof Readable ? 0 : body.reduce((total, part) => total + part.length, 0);
}

function withLength(reply: Reply, length: number): Reply {
  return { ...reply, headers: { ...reply.headers, 'content-length': String(length) } };
}

function withDigest(reply: Reply, digest: 'wrong' | 'missing'): Reply {
  const { 'docker-content-digest': truth, ...headers } = reply.headers ?? {};
  if (truth === undefined) return reply;
  if (digest === 'missing') return { ...reply, headers };
  const wrong = `sha256:${createHash('sha256').update(truth).digest('hex')}`;
  return { ...reply, headers: { ...headers, 'docker-content-digest': wrong } };
}

/** Ends early and says so: a transport sees nothing wrong. */
function shortened(reply: Reply, length: number): Reply {
  const { body } = reply;
  if (length >= lengthOf(reply)) return reply;
  if (body === undefined) return withLength(reply, length);
  let left = length;
  const short = mapBody(body, async function* (parts) {
    for await (const part of parts) {
      yield part.subarray(0, left);
      left -= Math.min(left, part.length);
      if (left === 0) return;
    }
  });
  return withLength({ ...reply, body: short }, length);
}

/** Other bytes at places that the seed chooses. */
function corrupted(reply: Reply, count: number, random: () => number): Reply {
  const length = lengthOf(reply);
  const flips = new Map<number, number>();
  while (flips.size < Math.min(count, length)) {
    flips.set(Math.floor(random() * length), 1 + Math.floor(random() * 255));
  }
  const body = mapBody(reply.body ?? [], async function* (parts) {
    let from = 0;
    for await (const part of parts) {
      // A copy: the storage's own bytes stay as they are.
      const copy = Buffer.from(part);
      for (const [at, flip] of flips) {
        if (at >= from && at < from + copy.length) copy[at - from] = (copy[at - from] as number) ^ flip;
      }
      from += copy.length;
      yield copy;
    }
  });
  return withLength({ ...reply, body }, length);
}

/** Goes on after its end: what comes is as long as the reader lets it be. */
export function prolonged(reply: Reply, bytes: number, life: AbortSignal): Reply {
  const { 'content-length': _, ...headers } = reply.headers ?? {};
  const body = mapBody(reply.body ?? [], async function* (parts) {
    let left = bytes;
    for await (const part of parts) {
      left -= part.length;
      yield part;
    }
    while (left > 0 && !life.aborted) {
      yield FILLER.subarray(0, left);
      left -= FILLER.length;
      // A reader that is faster than the socket must not keep others from their turn.
      await setImmediate();
    }
  });
  return { ...reply, headers, body };
}

function slowed(reply: Reply, bytesPerSecond: number, clock: Clock, life: AbortSignal): Reply {
  const slice = Math.max(1, Math.floor((bytesPerSecond * SLICE_MS) / 1000));
  const body = mapBody(reply.body ?? [], async function* (parts) {
    for await (const part of parts) {
      for (let from = 0; from < part.length; from += slice) {
        const piece = part.subarray(from, from + slice);
        await clock.sleep((piece.length / bytesPerSecond) * 1000, life);
        yield piece;
      }
    }
  });
  return withLength({ ...reply, body }, lengthOf(reply));
}

/** A body made of another; what the new one's reader leaves behind of the old one is freed. */
function mapBody(
  body: Body,
  map: (parts: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>,
): Readable {
  const source = body instanceof Readable ? body : Readable.from(body);
  const mapped = Readable.from(map(source as AsyncIterable<Uint8Array>));
  return mapped.once('close', () => source.destroy());
}
