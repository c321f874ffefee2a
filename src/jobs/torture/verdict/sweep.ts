import { type Clock, mapConcurrently } from '../../../base/index.ts';
import type { Client } from './client.ts';
import type { Site } from './site.ts';

/** Lists are asked for after these times, then twice as long each time. */
const FIRST_LOOK_MS = 50;
/** What is looked at of one repository, at most. */
const MAX_LOOKED_AT = 5000;

/**
 * What is to be seen of a repository when all is quiet: lists are polled while they may still lag, and after that lists,
 * tags (by two clients, over connections of their own) and everything that got 201 are read once more.
 *
 * @param clients of the sweep's own, at least two
 */
export async function sweep(
  clients: readonly Client[],
  { inventory }: Pick<Site, 'inventory'>,
  options: {
    readonly settleMs: number;
    readonly catalog: boolean;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { settleMs, catalog, clock, signal } = options;
  const [first, second] = clients as readonly [Client, Client];
  const { subjects, tags, manifests, blobs } = inventory;

  let isThere = tags.size === 0;
  async function lists(): Promise<void> {
    isThere = (await first.listTags()).status !== 0 || isThere;
    for (const subject of some(subjects)) {
      if (signal.aborted) return;
      await first.listReferrers(subject);
    }
    if (catalog) await first.listRepositories();
  }

  const until = performance.now() + settleMs;
  for (let waitMs = FIRST_LOOK_MS; performance.now() < until && !signal.aborted; waitMs *= 2) {
    if (tags.size > 0) await lists();
    await clock.sleep(Math.max(1, Math.min(waitMs, until - performance.now())), signal).catch(() => {});
  }
  if (tags.size > 0 && !signal.aborted) await lists();
  // Of a registry that is gone nothing more is to be seen, however long one looks.
  if (!isThere) return;
  for (const client of [first, second]) {
    for (const tag of some(tags)) {
      if (signal.aborted) return;
      await client.getManifest(tag);
    }
  }
  await spread(clients, some(manifests), signal, (client, digest) => client.headManifest(digest));
  await spread(clients, some(blobs), signal, (client, digest) => client.headBlob(digest));
}

/** All of them, or as many as are looked at: the last ones, which had the least time to go wrong unseen. */
function some<T>(all: ReadonlySet<T>): T[] {
  return [...all].slice(-MAX_LOOKED_AT);
}

/** Every client takes the next one as soon as it is done with the one before. */
async function spread<T>(
  clients: readonly Client[],
  items: readonly T[],
  signal: AbortSignal,
  look: (client: Client, item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  await mapConcurrently(clients, clients.length, signal, async (client) => {
    for (let item = items[next++]; item !== undefined && !signal.aborted; item = items[next++]) {
      await look(client, item);
    }
  });
}
