import { formatDuration } from '../../../base/index.ts';
import type { Check, Report, Section, Series } from '../../../report/model.ts';
import { consistencyTotals, reportConsistency } from '../consistency/report.ts';
import { monitorTotals, reportMonitor } from '../monitor/report.ts';
import { reportStress, stressSections } from '../stress/report.ts';
import { type TortureTotals, tortureSummary } from '../summary.ts';
import type { TortureResult } from './index.ts';

/** One report of the three phases, under the seed's summary of all of them. */
export function reportTorture(result: TortureResult): Report {
  const parts = {
    monitor: result.monitor && reportMonitor(result.monitor),
    consistency: result.consistency && reportConsistency(result.consistency),
    stress: result.stress && reportStress(result.stress),
  };
  const reports = Object.entries(parts).flatMap(([group, report]) => (report ? [{ group, report }] : []));
  const totals = totalsOf(result);
  const sections = reports.flatMap(({ group, report }): Section[] => [
    { title: group },
    ...(group === 'stress' && result.stress ? stressSections(result.stress) : withoutSummary(report)),
  ]);
  return {
    title: `torture of ${result.registry}`,
    sections: [tortureSummary(totals), ...sections],
    checks: reports.flatMap(({ group, report }) =>
      (report.checks ?? []).map((check): Check => ({ ...check, group })),
    ),
    metrics: reports.flatMap(({ report }) => report.metrics ?? []),
    series: [
      ...seriesOf(parts.monitor, result.monitor, result),
      ...seriesOf(parts.consistency, result.consistency, result),
      ...seriesOf(parts.stress, result.stress, result),
    ],
    summary: `${totals.operations} operations, ${totals.errors} errors in ${formatDuration(result.durationMs)}`,
  };
}

/** A phase's series, counted from the beginning of all of them: one after the other, each began at another time. */
function seriesOf(
  report: Report | null,
  phase: { readonly startedAt: string } | null,
  whole: TortureResult,
): readonly Series[] {
  if (!report || !phase) return [];
  const laterMs = Date.parse(phase.startedAt) - Date.parse(whole.startedAt);
  return (report.series ?? []).map((one) => ({
    ...one,
    points: one.points.map(([atMs, value]) => [atMs + laterMs, value]),
  }));
}

/** The seed counts what consistency and stress do; what the monitor asks is watching, not working. */
function totalsOf({ monitor, consistency, stress }: TortureResult): TortureTotals {
  const examined = consistency ? consistencyTotals(consistency) : undefined;
  const watched = monitor ? monitorTotals(monitor) : undefined;
  return {
    operations: (examined?.operations ?? 0) + (stress?.totals.count ?? 0),
    errors: (examined?.errors ?? 0) + (stress?.totals.failed ?? 0),
    snapshots: watched?.snapshots ?? 0,
    initial: watched?.initial ?? null,
    final: watched?.final ?? null,
  };
}

/** A phase's own summary comes first among its sections. */
function withoutSummary(report: Report): readonly Section[] {
  return (report.sections ?? []).slice(1);
}
