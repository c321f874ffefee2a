import { counted, formatBytes, formatDuration } from '../../../base/index.ts';
import { type KindFigures, type LoadSummary, parseThreshold } from '../../../load/index.ts';
import type { Check, Metric, Report, Section, Series } from '../../../report/model.ts';
import { tortureSummary } from '../summary.ts';
import type { Cleanup, StressResult } from './result.ts';

type Figures = LoadSummary['totals'];
type Row = readonly [name: string, figures: Figures];

const GROUP = 'stress';

/** stress's answer in every format. */
export function reportStress(result: StressResult): Report {
  const { totals } = result;
  return {
    title: `torture stress of ${result.registry}`,
    sections: [
      tortureSummary({
        operations: totals.count,
        errors: totals.failed,
        snapshots: 0,
        initial: null,
        final: null,
      }),
      ...stressSections(result),
    ],
    checks: stressChecks(result),
    metrics: stressMetrics(result),
    series: stressSeries(result),
    summary: `${counted(totals.count, 'operation')} in ${formatDuration(result.durationMs)}, ${counted(totals.failed, 'error')}, ${rateOf(totals.ratePerSecond)}`,
  };
}

/** The parts of the report that are stress's alone: `torture all` puts them under one summary. */
export function stressSections(result: StressResult): Section[] {
  return [
    ...figureSections(result.operations, result.totals),
    { title: 'Run', facts: runFacts(result) },
    ...(result.cleanup ? [cleanupSection(result.cleanup)] : []),
  ];
}

/** Rates, latencies and errors by kind of operation. */
export function figureSections(kinds: readonly KindFigures[], totals?: Figures): Section[] {
  const rows: Row[] = kinds.map((one) => [one.kind, one]);
  if (totals && rows.length > 1) rows.push(['all', totals]);
  return [
    { title: 'Operations', table: throughput(rows) },
    ...(rows.some(([, { latency }]) => latency) ? [{ title: 'Latency', table: latencies(rows) }] : []),
    ...errorSections(kinds),
  ];
}

/**
 * One check per threshold, one of errors unless a threshold says how many are none, and what spoils the figures or
 * was left behind.
 */
export function stressChecks(result: StressResult): Check[] {
  const { cleanup, generator } = result;
  return [
    ...result.thresholds.map(
      ({ text, value, unit, ok }): Check => ({
        group: GROUP,
        name: text,
        status: ok ? 'pass' : 'fail',
        message: value === null ? 'nothing was measured' : `${round(value)}${unit === 'ms' ? ' ms' : unit}`,
      }),
    ),
    ...errorCheck(result),
    {
      group: GROUP,
      name: 'generator',
      advisory: true,
      status: generator.bound ? 'warn' : 'pass',
      message: generator.bound
        ? `generator-bound (${generator.boundBy.join(', ')}): the figures say as much of this machine as of the registry`
        : 'not the bottleneck',
    },
    ...(cleanup ? [cleanupCheck(cleanup, GROUP)] : []),
  ];
}

/** What was left behind is a warning. */
export function cleanupCheck(cleanup: Cleanup, group: string): Check {
  const { left, manifestsLeft, complete } = cleanup;
  return {
    group,
    name: 'clean-up',
    status: manifestsLeft > 0 || !complete ? 'warn' : 'pass',
    message: leftOver(cleanup),
    ...(left.length > 0
      ? {
          evidence: left.map(({ repository, tag, reason }) => `${repository}:${tag}: ${reason}`).join('\n'),
        }
      : {}),
  };
}

function errorCheck({ thresholds, totals }: StressResult): Check[] {
  if (thresholds.some(({ text }) => parseThreshold(text).metric === 'errors')) return [];
  const { count, failed, errors } = totals;
  const kinds = Object.entries(errors).map(([error, times]) => `${error} ${times}`);
  const message = failed === 0 ? 'none' : `${failed} of ${counted(count, 'operation')}: ${kinds.join(', ')}`;
  return [{ group: GROUP, name: 'errors', status: failed > 0 ? 'fail' : 'pass', message }];
}

/** Numbers by operation. */
export function stressMetrics(result: StressResult): Metric[] {
  return [
    ...figureMetrics(result.operations),
    {
      name: 'torture_dropped_total',
      help: 'Operations that were due but not sent, because too many were under way',
      type: 'counter',
      unit: 'c',
      value: result.dropped,
    },
  ];
}

/** Counts and latencies by kind of operation. */
export function figureMetrics(kinds: readonly KindFigures[]): Metric[] {
  return kinds.flatMap(({ kind, ...figures }) => metricsOf(figures, { operation: kind }));
}

/** Rate, errors and latency over time. */
export function stressSeries({ series }: StressResult): Series[] {
  const line = (
    plot: string,
    name: string,
    unit: string,
    of: (sample: LoadSummary['series'][number]) => number | null,
  ): Series => ({
    plot,
    name,
    unit,
    points: series.map((sample) => [sample.atMs, of(sample) ?? Number.NaN]),
  });
  if (series.length === 0) return [];
  return [
    line('Rate', 'operations', 'op/s', (sample) => sample.ratePerSecond),
    line('Rate', 'errors', 'op/s', (sample) => perSecond(sample.failed, sample.durationMs)),
    line('Latency', 'p50', 'ms', (sample) => sample.p50),
    line('Latency', 'p99', 'ms', (sample) => sample.p99),
  ];
}

