import type { Digest } from '../oci/index.ts';
import type { ApiRequest, Body, Reply } from './exchange.ts';
import { parseRange } from './ranges.ts';
import type { Content } from './storage.ts';

/**
 * Serves content that never changes under its digest: 200, 304 when the client has it (If-None-Match), 206
 * or 416 for a range (RFC 9110 section 14, with If-Range). The entity tag is the digest.
 */
export async function contentReply(
  request: ApiRequest,
  digest: Digest,
  mediaType: string,
  content: Content,
): Promise<Reply> {
  const { size } = content;
  const headers = headersOf(digest, mediaType, size);
  if (isKnown(request, digest)) {
    return { status: 304, headers: { etag: etagOf(digest), 'docker-content-digest': digest } };
  }
  if (request.method === 'HEAD') return { status: 200, headers };

  const range = honoursRange(request, digest) ? parseRange(request.headers.range, size) : undefined;
  if (range === 'unsatisfiable') return { status: 416, headers: { 'content-range': `bytes */${size}` } };
  if (range === undefined) return { status: 200, headers, body: await content.read() };
  // The digest header is of the whole content and would not match this body (spec, "Pulling blobs").
  const { 'docker-content-digest': _, ...rest } = headers;
  return {
    status: 206,
    headers: {
      ...rest,
      'content-length': String(range.end - range.start + 1),
      'content-range': `bytes ${range.start}-${range.end}/${size}`,
    },
    body: await content.read(range),
  };
}

/** The reply to a HEAD of content of that size. */
export function headReply(digest: Digest, mediaType: string, size: number): Reply {
  return { status: 200, headers: headersOf(digest, mediaType, size) };
}

/** All bytes of a body, for content whose size is known to be small. */
export async function bytesOf(body: Body): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

function headersOf(digest: Digest, mediaType: string, size: number) {
  return {
    'content-type': mediaType,
    'content-length': String(size),
    'docker-content-digest': digest,
    etag: etagOf(digest),
    'accept-ranges': 'bytes',
  };
}

function etagOf(digest: Digest): string {
  return `"${digest}"`;
}

function isKnown(request: ApiRequest, digest: Digest): boolean {
  const known = request.headers['if-none-match'] ?? '';
  return known.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etagOf(digest));
}

function honoursRange(request: ApiRequest, digest: Digest): boolean {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === etagOf(digest);
}
