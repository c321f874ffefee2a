/**
 * The endpoints of the distribution spec 1.1 ("Endpoints"), the catalog of Docker's registry, our token service,
 * and the administration of NSCR.
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
  | NscrRouteName;

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
  /** A tag, a digest, or an upload's id. */
  readonly reference: string;
}

const FIXED: ReadonlyMap<string, RouteName> = new Map([
  ['/v2', 'base'],
  ['/v2/', 'base'],
  ['/v2/_catalog', 'catalog'],
  ['/token', 'token'],
  ['/api/registry/state', 'nscr-state'],
  ['/api/registry/health', 'nscr-health'],
  ['/api/registry/repositories', 'nscr-repositories'],
  ['/api/registry/sessions', 'nscr-sessions'],
  ['/api/registry/blobs', 'nscr-blobs'],
  ['/api/registry/storage', 'nscr-storage'],
  ['/api/blobs', 'nscr-blob-names'],
  ['/api/garbage-collect', 'nscr-collect'],
  ['/api/garbage-collect/stats', 'nscr-collect-stats'],
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
];

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
