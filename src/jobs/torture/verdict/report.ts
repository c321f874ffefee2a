import { counted, formatDuration } from '../../../base/index.ts';
import {
  describeOperation,
  type InvariantState,
  LEVELS,
  renderTimeline,
  type Tier,
} from '../../../history/index.ts';
import type { Check, Metric, Report, Section, Timeline, TimelineBar } from '../../../report/model.ts';
import { cleanupCheck, cleanupSection, figureMetrics, figureSections } from '../stress/report.ts';
import {
  operationOf,
  type Verdict,
  type VerdictFinding,
  type VerdictInvariant,
  type VerdictResult,
  type VisibilitySummary,
} from './result.ts';

const GROUP = 'verdict';
/** Time lines with a check; all are in the sections. */
const MAX_EVIDENCE = 3;

const TIER_WORDS: Readonly<Record<Tier, string>> = {
  must: 'the spec',
  expected: 'expected',
  'not-promised': 'not promised',
};
const STATE_WORDS: Readonly<Record<InvariantState, string>> = {
  ok: 'kept',
  violated: 'VIOLATED',
  unknown: 'unknown',
  inconclusive: 'inconclusive',
  unchecked: 'not checked',
};
const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  ok: 'kept what was required',
  violated: 'did not keep what was required',
  unknown: 'nobody can tell: too much was open at once',
  inconclusive: 'nothing that was required was violated, but that proves little',
};
const LISTS = [
  ['tagLists', 'tag lists', 'tags'],
  ['referrers', 'referrers', 'referrers'],
  ['catalog', 'catalog', 'catalog'],
] as const;

/** What a judged history says, in every format. */
export function reportVerdict(result: VerdictResult): Report {
  return {
    title: `consistency of ${result.registry ?? 'a registry'}`,
    sections: verdictSections(result),
    checks: verdictChecks(result),
    metrics: verdictMetrics(result),
    summary: verdictSummary(result),
  };
}

/** The verdict in one sentence. */
export function verdictSummary({
  verdict,
  operations,
  level,
  findings,
  findingsDropped,
  invariants,
}: VerdictResult): string {
  const found = findings.length + findingsDropped;
  const tags = level === null ? '' : `, tags ${levelWord(level)}`;
  const known = invariants
    .filter(({ allowed }) => allowed)
    .reduce((sum, { violations }) => sum + violations, 0);
  const allowed = known === 0 ? '' : known === found ? ', allowed' : `, ${known} of them allowed`;
  return `${verdict}: ${VERDICT_WORDS[verdict]}; ${counted(operations, 'operation')}${tags}, ${found === 0 ? 'no findings' : counted(found, 'finding')}${allowed}`;
}

/** What was seen, then each finding with its time line. */
export function verdictSections(result: VerdictResult): Section[] {
  const { tags, findings, findingsDropped } = result;
  const visibility = LISTS.flatMap(([key, name]) => visibilityRow(name, result.visibility[key]));
  return [
    { title: 'Verdict', facts: facts(result) },
    { title: 'Invariants', table: invariantTable(result.invariants) },
    ...(visibility.length > 0 ? [{ title: 'Time to visible', table: visibilityTable(visibility) }] : []),
    ...(result.kinds.length > 0 ? figureSections(result.kinds) : []),
    ...(tags.weaker.length > 0 ? [{ title: 'Tags below linearizable', table: tagTable(tags.weaker) }] : []),
    ...findings.map((finding, at) => findingSection(finding, `${at + 1}. `)),
    ...(findingsDropped > 0
      ? [{ text: `… and ${counted(findingsDropped, 'finding')} more of the same invariants` }]
      : []),
    ...(result.cleanup ? [cleanupSection(result.cleanup)] : []),
  ];
}

/**
 * One check for each invariant. A violation fails when it breaks what was required; of a stronger level, or allowed, it
 * is a warning. What nothing was held against is unknown, and no fault of the registry's.
 */
export function verdictChecks(result: VerdictResult): Check[] {
  return [
    ...result.invariants.map((invariant) => invariantCheck(invariant, result.findings)),
    ...undecided(result),
    ...(result.cleanup ? [cleanupCheck(result.cleanup, GROUP)] : []),
  ];
}

/** Why there is no verdict, as a check of its own. */
function undecided({ verdict, tags, overlap, unseenRepositories: unseen }: VerdictResult): Check[] {
  const check = { group: GROUP, name: 'conclusive', status: 'unknown' } as const;
  switch (verdict) {
    case 'unknown':
      return [
        {
          ...check,
          message: `of ${counted(tags.unknown, 'tag')} nobody can tell: too much was open at once`,
        },
      ];
    case 'inconclusive':
      return [
        {
          ...check,
          message:
            unseen > 0
              ? `${counted(unseen, 'repository', 'repositories')} gave no answer when all was quiet: that nothing was violated proves little`
              : `only ${counted(overlap.changePairs, 'pair')} of changes and ${counted(overlap.racingReads, 'read')} overlapped: that nothing was violated proves little`,
        },
      ];
    default:
      return [];
  }
}

