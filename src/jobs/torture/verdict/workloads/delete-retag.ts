import type { Client } from '../client.ts';
import { isOk, type Scene, together, type Workload } from './workload.ts';

/** Clients that play one round together: more at one tag would make it dear to judge. */
const GROUP = 4;
const READS = 4;

/**
 * A manifest with several tags is deleted, by its digest or by one of its tags, while another of them is moved to a new
 * manifest: what was deleted must be gone, and the moved tag, or the siblings of a deleted one, must survive. Every tag
 * is made behind a barrier and deleted at most once.
 */
export const deleteRetag: Workload = {
  operationsPerSite: 1500,
  async play(scene: Scene) {
    const { clients, isOver } = scene;
    const groups = Array.from({ length: Math.ceil(clients.length / GROUP) }, (_, at) =>
      clients.slice(at * GROUP, (at + 1) * GROUP),
    );
    await Promise.all(
      groups.map(async (group) => {
        let deletesTags = true;
        while (!isOver()) {
          const done = await round(group, deletesTags);
          deletesTags &&= done;
        }
      }),
    );
  },
};

/** False when the registry does not delete tags. */
async function round(group: readonly Client[], mayDeleteTag: boolean): Promise<boolean> {
  const [deleter] = group as [Client];
  const name = deleter.freshName();
  const [deleted, moved, kept] = [`${name}-deleted`, `${name}-moved`, `${name}-kept`] as const;
  const tags = [deleted, moved, kept];
  const shared = deleter.freshManifest();
  const byTag = mayDeleteTag && deleter.random() < 0.5;
  for (const tag of tags) if (!isOk(await deleter.putManifest(tag, shared))) return mayDeleteTag;
  await together(group, (client) => client.getManifest(tags[client.below(tags.length)] as string));

  const mover = group[1] ?? deleter;
  const after = mover.freshManifest();
  const readers = group.slice(2);
  const [removal] = await Promise.all([
    deleter.deleteManifest(byTag ? deleted : shared.digest),
    ...(mover === deleter ? [] : [mover.putManifest(moved, after)]),
    ...readers.map(async (client) => {
      for (let read = 0; read < READS; read++) await client.getManifest(tags[client.below(3)] as string);
    }),
  ]);
  if (mover === deleter) await mover.putManifest(moved, after);

  await together(group, async (client) => {
    await (client.random() < 0.5 ? client.getManifest(shared.digest) : client.headManifest(shared.digest));
    for (const tag of tags) await client.getManifest(tag);
  });
  // distribution 2.8 answers 405, or 400/404 because a tag is no digest.
  return mayDeleteTag && !(byTag && removal.outcome === 'fail' && removal.status !== 403);
}
