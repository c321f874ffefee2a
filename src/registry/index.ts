/**
 * registry: speaks the OCI distribution spec 1.1 to any registry: blobs, manifests, tags, catalog,
 * referrers, deletes, and `upload/`, the state machine that gets a blob there. `connectRegistry` builds the
 * chain of middlewares; every verb is a function that takes the client first.
 */

export type { LaneRequest, LaneResult } from '../http/index.ts';
export * from './blobs.ts';
export {
  CATALOG_SCOPE,
  createRegistryClient,
  deleteScope,
  pullScope,
  pushScope,
  type RegistryClient,
  type RegistryConnection,
  type RegistryRequest,
} from './client.ts';
export { type ConnectOptions, connectRegistry } from './connect.ts';
export { type Deletion, deleteReference } from './delete.ts';
export { missingBlobsOf, registryCodeOf, statusOf } from './failure.ts';
export { type LaneGrant, LaneGrants, openRegistryLane, type RegistryLane } from './fast-lane.ts';
export { faultOf, headerIn, type LaneExchange, LaneExchanger } from './lane-exchange.ts';
export { TagLister } from './lane-lists.ts';
export {
  type PulledRequest,
  Puller,
  type PullOptions,
  type PullOrder,
  type PullRequestKind,
  type PullResult,
} from './lane-pull.ts';
export { collect, listRepositories, listTags, namesIn } from './lists.ts';
export * from './manifests.ts';
export { nextPage } from './paging.ts';
export { ping } from './ping.ts';
export { checkPushAccess } from './push-access.ts';
export { listReferrers, type Referrers, referrersTag } from './referrers.ts';
export { parseTarget, type RegistryTarget } from './target.ts';
export * from './upload/index.ts';
