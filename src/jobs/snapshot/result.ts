import type { LayerCounts } from '../../engine/index.ts';
import type { Transport } from './options.ts';
import type { PruneReason } from './policy.ts';

/** The `result` of snapshot push. */
export interface SnapshotPushResult {
  readonly snapshot: SnapshotIdentity;
  /** The image in the engine. */
  readonly local: {
    /** `regops-snapshots:sb-123-snap-xyz`. */
    readonly reference: string;
    readonly imageId: string;
    readonly sizeBytes: number;
    /** It was taken out again. */
    readonly removed: boolean;
  };
  readonly transport: Transport;
  /** In the order they were given; empty for a snapshot that stays local. */
  readonly destinations: readonly PushedSnapshot[];
  readonly durationMs: number;
}

/** Who a snapshot is. */
export interface SnapshotIdentity {
  readonly id: string;
  readonly tag: string;
  /** Name of the container it was made of. */
  readonly source: string;
  /** The image which that container ran. */
  readonly parent: string;
  /** Name of the engine's machine. */
  readonly host: string;
  /** ISO 8601. */
  readonly created: string;
  /** ISO 8601; null for never. */
  readonly expires: string | null;
}

/** A snapshot at one registry. */
export interface PushedSnapshot {
  readonly reference: string;
  /** `pushed`: the registry, asked by tag, named this digest. */
  readonly status: 'pushed' | 'failed';
  readonly digest?: string;
  /** Manifest, configuration and layers as the registry stores them. */
  readonly sizeBytes?: number;
  readonly layers?: LayerCounts;
  /** Bytes that went over the wire; the engine does not tell. */
  readonly sentBytes?: number;
  readonly durationMs: number;
}

/** The `result` of snapshot pull. */
export interface SnapshotPullResult {
  readonly reference: string;
  /** Of the manifest in the registry; absent for a snapshot that was never in one. */
  readonly digest?: string;
  readonly imageId: string;
  readonly sizeBytes: number;
  /** `present`: it was in the engine already. */
  readonly status: 'present' | 'pulled';
  /** Null for an image that is no snapshot of regops. */
  readonly snapshot: SnapshotIdentity | null;
  /** With `--start`. */
  readonly container?: { readonly id: string; readonly name: string; readonly status: string };
  readonly durationMs: number;
}

/** Where a snapshot is. */
export type Whereabouts = 'local' | 'registry' | 'both';

export interface ListedSnapshot extends Omit<SnapshotIdentity, 'tag'> {
  readonly ageMs: number;
  readonly expired: boolean;
  readonly where: Whereabouts;
  /** Of the manifest in the registry. */
  readonly digest?: string;
  /** In the registry when it is there, as stored; else in the engine, unpacked. */
  readonly sizeBytes: number;
  /** All its names, the registry's first. */
  readonly references: readonly string[];
}

/** The `result` of snapshot list. */
export interface SnapshotListResult {
  /** `registry.example.com/team/snapshots`; null when no registry was asked. */
  readonly repository: string | null;
  readonly local: boolean;
  /** Newest first. */
  readonly snapshots: readonly ListedSnapshot[];
  /** Tags of the repository that are no snapshots of regops. */
  readonly otherTags: number;
}

/** One snapshot in one place, and what a prune did with it. */
export interface PrunedSnapshot {
  readonly id: string;
  readonly source: string;
  readonly created: string;
  readonly expires: string | null;
  readonly place: 'registry' | 'local';
  /** By which it is known there: names, and in a registry the digest. */
  readonly references: readonly string[];
  readonly digest?: string;
  readonly sizeBytes: number;
  readonly reason: PruneReason;
  /** `shared`: another name points at the same content. `in-use`: a container needs the image. */
  readonly status: 'deleted' | 'planned' | 'failed' | 'shared' | 'in-use';
  /** Why not. */
  readonly message?: string;
}

/** The `result` of snapshot prune. */
export interface SnapshotPruneResult {
  readonly dryRun: boolean;
  readonly repository: string | null;
  readonly snapshots: readonly PrunedSnapshot[];
  readonly totals: {
    readonly deleted: number;
    readonly failed: number;
    /** Stay, whether a rule spoke of them or not. */
    readonly kept: number;
    /** What stays, by place; layers that snapshots share in a registry count once. */
    readonly registryBytes: number;
    readonly localBytes: number;
  };
}
