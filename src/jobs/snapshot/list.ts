import { asRegopsError, isRegopsError } from '../../base/index.ts';
import { identityOf, type LocalSnapshot, localSnapshots } from './engine-side.ts';
import type { SnapshotFacts } from './labels.ts';
import { isLocalName, readName } from './names.ts';
import type { SnapshotContext, SnapshotListOptions, SnapshotPlaces, SnapshotRepository } from './options.ts';
import { isExpired } from './policy.ts';
import { type RepositoryContent, repositoryContent } from './registry-side.ts';
import type { ListedSnapshot, SnapshotListResult } from './result.ts';

/** What was found in both places. */
export interface Survey {
  readonly registry: RepositoryContent;
  readonly local: readonly LocalSnapshot[];
  /** False when no engine was asked, or none answered. */
  readonly askedEngine: boolean;
}

const NOTHING: RepositoryContent = { snapshots: [], otherTags: 0 };

/** Looks for snapshots where the options say. */
export async function survey(
  { repository, local }: SnapshotPlaces,
  context: SnapshotContext,
): Promise<Survey> {
  const found = local === false ? undefined : await engineSide(local, repository, context);
  const registry = repository
    ? await repositoryContent(await context.registry(repository.domain), repository.repository, context)
    : NOTHING;
  return { registry, local: found ?? [], askedEngine: found !== undefined };
}

/** Of a repository's snapshots the engine's copies are those it made itself, and those that are named like them. */
async function engineSide(
  local: true | 'if-reachable',
  repository: SnapshotRepository | undefined,
  context: SnapshotContext,
): Promise<readonly LocalSnapshot[] | undefined> {
  const belongs = (name: string): boolean => {
    const reference = readName(name);
    return (
      reference !== undefined &&
      (isLocalName(reference) ||
        (reference.domain === repository?.domain && reference.repository === repository.repository))
    );
  };
  try {
    const all = await localSnapshots(await context.engine());
    return repository ? all.filter(({ image }) => image.tags.some(belongs)) : all;
  } catch (error) {
    if (local === true || !isRegopsError(error, 'ENGINE_UNREACHABLE')) throw error;
    context.log.warn(`only the registry was asked: ${asRegopsError(error).message}`);
    return undefined;
  }
}

/** Lists the snapshots of a registry's repository, of the engine, or of both as one. */
export async function listSnapshots(
  options: SnapshotListOptions,
  context: SnapshotContext,
): Promise<SnapshotListResult> {
  try {
    const found = await survey(options, context);
    const now = context.clock.now();
    const all = merged(found, options, now);
    return {
      repository: repositoryName(options),
      local: found.askedEngine,
      snapshots: options.expiredOnly ? all.filter(({ expired }) => expired) : all,
      otherTags: found.registry.otherTags,
    };
  } finally {
    context.progress.close();
  }
}

/** `registry.example.com/team/snapshots`, or null. */
export function repositoryName({ repository }: SnapshotPlaces): string | null {
  return repository ? `${repository.domain}/${repository.repository}` : null;
}

/** Newest first, equal times by ID. */
function merged({ registry, local }: Survey, places: SnapshotPlaces, now: number): ListedSnapshot[] {
  const prefix = repositoryName(places);
  const twins = Map.groupBy(local, ({ facts }) => sameness(facts));
  const there = new Set(registry.snapshots.map(({ facts }) => sameness(facts)));
  return [
    ...registry.snapshots.map((snapshot) => {
      const copies = twins.get(sameness(snapshot.facts)) ?? [];
      const names = [
        ...snapshot.tags.map((tag) => `${prefix}:${tag}`),
        ...copies.flatMap(({ image }) => image.tags),
      ];
      return {
        ...common(snapshot.facts, now),
        where: copies.length > 0 ? ('both' as const) : ('registry' as const),
        digest: snapshot.digest,
        sizeBytes: snapshot.sizeBytes,
        references: [...new Set(names)],
      };
    }),
    ...local
      .filter(({ facts }) => !there.has(sameness(facts)))
      .map(({ facts, image }) => ({
        ...common(facts, now),
        where: 'local' as const,
        sizeBytes: image.sizeBytes,
        references: image.tags,
      })),
  ].sort((a, b) => (a.created === b.created ? (a.id < b.id ? -1 : 1) : a.created < b.created ? 1 : -1));
}

/** Of two images that are one snapshot the same. IDs that users choose (`nightly`) come again: every container may have one. */
function sameness({ id, sourceId, createdMs }: SnapshotFacts): string {
  return JSON.stringify([id, sourceId, createdMs]);
}

function common(facts: SnapshotFacts, now: number) {
  const { tag: _tag, ...identity } = identityOf(facts);
  return { ...identity, ageMs: Math.max(0, now - facts.createdMs), expired: isExpired(facts, now) };
}
