import { escapeText, padText } from '../base/index.ts';
import { isDigest, shortDigest } from '../oci/index.ts';
import type { Operation } from './operation.ts';

const LEAST_WIDTH = 20;
/** Operations are named A to Z; a counterexample has a handful. */
const MAX_SHOWN = 26;

/**
 * Operations on a time line in plain ASCII: a row of bars for each client, then a line for each operation with what
 * it did, when, the request id and who answered. Text of the server's is escaped.
 *
 * ```text
 *           0.000 ms                         12.500 ms
 * client 1  |A========|        |B===|
 * client 2                |C==================?
 *
 * A  client 1  PUT latest = 3f2a1b0c9d8e: 201              0.000 .. 3.120 ms  request 7f  from 10.0.0.1:443
 * ```
 *
 * @param width columns of the bars; default 64
 */
export function renderTimeline(operations: readonly Operation[], width = 64): string {
  const shown = operations
    .slice(0, MAX_SHOWN)
    .toSorted((a, b) => a.callUs - b.callUs || a.returnUs - b.returnUs);
  const [first] = shown;
  if (!first) return '';
  const columns = Math.max(LEAST_WIDTH, Math.floor(width));
  const endUs = Math.max(...shown.map(({ returnUs }) => returnUs));
  const spanUs = Math.max(1, endUs - first.callUs);
  const column = (atUs: number): number => Math.round(((atUs - first.callUs) / spanUs) * (columns - 1));
  const names = shown.map(({ client }) => `client ${client}`);
  const margin = Math.max(...names.map((name) => name.length)) + 2;
  const rows: { readonly name: string; readonly cells: string[] }[] = [];
  for (const [index, operation] of shown.entries()) {
    const bar = barOf(
      operation,
      letter(index),
      column(operation.callUs),
      column(operation.returnUs),
      columns,
    );
    drawOn(rows, names[index] ?? '', bar, columns);
  }
  const span = ms(spanUs);
  const head = `${' '.repeat(margin)}0.000 ms${span.padStart(columns - '0.000 ms'.length)}`;
  const bars = rows
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map(({ name, cells }, index, all) => {
      const label = all[index - 1]?.name === name ? '' : name;
      return (label.padEnd(margin) + cells.join('')).trimEnd();
    });
  const told = shown.map((operation) => describeOperation(operation));
  const longest = Math.max(...told.map((text) => text.length));
  const legend = shown.map((operation, index) =>
    [
      letter(index),
      padText(names[index] ?? '', margin - 2),
      padText(told[index] ?? '', longest),
      `${msNumber(operation.callUs - first.callUs)} .. ${ms(operation.returnUs - first.callUs)}`,
      ...(operation.requestId === undefined ? [] : [`request ${escapeText(operation.requestId)}`]),
      ...(operation.remote === undefined ? [] : [`from ${escapeText(operation.remote)}`]),
    ].join('  '),
  );
  return [head, ...bars, '', ...legend].join('\n');
}

/** What an operation did and what came of it, on one line: `PUT latest = 3f2a1b0c9d8e: 201`. */
export function describeOperation(operation: Operation): string {
  const { kind, repository, reference, value, status, outcome, names } = operation;
  const [verb = '', noun = ''] = [VERBS[kind] ?? kind, shortened(reference || repository)];
  const effect = value === null || value === reference ? '' : ` = ${shortDigest(value)}`;
  const listed = kind.startsWith('list') ? ` [${(names ?? []).slice(0, 4).map(shortened).join(' ')}]` : '';
  // Whoever collects garbage gives no HTTP status.
  const silence = outcome === 'ok' ? 'done' : 'no answer';
  const came = status === 0 ? silence : String(status);
  const asked = `${verb} ${noun}`.trim();
  return escapeText(`${asked}${effect}${listed}: ${came}${outcome === 'unknown' ? '?' : ''}`);
}

const VERBS: Partial<Record<Operation['kind'], string>> = {
  'put-manifest': 'PUT',
  'get-manifest': 'GET',
  'head-manifest': 'HEAD',
  'delete-manifest': 'DELETE',
  'put-blob': 'PUT blob',
  'get-blob': 'GET blob',
  'head-blob': 'HEAD blob',
  'delete-blob': 'DELETE blob',
  'list-tags': 'tags of',
  'list-referrers': 'referrers of',
  'list-repositories': 'catalog',
  'collect-garbage': 'garbage collection',
};

function shortened(text: string): string {
  return isDigest(text) ? shortDigest(text) : text;
}

function letter(index: number): string {
  return String.fromCharCode(65 + index);
}

interface Bar {
  readonly from: number;
  readonly text: string;
}

/** `|A===|`, `|A===?` when nobody knows how it ended; never beyond the last column. */
function barOf({ outcome }: Operation, name: string, from: number, to: number, columns: number): Bar {
  const length = Math.max(3, to - from + 1);
  const start = Math.min(from, columns - length);
  const end = outcome === 'unknown' ? '?' : '|';
  return { from: start, text: `|${name}${'='.repeat(length - 3)}${end}` };
}

/** Draws a bar on the first row of that name where it fits. */
function drawOn(
  rows: { readonly name: string; readonly cells: string[] }[],
  name: string,
  bar: Bar,
  columns: number,
): void {
  const fits = (cells: readonly string[]): boolean =>
    cells.slice(Math.max(0, bar.from), bar.from + bar.text.length).every((cell) => cell === ' ');
  let row = rows.find((one) => one.name === name && fits(one.cells));
  if (!row) {
    row = { name, cells: Array.from({ length: columns }, () => ' ') };
    rows.push(row);
  }
  row.cells.splice(bar.from, bar.text.length, ...bar.text);
}

function msNumber(us: number): string {
  return (us / 1000).toFixed(3);
}

function ms(us: number): string {
  return `${msNumber(us)} ms`;
}
