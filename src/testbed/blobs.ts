import { type Digest, parseDigest } from '../oci/index.ts';
import type { EndpointHandler, Endpoints } from './endpoints.ts';
import { contentReply, headReply } from './representation.ts';
import type { Storage } from './storage.ts';
import type { TrafficCounter } from './traffic.ts';
import { refusal } from './wire-errors.ts';

const MEDIA_TYPE = 'application/octet-stream';

/** Blobs: pulled (spec end-2) and deleted (end-10). */
export function blobEndpoints(storage: Storage, traffic: TrafficCounter): Endpoints {
  const get: EndpointHandler = async (request, { repository, reference }) => {
    const digest = parseDigest(reference);
    const content = await storage.blob(repository, digest);
    if (!content) throw await unknown(repository, digest);
    const reply = await contentReply(request, digest, MEDIA_TYPE, content);
    traffic.countBlob(reply, digest, content.ordinal);
    return reply;
  };

  const head: EndpointHandler = async (_request, { repository, reference }) => {
    const digest = parseDigest(reference);
    const size = await storage.blobSize(repository, digest);
    if (size === undefined) throw await unknown(repository, digest);
    return headReply(digest, MEDIA_TYPE, size);
  };

  const remove: EndpointHandler = async (_request, { repository, reference }) => {
    const digest = parseDigest(reference);
    if (!(await storage.deleteBlob(repository, digest))) throw await unknown(repository, digest);
    return { status: 202 };
  };

  const unknown = async (repository: string, digest: Digest): Promise<Error> =>
    (await storage.hasRepository(repository))
      ? refusal('BLOB_UNKNOWN', `no blob ${digest} in this repository`)
      : refusal('NAME_UNKNOWN', 'no such repository');

  return { blob: { GET: get, HEAD: head, DELETE: remove } };
}