/** Numbers by invariant, level and list. */
export function verdictMetrics(result: VerdictResult): Metric[] {
  return [
    count('torture_judged_operations_total', 'Operations that were judged', result.operations),
    ...LEVELS.map((level) => ({
      name: 'torture_tags',
      help: 'Tags by the strongest level they met',
      value: result.tags.byLevel[level],
      labels: { level },
    })),
    ...result.invariants
      .filter(({ state }) => state !== 'unchecked')
      .map(({ name, tier, violations }) =>
        count('torture_violations_total', 'Violations', violations, { invariant: name, tier }),
      ),
    count(
      'torture_overlapping_pairs_total',
      'Pairs of changes of one tag at the same time',
      result.overlap.changePairs,
    ),
    count('torture_racing_reads_total', 'Reads during a change of their tag', result.overlap.racingReads),
    ...LISTS.flatMap(([key, , list]) => {
      const { timeToVisible } = result.visibility[key];
      if (timeToVisible === null) return [];
      const { p50Ms, p99Ms, maxMs } = timeToVisible;
      return Object.entries({ p50: p50Ms, p99: p99Ms, max: maxMs }).map(
        ([quantile, value]): Metric => ({
          name: 'torture_time_to_visible_ms',
          help: 'Time until a list showed what had been added',
          unit: 'ms',
          value,
          labels: { list, quantile },
        }),
      );
    }),
    ...figureMetrics(result.kinds),
  ];
}

function count(name: string, help: string, value: number, labels?: Record<string, string>): Metric {
  return { name, help, value, type: 'counter', unit: 'c', ...(labels ? { labels } : {}) };
}

function facts(result: VerdictResult): [string, string][] {
  const { tags, overlap, invariants } = result;
  const given = (name: string, value: string | number | null): [string, string][] =>
    value === null ? [] : [[name, String(value)]];
  const unchecked = invariants.filter(({ state }) => state === 'unchecked').map(({ name }) => name);
  return [
    ...given('registry', result.registry),
    ...given('workload', result.workload),
    ...given('seed', result.seed),
    ...given('started', result.startedAt),
    ['duration', formatDuration(result.durationMs)],
    ['operations', String(result.operations)],
    ['required', result.required],
    ...(result.allowed.length > 0 ? [['allowed', result.allowed.join(', ')] as [string, string]] : []),
    ['met', result.level === null ? 'no tag was judged' : levelWord(result.level)],
    ...(tags.count > 0 ? [['tags', tagCounts(tags)] as [string, string]] : []),
    [
      'overlap',
      `${counted(overlap.changePairs, 'pair')} of changes of one tag, ${counted(overlap.racingReads, 'read')} during a change`,
    ],
    ...(result.unseenRepositories > 0
      ? [
          ['not seen in the end', counted(result.unseenRepositories, 'repository', 'repositories')] as [
            string,
            string,
          ],
        ]
      : []),
    ...(result.skewMs > 0 ? [['clocks differ by', `at most ${result.skewMs} ms`] as [string, string]] : []),
    ...(unchecked.length > 0 ? [['not checked', unchecked.join(', ')] as [string, string]] : []),
    ...given('history', result.history),
    ...given('repro file', result.repro ?? (result.findings.length > 0 ? '--repro FILE writes one' : null)),
  ];
}

function tagCounts({ count, byLevel, unknown }: VerdictResult['tags']): string {
  const levels = LEVELS.filter((level) => byLevel[level] > 0).map(
    (level) => `${byLevel[level]} ${levelWord(level)}`,
  );
  return `${count}: ${[...levels, ...(unknown > 0 ? [`of ${unknown} it is unknown whether linearizable`] : [])].join(', ')}`;
}

function levelWord(level: (typeof LEVELS)[number]): string {
  return level === 'none' ? 'at no level' : level;
}

function invariantTable(invariants: readonly VerdictInvariant[]): NonNullable<Section['table']> {
  return {
    columns: [
      { title: 'invariant' },
      { title: 'by' },
      { title: 'checked', align: 'right' },
      { title: 'violated', align: 'right' },
      { title: 'state' },
      { title: 'says', shrink: true },
    ],
    rows: invariants
      .filter(({ state }) => state !== 'unchecked')
      .map(({ name, tier, checked, violations, state, allowed, says }) => [
        name,
        TIER_WORDS[tier],
        String(checked),
        String(violations),
        allowed && state === 'violated' ? 'violated, allowed' : STATE_WORDS[state],
        says,
      ]),
  };
}

