import { RegopsError } from '../base/index.ts';
import { readBody } from '../http/index.ts';
import { isRepository, isTag, LIMITS } from '../oci/index.ts';
import { CATALOG_SCOPE, pullScope, type RegistryClient } from './client.ts';
import { failure } from './failure.ts';
import { type Listing, pages } from './paging.ts';

/** ECR refuses to list more than a thousand at once, and so does distribution as it comes. */
export const PAGE_SIZE = 1000;

/**
 * All tags of a repository, page by page, in the registry's order (distribution spec, end-8).
 * Entries that are no tags are left out: Nexus lists `null`.
 *
 * @throws REPOSITORY_NOT_FOUND and what `failure` maps
 */
export function listTags(
  client: RegistryClient,
  repository: string,
  options: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<readonly string[]> {
  const what = `tags of ${client.domain}/${repository}`;
  return names(client, `${repository}/tags/list`, {
    what,
    field: 'tags',
    isName: isTag,
    scopes: [pullScope(repository)],
    signal: options.signal,
    refuse: (response) => failure(client, response, `list of ${what}`, 'REPOSITORY_NOT_FOUND'),
  });
}

/**
 * All repositories of a registry, page by page (Docker's `_catalog`, which the spec leaves out: hosted
 * registries switch it off).
 *
 * @throws UNSUPPORTED_BY_SERVER where there is no catalog
 */
export function listRepositories(
  client: RegistryClient,
  options: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<readonly string[]> {
  const what = `repositories of ${client.domain}`;
  return names(client, '_catalog', {
    what,
    field: 'repositories',
    isName: isRepository,
    scopes: [CATALOG_SCOPE],
    signal: options.signal,
    refuse: async (response) => {
      const error = await failure(client, response, `list of ${what}`, 'UNSUPPORTED_BY_SERVER');
      return response.status === 404 || error.code === 'UNSUPPORTED_BY_SERVER'
        ? new RegopsError('UNSUPPORTED_BY_SERVER', error.message, {
            hints: ['This registry offers no catalog: name a repository with --repository.'],
            details: error.details,
          })
        : error;
    },
  });
}

/** A whole list at once. */
export async function collect(list: AsyncIterable<readonly string[]>): Promise<string[]> {
  const all: string[] = [];
  for await (const page of list) for (const name of page) all.push(name);
  return all;
}

function names(
  client: RegistryClient,
  path: string,
  list: Pick<Listing<string>, 'what' | 'scopes' | 'signal' | 'refuse'> & {
    readonly field: string;
    isName(text: string): boolean;
  },
): AsyncGenerator<readonly string[]> {
  const { field, isName, what } = list;
  return pages(client, path, {
    ...list,
    accept: 'application/json',
    pageSize: PAGE_SIZE,
    parse: async (response) =>
      namesIn(await readBody(response, LIMITS.listPageBytes, what), field, what).filter(isName),
    keyOf: (name) => name,
  });
}

/** The texts of a page's list. Throws PROTOCOL_VIOLATION for what is no such page. */
export function namesIn(page: Buffer, field: string, what: string): string[] {
  const broken = (how: string): RegopsError =>
    new RegopsError('PROTOCOL_VIOLATION', `${what}: the registry's list ${how}`);
  let document: unknown;
  try {
    document = JSON.parse(page.toString('utf8'));
  } catch {
    throw broken('is not JSON');
  }
  if (typeof document !== 'object' || document === null) throw broken('is no JSON object');
  // An empty repository is `"tags": null` in distribution 2.8.
  const list = (document as Record<string, unknown>)[field] ?? [];
  if (!Array.isArray(list)) throw broken(`has no array '${field}'`);
  return list.filter((entry): entry is string => typeof entry === 'string');
}
