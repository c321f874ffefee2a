/**
 * snapshot: a container becomes an image that says where it came from and how long it is wanted, gets into
 * registries with proof that it arrived, comes back on another engine and runs again; and what nobody wants any more
 * is found and taken out.
 */
export { parseLabel, type SnapshotFacts } from './labels.ts';
export { listSnapshots } from './list.ts';
export { isLocalName, LOCAL_REPOSITORY, localReference, parseSnapshotId } from './names.ts';
export type * from './options.ts';
export type { PruneReason, PruneRules } from './policy.ts';
export { pruneSnapshots } from './prune.ts';
export { pullSnapshot } from './pull.ts';
export { pushSnapshot } from './push.ts';
export {
  reportSnapshotList,
  reportSnapshotPrune,
  reportSnapshotPull,
  reportSnapshotPush,
} from './report.ts';
export type * from './result.ts';
export type { PortBinding, RestoreSettings } from './settings.ts';
