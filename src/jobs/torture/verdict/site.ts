import type { Digest } from '../../../oci/index.ts';
import type { LaneGrant } from '../../../registry/index.ts';

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

export function emptyInventory(): Inventory {
  return { tags: new Set(), manifests: new Set(), blobs: new Set(), subjects: new Set() };
}
