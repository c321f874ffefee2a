import type { Digest } from '../../oci/index.ts';
import { compareNames, pageOfNames } from '../names.ts';
import { bytesOf } from '../representation.ts';
import {
  type Content,
  type Inventory,
  overlaidStorage,
  type RepositoryContents,
  type Storage,
} from '../storage.ts';
import type { NameHistory } from './name-history.ts';
import type { Rule } from './rule.ts';

const GHOST = 'ghost/repository';
const ALL = { limit: Number.POSITIVE_INFINITY, after: undefined };

/** True for a fault whose effect is in what the registry believes to hold. */
export function isLie({ effect }: Rule): boolean {
  return [effect.stale, effect.forget, effect.missing, effect.lost, effect.ghost, effect.torn].some(
    (lie) => lie !== undefined,
  );
}

/**
 * A storage as one request sees it that is lied to: the endpoints on top of it are the honest ones, so that a
 * lie has all its consequences (pages, counts, error codes).
 *
 * @param tells called with each fault that has changed an answer
 */
export function lyingStorage(
  honest: Storage,
  rules: readonly Rule[],
  { history, now, tells }: { history: NameHistory; now: number; tells: (rule: Rule) => void },
): Storage {
  /** What a list shows: late, without what was forgotten, in order. */
  const listed = (list: string | undefined, truth: readonly string[]): readonly string[] => {
    let names = truth;
    for (const rule of rules) {
      const before = names;
      if (rule.lag) names = history.asOf(list, names, rule.lag, now);
      if (rule.effect.forget !== undefined) {
        const one = rule.forgets ? undefined : rule.oneOf(names);
        names = names.filter((name) => !(rule.forgets?.(name) ?? name === one));
      }
      if (names !== before && !isSameSet(names, before)) tells(rule);
    }
    return names === truth ? truth : names.toSorted(compareNames);
  };

  const withGhosts = (names: readonly string[]): readonly string[] => {
    const ghosts = rules.flatMap((rule) => {
      const { ghost } = rule.effect;
      const name = ghost === true ? GHOST : ghost;
      if (name === undefined || names.includes(name)) return [];
      tells(rule);
      return [name];
    });
    return ghosts.length === 0 ? names : [...names, ...ghosts].toSorted(compareNames);
  };

  const isMissing = (): boolean => {
    const liars = rules.filter(({ effect }) => effect.missing);
    liars.forEach(tells);
    return liars.length > 0;
  };

  const isLost = (repository: string, tag: string): boolean => {
    const liars = rules.filter((rule) => rule.loses(repository, tag));
    liars.forEach(tells);
    return liars.length > 0;
  };

  const lieAbout = (contents: RepositoryContents): RepositoryContents => {
    const truth = new Map(contents.tags);
    const tags = listed(contents.name, [...truth.keys()]).map((tag): [string, Digest | undefined] => [
      tag,
      isLost(contents.name, tag) ? undefined : truth.get(tag),
    ]);
    return { ...contents, tags };
  };

  /** What the tags that were resolved pointed at before. */
  const torn = new Map<Digest, Digest>();

  const lies: Partial<Storage> = {
    async repositories(page) {
      const { names } = await honest.repositories(ALL);
      return pageOfNames(withGhosts(listed(undefined, names)), page);
    },
    async tags(repository, page) {
      const truth = await honest.tags(repository, ALL);
      return truth && pageOfNames(listed(repository, truth.names), page);
    },
    async resolveTag(repository, tag) {
      if (isLost(repository, tag)) return undefined;
      const truth = await honest.resolveTag(repository, tag);
      let told = truth;
      for (const rule of rules) {
        if (!rule.lag) continue;
        told = history.tagAsOf(repository, tag, told, rule.lag, now);
        if (told !== truth) tells(rule);
      }
      const previous = history.previousOf(repository, tag);
      if (told && previous) torn.set(told, previous);
      return told;
    },
    async manifest(repository, digest) {
      if (isMissing()) return undefined;
      const stored = await honest.manifest(repository, digest);
      const tearer = rules.find(({ effect }) => effect.torn);
      if (!stored || !tearer) return stored;
      tells(tearer);
      const previous = torn.get(digest);
      const other = previous && (await honest.manifest(repository, previous));
      return { ...stored, content: await tornContent(stored.content, other?.content) };
    },
    async blobSize(repository, digest) {
      return isMissing() ? undefined : honest.blobSize(repository, digest);
    },
    async blob(repository, digest) {
      return isMissing() ? undefined : honest.blob(repository, digest);
    },
    async referrers(repository, subject) {
      const truth = await honest.referrers(repository, subject);
      return listed(subject, truth) as readonly Digest[];
    },
    contents(repository) {
      const truth = honest.contents(repository);
      return truth && lieAbout(truth);
    },
    inventory(): Inventory {
      const truth = honest.inventory();
      const known = new Map(truth.repositories.map((contents) => [contents.name, contents]));
      const names = withGhosts(listed(undefined, [...known.keys()]));
      const repositories = names.map((name) => lieAbout(known.get(name) ?? emptyRepository(name)));
      return { ...truth, repositories };
    },
  };
  return overlaidStorage(honest, lies);
}

/** The first half of one manifest, and behind it the second half of another, if there is one. */
async function tornContent(content: Content, other: Content | undefined): Promise<Content> {
  const bytes = await bytesOf(await content.read());
  const rest = other ? await bytesOf(await other.read()) : Buffer.alloc(0);
  const mixed = Buffer.concat([
    bytes.subarray(0, Math.floor(bytes.length / 2)),
    rest.subarray(Math.floor(rest.length / 2)),
  ]);
  return {
    size: mixed.length,
    read: async (range = { start: 0, end: mixed.length - 1 }) => [mixed.subarray(range.start, range.end + 1)],
  };
}

function isSameSet(names: readonly string[], others: readonly string[]): boolean {
  const known = new Set(others);
  return names.length === known.size && names.every((name) => known.has(name));
}

function emptyRepository(name: string): RepositoryContents {
  return { name, lastUploadedAt: undefined, blobs: new Map(), manifests: new Map(), tags: [] };
}
