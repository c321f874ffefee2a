import { isTag } from '../oci/index.ts';
import { Texts } from './columns.ts';
import { isRead, type Operation } from './operation.ts';
import { ABSENT, RegisterSearch, type Step, stepOf } from './search.ts';

/** Judgements one search for the fewest operations may take. */
const MAX_JUDGEMENTS = 2000;
const ALWAYS = Number.NEGATIVE_INFINITY;

/**
 * Judges operations on one tag that starts absent, as a part of a history: a read of a value whose write is not
 * among them may have been written at any time. So what cannot be ordered here cannot be ordered in the whole
 * either, as long as every delete that might explain a read of nothing is among them.
 */
export function judgePart(operations: readonly Operation[]): 'ok' | 'violated' | 'unknown' {
  const texts = new Texts();
  const search = new RegisterSearch({ initial: ABSENT, maxStates: 50_000, maxLog: 0 });
  const written = new Set<string | null>();
  const found = new Map<string, Operation>();
  for (const operation of operations) {
    if (operation.kind === 'put-manifest') {
      if (operation.outcome !== 'fail') written.add(operation.value);
    } else if (isRead(operation.kind) && operation.outcome === 'ok' && operation.value !== null) {
      found.set(operation.value, operation);
    }
  }
  for (const operation of operations) {
    if (operation.outcome !== 'fail') search.add(stepOf(operation, numberOf(operation, texts)));
  }
  for (const [value, read] of found) {
    if (!written.has(value)) search.add(writtenSomeTime(read, texts.number(value)));
  }
  return search.settle(Number.POSITIVE_INFINITY).status;
}

function writtenSomeTime(read: Operation, value: number): Step {
  const write: Operation = { ...read, kind: 'put-manifest', outcome: 'unknown', callUs: ALWAYS };
  return stepOf(write, value);
}

function numberOf(operation: Operation, texts: Texts): number | undefined {
  if (operation.kind === 'delete-manifest') {
    return isTag(operation.reference) ? undefined : texts.number(operation.reference);
  }
  return operation.value === null ? undefined : texts.number(operation.value);
}

/**
 * The fewest of these operations on one tag that are a violation by themselves: without any one of them (that may be
 * left out, see {@link judgePart}) there is none. Undefined when they are no violation, or nobody can tell. At
 * most 2,000 judgements are made; the answer may then be longer than it need be.
 */
export function fewest(operations: readonly Operation[]): readonly Operation[] | undefined {
  if (judgePart(operations) !== 'violated') return undefined;
  // What is tried first is left out first: so the latest ones stay, and the play is a short one.
  let left: readonly Operation[] = operations.toSorted(
    (a, b) => a.callUs - b.callUs || a.returnUs - b.returnUs,
  );
  let judgements = 0;
  const without = (from: number, count: number): readonly Operation[] | undefined => {
    const removed = left.slice(from, from + count);
    const rest = left.filter((_, index) => index < from || index >= from + count);
    if (!removed.every((one) => maybeLeftOut(one, rest)) || ++judgements > MAX_JUDGEMENTS) return undefined;
    return judgePart(rest) === 'violated' ? rest : undefined;
  };
  for (let size = Math.ceil(left.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let changed = true; changed; ) {
      changed = false;
      for (let from = 0; from < left.length; ) {
        const rest = without(from, size);
        if (rest) [left, changed] = [rest, true];
        else from += size;
      }
    }
  }
  return left;
}

/**
 * A delete may be left out only if it explains no read of nothing in the rest: it was called after that had
 * returned, or a write came after it and before the read.
 */
export function maybeLeftOut(operation: Operation, rest: readonly Operation[]): boolean {
  if (operation.kind !== 'delete-manifest' || operation.outcome === 'fail') return true;
  return rest.every(
    (read) =>
      !isRead(read.kind) ||
      read.value !== null ||
      read.outcome !== 'ok' ||
      read.returnUs < operation.callUs ||
      rest.some(
        (write) =>
          write.kind === 'put-manifest' &&
          write.outcome === 'ok' &&
          operation.outcome === 'ok' &&
          operation.returnUs < write.callUs &&
          write.returnUs < read.callUs,
      ),
  );
}
