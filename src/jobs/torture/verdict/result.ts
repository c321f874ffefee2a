import { RegopsError } from '../../../base/index.ts';
import {
  type Finding,
  type HistoryHeader,
  INVARIANTS,
  type InvariantName,
  type InvariantVerdict,
  type Judgement,
  LEVELS,
  type Level,
  type Operation,
  type Overlap,
  type Visibility,
} from '../../../history/index.ts';
import type { KindFigures } from '../../../load/index.ts';
import type { Cleanup } from '../stress/result.ts';

/** What a run can be asked to keep: every tag this level, or a stronger one. */
export type RequiredLevel = Exclude<Level, 'none'>;

/**
 * - `ok`: everything that was required held.
 * - `violated`: something that was required did not.
 * - `unknown`: on some tag too much was open at once to tell.
 * - `inconclusive`: nothing was violated, but so little overlapped, or could be looked at in the end, that this proves
 *   little.
 */
export type Verdict = 'ok' | 'violated' | 'unknown' | 'inconclusive';

/** How long it took until lists showed what had been added. Times are milliseconds. */
export interface VisibilitySummary {
  readonly lists: number;
  readonly laggingLists: number;
  readonly seen: number;
  readonly neverSeen: number;
  readonly neverAsked: number;
  /** Null when nothing was seen. */
  readonly timeToVisible: {
    readonly p50Ms: number;
    readonly p90Ms: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  } | null;
}

/** An operation as JSON has it: times in milliseconds since the run began. */
export type OperationRecord = Omit<Operation, 'callUs' | 'returnUs'> & {
  readonly callMs: number;
  readonly returnMs: number;
};

/** What a registry is held against. */
export interface Requirement {
  /** Every tag must meet it. */
  readonly level: RequiredLevel;
  /** What the registry is known for: it is told, and breaks nothing. */
  readonly allowed: readonly InvariantName[];
}

/** A violation and the fewest operations that show it. */
export interface VerdictFinding extends Omit<Finding, 'operations' | 'suspects' | 'context'> {
  /** The registry is known for it. */
  readonly allowed: boolean;
  readonly operations: readonly OperationRecord[];
  readonly suspects: readonly OperationRecord[];
  readonly context: readonly OperationRecord[];
}

/** One invariant, and whether its violation breaks what was required. */
export interface VerdictInvariant extends InvariantVerdict {
  readonly required: boolean;
  /** The registry is known for it: then it is not required. */
  readonly allowed: boolean;
}

/** What is known of the run that a judgement is of; a recorded history says what its first line said. */
export interface VerdictRun {
  readonly registry: string | null;
  readonly workload: string | null;
  readonly seed: number | null;
  readonly startedAt: string | null;
  /** From the first call to the last return. */
  readonly durationMs: number;
  /** How fast the workload's clients were served, over the time that they were at it. */
  readonly kinds: readonly KindFigures[];
  /** Repositories that gave no answer when they were looked at once more: what was left there nobody has seen. */
  readonly unseenRepositories: number;
  /** By how much every operation was widened because clocks differ. */
  readonly skewMs: number;
  /** What the judgement allowed lists and replicas after the last change, and deletes after their answer. */
  readonly settleMs: number;
  readonly deleteGraceMs: number;
  /** The history file, written or read. */
  readonly history: string | null;
  /** The repro file of the gravest finding, when one was asked for and something was found. */
  readonly repro: string | null;
  readonly interrupted: boolean;
  /** Of a run, not of a recorded history. */
  readonly cleanup?: Cleanup;
}

/** The `result` of the JSON answer of `torture check`, and of `torture stress` with a workload that is judged. */
export interface VerdictResult extends VerdictRun {
  readonly verdict: Verdict;
  readonly required: RequiredLevel;
  readonly allowed: readonly InvariantName[];
  /** The strongest level every tag met; null when no tag was judged. */
  readonly level: Level | null;
  readonly operations: number;
  /** Operations that came after their repository had been judged. */
  readonly late: number;
  readonly tags: {
    readonly count: number;
    readonly byLevel: Readonly<Record<Level, number>>;
    readonly unknown: number;
    /** Those that did not meet the strongest level, worst first, at most a hundred. */
    readonly weaker: Judgement['tags']['verdicts'];
  };
  readonly overlap: Overlap;
  readonly invariants: readonly VerdictInvariant[];
  /** What is not allowed first, and of it the gravest; at most ten of each invariant. */
  readonly findings: readonly VerdictFinding[];
  readonly findingsDropped: number;
  readonly visibility: {
    readonly tagLists: VisibilitySummary;
    readonly referrers: VisibilitySummary;
    readonly catalog: VisibilitySummary;
  };
}

