import type { InvariantName, JudgeOptions, Notes } from './invariants.ts';
import { endOf, type Operation } from './operation.ts';

/** How a list is judged, and what its findings are called. */
export interface SetRules {
  readonly repository: string;
  readonly reference: string;
  readonly notes: Notes;
  readonly options: Required<JudgeOptions>;
  /** Was listed, later not, and nobody removed it. Without a name this is not judged. */
  readonly lost?: InvariantName;
  /** Was listed and never added. Without a name (others may add too) this is not judged. */
  readonly phantom?: InvariantName;
  /** When all is quiet the list is what was added. */
  readonly converges: InvariantName;
}

/** How long it took until what was added was listed. */
export interface Visibility {
  /**
   * For each element the time from the end of its addition to the first list that has it and was called after that;
   * 0 when the first list already had it.
   */
  readonly visibleUs: readonly number[];
  /** Added, and in no list that was called later. */
  readonly neverSeen: number;
  /** Elements no list was called for after they were added. */
  readonly neverAsked: number;
  /** Lists that lacked something that had been added, or named something that had been removed. */
  readonly laggingLists: number;
  readonly lists: number;
}

interface Element {
  add: Operation | undefined;
  firstAddCall: number;
  addEnd: number;
  lastAddEnd: number;
  firstRemoveCall: number;
  remove: Operation | undefined;
  seen: Operation | undefined;
  missed: boolean;
  visibleUs: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const BEFORE = Number.NEGATIVE_INFINITY;

/** A set that clients add to, remove from and list: the tags of a repository, the referrers of a digest, the catalog. */
export class SetCheck {
  readonly #rules: SetRules;
  readonly #elements = new Map<string, Element>();
  readonly #told = new Set<string>();
  #quietUs = 0;
  #lists = 0;
  #laggingLists = 0;

  constructor(rules: SetRules) {
    this.#rules = rules;
  }

  /** Something was added, or may have been. */
  add(name: string, operation: Operation): void {
    const element = this.#element(name);
    element.firstAddCall = Math.min(element.firstAddCall, operation.callUs);
    element.lastAddEnd = Math.max(element.lastAddEnd, endOf(operation));
    if (operation.outcome === 'ok' && operation.returnUs < element.addEnd) {
      element.addEnd = operation.returnUs;
      element.add = operation;
      // What is added anew changes nothing of the list.
      this.#quietUs = Math.max(this.#quietUs, operation.returnUs);
    }
  }

  /** Something may have gone with what was removed: from now on nobody can say whether it is named. */
  mayGo(name: string, operation: Operation): void {
    const element = this.#element(name);
    element.firstRemoveCall = Math.min(element.firstRemoveCall, operation.callUs);
    this.#quietUs = Math.max(this.#quietUs, operation.returnUs);
  }

  /** Something was removed, or may have been. */
  remove(name: string, operation: Operation): void {
    this.mayGo(name, operation);
    const element = this.#element(name);
    if (operation.outcome === 'ok' && operation.callUs > (element.remove?.callUs ?? BEFORE))
      element.remove = operation;
  }

  /** A whole list that was answered; everything called before it returned has been given. */
  list(operation: Operation): void {
    const { notes, options, lost, phantom, converges } = this.#rules;
    this.#lists++;
    const quiet = operation.callUs >= this.#quietUs + options.settleUs;
    if (quiet) notes.checked(converges);
    if (lost) notes.checked(lost);
    if (phantom) notes.checked(phantom);
    const names = new Set(operation.names);
    let lags = false;
    for (const [name, element] of this.#elements) {
      if (names.has(name)) lags = this.#has(name, element, operation, quiet) || lags;
      else lags = this.#lacks(name, element, operation, quiet) || lags;
    }
    if (lags) this.#laggingLists++;
    if (!phantom) return;
    for (const name of names) {
      const element = this.#elements.get(name);
      if (element && element.firstAddCall <= operation.returnUs) continue;
      this.#violated(phantom, name, `'${name}' was listed and had not been pushed.`, [operation]);
    }
  }

  visibility(): Visibility {
    const elements = [...this.#elements.values()].filter(({ add }) => add !== undefined);
    const seen = elements.filter(({ visibleUs }) => visibleUs >= 0);
    const missed = elements.filter(({ visibleUs, missed }) => visibleUs < 0 && missed);
    return {
      visibleUs: seen.map(({ visibleUs }) => visibleUs),
      neverSeen: missed.length,
      neverAsked: elements.length - seen.length - missed.length,
      laggingLists: this.#laggingLists,
      lists: this.#lists,
    };
  }

  #element(name: string): Element {
    let element = this.#elements.get(name);
    if (!element) {
      element = {
        add: undefined,
        firstAddCall: NEVER,
        addEnd: NEVER,
        lastAddEnd: BEFORE,
        firstRemoveCall: NEVER,
        remove: undefined,
        seen: undefined,
        missed: false,
        visibleUs: -1,
      };
      this.#elements.set(name, element);
    }
    return element;
  }

  /** True when the list names what should be gone. */
  #has(name: string, element: Element, list: Operation, quiet: boolean): boolean {
    if (element.visibleUs < 0 && element.addEnd < NEVER) {
      element.visibleUs = element.missed ? Math.max(0, list.callUs - element.addEnd) : 0;
    }
    if (!element.seen || list.returnUs < element.seen.returnUs) element.seen = list;
    const { remove } = element;
    const gone = remove !== undefined && remove.returnUs < list.callUs && element.lastAddEnd < remove.callUs;
    if (gone && quiet) {
      this.#violated(this.#rules.converges, name, `'${name}' was deleted long ago and is still listed.`, [
        remove,
        list,
      ]);
    }
    return gone;
  }

  /** True when the list lacks what should be there. */
  #lacks(name: string, element: Element, list: Operation, quiet: boolean): boolean {
    const { add, seen, addEnd, firstRemoveCall } = element;
    if (!add || addEnd >= list.callUs || firstRemoveCall <= list.returnUs) return false;
    element.missed = true;
    const { lost, converges } = this.#rules;
    if (lost && seen && seen.returnUs < list.callUs) {
      this.#violated(lost, name, `'${name}' was listed, nobody deleted it, and then it was not listed.`, [
        add,
        seen,
        list,
      ]);
    } else if (quiet) {
      this.#violated(
        converges,
        name,
        `'${name}' was pushed long ago, nobody deleted it, and it is not listed.`,
        [add, list],
      );
    }
    return true;
  }

  #violated(
    invariant: InvariantName,
    name: string,
    sentence: string,
    operations: readonly Operation[],
  ): void {
    const key = `${invariant} ${name}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    const { notes, repository, reference } = this.#rules;
    notes.violated(invariant, () => ({
      repository,
      reference: reference || name,
      sentence,
      operations: operations.map((one) => narrowed(one, name)),
      suspects: [],
    }));
  }
}

/** A list of a thousand names, with only the one that matters: what a counterexample needs of it. */
function narrowed(operation: Operation, name: string): Operation {
  return operation.names === undefined
    ? operation
    : { ...operation, names: operation.names.filter((one) => one === name) };
}
