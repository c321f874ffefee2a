import { isRegopsError, messageOf } from '../../../base/index.ts';
import { isTag, MANIFEST_ACCEPT } from '../../../oci/index.ts';
import type { RepositoryDetails } from '../view.ts';
import type { Examination } from './examination.ts';
import { type Fault, traitFault } from './faults.ts';
import { readTagList, type TagList, tagIsListed } from './tag-list.ts';
import { troubleOf } from './witness.ts';

/** Tags of one repository that are resolved because a list lacks them. */
const MAX_CANDIDATES = 100;

/** What a look at a repository's lists gave. */
export interface ListLook {
  /** Undefined when there is no list. */
  readonly tags: readonly string[] | undefined;
  /** The admin API's own view of it. */
  readonly details: RepositoryDetails | undefined;
  readonly faults: Fault[];
}

/**
 * Looks at a repository's lists: no tag twice, the same in small pages, and the same tags as the admin API,
 * earlier passes and the registry itself know.
 *
 * @param known tags it had before
 */
export async function examineLists(
  examination: Examination,
  repository: string,
  known: Iterable<string>,
): Promise<ListLook> {
  const whole = await readTagList(examination, repository);
  if (!whole.tags) return { tags: undefined, details: undefined, faults: brokenList(repository, whole) };
  const faults = [...duplicates(repository, whole), ...disorder(repository, whole)];
  const details = await detailsOf(examination, repository, faults);
  const paged =
    whole.tags.length > 1
      ? await readTagList(examination, repository, Math.ceil(whole.tags.length / 2))
      : undefined;
  const detailed = details?.tags.map(({ tag }) => tag).filter(isTag);
  // Compared with the list after as well: only what both have, or neither has, is more than a push under way.
  const others = [paged?.tags, detailed].filter((one) => one !== undefined);
  const same = others.every((one) => sameTags(one, whole.tags ?? []));
  const after = same ? whole : await readTagList(examination, repository);
  if (!after.tags)
    return { tags: whole.tags, details, faults: [...faults, ...brokenList(repository, after)] };
  const before = new Set(whole.tags);
  const later = new Set(after.tags);
  const always = [...before].filter((tag) => later.has(tag));
  const listed = new Set([...before, ...later]);

  if (paged?.tags) {
    const missing = without(always, paged.tags);
    if (missing.length > 0) {
      faults.push({
        kind: 'paging-disagree',
        repository,
        reference: null,
        message: `the tag list of ${repository} in small pages lacks ${some(missing)}`,
        evidence: [...whole.evidence, ...paged.evidence],
      });
    }
  }
  if (detailed) {
    for (const tag of without(always, detailed).slice(0, MAX_CANDIDATES)) {
      faults.push({
        kind: 'lists-disagree',
        repository,
        reference: tag,
        message: `${repository}:${tag} is in the tag list, but not in the admin API's details`,
        evidence: after.evidence,
      });
    }
  }
  const candidates = new Set([...known, ...(paged?.tags ?? []), ...(detailed ?? [])]);
  for (const tag of without([...candidates], [...listed]).slice(0, MAX_CANDIDATES)) {
    const fault = await unlisted(examination, repository, tag, detailed?.includes(tag) ?? false);
    if (fault) faults.push(fault);
  }
  for (const { tag, hasManifest, digest } of details?.tags ?? []) {
    if (!hasManifest || digest !== null) continue;
    const message = `Manifest without digest for ${repository}:${tag}`;
    const evidence = examination.witness.lately(detailsRequest(repository));
    faults.push({ kind: 'manifest-without-digest', repository, reference: tag, message, evidence });
  }
  return { tags: [...listed], details, faults };
}

/** The admin API's details; NSCR answers 500 when a tag goes while it looks, so it is asked twice. */
async function detailsOf(
  { view, witness, signal }: Examination,
  repository: string,
  faults: Fault[],
): Promise<RepositoryDetails | undefined> {
  if (view.api !== 'nscr') return undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      return await view.repository(repository, signal);
    } catch (error) {
      if (!isRegopsError(error) || error.kind === 'interrupted') throw error;
      if (attempt < 2) continue;
      const kind = error.code === 'SERVER_ERROR' ? 'server-error' : 'no-reply';
      faults.push({
        kind,
        repository,
        reference: 'details',
        message: messageOf(error),
        evidence: witness.lately(detailsRequest(repository)),
      });
      return undefined;
    }
  }
}

/** A tag that no list has: gone, or there all the same? */
async function unlisted(
  examination: Examination,
  repository: string,
  tag: string,
  inDetails: boolean,
): Promise<Fault | undefined> {
  const head = await examination.witness.ask(
    {
      method: 'HEAD',
      to: `${repository}/manifests/${tag}`,
      repository,
      reference: tag,
      accept: MANIFEST_ACCEPT.join(', '),
    },
    examination.signal,
  );
  const resolves = head.status === 200;
  if (!resolves && !inDetails) return undefined;
  if (await tagIsListed(examination, repository, tag)) return undefined;
  return {
    kind: resolves ? 'unlisted-tag' : 'lists-disagree',
    repository,
    reference: tag,
    message: resolves
      ? `${repository}:${tag} resolves, but is not in the tag list`
      : `${repository}:${tag} is in the admin API's details, but not in the tag list`,
    evidence: [head.evidence],
  };
}

function detailsRequest(repository: string): string {
  return `GET /api/registry/repositories/${repository}`;
}

function brokenList(repository: string, list: TagList): Fault[] {
  if (!list.broken) return [];
  const trouble = troubleOf({ repository, reference: null }, list.broken);
  if (trouble) return [trouble];
  const { evidence } = list.broken;
  const message = list.why ?? `${evidence.request} answered ${list.broken.status} without a list of tags`;
  return [{ kind: 'server-error', repository, reference: null, message, evidence: [evidence] }];
}

function duplicates(repository: string, { tags = [], evidence }: TagList): Fault[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const tag of tags) {
    if (seen.has(tag)) twice.add(tag);
    seen.add(tag);
  }
  return [...twice].slice(0, MAX_CANDIDATES).map((tag) => ({
    kind: 'duplicate-tag',
    repository,
    reference: tag,
    message: `the tag list of ${repository} has ${tag} more than once`,
    evidence,
  }));
}

/** The spec's "lexical order" is read both ways: by bytes, and without regard to case. */
function disorder(repository: string, { tags = [], evidence }: TagList): Fault[] {
  const ordered = (keyOf: (tag: string) => string): boolean =>
    tags.every((tag, at) => at === 0 || keyOf(tags[at - 1] ?? '') <= keyOf(tag));
  if (ordered((tag) => tag) || ordered((tag) => tag.toLowerCase())) return [];
  return [traitFault('unsorted-tags', `tag lists are not sorted (${repository}'s, for one)`, evidence)];
}

function without(tags: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return tags.filter((tag) => !known.has(tag));
}

function sameTags(one: readonly string[], other: readonly string[]): boolean {
  return without(one, other).length === 0 && without(other, one).length === 0;
}

function some(tags: readonly string[]): string {
  return tags.slice(0, 5).join(', ') + (tags.length > 5 ? ` and ${tags.length - 5} more` : '');
}
