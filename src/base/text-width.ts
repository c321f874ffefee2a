import { createRequire } from 'node:module';

// Loaded with the first text that is not plain ASCII: its tables take a tenth of the time a command starts in.
const load = createRequire(import.meta.url);
let stringWidth: ((text: string) => number) | undefined;

/** Columns a text takes on a terminal: wide characters count two, combining ones and colour codes none. */
export function textWidth(text: string): number {
  if (isPlainAscii(text)) return text.length;
  stringWidth ??= (load('string-width') as typeof import('string-width')).default;
  return stringWidth(text);
}

/** Cuts a text (without colour codes) to a number of columns; what was cut shows as `…`. */
export function truncateText(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  if (width < 1) return '';
  let shown = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (textWidth(shown + segment) > width - 1) break;
    shown += segment;
  }
  return `${shown}…`;
}

/** Fills a text up with spaces to a number of columns. */
export function padText(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const spaces = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'left' ? text + spaces : spaces + text;
}

function isPlainAscii(text: string): boolean {
  return /^[\u0020-\u007e]*$/.test(text);
}
