import { isDomain, isRepository } from '../oci/index.ts';
import type { ApiRequest } from './exchange.ts';

/** Something a request may do: an entry of a token's `access` claim (Docker's token authentication specification). */
export interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

const ALL_ACTIONS: Readonly<Record<string, readonly string[]>> = {
  repository: ['pull', 'push', 'delete'],
  registry: ['*'],
};

/** Nobody needs more scopes at once: a mount asks for two. */
const MOST_SCOPES = 100;

/** Reads `type:name:action,action`; the name may hold colons (a host's port). Undefined for anything else. */
export function parseScope(text: string): Access | undefined {
  const match = /^([a-z0-9()]+):(.+):([a-z*,]+)$/.exec(text);
  const [, type, name, actions] = match ?? [];
  if (!type || !name || !actions) return undefined;
  return { type, name, actions: actions.split(',') };
}

/** `type:name:action,action`. */
export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(',')}`;
}

/**
 * What of the requested scopes is granted. Some clients ask with one `scope` for each, some with several
 * in one; what makes no sense is left out, not refused.
 *
 * @param onlyPull what an anonymous client gets when there are accounts
 */
export function grantScopes(scopes: readonly string[], onlyPull: boolean): readonly Access[] {
  const granted: Access[] = [];
  const words = scopes.flatMap((scope) => scope.split(' ')).slice(0, MOST_SCOPES);
  for (const asked of words.map(parseScope)) {
    if (!asked || (asked.type === 'repository' && !isRepositoryName(asked.name))) continue;
    const all = ALL_ACTIONS[asked.type] ?? [];
    const allowed = onlyPull ? all.filter((action) => action === 'pull') : all;
    const actions = asked.actions.includes('*')
      ? allowed
      : allowed.filter((action) => asked.actions.includes(action));
    if (actions.length > 0) granted.push({ type: asked.type, name: asked.name, actions });
  }
  return granted;
}

/** A repository's name, also with the registry before it, as clients of a cache of several may write it. */
function isRepositoryName(name: string): boolean {
  const slash = name.indexOf('/');
  return isRepository(name) || (isDomain(name.slice(0, slash)) && isRepository(name.slice(slash + 1)));
}

/**
 * What a request needs, as distribution asks for it, under the name that the client used; a mount needs to read its
 * source too.
 */
export function requiredAccess({ method, route, query }: ApiRequest): readonly Access[] {
  if (!route || route.name === 'base') return [];
  if (route.name === 'catalog') return [{ type: 'registry', name: 'catalog', actions: ['*'] }];
  const onRepository = (name: string, ...actions: string[]): Access => ({
    type: 'repository',
    name,
    actions,
  });

  const named = route.addressedAs ?? route.repository;
  const isUpload = route.name === 'upload' || route.name === 'uploads';
  if (!isUpload && method === 'DELETE') return [onRepository(named, 'delete')];
  if (!isUpload && method !== 'PUT') return [onRepository(named, 'pull')];
  const push = onRepository(named, 'pull', 'push');
  const from = query.get('from');
  const mounts = route.name === 'uploads' && query.has('mount') && from !== null && isRepository(from);
  return mounts ? [push, onRepository(from, 'pull')] : [push];
}

/** True when everything needed was granted. */
export function covers(granted: readonly Access[], needed: readonly Access[]): boolean {
  return needed.every(({ type, name, actions }) =>
    actions.every((action) =>
      granted.some((one) => one.type === type && one.name === name && one.actions.includes(action)),
    ),
  );
}
