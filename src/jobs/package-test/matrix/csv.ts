import { RegopsError } from '../../../base/index.ts';

const MOST_ROWS = 100_000;
/** A field, quoted or not, and what ends it (RFC 4180; a quote inside quotes is doubled). */
const FIELD = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy;

/**
 * The rows of a CSV text as records by the names in its first line, which are compared in lower case. Blank lines and
 * lines that begin with `#` are passed over, empty fields are left out.
 *
 * @throws INPUT_INVALID that names the line
 */
export function parseCsv(text: string): Readonly<Record<string, string>>[] {
  const [header, ...rows] = rowsOf(text.replace(/^\uFEFF/, ''));
  if (!header) throw invalid(1, 'it is empty');
  const names = header.fields.map((name) => name.trim().toLowerCase());
  return rows.map(({ line, fields }) => {
    if (fields.length > names.length) throw invalid(line, 'it has more fields than the first line has names');
    return Object.fromEntries(
      fields.flatMap((field, at) => (field.trim() === '' ? [] : [[names[at] as string, field.trim()]])),
    );
  });
}

function rowsOf(text: string): { readonly line: number; readonly fields: readonly string[] }[] {
  const rows: { line: number; fields: string[] }[] = [];
  let line = 1;
  let at = 0;
  while (at < text.length) {
    const comment = /#[^\n]*(?:\n|$)/y;
    comment.lastIndex = at;
    if (comment.test(text)) {
      at = comment.lastIndex;
      line++;
      continue;
    }
    const row = readRow(text, at, line);
    at = row.end;
    if (row.fields.some((field) => field.trim() !== '')) rows.push({ line, fields: row.fields });
    if (rows.length > MOST_ROWS) throw invalid(line, `there are more than ${MOST_ROWS} lines`);
    line += row.lines;
  }
  return rows;
}

function readRow(
  text: string,
  start: number,
  line: number,
): { fields: string[]; end: number; lines: number } {
  const fields: string[] = [];
  FIELD.lastIndex = start;
  for (;;) {
    const match = FIELD.exec(text);
    if (!match) throw invalid(line, 'a quote is in the wrong place or not closed');
    const [, quoted, plain = '', end = ''] = match;
    fields.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    const lines = text.slice(start, FIELD.lastIndex).split('\n').length - (end === '' ? 0 : 1);
    return { fields, end: FIELD.lastIndex, lines };
  }
}

function invalid(line: number, why: string): RegopsError {
  return new RegopsError('INPUT_INVALID', `CSV, line ${line}: ${why}`);
}
