/**
 * The endpoints of the distribution spec 1.1 ("Endpoints"), the catalog of Docker's registry, our token service,
 * the administration of NSCR, ociregistry's `prune`, our own account of what was fetched, and an ALTS scheduler.
 */
export type RouteName =
  | 'base'
  | 'catalog'
  | 'tags'
  | 'manifest'
  | 'blob'
  | 'uploads'
  | 'upload'
  | 'referrers'
  | 'token'
  | 'prune'
  | 'traffic'
  | NscrRouteName
  | AltsRouteName;

/** The endpoints of an ALTS scheduler. */
export type AltsRouteName = 'alts-schedule' | 'alts-result' | 'alts-openapi' | 'alts-docs';

/** The endpoints of NSCR's administration; `nscr-repository` is one repository's details. */
export type NscrRouteName =
  | 'nscr-state'
  | 'nscr-health'
  | 'nscr-repositories'
  | 'nscr-repository'
  | 'nscr-sessions'
  | 'nscr-blobs'
  | 'nscr-blob-names'
  | 'nscr-storage'
  | 'nscr-collect'
  | 'nscr-collect-stats';

/** An endpoint and the names in its path, decoded but not checked; empty where it has none. */
export interface Route {
  readonly name: RouteName;
  readonly repository: string;
  /** The repository with the upstream before it, where the client wrote it so: tokens are for the name it used. */
  readonly addressedAs?: string;
  /** A tag, a digest, or the id of an upload or of a test. */
  readonly reference: string;
}

const FIXED: ReadonlyMap<string, RouteName> = new Map([
  ['/v2', 'base'],
  ['/v2/', 'base'],
  ['/v2/_catalog', 'catalog'],
  ['/token', 'token'],
  ['/cmd/prune', 'prune'],
  ['/api/regops/traffic', 'traffic'],
  ['/api/registry/state', 'nscr-state'],
  ['/api/registry/health', 'nscr-health'],
  ['/api/registry/repositories', 'nscr-repositories'],
  ['/api/registry/sessions', 'nscr-sessions'],
  ['/api/registry/blobs', 'nscr-blobs'],
  ['/api/registry/storage', 'nscr-storage'],
  ['/api/blobs', 'nscr-blob-names'],
  ['/api/garbage-collect', 'nscr-collect'],
  ['/api/garbage-collect/stats', 'nscr-collect-stats'],
  ['/tasks/schedule', 'alts-schedule'],
  ['/openapi.json', 'alts-openapi'],
  ['/docs', 'alts-docs'],
]);

/**
 * A repository's name may itself hold words like `blobs` or `manifests`, so the last ones decide. `uploads`
 * stands before `blob`, which would take the word for a digest.
 */
const IN_REPOSITORY: readonly (readonly [RouteName, RegExp])[] = [
  ['manifest', /^\/v2\/(.+)\/manifests\/([^/]+)$/],
  ['uploads', /^\/v2\/(.+)\/blobs\/uploads\/?$/],
  ['blob', /^\/v2\/(.+)\/blobs\/([^/]+)$/],
  ['upload', /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/],
  ['tags', /^\/v2\/(.+)\/tags\/list$/],
  ['referrers', /^\/v2\/(.+)\/referrers\/([^/]+)$/],
  ['nscr-repository', /^\/api\/registry\/repositories\/(.+)$/],
  ['alts-result', /^\/tasks\/()([^/]+)\/result$/],
];

/** True for what is no part of the registry's API and knows no tokens. */
export function isAdministration(route: Route): boolean {
  const { name } = route;
  return name === 'prune' || name === 'traffic' || name.startsWith('nscr-') || isAlts(route);
}

/** True for what belongs to the scheduler of package tests. */
export function isAlts({ name }: Route): boolean {
  return name.startsWith('alts-');
}

/** Finds the endpoint of a path. */
export function matchRoute(path: string): Route | undefined {
  const fixed = FIXED.get(path);
  if (fixed) return { name: fixed, repository: '', reference: '' };
  for (const [name, pattern] of IN_REPOSITORY) {
    const match = pattern.exec(path);
    if (match) return { name, repository: decode(match[1] ?? ''), reference: decode(match[2] ?? '') };
  }
  return undefined;
}

/** Some clients write a digest's colon as %3A. What cannot be decoded stays, and no grammar accepts it. */
function decode(part: string): string {
  if (!part.includes('%')) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
