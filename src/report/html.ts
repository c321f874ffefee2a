import { createHash } from 'node:crypto';
import { formatBytes, formatDuration } from '../base/index.ts';
import { STYLE } from './html-style.ts';
import { type Markup, markup, textLines, trusted } from './markup.ts';
import type { Check, Ending, Metric, Report, Section, Table } from './model.ts';
import { drawPlots, readable } from './plot.ts';
import { drawTimeline } from './timeline.ts';

/** Rows of one table; a browser takes seconds to lay out more than this. */
const MAX_ROWS = 2000;
/** A column with anything longer breaks its lines, so that it leaves room for the others. */
const MAX_UNBROKEN = 32;
/** As many passed checks are shown at once; more are folded away. */
const MAX_OPEN_PASSES = 20;

/**
 * The report as one page that needs nothing but itself: no script, no request, plots as inline SVG, light
 * and dark as the reader's system wishes, fit to print. Its policy lets a browser load nothing, should
 * foreign text ever get past the escaping.
 */
export function renderHtml(report: Report, ending: Ending): string {
  const command = `regops ${ending.command}`;
  const title = report.title ?? command;
  const style = createHash('sha256').update(STYLE).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${style}'; img-src data:; base-uri 'none'; form-action 'none'`;
  const plots = drawPlots(report.series ?? []);
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${trusted(STYLE)}</style>
</head>
<body><main>
${drawHeader(title, title === command ? '' : `${command} · `, report, ending)}
${drawError(ending)}
${drawChecks(report.checks ?? [])}
${plots.length > 0 && markup`<section class="plots" aria-label="Plots">\n${plots}</section>`}
${(report.sections ?? []).map(drawSection)}
${report.lines !== undefined && card('', markup`<pre>${textLines(report.lines.join('\n'))}</pre>`)}
${report.exact !== undefined && card('', markup`<pre>${textLines(report.exact)}</pre>`)}
${drawMetrics(report.metrics ?? [])}
${drawWarnings(ending.warnings)}
</main></body>
</html>
`.toString();
}

function drawHeader(title: string, by: string, { summary, checks = [] }: Report, ending: Ending): Markup {
  const [kind, verdict] = verdictOf(ending, checks);
  return markup`<header><div><h1>${title}</h1><p class="by">${by}${timeOf(ending.at)}</p></div>
<span class="badge verdict ${kind}">${verdict}</span>${summary !== undefined && markup`<p class="summary">${summary}</p>`}</header>`;
}

function verdictOf({ ok, interrupted, error }: Ending, checks: readonly Check[]): readonly [string, string] {
  if (interrupted) return ['warn', '■ Interrupted'];
  if (error) return ['bad', '✕ Failed'];
  if (!ok) return ['bad', '✕ Problem found'];
  return checks.some(({ status }) => status === 'warn') ? ['warn', '! Warnings'] : ['good', '✓ Good'];
}

function drawError({ error, interrupted }: Ending): Markup | undefined {
  if (!error || interrupted) return undefined;
  const hints =
    error.hints.length > 0 && markup`<ul>${error.hints.map((hint) => markup`<li>${hint}</li>`)}</ul>`;
  return markup`<section class="card bad"><h2>${error.code}</h2><p>${error.message}</p>${hints}</section>`;
}

/** Worst first. */
const STATUSES = [
  ['fail', 'bad', '✕ Fail', 'failed'],
  ['warn', 'warn', '! Warn', 'with warnings'],
  ['unknown', 'soft', '? Unknown', 'unknown'],
  ['pass', 'good', '✓ Pass', 'passed'],
] as const satisfies readonly (readonly [Check['status'], string, string, string])[];

function drawChecks(checks: readonly Check[]): Markup | undefined {
  if (checks.length === 0) return undefined;
  const counts = STATUSES.flatMap(([status, kind, , word]) => {
    const count = checks.filter((check) => check.status === status).length;
    return count === 0 ? [] : [markup`<span class="badge ${kind}">${readable(count)} ${word}</span>`];
  });
  const timed = checks.some(({ durationMs }) => durationMs !== undefined);
  const passed = checks.filter(({ status }) => status === 'pass');
  const untold = checks.filter(isUntold);
  const folded = passed.length > MAX_OPEN_PASSES;
  const open = STATUSES.flatMap(([status]) =>
    status === 'pass' && folded ? [] : checks.filter((check) => check.status === status && !isUntold(check)),
  );
  return card(
    'Checks',
    markup`<div class="counts">${counts}</div>${open.length > 0 && checkTable(open, timed)}${folded && markup`<details><summary>what passed</summary>${checkTable(passed, timed)}</details>`}${untold.length > 0 && markup`<details><summary>what could not be told</summary>${checkTable(untold, timed)}</details>`}`,
  );
}

/** Of how the run went, not of what was judged. */
function isUntold({ status, advisory = false }: Check): boolean {
  return status === 'unknown' && advisory;
}

function checkTable(checks: readonly Check[], timed: boolean): Markup {
  const head = markup`<th>result</th><th>check</th><th>what was seen</th>${timed && markup`<th class="right">time</th>`}`;
  const rows = checks.slice(0, MAX_ROWS).map(({ name, group, status, message, evidence, durationMs }) => {
    const [, kind, label] = STATUSES.find(([one]) => one === status) ?? STATUSES[2];
    const more =
      evidence !== undefined &&
      markup`<details${status === 'fail' && trusted(' open')}><summary>evidence</summary><pre>${textLines(evidence)}</pre></details>`;
    const time =
      timed && markup`<td class="right">${durationMs === undefined ? '' : formatDuration(durationMs)}</td>`;
    return markup`<tr><td class="mark tight"><span class="badge ${kind}">${label}</span></td><td class="name">${group !== undefined && markup`<span class="unit">${group}</span> `}${name}</td><td class="wrap">${message}${more}</td>${time}</tr>\n`;
  });
  return markup`${tableOf(head, rows)}${moreRows(checks.length)}`;
}

function drawSection({ title, facts, table, timeline, text }: Section): Markup {
  const list =
    facts !== undefined &&
    facts.length > 0 &&
    markup`<dl>${facts.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
  if (!list && !table && !timeline && text === undefined)
    return markup`${title !== undefined && markup`<h2 class="part">${title}</h2>\n`}`;
  return card(
    title ?? '',
    markup`${list}${table && drawTable(table)}${timeline && timeline.bars.length > 0 && drawTimeline(timeline)}${text !== undefined && markup`<pre>${textLines(text.replace(/\n$/, ''))}</pre>`}`,
  );
}

function drawTable({ columns, rows }: Table): Markup {
  const kinds = columns.map(({ align, shrink }, at) => {
    if (align === 'right') return 'right';
    const isLong = rows.some((row) => (row[at] ?? '').length > MAX_UNBROKEN);
    return shrink || isLong ? 'wrap' : 'tight';
  });
  const head = columns.map(({ title }, at) => markup`<th class="${kinds[at]}">${title}</th>`);
  const body = rows
    .slice(0, MAX_ROWS)
    .map(
      (row) => markup`<tr>${columns.map((_, at) => markup`<td class="${kinds[at]}">${row[at]}</td>`)}</tr>\n`,
    );
  return markup`${tableOf(markup`${head}`, body)}${moreRows(rows.length)}`;
}

function drawMetrics(metrics: readonly Metric[]): Markup | undefined {
  if (metrics.length === 0) return undefined;
  const rows = metrics.slice(0, MAX_ROWS).map(({ name, labels = {}, help, value, unit = '' }) => {
    const marks = Object.entries(labels).map(([label, text]) => `${label}=${text}`);
    return markup`<tr><td class="name">${name}${marks.length > 0 && markup` <span class="unit">${marks.join(' ')}</span>`}</td><td class="right">${amount(value, unit)}</td><td class="wrap">${help}</td></tr>\n`;
  });
  const table = tableOf(markup`<th>name</th><th class="right">value</th><th>meaning</th>`, rows);
  return markup`<section class="card"><details><summary>Metrics (${readable(metrics.length)})</summary>${table}${moreRows(metrics.length)}</details></section>`;
}

function amount(value: number, unit: NonNullable<Metric['unit']>): string {
  if (!Number.isFinite(value)) return '–';
  if (unit === 'B') return formatBytes(value);
  return `${readable(value)}${unit === '' || unit === 'c' ? '' : ` ${unit}`}`;
}

function drawWarnings(warnings: readonly string[]): Markup | undefined {
  if (warnings.length === 0) return undefined;
  return markup`<section class="card notes"><h2>Warnings</h2><ul>${warnings.map((one) => markup`<li class="wrap">${one}</li>`)}</ul></section>`;
}

function card(title: string, content: Markup): Markup {
  return markup`<section class="card">${title !== '' && markup`<h2>${title}</h2>`}${content}</section>
`;
}

function tableOf(head: Markup, rows: readonly Markup[]): Markup {
  return markup`<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${rows}</tbody></table></div>`;
}

function moreRows(count: number): Markup | undefined {
  return count > MAX_ROWS ? markup`<p class="more">… and ${readable(count - MAX_ROWS)} more</p>` : undefined;
}

function timeOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
