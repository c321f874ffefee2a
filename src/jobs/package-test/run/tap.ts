/** One check, to be written as a test point. */
export interface Point {
  readonly name: string;
  readonly ok: boolean;
  /** Why it was not made. */
  readonly skipped?: string;
  /** Lines that explain it, worst first; those of a point that is ok are warnings. */
  readonly lines?: readonly string[];
}

const MAX_LINES = 100;
const MAX_LINE = 500;

/** Points as TAP 12, as ALTS' own integrity tests write it. Pure. */
export function writeTap(points: readonly Point[]): string {
  const text = points.flatMap(({ name, ok, skipped, lines = [] }, at) => {
    const directive = skipped === undefined ? '' : ` # SKIP ${oneLine(skipped)}`;
    const rest = lines.length - MAX_LINES;
    return [
      `${ok ? 'ok' : 'not ok'} ${at + 1} - ${oneLine(name).replaceAll(/[\\#]/g, '\\$&')}${directive}`,
      ...lines.slice(0, MAX_LINES).map((line) => `# ${ok ? 'warning: ' : ''}${oneLine(line)}`),
      ...(rest > 0 ? [`# … and ${rest} more`] : []),
    ];
  });
  return [`1..${points.length}`, ...text, ''].join('\n');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, MAX_LINE);
}
