import { RegopsError } from '../base/index.ts';
import { discardBody, type HttpResponse, headerOf, readBody } from '../http/index.ts';
import {
  bareMediaType,
  type Digest,
  digestMismatch,
  digestOf,
  digestParts,
  isDigest,
  LIMITS,
  MANIFEST_ACCEPT,
  type Manifest,
  parseManifest,
} from '../oci/index.ts';
import { deleteScope, pullScope, pushScope, type RegistryClient } from './client.ts';
import { failure } from './failure.ts';

/** What a HEAD says about a manifest. */
export interface ManifestHead {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size?: number;
}

/**
 * Fetches a manifest by tag or digest (distribution spec, end-3) and checks it: by digest against its
 * bytes, by tag against the digest the registry says it has (CVE-2025-24882).
 *
 * @throws MANIFEST_NOT_FOUND, REPOSITORY_NOT_FOUND, DIGEST_MISMATCH, MANIFEST_INVALID; RESPONSE_TOO_LARGE
 *   beyond 4 MiB
 */
export async function getManifest(
  client: RegistryClient,
  repository: string,
  selector: string,
  signal?: AbortSignal,
): Promise<Manifest> {
  const what = describe(client, repository, selector);
  const response = await client.request({
    method: 'GET',
    to: `${repository}/manifests/${selector}`,
    headers: { accept: MANIFEST_ACCEPT.join(', ') },
    scopes: [pullScope(repository)],
    signal,
  });
  if (response.status !== 200) throw await failure(client, response, `pull of ${what}`);
  const bytes = await readBody(response, LIMITS.manifestBytes, `manifest ${what}`);
  const claimed = isDigest(selector) ? selector : claimedDigest(response, what);
  return parseManifest(bytes, {
    contentType: headerOf(response, 'content-type'),
    digest: claimed,
    what: `manifest ${what}`,
  });
}

/**
 * Resolves a tag or digest without fetching the document (end-3, HEAD). Undefined when there is none.
 * Registries that leave the digest out of a HEAD are asked with a GET.
 */
export async function headManifest(
  client: RegistryClient,
  repository: string,
  selector: string,
  signal?: AbortSignal,
): Promise<ManifestHead | undefined> {
  const what = describe(client, repository, selector);
  const response = await client.request({
    method: 'HEAD',
    to: `${repository}/manifests/${selector}`,
    headers: { accept: MANIFEST_ACCEPT.join(', ') },
    scopes: [pullScope(repository)],
    signal,
  });
  // Artifactory answers 403 to a HEAD for a manifest that is not there (RTFACT-13797).
  if (response.status === 404 || response.status === 403) {
    await discardBody(response);
    return undefined;
  }
  if (response.status !== 200) {
    throw await failure(client, response, `look-up of ${what}`);
  }
  await discardBody(response);
  const digest = isDigest(selector) ? selector : claimedDigest(response, what);
  const mediaType = headerOf(response, 'content-type');
  if (digest === undefined || mediaType === undefined) {
    const manifest = await getManifest(client, repository, selector, signal);
    return { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.bytes.length };
  }
  const length = headerOf(response, 'content-length');
  return {
    digest,
    mediaType: bareMediaType(mediaType),
    ...(length !== undefined && /^\d+$/.test(length) ? { size: Number(length) } : {}),
  };
}

/**
 * Stores a manifest under a tag or its digest (end-7). The registry must call it by the digest of the
 * bytes we sent; the same bytes go to every tag.
 *
 * @throws DIGEST_MISMATCH, and `failure`'s errors; `registryCodeOf` tells MANIFEST_BLOB_UNKNOWN apart
 */
export async function putManifest(
  client: RegistryClient,
  repository: string,
  selector: string,
  manifest: Pick<Manifest, 'bytes' | 'mediaType' | 'digest'>,
  signal?: AbortSignal,
): Promise<void> {
  const what = describe(client, repository, selector);
  const response = await client.request({
    method: 'PUT',
    to: `${repository}/manifests/${selector}`,
    headers: { 'content-type': manifest.mediaType },
    body: manifest.bytes,
    scopes: [pushScope(repository)],
    signal,
  });
  if (response.status !== 201 && response.status !== 200 && response.status !== 202) {
    throw await failure(client, response, `push of manifest ${what}`, 'REPOSITORY_NOT_FOUND');
  }
  await discardBody(response);
  const stored = headerOf(response, 'docker-content-digest');
  if (stored !== undefined && isDigest(stored)) {
    const sent = digestOf(manifest.bytes, digestParts(stored).algorithm);
    if (sent !== stored) throw digestMismatch(`manifest ${what} as stored`, sent, stored);
  }
}

/**
 * Deletes by tag or by digest (end-9). By digest the manifest goes, with every tag that points at it:
 * callers want `deleteReference`.
 */
export async function deleteManifest(
  client: RegistryClient,
  repository: string,
  selector: string,
  signal?: AbortSignal,
): Promise<void> {
  const response = await client.request({
    method: 'DELETE',
    to: `${repository}/manifests/${selector}`,
    scopes: [deleteScope(repository)],
    signal,
  });
  if (response.status >= 300) {
    throw await failure(client, response, `delete of ${describe(client, repository, selector)}`);
  }
  await discardBody(response);
}

function describe(client: RegistryClient, repository: string, selector: string): string {
  return `${client.domain}/${repository}${isDigest(selector) ? '@' : ':'}${selector}`;
}

/** A registry's word for the digest. One that is malformed is a lie worth stopping for. */
function claimedDigest(response: HttpResponse, what: string): Digest | undefined {
  const header = headerOf(response, 'docker-content-digest');
  if (header === undefined || isDigest(header)) return header;
  throw new RegopsError(
    'PROTOCOL_VIOLATION',
    `${what}: the registry sent a malformed Docker-Content-Digest header`,
  );
}
