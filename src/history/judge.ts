import { RegopsError } from '../base/index.ts';
import {
  type Finding,
  type FindingDraft,
  INVARIANTS,
  type InvariantName,
  type JudgeOptions,
  type Notes,
  type Tier,
} from './invariants.ts';
import { endOf, type Operation } from './operation.ts';
import type { Overlap } from './overlap.ts';
import { RepositoryJudge } from './repository-judge.ts';
import { SetCheck, type Visibility } from './set-check.ts';
import { LEVELS, type Level, type TagVerdict } from './tag-register.ts';

/** Findings kept of one invariant, with their operations; the rest is counted. */
const MAX_FINDINGS = 10;
/** Verdicts on single tags that are kept, the worst ones. */
const MAX_TAGS = 1000;
/** Overlapping operations below which a run never raced. */
const MIN_OVERLAP = 10;
const MAX_COLLECTIONS = 10_000;

/**
 * - `ok`: held against what was seen, and kept.
 * - `unknown`: kept as far as could be told; too much was open at once on some tag.
 * - `inconclusive`: kept, but hardly anything happened at the same time.
 * - `unchecked`: nothing was seen that could have broken it.
 */
export type InvariantState = 'ok' | 'violated' | 'unknown' | 'inconclusive' | 'unchecked';

export interface InvariantVerdict {
  readonly name: InvariantName;
  readonly tier: Tier;
  readonly says: string;
  readonly state: InvariantState;
  readonly checked: number;
  readonly violations: number;
}

/** What a history proves. */
export interface Judgement {
  readonly operations: number;
  /** Operations of repositories that had been closed: not judged. */
  readonly late: number;
  /** The strongest level that every tag met; null when no tag was judged. */
  readonly level: Level | null;
  readonly tags: {
    readonly count: number;
    readonly byLevel: Readonly<Record<Level, number>>;
    /** Of these nobody can tell whether they are linearizable. */
    readonly unknown: number;
    /** Worst first, at most a thousand. */
    readonly verdicts: readonly TagVerdict[];
  };
  readonly invariants: readonly InvariantVerdict[];
  /** At most ten of each invariant, the gravest tier first. */
  readonly findings: readonly Finding[];
  readonly findingsDropped: number;
  readonly overlap: Overlap;
  /** So little overlapped that passing proves little. */
  readonly inconclusive: boolean;
  readonly visibility: {
    readonly tagLists: Visibility;
    readonly referrers: Visibility;
    readonly catalog: Visibility;
  };
}

/** Invariants that only a race can break. */
const RACED: ReadonlySet<InvariantName> = new Set([
  'torn-manifest',
  'read-before-write',
  'tag-resurrected',
  'stale-read',
  'lost-update',
  'read-your-writes',
  'monotonic-reads',
  'monotonic-writes',
  'writes-follow-reads',
]);
const TIERS: readonly Tier[] = ['must', 'expected', 'not-promised'];

/**
 * Judges a history while it is made, or afterwards. Operations may be added in any order as long as
 * {@link mark} is true; what a mark settles is forgotten but for the writes, and those too when their repository is
 * closed. Tags and content are taken to be absent before their first operation.
 */
export class HistoryJudge {
  readonly #options: Required<JudgeOptions>;
  readonly #repositories = new Map<string, RepositoryJudge>();
  readonly #unsettled = new Set<RepositoryJudge>();
  readonly #closed = new Set<string>();
  readonly #collections: Operation[] = [];
  readonly #catalog: SetCheck;
  #lists: Operation[] = [];
  readonly #tally = new Tally();
  readonly #verdicts: TagVerdict[] = [];
  readonly #byLevel: Record<Level, number> = { linearizable: 0, session: 0, eventual: 0, none: 0 };
  #unknown = 0;
  #overlap: Overlap = { changePairs: 0, racingReads: 0 };
  #tagLists = NOTHING_SEEN;
  #referrers = NOTHING_SEEN;
  #operations = 0;
  #late = 0;
  #markUs = 0;

