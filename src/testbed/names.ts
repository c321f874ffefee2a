/** A page of a sorted list. */
export interface NamePage {
  readonly names: readonly string[];
  /** True when more follow the last one. */
  readonly more: boolean;
}

/** Which page is asked for: at most `limit` names that sort after `after`. */
export interface PageRequest {
  readonly limit: number;
  readonly after: string | undefined;
}

/**
 * The spec's lexical order, "case-insensitive alphanumeric"; names that differ in case alone follow their
 * code units, so that the order is total and a cursor never skips one.
 */
export function compareNames(a: string, b: string): number {
  const [lowerA, lowerB] = [a.toLowerCase(), b.toLowerCase()];
  if (lowerA !== lowerB) return lowerA < lowerB ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** A set of names that is always in order. */
export class SortedNames {
  readonly #names: string[] = [];

  [Symbol.iterator](): Iterator<string> {
    return this.#names[Symbol.iterator]();
  }

  add(name: string): void {
    const at = this.#firstNotBefore(name);
    if (this.#names[at] !== name) this.#names.splice(at, 0, name);
  }

  delete(name: string): void {
    const at = this.#firstNotBefore(name);
    if (this.#names[at] === name) this.#names.splice(at, 1);
  }

  page(wanted: PageRequest): NamePage {
    return pageOfNames(this.#names, wanted);
  }

  #firstNotBefore(name: string): number {
    return firstNotBefore(this.#names, name);
  }
}

/** A page of names that are in order. */
export function pageOfNames(names: readonly string[], { limit, after }: PageRequest): NamePage {
  let from = 0;
  if (after !== undefined) {
    from = firstNotBefore(names, after);
    if (names[from] === after) from++;
  }
  return { names: names.slice(from, from + limit), more: from + limit < names.length };
}

function firstNotBefore(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareNames(names[middle] as string, name) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