/** The weakest level that is not met once one of these is violated; the other invariants do not depend on it. */
const LEVEL_OF: Partial<Record<InvariantName, RequiredLevel>> = {
  'stale-read': 'linearizable',
  'tag-lost': 'linearizable',
  'read-your-writes': 'session',
  'monotonic-reads': 'session',
  'monotonic-writes': 'session',
  'writes-follow-reads': 'session',
  'lost-update': 'eventual',
};
const MAX_TAGS = 100;

/** The invariants of these names. Throws USAGE for one that is none. */
export function invariantsNamed(names: readonly string[]): InvariantName[] {
  const unknown = names.find((name) => !Object.hasOwn(INVARIANTS, name));
  if (unknown !== undefined) {
    throw new RegopsError('USAGE', `'${unknown}' is no finding that can be allowed`, {
      hints: [`One of: ${Object.keys(INVARIANTS).join(', ')}.`],
    });
  }
  return names as InvariantName[];
}

/** True when a violation of the invariant breaks what was required, not only a stronger level. */
function isRequired(invariant: InvariantName, required: RequiredLevel): boolean {
  const level = LEVEL_OF[invariant];
  return level === undefined || LEVELS.indexOf(level) >= LEVELS.indexOf(required);
}

/** What a judgement says of a run, held against what was required. */
export function verdictResult(
  judgement: Judgement,
  { level: required, allowed }: Requirement,
  run: VerdictRun,
): VerdictResult {
  const { tags, visibility } = judgement;
  const isAllowed = (name: InvariantName): boolean => allowed.includes(name);
  const invariants = judgement.invariants.map((one) => ({
    ...one,
    required: isRequired(one.name, required) && !isAllowed(one.name),
    allowed: isAllowed(one.name),
  }));
  const findings = judgement.findings.map((finding) => ({
    ...finding,
    allowed: isAllowed(finding.invariant),
    operations: finding.operations.map(recordOf),
    suspects: finding.suspects.map(recordOf),
    context: finding.context.map(recordOf),
  }));
  return {
    ...run,
    verdict: verdictOf(judgement, invariants, required, run),
    required,
    allowed,
    level: judgement.level,
    operations: judgement.operations,
    late: judgement.late,
    tags: {
      count: tags.count,
      byLevel: tags.byLevel,
      unknown: tags.unknown,
      weaker: tags.verdicts
        .filter(({ linearizable, level }) => linearizable !== 'ok' || level !== 'linearizable')
        .slice(0, MAX_TAGS),
    },
    overlap: judgement.overlap,
    invariants,
    findings: findings.toSorted((a, b) => Number(a.allowed) - Number(b.allowed)),
    findingsDropped: judgement.findingsDropped,
    visibility: {
      tagLists: visibilitySummary(visibility.tagLists),
      referrers: visibilitySummary(visibility.referrers),
      catalog: visibilitySummary(visibility.catalog),
    },
  };
}

/** Whether a verdict is no problem found; with `strict` only `ok` is not. */
export function isAccepted({ verdict }: Pick<VerdictResult, 'verdict'>, strict: boolean): boolean {
  return verdict === 'ok' || (verdict !== 'violated' && !strict);
}

/** What is known of a run by the first line of its history. */
export function runOf(
  header: HistoryHeader | undefined,
): Pick<VerdictRun, 'registry' | 'workload' | 'seed' | 'startedAt' | 'skewMs'> {
  return {
    registry: header?.registry ?? null,
    workload: header?.workload ?? null,
    seed: header?.seed ?? null,
    startedAt: header?.startedAt ?? null,
    skewMs: (header?.skewUs ?? 0) / 1000,
  };
}

/** An operation as JSON has it. */
function recordOf({ callUs, returnUs, ...rest }: Operation): OperationRecord {
  return { ...rest, callMs: callUs / 1000, returnMs: returnUs / 1000 };
}

/** The operation that a record is of. */
export function operationOf({ callMs, returnMs, ...rest }: OperationRecord): Operation {
  return { ...rest, callUs: Math.round(callMs * 1000), returnUs: Math.round(returnMs * 1000) };
}

/** A tag that did not meet what was required has violated one of the invariants, too. */
function verdictOf(
  { tags }: Judgement,
  invariants: readonly VerdictInvariant[],
  required: RequiredLevel,
  { unseenRepositories }: VerdictRun,
): Verdict {
  if (invariants.some(({ state, required }) => state === 'violated' && required)) return 'violated';
  if (required === 'linearizable' && tags.unknown > 0) return 'unknown';
  const proves = unseenRepositories === 0 && !invariants.some(({ state }) => state === 'inconclusive');
  return proves ? 'ok' : 'inconclusive';
}

function visibilitySummary({ visibleUs, ...counts }: Visibility): VisibilitySummary {
  const sorted = Float64Array.from(visibleUs).sort();
  const at = (share: number): number => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1000;
  return {
    ...counts,
    seen: sorted.length,
    timeToVisible:
      sorted.length === 0 ? null : { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), maxMs: at(1) },
  };
}
