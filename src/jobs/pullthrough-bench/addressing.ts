import { pullScope } from '../../registry/index.ts';

export const PATH_STYLES = ['in-path', 'mirror', 'ns-query'] as const;
/**
 * How a cache is told which registry an image is of: the upstream's host before the repository (ociregistry),
 * not at all, as there is only one (distribution), or in a query (containerd's mirrors).
 */
export type PathStyle = (typeof PATH_STYLES)[number];

/** Where an upstream's repository is to be found on the cache. */
export interface CachePlace {
  /** The path below `/v2/`. */
  readonly repository: string;
  /** Goes with every request. */
  readonly query: string | undefined;
  readonly scopes: readonly string[];
}

/** A way to address a cache. @param upstreamName what the cache calls the upstream */
export function placeOf(style: PathStyle, upstreamName: string, repository: string): CachePlace {
  const path = style === 'in-path' ? `${upstreamName}/${repository}` : repository;
  return {
    repository: path,
    query: style === 'ns-query' ? `ns=${encodeURIComponent(upstreamName)}` : undefined,
    scopes: [pullScope(path)],
  };
}
