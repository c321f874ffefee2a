import {
  type Descriptor,
  LIMITS,
  type Manifest,
  MEDIA_TYPES,
  parseDigest,
  parseManifest,
} from '../oci/index.ts';
import type { EndpointHandler, Endpoints } from './endpoints.ts';
import { type ApiRequest, jsonReply } from './exchange.ts';
import type { NamePage, PageRequest } from './names.ts';
import { bytesOf } from './representation.ts';
import type { Storage } from './storage.ts';
import { refusal } from './wire-errors.ts';

/** The longest page of names; a client that asks for more, or for all, is led on by Link. */
const MOST_NAMES = 10_000;

/** A list of referrers is a manifest itself and no larger than one; this is for what surrounds its entries. */
const REFERRERS_BYTES = LIMITS.manifestBytes - 1024;

/** What a registry has: the version check (spec end-1), tags (end-8), referrers (end-12), and Docker's catalog. */
export function discoveryEndpoints(storage: Storage): Endpoints {
  const base: EndpointHandler = async () => jsonReply(200, {});

  const catalog: EndpointHandler = async (request) => {
    const wanted = pageOf(request);
    const page = await storage.repositories(wanted);
    return jsonReply(200, { repositories: page.names }, linkTo('/v2/_catalog', wanted, page));
  };

  const tags: EndpointHandler = async (request, { repository }) => {
    const wanted = pageOf(request);
    const page = await storage.tags(repository, wanted);
    if (!page) throw refusal('NAME_UNKNOWN', 'no such repository');
    const link = linkTo(`/v2/${repository}/tags/list`, wanted, page);
    return jsonReply(200, { name: repository, tags: page.names }, link);
  };

  /** Never 404, even for a repository nobody knows: that would say that there is no such API. */
  const referrers: EndpointHandler = async (request, { repository, reference }) => {
    const subject = parseDigest(reference);
    const artifactType = request.query.get('artifactType');
    const after = request.query.get('last') ?? '';
    const entries: string[] = [];
    const headers: Record<string, string> = { 'content-type': MEDIA_TYPES.ociIndex };
    if (artifactType !== null) headers['oci-filters-applied'] = 'artifactType';
    let bytes = 0;
    let last = '';
    for (const digest of await storage.referrers(repository, subject)) {
      const stored = digest > after ? await storage.manifest(repository, digest) : undefined;
      if (!stored) continue;
      const content = await bytesOf(await stored.content.read());
      const descriptor = referrerOf(parseManifest(content, { contentType: stored.mediaType, digest }));
      if (artifactType !== null && descriptor.artifactType !== artifactType) continue;
      const entry = JSON.stringify(descriptor);
      bytes += Buffer.byteLength(entry) + 1;
      if (bytes > REFERRERS_BYTES && entries.length > 0) {
        const next = new URLSearchParams({ ...(artifactType !== null && { artifactType }), last });
        headers['link'] = `</v2/${repository}/referrers/${subject}?${next}>; rel="next"`;
        break;
      }
      entries.push(entry);
      last = digest;
    }
    const start = `{"schemaVersion":2,"mediaType":"${MEDIA_TYPES.ociIndex}","manifests":[`;
    return { status: 200, headers, body: [Buffer.from(`${start}${entries.join(',')}]}`)] };
  };

  return {
    base: { GET: base, HEAD: base },
    catalog: { GET: catalog },
    tags: { GET: tags },
    referrers: { GET: referrers },
  };
}

/** Reads `n` and `last`. Refuses an `n` that is no number with 400. */
function pageOf({ query }: ApiRequest): PageRequest {
  const n = query.get('n');
  if (n !== null && !/^\d+$/.test(n)) throw refusal('UNSUPPORTED', 'n must be a whole number', 400);
  return {
    limit: n === null ? MOST_NAMES : Math.min(Number(n), MOST_NAMES),
    after: query.get('last') ?? undefined,
  };
}

function linkTo(path: string, { limit }: PageRequest, page: NamePage): Record<string, string> {
  const last = page.names.at(-1);
  if (!page.more || last === undefined) return {};
  return { link: `<${path}?${new URLSearchParams({ n: String(limit), last })}>; rel="next"` };
}

/** A manifest as the list of its subject's referrers shows it (spec, "Listing Referrers"). */
function referrerOf({ kind, document, mediaType, digest, bytes }: Manifest): Descriptor {
  const artifactType = document.artifactType || (kind === 'image' ? document.config.mediaType : undefined);
  const { annotations } = document;
  return {
    mediaType,
    digest,
    size: bytes.length,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}
