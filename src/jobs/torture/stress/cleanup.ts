import { isRegopsError, mapConcurrently, messageOf } from '../../../base/index.ts';
import {
  collect,
  deleteManifest,
  headManifest,
  listTags,
  type RegistryClient,
  statusOf,
} from '../../../registry/index.ts';
import { removeDanglingTags } from '../dangling-tags.ts';
import { imagePlace, type Ledger } from '../workloads/ledger.ts';
import type { Cleanup } from './result.ts';

/** All connections of a client: an interrupted run has few seconds for this, however far away the registry is. */
const AT_ONCE = 16;
/** Of what is left, so many are named. */
const MAX_NAMED = 100;

/**
 * Removes what a run has written, also when its threads have died: they number their images in the ledger. Each
 * image's manifest is the run's own, so that deleting it takes nobody else's tag along. Blobs are left to the
 * registry's garbage collection, which is the only way a registry gives back their space. Never throws: what
 * could not be removed is in the result.
 *
 * @param signal ends it when there is no more time
 */
export async function cleanUp(
  client: RegistryClient,
  run: { readonly writePrefix: string; readonly runId: string },
  ledger: Ledger,
  signal: AbortSignal,
): Promise<Cleanup> {
  const left: { repository: string; tag: string; reason: string }[] = [];
  let removed = 0;
  let deletesTags = true;
  let dangles = false;

  async function removeImage(repository: string, tag: string): Promise<void> {
    const head = await headManifest(client, repository, tag, signal);
    if (!head) {
      dangles = true;
      return;
    }
    let untagged = false;
    if (deletesTags) {
      try {
        await deleteManifest(client, repository, tag, signal);
        untagged = true;
      } catch (error) {
        // distribution 2.8 answers 405, or 400/404 because a tag is no digest.
        if (![400, 404, 405, 501].includes(statusOf(error) ?? 0)) throw error;
        deletesTags = false;
      }
    }
    try {
      await deleteManifest(client, repository, head.digest, signal);
    } catch (error) {
      if (!untagged || statusOf(error) !== 404) throw error;
    }
    removed++;
  }

  for (let thread = 0; thread < ledger.threads; thread++) {
    if (ledger.count(thread, 'begun') === 0) continue;
    const place = imagePlace(run, thread);
    const { repository } = place;
    const tags = await tagsToRemove(client, place, ledger, thread, signal);
    await mapConcurrently(tags, AT_ONCE, undefined, async (tag) => {
      try {
        await removeImage(repository, tag);
      } catch (error) {
        left.push({ repository, tag, reason: signal.aborted ? 'no time was left' : messageOf(error) });
      }
    });
    if (deletesTags && !dangles) continue;
    const ours = new Set(tags);
    for (const { tag } of left) ours.delete(tag);
    for (const one of await removeDanglingTags(client, repository, (tag) => ours.has(tag), signal)) {
      left.push({ repository, ...one });
    }
  }
  const pushed = ledger.total('stored');
  const deleted = ledger.total('deleted');
  return {
    writePrefix: run.writePrefix,
    manifestsPushed: pushed,
    manifestsDeleted: deleted,
    manifestsRemoved: removed,
    left: left.slice(0, MAX_NAMED),
    // What there was no time to look at is still there; of a registry that is gone, no more can be than was sent.
    manifestsLeft: Math.min(
      ledger.total('putManifest'),
      Math.max(left.length + ledger.total('stranded'), signal.aborted ? pushed - deleted - removed : 0),
    ),
    complete: !signal.aborted,
  };
}

/**
 * The run's tags in a thread's repository. A registry that lists fewer than it said it stored may only be slow to
 * list them: then every number the thread has given out is tried.
 */
async function tagsToRemove(
  client: RegistryClient,
  place: ReturnType<typeof imagePlace>,
  ledger: Ledger,
  thread: number,
  signal: AbortSignal,
): Promise<string[]> {
  const begun = ledger.count(thread, 'begun');
  const count = (writing: 'stored' | 'deleted' | 'stranded'): number => ledger.count(thread, writing);
  const listed = await collect(listTags(client, place.repository, { signal })).catch((error: unknown) =>
    isRegopsError(error) ? [] : Promise.reject(error),
  );
  const ours = listed.filter((tag) => {
    const sequence = place.sequenceOf(tag);
    return sequence >= 0 && sequence < begun;
  });
  return ours.length >= count('stored') - count('deleted') - count('stranded')
    ? ours
    : Array.from({ length: begun }, (_, sequence) => place.tagOf(sequence));
}
