import { counted, formatDuration } from '../../../base/index.ts';
import type { Check, Metric, Report, Section, Series } from '../../../report/model.ts';
import { stateLine, tortureSummary } from '../summary.ts';
import type { AlertKind, MonitorAlert, MonitorResult, MonitorSample, ProbeKind } from './result.ts';

const PROBES: readonly ProbeKind[] = ['state', 'health', 'sessions'];
const MAX_ALERT_ROWS = 50;

/** A reading as the seed's monitor printed it. */
export function sampleLine(sample: MonitorSample): string {
  switch (sample.type) {
    case 'state':
      return stateLine(sample.state);
    case 'health':
      return `Registry health: ${sample.health.status}`;
    case 'sessions':
      return `Active sessions: ${sample.count ?? 'unknown'}`;
  }
}

/** An alert as one line: its message says it all, the severity goes before it. */
export function alertLine({ severity, message }: MonitorAlert): string {
  return `${severity.toUpperCase()} ${message}`;
}

/** torture monitor's answer: the seed's summary, what changed, how the probes fared, and the alerts. */
export function reportMonitor(result: MonitorResult): Report {
  return {
    sections: sectionsOf(result),
    checks: checksOf(result),
    metrics: metricsOf(result),
    series: seriesOf(result),
    summary: summaryOf(result),
  };
}

/** A run's probes as the operations of the seed's summary. */
export function monitorTotals({ probes, ...result }: MonitorResult) {
  const { snapshots, initial, final } = result;
  return {
    operations: PROBES.reduce((sum, kind) => sum + probes[kind].count, 0),
    errors: PROBES.reduce((sum, kind) => sum + probes[kind].failed, 0),
    snapshots,
    initial,
    final,
  };
}

function summaryOf(result: MonitorResult): string {
  const { final, alerts, snapshots } = result;
  const bad = alerts.filter(({ severity }) => severity !== 'note').length;
  const state = final
    ? `repos=${final.repositories}, manifests=${final.manifests}, blobs=${final.blobs}, health=${result.health}`
    : 'no state could be read';
  const span = `${counted(snapshots, 'snapshot')} in ${formatDuration(result.durationMs)}`;
  return `${result.registry}: ${state}; ${counted(bad, 'alert')}, ${span}${result.interrupted ? ' (interrupted)' : ''}`;
}

function sectionsOf(result: MonitorResult): Section[] {
  const { changes, alerts } = result;
  const sections: Section[] = [tortureSummary(monitorTotals(result))];
  if (changes) {
    sections.push({
      title: 'changes from the first state to the last',
      facts: [
        ['repositories', `${signed(changes.repositories)}${namesOf(changes)}`],
        ['manifests', signed(changes.manifests)],
        ['blobs', signed(changes.blobs)],
        ['repositories with other tag counts', String(changes.retaggedCount)],
      ],
    });
  }
  sections.push({
    title: 'probes',
    table: {
      columns: [
        { title: 'probe' },
        ...['count', 'failed', 'slow', 'min ms', 'mean ms', 'max ms'].map((title) => ({
          title,
          align: 'right' as const,
        })),
      ],
      rows: PROBES.map((kind) => {
        const { count, failed, slow, latencyMs } = result.probes[kind];
        const times = latencyMs ? [latencyMs.min, latencyMs.mean, latencyMs.max] : [];
        const shown = times.map((ms) => ms.toFixed(0));
        return [kind, String(count), String(failed), String(slow), ...(latencyMs ? shown : ['', '', ''])];
      }),
    },
  });
  if (alerts.length > 0) {
    sections.push({
      title:
        alerts.length > MAX_ALERT_ROWS ? `alerts (the last ${MAX_ALERT_ROWS} of ${alerts.length})` : 'alerts',
      table: {
        columns: [{ title: 'time' }, { title: 'severity' }, { title: 'message', shrink: true }],
        rows: alerts.slice(-MAX_ALERT_ROWS).map(({ at, severity, message }) => [at, severity, message]),
      },
    });
  }
  return sections;
}