function throughput(rows: readonly Row[]): NonNullable<Section['table']> {
  return {
    columns: [
      { title: 'operation' },
      ...['count', 'errors', 'rate', 'bytes', 'throughput'].map((title) => ({
        title,
        align: 'right' as const,
      })),
    ],
    rows: rows.map(([name, { count, failed, ratePerSecond, bytes }]) => [
      name,
      String(count),
      String(failed),
      rateOf(ratePerSecond),
      formatBytes(bytes),
      `${formatBytes(count === 0 ? 0 : Math.round((bytes / count) * ratePerSecond))}/s`,
    ]),
  };
}

function latencies(rows: readonly Row[]): NonNullable<Section['table']> {
  const timesFirstByte = rows.some(([, { firstByte }]) => firstByte);
  const names = ['min', 'mean', 'p50', 'p90', 'p95', 'p99', 'p999', 'max'] as const;
  return {
    columns: [
      { title: 'ms' },
      ...names.map((title) => ({ title: title === 'p999' ? 'p99.9' : title, align: 'right' as const })),
      ...(timesFirstByte ? [{ title: 'first byte p50', align: 'right' as const }] : []),
    ],
    rows: rows.map(([kind, { latency, firstByte }]) => [
      kind,
      ...names.map((name) => (latency ? round(latency[name]) : '-')),
      ...(timesFirstByte ? [firstByte ? round(firstByte.p50) : '-'] : []),
    ]),
  };
}

function errorSections(kinds: readonly KindFigures[]): Section[] {
  const rows = kinds.flatMap(({ kind, errors }) =>
    Object.entries(errors).map(([error, count]) => [kind, error, String(count)]),
  );
  if (rows.length === 0) return [];
  return [
    {
      title: 'Errors',
      table: {
        columns: [{ title: 'operation' }, { title: 'error' }, { title: 'count', align: 'right' }],
        rows,
      },
    },
  ];
}

function runFacts(result: StressResult): [string, string][] {
  const { generator, requests } = result;
  const sent = Object.entries(requests).map(([kind, count]) => `${kind} ${count}`);
  return [
    ['workload', result.api === undefined ? result.workload : `${result.workload} (${result.api} API)`],
    ['duration', formatDuration(result.durationMs)],
    ['seed', String(result.seed)],
    ['requests', sent.join(', ') || 'none'],
    ...(result.dropped > 0 ? [['dropped', String(result.dropped)] as [string, string]] : []),
    ...(result.unfinished > 0
      ? [['given up at the end', String(result.unfinished)] as [string, string]]
      : []),
    ...(result.abortedBy === null ? [] : [['ended by', result.abortedBy] as [string, string]]),
    [
      'generator',
      `${counted(generator.threads, 'thread')}, event-loop delay p99 ${round(generator.eventLoopDelayP99Ms)} ms, ${Math.round(generator.utilization * 100)} % busy${generator.bound ? ', generator-bound' : ''}`,
    ],
  ];
}

/** What became of what a run has written. */
export function cleanupSection(cleanup: Cleanup): Section {
  return {
    title: 'Clean-up',
    facts: [
      ['written below', cleanup.writePrefix],
      ['manifests pushed', String(cleanup.manifestsPushed)],
      ['deleted by the workload', String(cleanup.manifestsDeleted)],
      ['removed afterwards', String(cleanup.manifestsRemoved)],
      ['left', leftOver(cleanup)],
      ['blobs', "left to the registry's garbage collection"],
    ],
  };
}

function leftOver({ manifestsLeft, complete }: Cleanup): string {
  if (complete) return manifestsLeft === 0 ? 'nothing' : counted(manifestsLeft, 'manifest');
  return `${counted(manifestsLeft, 'manifest')} at least: time ran out`;
}

function metricsOf({ count, failed, bytes, latency }: Figures, labels: Record<string, string>): Metric[] {
  const counter = (name: string, help: string, value: number, unit: 'c' | 'B'): Metric => ({
    name,
    help,
    value,
    unit,
    labels,
    type: 'counter',
  });
  return [
    counter('torture_operations_total', 'Operations', count, 'c'),
    counter('torture_errors_total', 'Failed operations', failed, 'c'),
    counter('torture_bytes_total', 'Bytes received or sent', bytes, 'B'),
    ...(['p50', 'p90', 'p99', 'max'] as const).flatMap((quantile): Metric[] =>
      latency
        ? [
            {
              name: 'torture_latency_ms',
              help: 'Latency of operations from their intended start',
              value: latency[quantile],
              unit: 'ms',
              labels: { ...labels, quantile },
            },
          ]
        : [],
    ),
  ];
}

function perSecond(count: number, durationMs: number): number {
  return durationMs > 0 ? (count * 1000) / durationMs : 0;
}

function rateOf(ratePerSecond: number): string {
  return `${round(ratePerSecond)}/s`;
}

/** Three digits at least, no more after the point than they need. */
function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
