import { type ApiRequest, changedRequest, type Layer, type Reply } from '../exchange.ts';
import { parseContentRange } from '../ranges.ts';
import type { Route } from '../routes.ts';
import type { Upload, Uploads } from '../uploads.ts';
import { errorReply, refusal } from '../wire-errors.ts';
import type { Persona } from './model.ts';

/** What a persona remembers of an upload beside its bytes. */
interface Notes {
  /** The `Range` after the first chunk. */
  firstRange?: string;
  /** True once a chunk was so small that it must have been the last. */
  isOver?: boolean;
}

/** How a persona takes blobs: what it refuses, and what it says of how far it got. */
export function playUploads(persona: Persona, uploads: Uploads): Layer {
  const notes = new WeakMap<Upload, Notes>();

  const refuse = async (request: ApiRequest, upload: Upload): Promise<Reply | undefined> => {
    const { method, query } = request;
    const bytes = chunkBytes(request);
    if (persona.staleState && query.get('_state') !== stateOf(upload)) {
      await uploads.drop(upload);
      return errorReply('BLOB_UPLOAD_INVALID', 'the upload is elsewhere than this state');
    }
    if (method === 'DELETE' && persona.cancel) {
      return errorReply('UNSUPPORTED', 'uploads are cancelled by an administrator', {
        status: persona.cancel,
      });
    }
    if (method === 'PUT' && persona.emptyCommit && upload.size === 0 && !bringsBytes(request)) {
      return errorReply('UNKNOWN', 'no chunks', { status: persona.emptyCommit });
    }
    if ((method === 'PATCH' || method === 'PUT') && bringsBytes(request) && notes.get(upload)?.isOver) {
      return errorReply('BLOB_UPLOAD_INVALID', 'the part before this one was too small');
    }
    if (method !== 'PATCH' || bytes === undefined) return undefined;
    if (persona.chunks === 'refused') return errorReply('UNSUPPORTED', 'no uploads in chunks');
    if (persona.mostChunkBytes !== undefined && bytes > persona.mostChunkBytes) {
      return errorReply('BLOB_UPLOAD_INVALID', 'request body too large', { status: 416 });
    }
    return undefined;
  };

  const patched = (reply: Reply, request: ApiRequest, upload: Upload): Reply => {
    if (reply.status !== 202) return reply;
    const note = notes.get(upload) ?? {};
    notes.set(upload, note);
    const range = reply.headers?.['range'] ?? '0-0';
    note.firstRange ??= range;
    const bytes = chunkBytes(request);
    if (bytes !== undefined && bytes < (persona.leastChunkBytes ?? 0)) note.isOver = true;
    const told = {
      'first-chunk': note.firstRange,
      'last-chunk': bytes === undefined ? range : `0-${bytes - 1}`,
      honest: range,
    }[persona.patchRange ?? 'honest'];
    return { ...reply, status: persona.patchStatus ?? 202, headers: { ...reply.headers, range: told } };
  };

  /** With the state of an upload that is still open. */
  const located = (reply: Reply, { origin }: ApiRequest, route: Route): Reply => {
    const { location } = reply.headers ?? {};
    if (!persona.locations || !location?.startsWith('/')) return reply;
    const id = location.slice(location.lastIndexOf('/') + 1);
    const upload = uploads.get(route.repository, id);
    const query = upload ? `?_state=${encodeURIComponent(stateOf(upload))}` : '';
    return { ...reply, headers: { ...reply.headers, location: `${origin}${location}${query}` } };
  };

  return (next) => async (request) => {
    const { method, route } = request;
    if (!route) return next(request);
    const upload = route.name === 'upload' ? uploads.get(route.repository, route.reference) : undefined;
    if (!upload) return located(await next(request), request, route);
    const refused = await refuse(request, upload);
    if (refused) return refused;
    const isRangeIgnored =
      persona.ignoredContentRange === 'all' || (persona.ignoredContentRange === 'put' && method === 'PUT');
    const reply = await next(isRangeIgnored ? withoutRange(request) : request);
    return located(method === 'PATCH' ? patched(reply, request, upload) : reply, request, route);
  };
}

/** As long and as easily spoiled as distribution's own: base64, with its `=` escaped. */
function stateOf({ id, size }: Upload): string {
  return Buffer.from(JSON.stringify({ UUID: id, Offset: size })).toString('base64');
}

/** How many bytes a chunk says it has; undefined for a body that comes without a Content-Range. */
function chunkBytes({ headers }: ApiRequest): number | undefined {
  const header = headers['content-range'];
  if (header === undefined) return undefined;
  const range = parseContentRange(header);
  if (!range) throw refusal('BLOB_UPLOAD_INVALID', 'Content-Range must be FIRST-LAST');
  return range.end - range.start + 1;
}

function bringsBytes({ headers }: ApiRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function withoutRange(request: ApiRequest): ApiRequest {
  const { 'content-range': _, ...headers } = request.headers;
  return changedRequest(request, { headers });
}
