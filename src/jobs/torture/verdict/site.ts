import { type Digest, digestOf } from '../../../oci/index.ts';
import {
  bytesSource,
  CATALOG_SCOPE,
  deleteScope,
  type LaneGrant,
  openRegistryLane,
  pushScope,
  type RegistryClient,
  type RegistryLane,
  uploadBlob,
} from '../../../registry/index.ts';
import type { JobContext } from '../../context.ts';
import { CONFIG } from '../workloads/push.ts';

/** For the steps of an upload that must not share a connection, and neighbours among the clients. */
export const LANES = 3;
/** After an interruption, what is under way may end in order for so long. */
const LET_END_MS = 1000;

/** Everything a run has written, or may have, to one repository: what there is to look at in the end, and to remove. */
export interface Inventory {
  readonly tags: Set<string>;
  readonly manifests: Set<Digest>;
  readonly blobs: Set<Digest>;
  readonly subjects: Set<Digest>;
}

/** One repository of a run; after some thousand operations it is judged and the run goes on in the next. */
export interface Site {
  readonly repository: string;
  /** The leave to read, write and delete here, of each of the run's lanes. */
  readonly grants: readonly LaneGrant[];
  readonly inventory: Inventory;
  /** Operations that were done here. */
  operations: number;
}

/**
 * Lends lanes with connections of their own for as long as `work` takes. Soon after the signal has aborted, requests
 * that hang on them are cut.
 */
export async function withLanes<T>(
  client: RegistryClient,
  connections: number,
  { signal, clock, log }: Pick<JobContext, 'signal' | 'clock' | 'log'>,
  work: (lanes: readonly RegistryLane[]) => Promise<T>,
): Promise<T> {
  const lanes: RegistryLane[] = [];
  const close = (): Promise<unknown> => Promise.all(lanes.map((lane) => lane.close()));
  const letEnd = (): void => {
    setTimeout(() => void close(), LET_END_MS).unref();
  };
  signal.addEventListener('abort', letEnd, { once: true });
  try {
    const connection = await client.connection();
    while (lanes.length < LANES) lanes.push(await openRegistryLane(connection, { connections, log, clock }));
    await Promise.all(lanes.map((lane) => lane.learn('/v2/', [])));
    return await work(lanes);
  } finally {
    signal.removeEventListener('abort', letEnd);
    await close();
  }
}

/** Makes a repository ready for manifests. Throws what keeps it from being written to. */
export async function openSite(
  client: RegistryClient,
  lanes: readonly RegistryLane[],
  repository: string,
  signal: AbortSignal,
): Promise<Site> {
  await uploadBlob(client, repository, bytesSource(CONFIG, digestOf(CONFIG)), { signal });
  const scopes = [pushScope(repository), deleteScope(repository)];
  const grants = await Promise.all(lanes.map((lane) => lane.grant(scopes)));
  return { repository, grants, inventory: emptyInventory(), operations: 0 };
}

/** The leave to list repositories, where the token service knows of it; who asks without is refused, and that is recorded. */
export function catalogGrants(lanes: readonly RegistryLane[]): Promise<LaneGrant[]> {
  return Promise.all(lanes.map((lane) => lane.grant([CATALOG_SCOPE]).catch(() => lane.grant([]))));
}

export function emptyInventory(): Inventory {
  return { tags: new Set(), manifests: new Set(), blobs: new Set(), subjects: new Set() };
}
