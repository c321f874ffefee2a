import { Chalk, type ChalkInstance } from 'chalk';
import { escapeLines, escapeText, padText, textWidth, truncateText } from '../base/index.ts';
import type { Check, Report, Section, Table } from './model.ts';

/** How the text for people is drawn. */
export interface TableOptions {
  /** Columns of the terminal; only with `tty`. Default 80. */
  readonly width?: number;
  readonly color: boolean;
  /** True when a terminal shows it: tables may then be cut to its width. A pipe or file gets all of it. */
  readonly tty: boolean;
}

const GAP = '  ';

/**
 * The report as text: its bare lines, then sections, then what was judged not to be right, then the
 * summary. A pipe or file gets the bare lines alone when the report has that part, and exact text as it is.
 */
export function renderTable(report: Report, options: TableOptions): string {
  if (report.exact !== undefined) return options.tty ? onTerminal(report.exact) : report.exact;
  const bare = (report.lines ?? []).map((line) => `${escapeText(line)}\n`).join('');
  if (report.lines !== undefined && !options.tty) return bare;
  const chalk = new Chalk({ level: options.color ? 1 : 0 });
  const width = options.tty ? (options.width ?? 80) : undefined;
  const blocks = [
    ...(report.sections ?? []).map((section) => drawSection(section, chalk, width)),
    drawChecks(report.checks ?? [], chalk),
    report.summary === undefined ? '' : `${escapeText(report.summary)}\n`,
  ].filter((block) => block !== '');
  return [...(bare ? [bare] : []), ...blocks].join('\n');
}

function onTerminal(text: string): string {
  const safe = escapeLines(text);
  return safe === '' || safe.endsWith('\n') ? safe : `${safe}\n`;
}

function drawSection(section: Section, chalk: ChalkInstance, width: number | undefined): string {
  const title = section.title === undefined ? '' : escapeText(section.title);
  const content =
    drawFacts(section.facts ?? [], chalk) +
    (section.table ? drawTable(section.table, chalk, width) : '') +
    [section.timeline?.text, section.text].map(drawText).join('');
  if (title === '') return content;
  return `${chalk.bold(content === '' ? `── ${title} ──` : title)}\n${content}`;
}

function drawText(text: string | undefined): string {
  return text === undefined ? '' : `${escapeLines(text.replace(/\n$/, ''))}\n`;
}

function drawFacts(facts: readonly (readonly [string, string])[], chalk: ChalkInstance): string {
  const names = facts.map(([name]) => escapeText(name));
  const column = Math.max(0, ...names.map(textWidth));
  return facts
    .map(([, value], row) => `${chalk.dim(padText(names[row] ?? '', column))}${GAP}${escapeText(value)}\n`)
    .join('');
}

function drawTable(table: Table, chalk: ChalkInstance, width: number | undefined): string {
  const titles = table.columns.map((column) => escapeText(column.title.toUpperCase()));
  const rows = table.rows.map((row) => table.columns.map((_, index) => escapeText(row[index] ?? '')));
  const widths = table.columns.map((_, index) =>
    rows.reduce(
      (widest, row) => Math.max(widest, textWidth(row[index] ?? '')),
      textWidth(titles[index] ?? ''),
    ),
  );
  if (width !== undefined) shrink(widths, table, width);
  const draw = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const cellWidth = widths[index] ?? 0;
        return padText(truncateText(cell, cellWidth), cellWidth, table.columns[index]?.align);
      })
      .join(GAP)
      .trimEnd();
  return [chalk.dim(draw(titles)), ...rows.map(draw)].map((line) => `${line}\n`).join('');
}

/** Takes what is too much from the widest of the columns that allow it, again and again; a column keeps 8. */
function shrink(widths: number[], table: Table, width: number): void {
  const sum = (): number => widths.reduce((total, one) => total + one, GAP.length * (widths.length - 1));
  for (let excess = sum() - width; excess > 0; excess = sum() - width) {
    const candidates = widths
      .map((one, index) => ({ one, index }))
      .filter(({ one, index }) => table.columns[index]?.shrink && one > 8)
      .sort((a, b) => b.one - a.one);
    const [widest, next] = candidates;
    if (!widest) return;
    const floor = Math.max(8, Math.min(next?.one ?? 8, widest.one - 1));
    widths[widest.index] = Math.max(floor, widest.one - excess);
  }
}

/** What passed is not listed, nor what was not looked at: a report says it in its sections or its summary. */
function drawChecks(checks: readonly Check[], chalk: ChalkInstance): string {
  const marks = { fail: chalk.red('fail'), warn: chalk.yellow('warn'), unknown: chalk.yellow('unknown') };
  return checks
    .map(({ status, name, message, advisory = false }) =>
      status === 'pass' || (status === 'unknown' && advisory)
        ? ''
        : `${marks[status]}${GAP}${escapeText(name)}: ${escapeText(message)}\n`,
    )
    .join('');
}