  constructor(options: JudgeOptions = {}) {
    this.#options = { settleUs: options.settleUs ?? 60_000_000, deleteGraceUs: options.deleteGraceUs ?? 0 };
    this.#catalog = new SetCheck({
      repository: '',
      reference: '',
      notes: this.#tally,
      options: this.#options,
      lost: 'catalog-lost',
      converges: 'catalog-converges',
    });
  }

  /**
   * One operation that is over, or given up. It is taken as it is: check what comes from outside.
   * Throws INPUT_INVALID when it was called before the last mark.
   */
  add(operation: Operation): void {
    if (operation.callUs < this.#markUs) {
      throw new RegopsError(
        'INPUT_INVALID',
        'an operation was called before a time that was said to be complete',
      );
    }
    this.#operations++;
    const { kind, outcome, repository } = operation;
    if (kind === 'list-repositories') {
      if (outcome === 'ok') this.#lists.push(operation);
      return;
    }
    if (kind === 'collect-garbage' && repository === '') {
      if (this.#collections.length < MAX_COLLECTIONS) this.#collections.push(operation);
      return;
    }
    if (this.#closed.has(repository)) {
      this.#late++;
      return;
    }
    if (outcome !== 'fail' && kind === 'put-manifest') this.#catalog.add(repository, operation);
    if (outcome !== 'fail' && kind === 'delete-manifest') this.#catalog.mayGo(repository, operation);
    const judge = this.#judgeOf(repository);
    judge.add(operation);
    this.#unsettled.add(judge);
  }

  /**
   * Says that every operation called before this time has been added: what is open was called later. Judges and
   * forgets what that settles. Marks never go back; one that does is ignored.
   */
  mark(knownUs: number): void {
    if (knownUs <= this.#markUs) return;
    this.#markUs = knownUs;
    for (const judge of this.#unsettled) {
      if (!judge.settle(knownUs)) this.#unsettled.delete(judge);
    }
    this.#settleCatalog(knownUs);
  }

  /** Says that nothing more comes of a repository: judges it to the end and forgets it whole. */
  closeRepository(repository: string): void {
    const judge = this.#repositories.get(repository);
    if (!judge) return;
    this.#repositories.delete(repository);
    this.#unsettled.delete(judge);
    this.#closed.add(repository);
    this.#conclude(judge);
  }

  /** The judgement of everything added; call once, at the end. */
  finish(): Judgement {
    for (const repository of [...this.#repositories.keys()]) this.closeRepository(repository);
    this.#settleCatalog(Number.POSITIVE_INFINITY);
    const { changePairs, racingReads } = this.#overlap;
    const inconclusive = changePairs + racingReads < MIN_OVERLAP;
    const count = LEVELS.reduce((sum, level) => sum + this.#byLevel[level], 0);
    return {
      operations: this.#operations,
      late: this.#late,
      level: LEVELS.findLast((level) => this.#byLevel[level] > 0) ?? null,
      tags: { count, byLevel: { ...this.#byLevel }, unknown: this.#unknown, verdicts: worst(this.#verdicts) },
      invariants: this.#tally.verdicts(inconclusive, this.#unknown > 0),
      findings: this.#tally.findings(),
      findingsDropped: this.#tally.dropped,
      overlap: this.#overlap,
      inconclusive,
      visibility: {
        tagLists: this.#tagLists,
        referrers: this.#referrers,
        catalog: this.#catalog.visibility(),
      },
    };
  }

  #judgeOf(repository: string): RepositoryJudge {
    let judge = this.#repositories.get(repository);
    if (!judge) {
      judge = new RepositoryJudge(
        { repository, notes: this.#tally, options: this.#options },
        this.#collections,
      );
      this.#repositories.set(repository, judge);
    }
    return judge;
  }

  #settleCatalog(knownUs: number): void {
    const known = this.#lists.filter((list) => endOf(list) < knownUs);
    this.#lists = this.#lists.filter((list) => endOf(list) >= knownUs);
    for (const list of known.sort((a, b) => a.returnUs - b.returnUs)) this.#catalog.list(list);
  }

  #conclude(judge: RepositoryJudge): void {
    judge.settle(Number.POSITIVE_INFINITY);
    const { tags, tagList, referrers } = judge.verdicts();
    for (const verdict of tags) {
      this.#byLevel[verdict.level]++;
      if (verdict.linearizable === 'unknown') this.#unknown++;
      this.#overlap = {
        changePairs: this.#overlap.changePairs + verdict.overlap.changePairs,
        racingReads: this.#overlap.racingReads + verdict.overlap.racingReads,
      };
    }
    this.#verdicts.push(...tags);
    if (this.#verdicts.length > 2 * MAX_TAGS) this.#verdicts.splice(0, Infinity, ...worst(this.#verdicts));
    this.#tagLists = together(this.#tagLists, tagList);
    for (const one of referrers) this.#referrers = together(this.#referrers, one);
  }
}

/**
 * True when a judgement meets what is required: every tag the level, no spec MUST is broken, and no list lost,
 * invented or never showed anything.
 */
export function meets(judgement: Judgement, required: Exclude<Level, 'none'>): boolean {
  const { level, invariants } = judgement;
  if (level !== null && LEVELS.indexOf(level) > LEVELS.indexOf(required)) return false;
  return invariants.every(({ tier, state }) => state !== 'violated' || tier === 'expected');
}

/** Counts what was checked and keeps what was found. */
class Tally implements Notes {
  readonly #checked = new Map<InvariantName, number>();
  readonly #violations = new Map<InvariantName, number>();
  readonly #findings: Finding[] = [];
  dropped = 0;

  checked(invariant: InvariantName, times = 1): void {
    this.#checked.set(invariant, (this.#checked.get(invariant) ?? 0) + times);
  }

  violated(invariant: InvariantName, make: () => FindingDraft): void {
    const count = this.#violations.get(invariant) ?? 0;
    this.#violations.set(invariant, count + 1);
    if (count >= MAX_FINDINGS) {
      this.dropped++;
      return;
    }
    const { operations, suspects, context = [], ...rest } = make();
    this.#findings.push({
      invariant,
      tier: INVARIANTS[invariant].tier,
      ...rest,
      operations: inOrder(operations),
      suspects: inOrder(suspects).slice(-MAX_FINDINGS),
      context: inOrder(context),
    });
  }

  findings(): readonly Finding[] {
    return this.#findings.toSorted((a, b) => TIERS.indexOf(a.tier) - TIERS.indexOf(b.tier));
  }

  verdicts(inconclusive: boolean, unknown: boolean): InvariantVerdict[] {
    return (Object.keys(INVARIANTS) as InvariantName[]).map((name) => {
      const violations = this.#violations.get(name) ?? 0;
      const checked = Math.max(this.#checked.get(name) ?? 0, violations);
      const state = ((): InvariantState => {
        if (violations > 0) return 'violated';
        if (checked === 0) return 'unchecked';
        if (unknown && (name === 'stale-read' || name === 'tag-resurrected')) return 'unknown';
        return inconclusive && RACED.has(name) ? 'inconclusive' : 'ok';
      })();
      return { name, ...INVARIANTS[name], state, checked, violations };
    });
  }
}

function inOrder(operations: readonly Operation[]): Operation[] {
  return operations.toSorted((a, b) => a.callUs - b.callUs || a.returnUs - b.returnUs);
}

function worst(verdicts: readonly TagVerdict[]): TagVerdict[] {
  return verdicts
    .toSorted((a, b) => LEVELS.indexOf(b.level) - LEVELS.indexOf(a.level) || (a.tag < b.tag ? -1 : 1))
    .slice(0, MAX_TAGS);
}

const NOTHING_SEEN: Visibility = { visibleUs: [], neverSeen: 0, neverAsked: 0, laggingLists: 0, lists: 0 };

function together(a: Visibility, b: Visibility): Visibility {
  return {
    visibleUs: b.visibleUs.length === 0 ? a.visibleUs : a.visibleUs.concat(b.visibleUs),
    neverSeen: a.neverSeen + b.neverSeen,
    neverAsked: a.neverAsked + b.neverAsked,
    laggingLists: a.laggingLists + b.laggingLists,
    lists: a.lists + b.lists,
  };
}
