import { RegopsError } from '../../base/index.ts';
import type { RouteName } from '../routes.ts';
import type { FaultEffect, Kind } from './model.ts';

const UPLOADS: readonly RouteName[] = ['uploads', 'upload'];
const NSCR_LISTS: readonly RouteName[] = ['nscr-state', 'nscr-repositories', 'nscr-repository'];
const READS: readonly string[] = ['GET', 'HEAD'];

const ROUTES_OF_KIND: Readonly<Record<Kind, readonly RouteName[]>> = {
  base: ['base'],
  catalog: ['catalog'],
  tags: ['tags'],
  manifests: ['manifest'],
  blobs: ['blob', ...UPLOADS],
  uploads: UPLOADS,
  referrers: ['referrers'],
  token: ['token'],
  api: [
    ...NSCR_LISTS,
    'nscr-health',
    'nscr-sessions',
    'nscr-blobs',
    'nscr-blob-names',
    'nscr-storage',
    'nscr-collect',
    'nscr-collect-stats',
  ],
};

/** Where an effect makes sense. */
interface Domain {
  readonly methods?: readonly string[];
  /** Without a kind or path in the match only these. */
  readonly usual?: readonly RouteName[];
  /** With one, also these, and never any other. */
  readonly possible?: readonly RouteName[];
}

const DOMAINS: Readonly<Partial<Record<keyof FaultEffect, Domain>>> = {
  truncate: { methods: ['GET'] },
  corrupt: { methods: ['GET'] },
  rate: { methods: ['GET'] },
  shorten: { methods: READS },
  length: { methods: READS },
  digest: { methods: READS, usual: ['manifest', 'blob'] },
  location: { methods: ['POST', 'PATCH', 'GET'], usual: UPLOADS, possible: [] },
  dead: { methods: ['PATCH', 'PUT', 'GET'], usual: ['upload'], possible: [] },
  stale: { methods: READS, usual: ['tags', 'catalog'], possible: ['manifest', ...NSCR_LISTS] },
  torn: { methods: READS, usual: ['manifest'], possible: [] },
  undone: { methods: ['POST', 'PUT', 'DELETE'], usual: ['manifest', ...UPLOADS], possible: [] },
  siblings: { methods: ['DELETE'], usual: ['manifest'], possible: [] },
  forget: { methods: READS, usual: ['tags', 'catalog'], possible: ['referrers', ...NSCR_LISTS] },
  missing: { methods: READS, usual: ['blob'], possible: ['manifest'] },
  lost: { methods: READS, usual: ['manifest', 'nscr-repository'], possible: [] },
  ghost: { methods: READS, usual: ['catalog', 'nscr-state'], possible: ['nscr-repositories'] },
  drift: {
    methods: READS,
    usual: ['nscr-state'],
    possible: ['nscr-health', 'nscr-repository', 'nscr-blobs', 'nscr-collect-stats'],
  },
  health: { methods: READS, usual: ['nscr-health', 'nscr-state'], possible: [] },
  session: { methods: READS, usual: ['nscr-sessions', 'nscr-state'], possible: [] },
};

/** Which endpoints a fault may hit: those its match names, within what its effects can do there. */
export interface Reach {
  readonly methods: ReadonlySet<string> | undefined;
  readonly routes: ReadonlySet<RouteName> | undefined;
}

/** Throws CONFIG_INVALID for an effect on an endpoint where it means nothing. */
export function reachOf(
  effect: FaultEffect,
  given: { methods: readonly string[] | undefined; kinds: readonly Kind[] | undefined; hasPath: boolean },
): Reach {
  const named = given.kinds && new Set(given.kinds.flatMap((kind) => ROUTES_OF_KIND[kind]));
  let methods = given.methods && new Set(given.methods);
  let routes: ReadonlySet<RouteName> | undefined = named;
  for (const key of Object.keys(effect) as (keyof FaultEffect)[]) {
    const domain = DOMAINS[key];
    if (!domain) continue;
    if (domain.methods && !given.methods) methods = intersection(methods, domain.methods);
    if (!domain.usual) continue;
    const isNamed = named !== undefined || given.hasPath;
    if (!isNamed) routes = intersection(routes, domain.usual);
    else if (domain.possible) routes = intersection(routes, [...domain.usual, ...domain.possible]);
    if (routes?.size === 0) {
      const where = [...domain.usual, ...(domain.possible ?? [])].join(', ');
      throw new RegopsError('CONFIG_INVALID', `${key} has no meaning there, only for: ${where}`);
    }
  }
  return { methods, routes };
}

/** True for the requests of a kind; `blobs` are also the requests that bring a blob's bytes. */
export function isOfKind(kind: Kind, route: RouteName, method: string): boolean {
  if (kind === 'blobs' && UPLOADS.includes(route)) return ['POST', 'PATCH', 'PUT'].includes(method);
  return ROUTES_OF_KIND[kind].includes(route);
}

function intersection<T>(set: ReadonlySet<T> | undefined, items: readonly T[]): Set<T> {
  return new Set(set ? items.filter((item) => set.has(item)) : items);
}
