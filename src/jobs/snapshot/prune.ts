import { asRegopsError, isRegopsError, type RegopsError, throwIfAborted } from '../../base/index.ts';
import { deleteManifest, headManifest } from '../../registry/index.ts';
import { identityOf, type LocalSnapshot } from './engine-side.ts';
import type { SnapshotFacts } from './labels.ts';
import { repositoryName, survey } from './list.ts';
import { isUnnamedTag, readName, tagOfName } from './names.ts';
import type { SnapshotContext, SnapshotPruneOptions, SnapshotRepository } from './options.ts';
import { type Candidate, type PrunePlan, type PruneReason, planPrune } from './policy.ts';
import { isMissing, type RegistrySnapshot } from './registry-side.ts';
import type { PrunedSnapshot, SnapshotPruneResult } from './result.ts';

interface RegistryCandidate extends Candidate {
  readonly snapshot: RegistrySnapshot;
}

interface LocalCandidate extends Candidate {
  readonly snapshot: LocalSnapshot;
}

/** What became of one that had to go. */
type Fate = Pick<PrunedSnapshot, 'status' | 'message'>;

/**
 * Takes out snapshots by the rules, in the registry and in the engine, each place judged on its own. A delete that
 * fails does not keep the others; an interruption does, and comes back as `error` beside what was done.
 */
export async function pruneSnapshots(
  options: SnapshotPruneOptions,
  context: SnapshotContext,
): Promise<{ result: SnapshotPruneResult; error?: RegopsError }> {
  const { rules, repository, dryRun } = options;
  try {
    const found = await survey(options, context);
    const now = context.clock.now();
    const registry = planPrune(found.registry.snapshots.map(registryCandidate), rules, now);
    const local = planPrune(found.local.map(localCandidate), rules, now);
    const snapshots: PrunedSnapshot[] = [
      ...registry.shared.map((one) => sharedOf(one, registryView(one.candidate, repository))),
      ...local.shared.map((one) => sharedOf(one, localView(one.candidate))),
    ];
    let error: RegopsError | undefined;
    try {
      for (const { candidate, reason } of registry.remove) {
        const fate = dryRun
          ? PLANNED
          : await deleteThere(candidate, repository as SnapshotRepository, context);
        snapshots.push({ ...registryView(candidate, repository), reason, ...fate });
      }
      for (const { candidate, reason } of local.remove) {
        const fate = dryRun ? PLANNED : await deleteHere(candidate, context);
        snapshots.push({ ...localView(candidate), reason, ...fate });
      }
    } catch (thrown) {
      error = asRegopsError(thrown);
    }
    const result = resultOf(options, snapshots, registry, local);
    if (snapshots.some(({ place, status }) => place === 'registry' && status === 'deleted')) {
      context.log.info("the registry's disk space returns with its garbage collection");
    }
    return error ? { result, error } : { result };
  } finally {
    context.progress.close();
  }
}

const PLANNED: Fate = { status: 'planned' };

function resultOf(
  options: SnapshotPruneOptions,
  snapshots: readonly PrunedSnapshot[],
  registry: PrunePlan<RegistryCandidate>,
  local: PrunePlan<LocalCandidate>,
): SnapshotPruneResult {
  const withStatus = (...states: readonly PrunedSnapshot['status'][]): number =>
    snapshots.filter(({ status }) => states.includes(status)).length;
  return {
    dryRun: options.dryRun,
    repository: repositoryName(options),
    snapshots,
    totals: {
      deleted: withStatus('deleted'),
      failed: withStatus('failed'),
      kept: registry.stay.length + local.stay.length + withStatus('in-use'),
      registryBytes: registry.bytesAfter,
      localBytes: local.bytesAfter,
    },
  };
}

function registryCandidate(snapshot: RegistrySnapshot): RegistryCandidate {
  const { facts, tags, parts } = snapshot;
  return { ...candidateOf(facts), parts, sharedBy: tags.filter((tag) => isForeign(tag, facts)), snapshot };
}

function localCandidate(snapshot: LocalSnapshot): LocalCandidate {
  const { facts, image } = snapshot;
  return {
    ...candidateOf(facts),
    parts: [{ key: image.id, bytes: image.sizeBytes }],
    sharedBy: image.tags.filter((name) => isForeign(tagOfName(name), facts)),
    snapshot,
  };
}

