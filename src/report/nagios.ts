import { counted, escapeText } from '../base/index.ts';
import type { Check, Metric, Report } from './model.ts';

/** A monitoring plugin's state, also its exit code. */
export type NagiosState = 'OK' | 'WARNING' | 'CRITICAL' | 'UNKNOWN';

const STATE_OF: Readonly<Record<Check['status'], NagiosState>> = {
  pass: 'OK',
  warn: 'WARNING',
  fail: 'CRITICAL',
  unknown: 'UNKNOWN',
};
/** From harmless to grave; a check that could not be made weighs less than one that failed. */
const GRAVITY: readonly NagiosState[] = ['OK', 'UNKNOWN', 'WARNING', 'CRITICAL'];

/** Monitoring systems cut plugin output at 4 to 8 KiB; the text before the perfdata stays well below. */
const TEXT_MAX = 1024;

/**
 * The report as a monitoring plugin's line, `SERVICE STATE - text | perfdata`, with the state it stands
 * for (monitoring-plugins guidelines, "Plugin Output" and "Performance data").
 */
export function renderNagios(report: Report, service: string): { state: NagiosState; line: string } {
  const checks = (report.checks ?? []).filter(
    ({ status, advisory = false }) => status !== 'unknown' || !advisory,
  );
  // A warning that is no problem found (what a registry is known for, a busy machine) is told, and wakes nobody.
  const state = checks
    .filter(({ status, advisory = false }) => status !== 'warn' || !advisory)
    .reduce<NagiosState>((worst, { status }) => graver(worst, STATE_OF[status]), 'OK');
  const wrong = checks.filter(({ status }) => status !== 'pass');
  const text = [
    ...wrong.map(({ name, message }) => `${name}: ${message}`),
    ...(report.summary === undefined ? [] : [report.summary]),
  ].join('; ');
  const data = (report.metrics ?? []).filter(({ value }) => Number.isFinite(value)).map(perfdata);
  return { state, line: nagiosLine(service, state, text || counted(checks.length, 'check'), data) };
}

/** A line with a text of one's own: for failures, which have no report. */
export function nagiosLine(
  service: string,
  state: NagiosState,
  text: string,
  data: readonly string[] = [],
): string {
  // A pipe would begin the perfdata, a newline a second line.
  const plain = escapeText(text.replaceAll(/\s+/g, ' ')).replaceAll('|', '/').slice(0, TEXT_MAX);
  return `${service.toUpperCase()} ${state} - ${plain}${data.length > 0 ? ` | ${data.join(' ')}` : ''}\n`;
}

function graver(a: NagiosState, b: NagiosState): NagiosState {
  return GRAVITY.indexOf(b) > GRAVITY.indexOf(a) ? b : a;
}

/** `'label'=value[UOM];warn;crit;min`: nothing regops counts is below zero. */
function perfdata({ name, labels, value, unit = '', warn, critical }: Metric): string {
  const label = [name, ...Object.values(labels ?? {})].join(' ');
  const quoted = escapeText(label).replaceAll(/[=|]/g, '_').replaceAll("'", "''");
  const limits = [warn, critical, 0].map((limit) => (limit === undefined ? '' : decimal(limit)));
  return `'${quoted}'=${decimal(value)}${unit};${limits.join(';')}`;
}

/** Plugins' numbers know no exponent. */
function decimal(value: number): string {
  return Number.isInteger(value) ? String(BigInt(value)) : value.toFixed(6).replace(/\.?0+$/, '');
}