function visibilityTable(rows: readonly string[][]): NonNullable<Section['table']> {
  return {
    columns: [
      { title: 'list' },
      ...['read', 'lagging', 'seen', 'never seen', 'p50', 'p90', 'p99', 'max'].map((title) => ({
        title,
        align: 'right' as const,
      })),
    ],
    rows,
  };
}

function visibilityRow(name: string, summary: VisibilitySummary): string[][] {
  const { lists, laggingLists, seen, neverSeen, timeToVisible } = summary;
  if (lists === 0) return [];
  const times = timeToVisible ?? { p50Ms: null, p90Ms: null, p99Ms: null, maxMs: null };
  return [
    [
      name,
      ...[lists, laggingLists, seen, neverSeen].map(String),
      ...[times.p50Ms, times.p90Ms, times.p99Ms, times.maxMs].map((ms) =>
        ms === null ? '-' : `${ms.toFixed(1)} ms`,
      ),
    ],
  ];
}

function tagTable(tags: VerdictResult['tags']['weaker']): NonNullable<Section['table']> {
  return {
    columns: [
      { title: 'repository', shrink: true },
      { title: 'tag' },
      { title: 'met' },
      { title: 'linearizable' },
      { title: 'operations', align: 'right' },
    ],
    rows: tags.map(({ repository, tag, level, linearizable, operations }) => [
      repository,
      tag,
      levelWord(level),
      linearizable,
      String(operations),
    ]),
  };
}

/** A finding with its time line. @param before what its heading begins with */
export function findingSection(finding: VerdictFinding, before = ''): Section {
  const { invariant, tier, sentence, suspects, allowed } = finding;
  return {
    title: `${before}${invariant} ${placeOf(finding)}`.trimEnd(),
    facts: [
      ['promised by', TIER_WORDS[tier]],
      ...(allowed ? [['allowed', 'the registry is known for it'] as const] : []),
      ['why', sentence],
      ...suspects.map((one): [string, string] => [
        'suspect',
        `client ${one.client}: ${describeOperation(operationOf(one))}`,
      ]),
    ],
    timeline: timelineOf(finding),
  };
}

/** A finding in plain text: the sentence, and the time line. */
export function evidenceOf(finding: VerdictFinding): string {
  const { sentence, operations } = finding;
  return `${placeOf(finding)}: ${sentence}\n\n${renderTimeline(operations.map(operationOf))}`;
}

function placeOf({ repository, reference }: VerdictFinding): string {
  return `${repository}${reference === '' ? '' : reference.includes(':') ? `@${reference}` : `:${reference}`}`;
}

function timelineOf({ operations }: VerdictFinding): Timeline {
  return {
    text: renderTimeline(operations.map(operationOf)),
    bars: operations.map((one, at): TimelineBar => {
      const note = [
        ...(one.requestId === undefined ? [] : [`request ${one.requestId}`]),
        ...(one.remote === undefined ? [] : [`from ${one.remote}`]),
      ].join(', ');
      return {
        lane: `client ${one.client}`,
        label: String.fromCharCode(65 + (at % 26)),
        name: describeOperation(operationOf(one)),
        fromMs: one.callMs,
        toMs: one.returnMs,
        ...(note === '' ? {} : { note }),
        ...(one.outcome === 'unknown' ? { open: true } : {}),
      };
    }),
  };
}

function invariantCheck(invariant: VerdictInvariant, findings: readonly VerdictFinding[]): Check {
  const { name, tier, says, state, checked, violations, required, allowed } = invariant;
  const check = { group: GROUP, name };
  switch (state) {
    case 'violated':
      return {
        ...check,
        status: required ? 'fail' : 'warn',
        ...(required ? {} : { advisory: true }),
        message: `${counted(violations, 'violation')} in ${checked} checks (${TIER_WORDS[tier]}${allowed ? ', allowed' : ''}): ${says}`,
        evidence: findings
          .filter(({ invariant: found }) => found === name)
          .slice(0, MAX_EVIDENCE)
          .map(evidenceOf)
          .join('\n\n'),
      };
    case 'ok':
      return { ...check, status: 'pass', message: `kept in ${counted(checked, 'check')}` };
    case 'unchecked':
      return { ...check, status: 'unknown', advisory: true, message: 'nothing was seen that could break it' };
    case 'inconclusive':
      return { ...check, status: 'unknown', advisory: true, message: 'kept, but hardly anything overlapped' };
    case 'unknown':
      return {
        ...check,
        status: 'unknown',
        advisory: true,
        message: 'too much was open at once on some tag',
      };
  }
}
