import { isRegopsError, RegopsError } from '../base/index.ts';
import { type HttpResponse, headerOf, readBody } from '../http/index.ts';
import {
  type Descriptor,
  type Digest,
  digestParts,
  LIMITS,
  MEDIA_TYPES,
  parseManifest,
} from '../oci/index.ts';
import { pullScope, type RegistryClient } from './client.ts';
import { failure, registryCodeOf, statusOf } from './failure.ts';
import { getManifest } from './manifests.ts';
import { pages } from './paging.ts';

/** What points at a manifest, and how that was found out. */
export interface Referrers {
  readonly descriptors: readonly Descriptor[];
  readonly source: 'api' | 'tag-schema';
}

/**
 * Lists what refers to a manifest: signatures, SBOMs, attestations (distribution spec, end-12a/b). Where
 * the API is absent the fallback tag is read ("Unavailable Referrers API").
 */
export async function listReferrers(
  client: RegistryClient,
  repository: string,
  subject: Digest,
  options: { artifactType?: string; signal?: AbortSignal | undefined } = {},
): Promise<Referrers> {
  const found = client.traits.referrersAbsent
    ? undefined
    : await fromApi(client, repository, subject, options);
  const referrers = found ?? (await fromTag(client, repository, subject, options.signal));
  // A registry may ignore the filter (OCI-Filters-Applied says so); filtering twice changes nothing.
  const wanted = options.artifactType;
  return wanted === undefined
    ? referrers
    : { ...referrers, descriptors: referrers.descriptors.filter((one) => one.artifactType === wanted) };
}

/** The tag under which referrers are listed where the API is absent: `sha256-<hex>`. */
export function referrersTag(subject: Digest): string {
  const { algorithm, hex } = digestParts(subject);
  return `${algorithm.slice(0, 32)}-${hex.slice(0, 64)}`;
}

async function fromApi(
  client: RegistryClient,
  repository: string,
  subject: Digest,
  options: { artifactType?: string; signal?: AbortSignal | undefined },
): Promise<Referrers | undefined> {
  const what = `referrers of ${client.domain}/${repository}@${subject}`;
  const query = options.artifactType ? `?artifactType=${encodeURIComponent(options.artifactType)}` : '';
  const descriptors: Descriptor[] = [];
  try {
    const list = pages(client, `${repository}/referrers/${subject}${query}`, {
      what,
      scopes: [pullScope(repository)],
      accept: MEDIA_TYPES.ociIndex,
      signal: options.signal,
      parse: (response) => descriptorsIn(response, what),
      keyOf: ({ digest }) => digest,
      refuse: (response) => failure(client, response, `list of ${what}`),
    });
    for await (const page of list) descriptors.push(...page);
  } catch (error) {
    if (descriptors.length > 0 || !saysAbsent(error)) throw error;
    // An unknown repository, or a subject it does not like, says nothing about the others.
    client.traits.referrersAbsent = statusOf(error) !== 400 && registryCodeOf(error) !== 'NAME_UNKNOWN';
    return undefined;
  }
  return { descriptors, source: 'api' };
}

/** distribution answers 404 (2.8: plain text), ECR 405, others a 400 of their own. */
function saysAbsent(error: unknown): boolean {
  return [400, 404, 405, 501].includes(statusOf(error) ?? 0) || isRegopsError(error, 'UNSUPPORTED_BY_SERVER');
}

async function descriptorsIn(response: HttpResponse, what: string): Promise<readonly Descriptor[]> {
  const bytes = await readBody(response, LIMITS.manifestBytes, what);
  const index = parseManifest(bytes, { contentType: headerOf(response, 'content-type'), what });
  if (index.kind !== 'index') {
    throw new RegopsError('UNSUPPORTED_BY_SERVER', `list of ${what}: the registry sent no index`);
  }
  return index.document.manifests;
}

async function fromTag(
  client: RegistryClient,
  repository: string,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<Referrers> {
  try {
    const index = await getManifest(client, repository, referrersTag(subject), signal);
    return { descriptors: index.kind === 'index' ? index.document.manifests : [], source: 'tag-schema' };
  } catch (error) {
    if (isRegopsError(error, 'MANIFEST_NOT_FOUND') || isRegopsError(error, 'REPOSITORY_NOT_FOUND')) {
      return { descriptors: [], source: 'tag-schema' };
    }
    throw error;
  }
}
