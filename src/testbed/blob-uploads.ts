import { type Digest, isDigest, parseDigest } from '../oci/index.ts';
import type { EndpointHandler, Endpoints } from './endpoints.ts';
import type { ApiRequest, Reply } from './exchange.ts';
import { type ByteRange, parseContentRange } from './ranges.ts';
import type { Storage } from './storage.ts';
import type { Upload, Uploads } from './uploads.ts';
import { errorReply, refusal } from './wire-errors.ts';

/** Blobs on their way in, by all ways of the spec's "Pushing blobs": in one piece, in chunks, as a stream, by mount. */
export function uploadEndpoints(storage: Storage, uploads: Uploads): Endpoints {
  const start: EndpointHandler = async (request, { repository }) => {
    const { query } = request;
    const digest = query.get('digest');
    const mount = query.get('mount');
    if (mount !== null) {
      // Without `from` this would mean to look into repositories the client may not read.
      const from = query.get('from');
      if (from !== null && isDigest(mount) && (await storage.mountBlob(repository, mount, from))) {
        return created(repository, mount);
      }
    } else if (digest !== null) {
      const wanted = parseDigest(digest);
      const upload = uploads.startUnlisted(repository);
      try {
        return await complete(upload, wanted, request);
      } finally {
        await upload.discard();
      }
    }
    return accepted(202, await uploads.start(repository));
  };

  const status: EndpointHandler = async (_request, { repository, reference }) =>
    accepted(204, uploads.find(repository, reference));

  const append: EndpointHandler = async (request, { repository, reference }) => {
    const upload = uploads.find(repository, reference);
    const range = chunkRange(request);
    if (isOutOfOrder(upload, range)) return outOfOrder(upload);
    await upload.receive(request.body, lengthOf(range));
    return accepted(202, upload);
  };

  const close: EndpointHandler = async (request, { repository, reference }) => {
    const upload = uploads.find(repository, reference);
    const digest = parseDigest(request.query.get('digest') ?? '');
    const range = chunkRange(request);
    if (isOutOfOrder(upload, range)) return outOfOrder(upload);
    return complete(upload, digest, request, range);
  };

  const cancel: EndpointHandler = async (_request, { repository, reference }) => {
    const upload = uploads.find(repository, reference);
    await uploads.drop(upload);
    return { status: 204 };
  };

  const complete = async (
    upload: Upload,
    digest: Digest,
    request: ApiRequest,
    range?: ByteRange,
  ): Promise<Reply> => {
    await upload.receive(request.body, lengthOf(range));
    uploads.remove(upload);
    const { repository } = upload;
    await upload.finish(digest, (spool, size) => storage.keepBlob(repository, digest, spool, size));
    return created(repository, digest);
  };

  return {
    uploads: { POST: start },
    upload: { GET: status, PATCH: append, PUT: close, DELETE: cancel },
  };
}

/** The range a chunk says it is; undefined for a body that is simply appended. */
function chunkRange(request: ApiRequest): ByteRange | undefined {
  const header = request.headers['content-range'];
  if (header === undefined) return undefined;
  const range = parseContentRange(header);
  if (!range) throw refusal('BLOB_UPLOAD_INVALID', 'Content-Range must be FIRST-LAST');
  const length = request.headers['content-length'];
  if (length !== undefined && Number(length) !== lengthOf(range)) {
    throw refusal('SIZE_INVALID', 'Content-Length and Content-Range disagree');
  }
  return range;
}

function lengthOf(range: ByteRange | undefined): number | undefined {
  return range && range.end - range.start + 1;
}

/** Also a second request while a first one is still sending: what it would append to is not known yet. */
function isOutOfOrder(upload: Upload, range: ByteRange | undefined): boolean {
  return upload.isReceiving || (range !== undefined && range.start !== upload.size);
}

function outOfOrder(upload: Upload): Reply {
  return errorReply('BLOB_UPLOAD_INVALID', `the next byte is ${upload.size}`, {
    status: 416,
    headers: stateOf(upload),
  });
}

function accepted(status: 202 | 204, upload: Upload): Reply {
  return { status, headers: stateOf(upload) };
}

function created(repository: string, digest: Digest): Reply {
  return {
    status: 201,
    headers: { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest },
  };
}

/** An upload without bytes says `0-0` too, as distribution does: the notation has no empty range. */
function stateOf(upload: Upload): Record<string, string> {
  return {
    location: `/v2/${upload.repository}/blobs/uploads/${upload.id}`,
    range: `0-${Math.max(0, upload.size - 1)}`,
    'docker-upload-uuid': upload.id,
  };
}
