import { RegopsError } from '../../base/index.ts';
import { DEFAULT_DOMAIN, parseRepository, type Reference } from '../../oci/index.ts';

/** `--map OLD=NEW`: stored names below OLD go below NEW. */
export interface Rename {
  /** A stored name's beginning, of whole path components, with its registry or without; '' is every name's. */
  readonly from: string;
  /** What takes its place at the target registry; '' for nothing. */
  readonly to: string;
}

/** Reads `old/prefix=new/prefix`. Throws USAGE. */
export function parseRename(text: string): Rename {
  const [from = '', to, ...more] = text.split('=').map((part) => part.trim().replace(/^\/+|\/+$/g, ''));
  if (to === undefined || more.length > 0 || (from === '' && to === '')) {
    throw new RegopsError('USAGE', `invalid map '${text.slice(0, 200)}'`, {
      hints: ['Write it like team/old=team/new, docker.io/library=mirror, or =mirror for every name.'],
    });
  }
  if (to !== '') parseRepository(to);
  return { from, to };
}

/** Where stored names go. Pure; remembers which maps were of use. */
export class Renamer {
  readonly #renames: readonly Rename[];
  readonly #used = new Set<Rename>();

  /** The longest beginning counts, whatever the order. */
  constructor(renames: readonly Rename[]) {
    this.#renames = [...renames].sort((a, b) => b.from.length - a.from.length);
  }

  /** The repository of a stored name at the target registry. Throws USAGE when nothing is left of it. */
  repositoryOf(stored: Reference): string {
    const forms = formsOf(stored);
    for (const rename of this.#renames) {
      const rest = restAfter(forms, rename.from);
      if (rest === undefined) continue;
      this.#used.add(rename);
      const repository = [rename.to, rest].filter((part) => part !== '').join('/');
      if (repository === '') {
        throw new RegopsError('USAGE', `--map ${rename.from}= leaves nothing of ${stored.repository}`);
      }
      return parseRepository(repository);
    }
    return keptRepository(stored);
  }

  /** Refuses maps that met no name: with a slip of the pen images would go where nobody wanted them. Throws USAGE. */
  refuseUnused(names: readonly string[]): void {
    const unused = this.#renames.find((rename) => !this.#used.has(rename));
    if (!unused) return;
    throw new RegopsError('USAGE', `--map ${unused.from}=${unused.to}: no stored name begins like that`, {
      hints: [`The names are ${names.slice(0, 10).join(', ') || 'none'}.`],
    });
  }
}

/** The ways in which a stored repository may be meant: as people write it first. */
function formsOf(stored: Reference): string[] {
  return [keptRepository(stored), stored.repository, `${stored.domain}/${stored.repository}`];
}

function restAfter(forms: readonly string[], from: string): string | undefined {
  if (from === '') return forms[0];
  const form = forms.find((one) => one === from || one.startsWith(`${from}/`));
  // A whole registry may be named too: `localhost:5000=team`.
  return form?.slice(from.length + 1);
}

/** `docker.io/library/alpine` was most likely written as `alpine`: so it goes on. */
function keptRepository(stored: Reference): string {
  return stored.domain === DEFAULT_DOMAIN ? stored.repository.replace(/^library\//, '') : stored.repository;
}
