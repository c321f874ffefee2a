import { escapeText } from '../base/index.ts';
import type { Check, Ending, Metric, Report } from './model.ts';

const STATUSES: readonly Check['status'][] = ['pass', 'warn', 'fail', 'unknown'];

/**
 * The report's metrics as Prometheus' text exposition format 0.0.4, each name with `regops_` before it;
 * milliseconds become seconds, the base unit. Two metrics say how the run went: `regops_run_success` (an
 * interrupted run that found nothing wrong is one) and `regops_checks`. Without times of its own: node_exporter's textfile
 * collector refuses a file that has any. Of samples with the same name and labels the last one counts,
 * for twice the same makes the collector refuse the file as well; so do equal samples in two files, and therefore each
 * has the run's labels beside its own.
 */
export function renderPrometheus(report: Report, ending: Ending): string {
  const families = Map.groupBy([...runMetrics(report, ending), ...(report.metrics ?? [])], familyName);
  const { labels = {} } = ending;
  return [...families].map(([name, metrics]) => drawFamily(name, metrics, labels)).join('');
}

function runMetrics({ checks = [] }: Report, { command, ok, interrupted }: Ending): Metric[] {
  const success = (ok || interrupted) && checks.every(({ status }) => status !== 'fail');
  return [
    {
      name: 'run_success',
      help: '1 when the run found nothing wrong, 0 when it failed or found a problem.',
      value: Number(success),
      labels: { command },
    },
    ...STATUSES.map((status) => ({
      name: 'checks',
      help: 'Checks of the run by what they came to.',
      value: checks.filter((check) => check.status === status).length,
      labels: { command, status },
    })),
  ];
}

function drawFamily(
  name: string,
  metrics: readonly Metric[],
  common: Readonly<Record<string, string>>,
): string {
  const samples = new Map(
    metrics.map((metric) => [`${name}${drawLabels({ ...common, ...metric.labels })}`, drawValue(metric)]),
  );
  const help = escapeText(metrics[0]?.help ?? '').replaceAll('\\', '\\\\');
  return [
    `# HELP ${name} ${help}\n`,
    `# TYPE ${name} ${typeOf(metrics[0])}\n`,
    ...[...samples].map(([sample, value]) => `${sample} ${value}\n`),
  ].join('');
}

/** A plugin's unit `c` is a continuous counter. */
function typeOf({ type, unit }: Partial<Metric> = {}): string {
  return type ?? (unit === 'c' ? 'counter' : 'gauge');
}

function familyName({ name, unit }: Metric): string {
  const based = unit === 'ms' ? `${name.replace(/_ms$/, '')}_seconds` : name;
  return `regops_${plainName(based)}`;
}

function drawLabels(labels: Readonly<Record<string, string>>): string {
  // A sample with a label twice is refused as well.
  const plain = new Map(Object.entries(labels).map(([name, value]) => [plainName(name), escapeText(value)]));
  const drawn = [...plain].map(
    ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
  );
  return drawn.length > 0 ? `{${drawn.join(',')}}` : '';
}

function drawValue({ value, unit }: Metric): string {
  if (Number.isFinite(value)) return String(unit === 'ms' ? value / 1000 : value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/** A name of the exposition format: a letter or `_` first, then digits as well. */
function plainName(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_]/g, '_').replace(/^(?=\d|$)/, '_');
}
