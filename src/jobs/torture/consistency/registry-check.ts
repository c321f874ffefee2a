import { isRegopsError } from '../../../base/index.ts';
import { repositoryNames } from '../oci-view.ts';
import type { RegistryState, ViewOptions } from '../view.ts';
import { isWorkplace } from '../workloads/ledger.ts';
import type { Examination } from './examination.ts';
import type { Fault } from './faults.ts';
import { readTagList, type TagList } from './tag-list.ts';

const STATE = 'GET /api/registry/state';
const CATALOG = 'GET /v2/_catalog?n=1000';

/** Which repositories there are, by the catalog and by the admin API. */
export interface Repositories {
  /** undefined where there is no catalog. */
  readonly catalog: ReadonlySet<string> | undefined;
  /** undefined where there is no admin API. */
  readonly state: RegistryState | undefined;
  /** All of them, as many as are wanted. */
  readonly names: readonly string[];
  readonly truncated: boolean;
}

/** Asks for all repositories, on both sides where there are two. Throws what keeps it from knowing any. */
export async function listAll(examination: Examination, options: ViewOptions): Promise<Repositories> {
  const { view, witness, signal } = examination;
  const state = view.api === 'nscr' ? await view.state(signal) : undefined;
  const catalog = await repositoryNames(witness.client, options, signal).catch((error: unknown) => {
    // The admin API knows them too.
    if (state && isRegopsError(error) && error.kind !== 'interrupted') return undefined;
    throw error;
  });
  const names = new Set([...(state?.tagCounts.keys() ?? []), ...(catalog?.names ?? [])]);
  return {
    catalog: catalog && new Set(catalog.names),
    state,
    names: [...names].slice(0, options.maxRepositories),
    truncated:
      (catalog?.truncated ?? false) || (state?.truncated ?? false) || names.size > options.maxRepositories,
  };
}

/**
 * Repositories that are no more than a name, or that only one side has. Names are asked for before and after
 * the repositories themselves, so that one that comes or goes meanwhile is none of them.
 */
export async function examineNames(
  examination: Examination,
  options: ViewOptions & { readonly writePrefix?: string | undefined },
  suspects: Iterable<string>,
): Promise<Fault[]> {
  const { witness } = examination;
  const before = await listAll(examination, options);
  const lists = new Map<string, TagList>();
  for (const name of suspects) {
    const list = await readTagList(examination, name);
    if (!list.broken) lists.set(name, list);
  }
  const after = await listAll(examination, options);
  const faults: Fault[] = [];
  for (const [name, list] of lists) {
    const isEmpty = (list.tags ?? []).length === 0;
    const fault = (kind: Fault['kind'], message: string): Fault => ({
      kind,
      repository: name,
      reference: null,
      message,
      evidence: [...witness.lately(STATE, CATALOG), ...list.evidence],
    });
    const both = [before, after];
    const isOurs = isWorkplace(name, options.writePrefix === undefined ? [] : [options.writePrefix]);
    if (isEmpty && !isOurs && both.every(({ names }) => names.includes(name))) {
      faults.push(fault('ghost-repository', `${name} is listed as a repository, but has no tags`));
    }
    if (isEmpty || both.some(({ truncated }) => truncated)) continue;
    const known = (side: 'catalog' | 'state'): boolean[] =>
      both.flatMap((one) => {
        const all = side === 'catalog' ? one.catalog : one.state?.tagCounts;
        return all ? [all.has(name)] : [];
      });
    for (const [side, other, words] of [
      ['catalog', 'state', 'is in the catalog, but not in the admin API’s state'],
      ['state', 'catalog', 'is in the admin API’s state, but not in the catalog'],
    ] as const) {
      const [has, hasNot] = [known(side), known(other)];
      if (has.length === 0 || hasNot.length === 0) continue;
      if (has.every(Boolean) && !hasNot.some(Boolean))
        faults.push(fault('lists-disagree', `${name} ${words}`));
    }
  }
  return faults;
}

/** Names that a first look makes worth another: those that one side lacks. */
export function oneSided({ catalog, state, names }: Repositories): string[] {
  if (!catalog || !state) return [];
  return names.filter((name) => catalog.has(name) !== state.tagCounts.has(name));
}

/**
 * Tag counts of state and details. A repository's details are read before and after the state: only when
 * they agree with one another was nobody pushing, and only then is the state's count at fault.
 */
export async function examineCounts(examination: Examination, names: readonly string[]): Promise<Fault[]> {
  const { view, witness, signal } = examination;
  const counts = async (): Promise<Map<string, number>> => {
    const found = new Map<string, number>();
    for (const name of names) found.set(name, (await view.repository(name, signal)).tagCount);
    return found;
  };
  const before = await counts();
  const state = await view.state(signal);
  const after = await counts();
  return names.flatMap((name): Fault[] => {
    const [details, stated] = [after.get(name), state.tagCounts.get(name)];
    if (stated === undefined || details !== before.get(name) || details === stated) return [];
    return [
      {
        kind: 'count-drift',
        repository: name,
        reference: null,
        message: `Inconsistent tag count for ${name}: state=${stated}, details=${details}`,
        evidence: witness.lately(STATE, `GET /api/registry/repositories/${name}`),
      },
    ];
  });
}
