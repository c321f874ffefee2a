import { type Markup, markup, trusted } from './markup.ts';
import type { Timeline, TimelineBar } from './model.ts';
import { axis, px, readable, rounded } from './plot.ts';

/** In the units of the drawing; the page scales it. */
const WIDTH = 1040;
const LEFT = 110;
const RIGHT = 14;
const TOP = 24;
const ROW = 26;
const BAR = 18;
/** A bar is never narrower: it carries a letter. */
const LEAST = 18;
/** How many colours the style sheet has. */
const COLORS = 8;
/** Longer names of lanes are cut in the drawing; the table has them whole. */
const MAX_LANE = 14;
/** Bars of one drawing; a time line is of a handful. */
const MAX_BARS = 100;

interface Row {
  readonly lane: string;
  /** Where the last bar ends. */
  end: number;
}

interface Drawn {
  readonly bar: TimelineBar;
  readonly row: number;
  readonly color: number;
  readonly left: number;
  readonly width: number;
}

/** Bars over a common time, a row for each lane, and below them a table that says what each of them is. */
export function drawTimeline({ bars }: Timeline): Markup {
  const shown = bars.slice(0, MAX_BARS).toSorted((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
  const fromMs = Math.min(...shown.map((bar) => bar.fromMs));
  const spanMs = Math.max(...shown.map((bar) => bar.toMs)) - fromMs || 1;
  const space = WIDTH - LEFT - RIGHT;
  const place = (ms: number): number => LEFT + ((ms - fromMs) / spanMs) * space;
  const { rows, drawn } = arranged(shown, place);
  const height = TOP + rows.length * ROW + 6;
  const ticks = axis(0, spanMs, 6, rounded).ticks.filter((ms) => ms <= spanMs);
  const y = (row: number): number => TOP + row * ROW;
  const first = (row: number): boolean => rows[row - 1]?.lane !== rows[row]?.lane;
  return markup`<svg class="timeline" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="time line of ${readable(shown.length)} operations over ${readable(spanMs)} ms">
<g class="grid">${ticks.map((ms) => markup`<path d="M${px(place(fromMs + ms))} ${TOP - 6}V${height}"/>`)}</g>
<g class="ticks mid">${ticks.map((ms) => markup`<text x="${px(place(fromMs + ms))}" y="12">${readable(ms)} ms</text>`)}</g>
<g class="ticks">${rows.map(({ lane }, row) => first(row) && markup`<text x="0" y="${y(row) + 14}">${cut(lane)}</text>`).filter((one) => one !== false)}</g>
${drawn.map((one) => drawBar(one, y(one.row), fromMs))}</svg>
${legend(shown, fromMs)}`;
}

function drawBar({ bar, color, left, width }: Drawn, top: number, fromMs: number): Markup {
  const shape = markup`<rect class="bar c${color}${bar.open === true && ' open'}" x="${px(left)}" y="${px(top)}" width="${px(width)}" height="${BAR}" rx="3"/>`;
  const name = markup`<text class="sign" x="${px(left + LEAST / 2)}" y="${px(top + 13)}">${bar.label}</text>`;
  return markup`<g>${shape}${name}<title>${bar.label}: ${bar.name}${trusted('\n')}${range(bar, fromMs)}</title></g>
`;
}

/** Bars of a lane in as many rows as they need not to cover each other; lanes by their names. */
function arranged(
  bars: readonly TimelineBar[],
  place: (ms: number) => number,
): { readonly rows: readonly Row[]; readonly drawn: readonly Drawn[] } {
  const lanes = [...new Set(bars.map(({ lane }) => lane))].toSorted((a, b) =>
    a.localeCompare(b, 'en', { numeric: true }),
  );
  const rows: Row[] = [];
  const drawn = lanes.flatMap((lane, at) => {
    const begin = rows.length;
    return bars
      .filter((bar) => bar.lane === lane)
      .map((bar): Drawn => {
        const width = Math.max(LEAST, place(bar.toMs) - place(bar.fromMs));
        const left = Math.min(place(bar.fromMs), WIDTH - RIGHT - width);
        let row = rows.findIndex(({ end }, index) => index >= begin && end <= left);
        if (row === -1) row = rows.push({ lane, end: 0 }) - 1;
        const taken = rows[row];
        if (taken) taken.end = left + width + 2;
        return { bar, row, color: (at % COLORS) + 1, left, width };
      });
  });
  return { rows, drawn };
}

function legend(bars: readonly TimelineBar[], fromMs: number): Markup {
  const rows = bars.map(
    (bar) =>
      markup`<tr><td class="tight">${bar.label}</td><td class="tight">${bar.lane}</td><td class="wrap">${bar.name}</td><td class="right">${range(bar, fromMs)}</td><td class="wrap unit">${bar.note}</td></tr>\n`,
  );
  return markup`<div class="scroll"><table><tbody>\n${rows}</tbody></table></div>`;
}

function range({ fromMs, toMs, open = false }: TimelineBar, beginMs: number): string {
  return `${(fromMs - beginMs).toFixed(3)} – ${(toMs - beginMs).toFixed(3)}${open ? '…' : ''} ms`;
}

function cut(text: string): string {
  return text.length > MAX_LANE ? `${text.slice(0, MAX_LANE - 1)}…` : text;
}
