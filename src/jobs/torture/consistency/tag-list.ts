import { isRegopsError, messageOf } from '../../../base/index.ts';
import { isTag, LIMITS } from '../../../oci/index.ts';
import { nextPage } from '../../../registry/index.ts';
import type { Examination } from './examination.ts';
import type { Evidence } from './result.ts';
import type { Reply } from './witness.ts';

/** A million tags of one repository are more than anybody's. */
const MAX_PAGES = 1000;
const PAGE_SIZE = 1000;

/** A repository's tag list, exactly as it came: in its order, with what it repeats. */
export interface TagList {
  /** undefined when the repository is unknown (404). */
  readonly tags: readonly string[] | undefined;
  /** The reply that could not be read as a page of a list, or was no 200 or 404. */
  readonly broken: Reply | undefined;
  /** What else is wrong with that reply: its Link to the next page leads nowhere, or out of the registry. */
  readonly why?: string;
  readonly evidence: readonly Evidence[];
}

/**
 * Reads a whole tag list page by page (distribution spec, end-8), unlike the registry room's verb with all
 * that is wrong with it. Entries that are no tags are left out: Nexus lists `null`, NSCR digests.
 */
export async function readTagList(
  { witness, signal }: Pick<Examination, 'witness' | 'signal'>,
  repository: string,
  pageSize = PAGE_SIZE,
): Promise<TagList> {
  const tags: string[] = [];
  const evidence: Evidence[] = [];
  const visited = new Set<string>();
  let to: string | URL | undefined = `${repository}/tags/list?n=${pageSize}`;
  while (to !== undefined && visited.size < MAX_PAGES) {
    visited.add(String(to));
    const reply: Reply = await witness.ask(
      {
        method: 'GET',
        to,
        repository,
        reference: null,
        accept: 'application/json',
        body: { keep: LIMITS.listPageBytes },
      },
      signal,
    );
    evidence.push(reply.evidence);
    if (reply.status === 404) return { tags: undefined, broken: undefined, evidence };
    const page = reply.bytes && tagsIn(reply.bytes);
    if (!page) return { tags: undefined, broken: reply, evidence };
    for (const tag of page) tags.push(tag);
    try {
      const next: URL | undefined =
        reply.url && nextPage({ ...reply, url: reply.url }, witness.client.origin, `tags of ${repository}`);
      to = next && visited.has(next.href) ? undefined : next;
    } catch (error) {
      if (!isRegopsError(error)) throw error;
      return { tags: undefined, broken: reply, why: messageOf(error), evidence };
    }
  }
  return { tags, broken: undefined, evidence };
}

/** Whether a tag is in the list now: the list's last reply as evidence, or undefined. */
export async function tagIsListed(
  examination: Pick<Examination, 'witness' | 'signal'>,
  repository: string,
  tag: string,
): Promise<Evidence | undefined> {
  const { tags, evidence } = await readTagList(examination, repository);
  return tags?.includes(tag) ? evidence.at(-1) : undefined;
}

function tagsIn(bytes: Buffer): string[] | undefined {
  try {
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    // An empty repository is `"tags": null` in distribution 2.8.
    const list = (document as { tags?: unknown } | null)?.tags ?? [];
    return Array.isArray(list)
      ? list.filter((entry) => typeof entry === 'string' && isTag(entry))
      : undefined;
  } catch {
    return undefined;
  }
}
