/**
 * Token scopes as a set (distribution, "Token Scope Documentation"): each resource (`repository:team/app`)
 * with its actions. A scope of another grammar (a bare word) is a resource without actions. Resources keep
 * the order they came in, because some registries read only the first.
 */
export type ScopeSet = ReadonlyMap<string, ReadonlySet<string>>;

/** Reads scopes: each text may hold several, separated by blanks. Repeated resources are merged. */
export function parseScopes(texts: Iterable<string>): ScopeSet {
  const set = new Map<string, Set<string>>();
  for (const text of texts) {
    for (const scope of text.split(/\s+/)) {
      if (scope !== '') add(set, ...splitScope(scope));
    }
  }
  return set;
}

/** All resources of all sets, first come first. */
export function mergeScopes(...sets: readonly ScopeSet[]): ScopeSet {
  const merged = new Map<string, Set<string>>();
  for (const set of sets) {
    for (const [resource, actions] of set) add(merged, resource, actions);
  }
  return merged;
}

/** One text per resource, its actions sorted; `*` stands for all the others. */
export function formatScopes(set: ScopeSet): string[] {
  return [...set].map(([resource, actions]) =>
    actions.size === 0 ? resource : `${resource}:${actions.has('*') ? '*' : [...actions].sort().join(',')}`,
  );
}

/** The same text for equal sets, whatever their order. */
export function scopeKey(set: ScopeSet): string {
  return formatScopes(set).sort().join(' ');
}

/** True when a token for `owned` may do everything that `wanted` asks. */
export function covers(owned: ScopeSet, wanted: ScopeSet): boolean {
  for (const [resource, actions] of wanted) {
    const have = owned.get(resource);
    if (!have) return false;
    if (have.has('*')) continue;
    for (const action of actions) {
      if (!have.has(action)) return false;
    }
  }
  return true;
}

/** The set cut down to its first resource. */
export function firstResource(set: ScopeSet): ScopeSet {
  return new Map([...set].slice(0, 1));
}

/** The first repository named: `team/app` of `repository:team/app:pull`. */
export function repositoryOf(set: ScopeSet): string | undefined {
  for (const resource of set.keys()) {
    const match = /^repository(?:\([^)]*\))?:(.+)$/.exec(resource);
    if (match) return match[1];
  }
  return undefined;
}

/** `type:name:actions`, split at the first and the last colon: a name may hold a host and port. */
function splitScope(scope: string): [resource: string, actions: string[]] {
  const last = scope.lastIndexOf(':');
  if (last === scope.indexOf(':')) return [scope, []];
  const actions = scope
    .slice(last + 1)
    .split(',')
    .filter((action) => action !== '');
  return [scope.slice(0, last), actions];
}

function add(set: Map<string, Set<string>>, resource: string, actions: Iterable<string>): void {
  const known = set.get(resource) ?? new Set();
  for (const action of actions) known.add(action);
  set.set(resource, known);
}