function namesOf(changes: NonNullable<MonitorResult['changes']>): string {
  const some = (names: readonly string[], count: number): string =>
    names.slice(0, 5).join(' ') + (count > 5 ? ' …' : '');
  const parts = [
    ...(changes.appearedCount > 0 ? [`new: ${some(changes.appeared, changes.appearedCount)}`] : []),
    ...(changes.vanishedCount > 0 ? [`gone: ${some(changes.vanished, changes.vanishedCount)}`] : []),
  ];
  return parts.length > 0 ? ` (${parts.join('; ')})` : '';
}

function signed(count: number): string {
  return count > 0 ? `+${count}` : String(count);
}

/** Which alerts speak against which check. */
const CHECKS: readonly (readonly [name: string, good: string, kinds: readonly AlertKind[]])[] = [
  ['probes', 'every probe was answered', ['probe-failed', 'partial-state']],
  ['response-time', 'no reply was slow', ['probe-slow']],
  ['health', 'healthy all the time', ['health-changed']],
  ['repositories', 'never fewer than before', ['repositories-dropped']],
  ['manifests', 'never fewer than before', ['manifests-dropped']],
  ['blobs', 'never fewer than before', ['blobs-dropped']],
  ['sessions', 'none too long', ['long-session']],
];

function checksOf(result: MonitorResult): Check[] {
  if (result.final === null) {
    return [
      { name: 'probes', status: 'fail', message: result.alerts[0]?.message ?? 'no state could be read' },
    ];
  }
  return CHECKS.map(([name, good, kinds]): Check => {
    const against = result.alerts.filter(({ kind, severity }) => severity !== 'note' && kinds.includes(kind));
    const worst = against.find(({ severity }) => severity === 'critical') ?? against.at(-1);
    if (!worst) return { name, status: 'pass', message: good };
    const more = against.length > 1 ? ` (and ${against.length - 1} more)` : '';
    return {
      name,
      status: worst.severity === 'critical' ? 'fail' : 'warn',
      message: worst.message + more,
    };
  });
}

function metricsOf(result: MonitorResult): Metric[] {
  const { final, sessions, probes } = result;
  const metrics: Metric[] = [];
  const add = (name: string, help: string, value: number, unit: Metric['unit'] = ''): void => {
    metrics.push({ name, help, value, unit });
  };
  if (final) {
    add('repositories', 'Repositories in the registry.', final.repositories);
    add('manifests', 'Manifests in the registry.', final.manifests);
    add('blobs', 'Blobs in the registry.', final.blobs);
  }
  if (sessions !== null) add('sessions', 'Uploads under way.', sessions);
  add('healthy', 'Whether the registry is healthy: 1, or 0.', result.health === 'healthy' ? 1 : 0);
  add('snapshots_total', 'States taken.', result.snapshots, 'c');
  for (const kind of PROBES) {
    const { count, failed, latencyMs } = probes[kind];
    const labels = { probe: kind };
    metrics.push({ name: 'probes_total', help: 'Probes made.', value: count, unit: 'c', labels });
    metrics.push({
      name: 'probes_failed_total',
      help: 'Probes that gave no answer.',
      value: failed,
      unit: 'c',
      labels,
    });
    if (latencyMs) {
      metrics.push({
        name: 'probe_latency_max_ms',
        help: 'The longest wait for a reply to a probe.',
        value: latencyMs.max,
        unit: 'ms',
        labels,
      });
    }
  }
  for (const [kind, count] of Object.entries(result.alertCounts)) {
    metrics.push({ name: 'alerts_total', help: 'Alerts raised.', value: count, unit: 'c', labels: { kind } });
  }
  return metrics;
}

/** What the registry held over time, and how long it took to say so. */
function seriesOf({ history, startedAt }: MonitorResult): Series[] {
  if (history.length === 0) return [];
  const begun = Date.parse(startedAt);
  const line = (
    plot: string,
    name: string,
    unit: string,
    of: (state: MonitorResult['history'][number]) => number,
  ): Series => ({
    plot,
    name,
    unit,
    step: plot === 'State',
    points: history.map((state) => [Date.parse(state.takenAt) - begun, of(state)]),
  });
  return [
    line('State', 'repositories', '', (state) => state.repositories),
    line('State', 'manifests', '', (state) => state.manifests),
    line('State', 'blobs', '', (state) => state.blobs),
    line('Probes', 'state', 'ms', (state) => state.latencyMs),
  ];
}
