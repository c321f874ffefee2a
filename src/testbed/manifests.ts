import {
  type Descriptor,
  type Digest,
  isForeignLayer,
  isManifestMediaType,
  isTag,
  LIMITS,
  type Manifest,
  parseDigest,
  parseManifest,
  referencedDescriptors,
} from '../oci/index.ts';
import { readBounded } from './bounded.ts';
import type { EndpointHandler, Endpoints } from './endpoints.ts';
import { contentReply } from './representation.ts';
import type { Storage } from './storage.ts';
import type { TrafficCounter } from './traffic.ts';
import { refusal } from './wire-errors.ts';

/**
 * Manifests: pulled (spec end-3), pushed (end-7), deleted with their tags or by tag alone (end-9). `Accept`
 * is not looked at: a client gets what was pushed, and sees from the Content-Type what it is.
 */
export function manifestEndpoints(storage: Storage, traffic: TrafficCounter): Endpoints {
  const get: EndpointHandler = async (request, { repository, reference }) => {
    const digest = await resolve(repository, reference);
    const found = digest && (await storage.manifest(repository, digest));
    if (!found) throw await unknown(repository);
    const reply = await contentReply(request, digest, found.mediaType, found.content);
    if (request.method === 'GET') traffic.countManifest(reply);
    return reply;
  };

  const put: EndpointHandler = async (request, { repository, reference }) => {
    const digest = reference.includes(':') ? parseDigest(reference) : undefined;
    if (!digest && !isTag(reference)) throw refusal('MANIFEST_INVALID', 'neither a tag nor a digest');
    const bytes = await readBounded(request, LIMITS.manifestBytes);
    const contentType = request.headers['content-type'];
    const manifest = parseManifest(bytes, { contentType, digest });
    await checkReferences(repository, manifest);
    await storage.keepManifest(repository, manifest);
    if (!digest && !(await storage.setTag(repository, reference, manifest.digest))) {
      throw await unknown(repository);
    }
    const { subject } = manifest.document;
    return {
      status: 201,
      headers: {
        location: `/v2/${repository}/manifests/${manifest.digest}`,
        'docker-content-digest': manifest.digest,
        ...(subject && { 'oci-subject': subject.digest }),
      },
    };
  };

  const remove: EndpointHandler = async (_request, { repository, reference }) => {
    const deleted = reference.includes(':')
      ? await storage.deleteManifest(repository, parseDigest(reference))
      : await storage.deleteTag(repository, reference);
    if (!deleted) throw await unknown(repository);
    return { status: 202 };
  };

  /** What is neither a digest nor a tag names nothing: not found. */
  const resolve = async (repository: string, reference: string): Promise<Digest | undefined> => {
    if (reference.includes(':')) return parseDigest(reference);
    return isTag(reference) ? storage.resolveTag(repository, reference) : undefined;
  };

  const unknown = async (repository: string): Promise<Error> =>
    (await storage.hasRepository(repository))
      ? refusal('MANIFEST_UNKNOWN', 'no such manifest in this repository')
      : refusal('NAME_UNKNOWN', 'no such repository');

  /** All that a manifest refers to must be in its repository; its subject may come later (spec, "Push"). */
  const checkReferences = async (repository: string, manifest: Manifest): Promise<void> => {
    for (const descriptor of referencedDescriptors(manifest)) {
      const isThere =
        manifest.kind === 'image'
          ? isForeignLayer(descriptor.mediaType) || (await hasBlob(repository, descriptor))
          : await hasChild(repository, descriptor);
      if (!isThere) {
        throw refusal(
          'MANIFEST_BLOB_UNKNOWN',
          `the manifest refers to ${descriptor.digest}, which is not here`,
        );
      }
    }
  };

  const hasBlob = async (repository: string, { digest }: Descriptor): Promise<boolean> =>
    (await storage.blobSize(repository, digest)) !== undefined;

  /** BuildKit's cache indexes list layers among their manifests: a child of another type may be a blob. */
  const hasChild = async (repository: string, child: Descriptor): Promise<boolean> =>
    (await storage.manifest(repository, child.digest)) !== undefined ||
    (!isManifestMediaType(child.mediaType) && (await hasBlob(repository, child)));

  return { manifest: { GET: get, HEAD: get, PUT: put, DELETE: remove } };
}