function candidateOf({ id, source, createdMs, expiresMs }: RegistrySnapshot['facts']) {
  return { id, source, createdMs, expiresMs };
}

/**
 * Whether a tag is not the snapshot's own: somebody means what has it to stay. That may not even be the snapshot, for an
 * image that was built from one has all its labels.
 */
function isForeign(tag: string | undefined, facts: SnapshotFacts): boolean {
  return tag !== undefined && tag !== facts.tag && !isUnnamedTag(tag);
}

/** By digest, which is all that distribution offers; a tag that was moved since we looked is left alone. */
async function deleteThere(
  { snapshot }: RegistryCandidate,
  { domain, repository }: SnapshotRepository,
  context: SnapshotContext,
): Promise<Fate> {
  const { signal } = context;
  throwIfAborted(signal);
  try {
    const client = await context.registry(domain);
    for (const tag of snapshot.tags) {
      const now = await headManifest(client, repository, tag, signal);
      if (now !== undefined && now.digest !== snapshot.digest) {
        return { status: 'shared', message: `the tag ${tag} points at something else by now` };
      }
    }
    await deleteManifest(client, repository, snapshot.digest, signal);
    return { status: 'deleted' };
  } catch (error) {
    throwIfAborted(signal);
    // Somebody else was faster.
    return isMissing(error) ? { status: 'deleted' } : failed(error);
  }
}

async function deleteHere({ snapshot }: LocalCandidate, context: SnapshotContext): Promise<Fate> {
  const { image } = snapshot;
  throwIfAborted(context.signal);
  try {
    const engine = await context.engine();
    const users = (await engine.containers.list([])).filter(({ imageId }) => imageId === image.id);
    if (users.length > 0) {
      return {
        status: 'in-use',
        message: `used by ${users
          .map(({ name }) => name)
          .slice(0, 5)
          .join(', ')}`,
      };
    }
    // Name by name, never by force: the image goes with the last one, unless somebody began to use it.
    const names = image.tags.map(readName).filter((name) => name !== undefined);
    for (const name of names) await engine.images.remove(name);
    // A digest by which it was pushed or pulled is one more name: to podman always, to docker when the tag beside it moved.
    const left = await engine.images.find(image.id);
    if (left?.tags.length === 0) await engine.images.remove(left.id);
    return { status: 'deleted' };
  } catch (error) {
    throwIfAborted(context.signal);
    if (isRegopsError(error, 'IMAGE_NOT_FOUND')) return { status: 'deleted' };
    if (isRegopsError(error, 'ENGINE_CONFLICT')) return { status: 'in-use', message: error.message };
    return failed(error);
  }
}

function failed(error: unknown): Fate {
  const { message, hints } = asRegopsError(error);
  return { status: 'failed', message: [message, ...hints.slice(0, 1)].join(' ') };
}

function sharedOf<C extends Candidate>(
  { candidate, reason }: { readonly candidate: C; readonly reason: PruneReason },
  view: Omit<PrunedSnapshot, 'reason' | 'status'>,
): PrunedSnapshot {
  return {
    ...view,
    reason,
    status: 'shared',
    message: `named ${candidate.sharedBy.slice(0, 5).join(', ')}, which is not its own name`,
  };
}

function registryView(
  { snapshot }: RegistryCandidate,
  repository: SnapshotRepository | undefined,
): Omit<PrunedSnapshot, 'reason' | 'status'> {
  const { id, source, created, expires } = identityOf(snapshot.facts);
  return {
    ...{ id, source, created, expires },
    place: 'registry',
    references: snapshot.tags.map((tag) => `${repository?.domain}/${repository?.repository}:${tag}`),
    digest: snapshot.digest,
    sizeBytes: snapshot.sizeBytes,
  };
}

function localView({ snapshot }: LocalCandidate): Omit<PrunedSnapshot, 'reason' | 'status'> {
  const { id, source, created, expires } = identityOf(snapshot.facts);
  return {
    ...{ id, source, created, expires },
    place: 'local',
    references: snapshot.image.tags,
    sizeBytes: snapshot.image.sizeBytes,
  };
}
