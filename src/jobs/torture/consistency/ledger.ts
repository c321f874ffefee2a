import { type Fault, faultKey } from './faults.ts';
import type { Evidence, Finding, FindingKind, Severity } from './result.ts';
import { FINDING_KINDS } from './result.ts';

const MAX_FINDINGS = 10_000;
const MAX_EVIDENCE = 6;
const GRAVITY: readonly Severity[] = ['error', 'warning', 'note'];

interface Entry {
  readonly kind: FindingKind;
  readonly repository: string | null;
  readonly reference: string | null;
  severity: Severity;
  message: string;
  evidence: readonly Evidence[];
  readonly firstSeen: string;
  lastSeen: string;
  passes: number;
  lastPass: number;
}

/** Gathers the findings of all passes; the same one is kept once. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #max: number;
  #dropped = 0;

  constructor(max = MAX_FINDINGS) {
    this.#max = max;
  }

  /**
   * @param severity when it is less than the kind's own: it passed by itself
   * @param at ISO 8601
   * @returns the finding when it is new, or graver than it was
   */
  add(
    fault: Fault,
    pass: number,
    at: string,
    severity: Severity = FINDING_KINDS[fault.kind].severity,
  ): Finding | undefined {
    const key = faultKey(fault);
    const known = this.#entries.get(key);
    const { kind, repository, reference, message } = fault;
    const evidence = fault.evidence.slice(0, MAX_EVIDENCE);
    if (!known) {
      if (this.#entries.size >= this.#max) {
        this.#dropped++;
        return undefined;
      }
      const entry: Entry = {
        ...{ kind, repository, reference, severity, message, evidence },
        ...{ firstSeen: at, lastSeen: at, passes: 1, lastPass: pass },
      };
      this.#entries.set(key, entry);
      return findingOf(entry);
    }
    known.lastSeen = at;
    if (known.lastPass !== pass) known.passes++;
    known.lastPass = pass;
    if (GRAVITY.indexOf(severity) > GRAVITY.indexOf(known.severity)) return undefined;
    const graver = severity !== known.severity;
    Object.assign(known, { severity, message, evidence });
    return graver ? findingOf(known) : undefined;
  }

  /** Gravest first, then by kind and place. */
  get findings(): readonly Finding[] {
    const place = ({ kind, repository, reference }: Finding): string =>
      `${kind} ${repository ?? ''} ${reference ?? ''}`;
    return [...this.#entries.values()]
      .map(findingOf)
      .sort(
        (a, b) =>
          GRAVITY.indexOf(a.severity) - GRAVITY.indexOf(b.severity) ||
          (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0),
      );
  }

  get dropped(): number {
    return this.#dropped;
  }
}

function findingOf({ lastPass: _, ...finding }: Entry): Finding {
  return finding;
}
