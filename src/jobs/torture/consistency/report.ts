import { counted, formatBytes, formatDuration } from '../../../base/index.ts';
import type { Check, Metric, Report, Section } from '../../../report/model.ts';
import { type TortureTotals, tortureSummary } from '../summary.ts';
import {
  type CheckName,
  type ConsistencyResult,
  FINDING_KINDS,
  type Finding,
  type Severity,
} from './result.ts';

const MAX_ROWS = 200;
const MAX_EVIDENCE_SHOWN = 20;

/** What each check says when nothing speaks against it. */
const CHECKS: Readonly<Record<CheckName, string>> = {
  'tag-counts': 'state and details count the same tags',
  'tags-resolve': 'every tag of the lists resolves',
  digests: 'bytes, headers and digests agree',
  'head-get': 'HEAD and GET agree',
  manifests: 'every manifest is well-formed and of its media type',
  references: 'every referenced blob and manifest is there with its size',
  lists: 'the lists agree',
  ghosts: 'no repository without tags',
  replies: 'every reply came whole',
  'response-time': 'no reply was slow',
};

/** A finding as one line: `ERROR missing-blob: blob sha256:… is missing; …`. */
export function findingLine({ severity, kind, message }: Finding): string {
  return `${severity.toUpperCase()} ${kind}: ${message}`;
}

/** torture consistency's answer: the seed's summary, what was checked, and the findings with their evidence. */
export function reportConsistency(result: ConsistencyResult): Report {
  return {
    sections: sectionsOf(result),
    checks: (Object.keys(CHECKS) as CheckName[]).map((name) => checkOf(name, result)),
    metrics: metricsOf(result),
    summary: summaryOf(result),
  };
}

/** A run's figures as the seed's summary counts them. */
export function consistencyTotals({ operations, errors }: ConsistencyResult): TortureTotals {
  return { operations, errors, snapshots: 0, initial: null, final: null };
}

function summaryOf(result: ConsistencyResult): string {
  const { checked, findings } = result;
  const of = (severity: Severity): number => findings.filter((one) => one.severity === severity).length;
  return (
    `${result.registry}: ${counted(of('error'), 'error')}, ${counted(of('warning'), 'warning')} in ` +
    `${counted(checked.repositories, 'repository', 'repositories')}, ${counted(checked.tags, 'tag')} ` +
    `(${counted(result.passes, 'pass', 'passes')}, ${formatDuration(result.durationMs)})` +
    (result.interrupted ? ' (interrupted)' : '')
  );
}

function sectionsOf(result: ConsistencyResult): Section[] {
  const { checked, findings } = result;
  const sections: Section[] = [
    tortureSummary(consistencyTotals(result)),
    {
      title: 'checked',
      facts: [
        ['registry', `${result.registry}${result.api === null ? '' : ` (${result.api})`}`],
        ['passes', `${result.passes}${result.partial ? ' and a part' : ''}`],
        ['repositories', `${checked.repositories}${result.truncated ? ' (there are more)' : ''}`],
        ['tags', String(checked.tags)],
        ['manifests', String(checked.manifests)],
        ['blobs', `${checked.blobs}${result.deep ? ', read and hashed' : ''}`],
        ['read', `${formatBytes(checked.readBytes)} in ${counted(checked.requests, 'request')}`],
      ],
    },
  ];
  if (findings.length === 0) return sections;
  const more = findings.length > MAX_ROWS || result.findingsDropped > 0;
  sections.push({
    title: more ? `findings (${findings.length + result.findingsDropped} in all)` : 'findings',
    table: {
      columns: [
        { title: 'severity' },
        { title: 'kind' },
        { title: 'where' },
        { title: 'passes', align: 'right' },
        { title: 'message', shrink: true },
      ],
      rows: findings
        .slice(0, MAX_ROWS)
        .map((one) => [one.severity, one.kind, placeOf(one), String(one.passes), one.message]),
    },
  });
  const proven = findings.filter(({ severity, evidence }) => severity !== 'note' && evidence.length > 0);
  if (proven.length > 0) {
    sections.push({
      title: 'evidence',
      text: proven.slice(0, MAX_EVIDENCE_SHOWN).flatMap(evidenceLines).join('\n'),
    });
  }
  return sections;
}

function placeOf({ repository, reference }: Finding): string {
  if (repository === null) return reference ?? '';
  if (reference === null) return repository;
  return `${repository}${reference.includes(':') ? '@' : ':'}${reference}`;
}

function evidenceLines(finding: Finding): string[] {
  return [
    `${finding.kind} ${placeOf(finding)}`,
    ...finding.evidence.map(({ at, request, status, durationMs, headers, bodyBytes, failure }) => {
      const said = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      const body = bodyBytes === undefined ? [] : [`${bodyBytes} bytes`];
      const all = [...said, ...body, ...(failure === undefined ? [] : [failure])];
      return `  ${at} ${request} -> ${status ?? 'no reply'} in ${durationMs} ms${all.length > 0 ? ` (${all.join(', ')})` : ''}`;
    }),
  ];
}

function checkOf(name: CheckName, result: ConsistencyResult): Check {
  const own = result.findings.filter(({ kind }) => FINDING_KINDS[kind].check === name);
  const against = own.filter(({ severity }) => severity !== 'note');
  const [worst] = against;
  if (!worst) {
    // Nothing was looked at to its end: that nothing was found says nothing.
    if (result.passes === 0) return { name, status: 'unknown', message: 'no pass came to its end' };
    if (name === 'tag-counts' && result.api === 'oci') {
      return { name, status: 'pass', message: 'nothing to compare without the admin API' };
    }
    return { name, status: 'pass', message: CHECKS[name] };
  }
  const more = against.length > 1 ? ` (and ${against.length - 1} more)` : '';
  return { name, status: worst.severity === 'error' ? 'fail' : 'warn', message: `${worst.message}${more}` };
}

function metricsOf(result: ConsistencyResult): Metric[] {
  const { checked, findings } = result;
  const total = (name: string, help: string, value: number, unit: Metric['unit'] = 'c'): Metric => ({
    name,
    help,
    value,
    unit,
  });
  const severities: readonly Severity[] = ['error', 'warning', 'note'];
  return [
    ...severities.map(
      (severity): Metric => ({
        name: 'findings',
        help: 'What is not as it should be.',
        value: findings.filter((one) => one.severity === severity).length,
        labels: { severity },
        ...(severity === 'error' ? { critical: 0 } : severity === 'warning' ? { warn: 0 } : {}),
      }),
    ),
    total('passes_total', 'Passes that looked at everything.', result.passes),
    total('repositories_checked_total', 'Repositories checked.', checked.repositories),
    total('tags_checked_total', 'Tags checked.', checked.tags),
    total('manifests_checked_total', 'Manifests checked.', checked.manifests),
    total('blobs_checked_total', 'Blobs checked.', checked.blobs),
    total('read_bytes', 'Bytes read.', checked.readBytes, 'B'),
    total('requests_total', 'Requests made.', checked.requests),
  ];
}
