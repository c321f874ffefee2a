import { type Clock, isRegopsError, mapConcurrently } from '../../../base/index.ts';
import { type Fault, faultKey } from './faults.ts';
import { FINDING_KINDS } from './result.ts';

const LOOKS_AT_ONCE = 4;
/** Subjects that can wait for another look. */
const MAX_SUBJECTS = 10_000;
/** Pauses before the looks, in units of `confirmMs`: two for everything, two more for what may lag. */
const PAUSES = [1, 1, 2, 4];
const LOOKS_FOR_ALL = 2;

/** Looks again at the same thing. */
export type Look = (signal: AbortSignal) => Promise<readonly Fault[]>;

interface Suspect {
  readonly faults: Map<string, Fault>;
  readonly look: Look;
}

/** What looked wrong at first sight, until further looks have confirmed or cleared it. */
export class Suspicions {
  readonly #suspects = new Map<string, Suspect>();
  #dropped = 0;

  /** @param subject what was looked at: its faults are confirmed together */
  add(subject: string, faults: readonly Fault[], look: Look): void {
    if (faults.length === 0) return;
    if (this.#suspects.size >= MAX_SUBJECTS && !this.#suspects.has(subject)) {
      this.#dropped++;
      return;
    }
    this.#suspects.set(subject, { faults: new Map(faults.map((fault) => [faultKey(fault), fault])), look });
  }

  /** Subjects that there was no room to look at again. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Looks again and again, and tells each fault's end: confirmed when every look saw it, cleared else.
   *
   * @returns subjects with a confirmed error
   */
  async settle(
    { clock, signal, confirmMs }: { clock: Clock; signal: AbortSignal; confirmMs: number },
    tell: (fault: Fault, confirmed: boolean) => void,
  ): Promise<number> {
    const guilty = new Set<string>();
    const confirm = (subject: string, fault: Fault): void => {
      tell(fault, true);
      if (FINDING_KINDS[fault.kind].severity === 'error') guilty.add(subject);
    };
    for (const [at, pause] of PAUSES.entries()) {
      if (this.#suspects.size === 0) break;
      await clock.sleep(pause * confirmMs, signal);
      const last = at === PAUSES.length - 1;
      await mapConcurrently(
        [...this.#suspects],
        LOOKS_AT_ONCE,
        signal,
        async ([subject, suspect], either) => {
          const seen = await lookAgain(suspect, either);
          for (const [key, fault] of suspect.faults) {
            const again = seen.get(key);
            const settled = last || (at + 1 >= LOOKS_FOR_ALL && !FINDING_KINDS[fault.kind].settles);
            if (again && !settled) continue;
            suspect.faults.delete(key);
            if (again) confirm(subject, { ...again, evidence: [...fault.evidence, ...again.evidence] });
            else tell(fault, false);
          }
          if (suspect.faults.size === 0) this.#suspects.delete(subject);
        },
      );
    }
    return guilty.size;
  }
}

/** A look that fails confirms nothing. */
async function lookAgain(suspect: Suspect, signal: AbortSignal): Promise<ReadonlyMap<string, Fault>> {
  try {
    return new Map((await suspect.look(signal)).map((fault) => [faultKey(fault), fault]));
  } catch (error) {
    if (!isRegopsError(error) || error.kind === 'interrupted' || error.kind === 'bug') throw error;
    return new Map();
  }
}
