import { formatBytes } from '../base/index.ts';
import { type Markup, markup, trusted } from './markup.ts';
import type { Series } from './model.ts';

/** In the units of the drawing; the page scales it. */
const WIDTH = 560;
const HEIGHT = 224;
const LEFT = 58;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 30;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = HEIGHT - TOP - BOTTOM;

/** Strips that say, under the pointer, what all lines were at that time. */
const MAX_STRIPS = 120;
/** How many colours the style sheet has; lines beyond are dashed as well. */
const COLORS = 8;

/** All plots of a report, in the order in which their first series come, over the same time. */
export function drawPlots(series: readonly Series[]): Markup[] {
  const times = series.flatMap(({ points }) => points.map(([atMs]) => atMs));
  const fromMs = least(times);
  const range = { fromMs, toMs: Math.max(greatest(times), fromMs + 1000) };
  const plots = Map.groupBy(series, ({ plot, unit }) => JSON.stringify([plot, unit]));
  return [...plots.values()].map((members) => drawPlot(members, range));
}

/** A figure: caption with the unit, legend, and a drawing with both axes. */
function drawPlot(series: readonly Series[], { fromMs, toMs }: { fromMs: number; toMs: number }): Markup {
  const { plot = '', unit = '' } = series[0] ?? {};
  const shown = series.map((one) => ({ ...one, points: thinned(one.points) }));
  const values = shown.flatMap(({ points }) =>
    points.flatMap(([, value]) => (Number.isFinite(value) ? [value] : [])),
  );
  const caption = markup`<figcaption><b>${plot}</b>${unit !== '' && markup` <span class="unit">${unit === 'B' ? 'bytes' : unit}</span>`}</figcaption>`;
  if (values.length === 0) return markup`<figure>${caption}<p class="none">no values</p></figure>`;

  const x = axis(fromMs, toMs, 6, timeStep);
  // Time ends where the run ended, not at the next round number.
  const spanMs = toMs - x.low;
  const y = axis(floorOf(shown, values), greatest(values), 4, unit === 'B' ? byteStep : decimalStep(unit));
  const place: Place = {
    x: (atMs) => LEFT + ((atMs - x.low) / spanMs) * PLOT_WIDTH,
    y: (value) => TOP + (1 - (value - y.low) / (y.high - y.low)) * PLOT_HEIGHT,
  };
  const label = `${plot}: ${shown.map(({ name }) => name).join(', ')} over ${elapsed(spanMs)}`;
  return markup`<figure>${caption}${(shown.length > 1 || shown[0]?.name.toLowerCase() !== plot.toLowerCase()) && legend(shown)}
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">
<g class="grid">${y.ticks.map((value) => markup`<path d="M${LEFT} ${px(place.y(value))}H${WIDTH - RIGHT}"/>`)}</g>
<g class="ticks end">${y.ticks.map((value) => markup`<text x="${LEFT - 8}" y="${px(place.y(value) + 4)}">${withUnit(value, unit, y.step)}</text>`)}</g>
<g class="ticks mid">${x.ticks.filter((atMs) => atMs <= x.low + spanMs).map((atMs) => markup`<text x="${px(place.x(atMs))}" y="${HEIGHT - 6}">${elapsed(atMs)}</text>`)}</g>
<path class="axis" d="M${LEFT} ${TOP + PLOT_HEIGHT}H${WIDTH - RIGHT}"/>
${shown.map((one, at) => drawLine(one, at, place))}
${drawStrips(shown, place, unit)}</svg></figure>
`;
}

interface Place {
  readonly x: (atMs: number) => number;
  readonly y: (value: number) => number;
}

function legend(series: readonly Series[]): Markup {
  const entries = series.map(
    ({ name }, at) =>
      markup`<li><svg viewBox="0 0 18 8" width="18" height="8" aria-hidden="true"><path class="${lineClass(at)}" d="M1 4H17"/></svg>${name}</li>`,
  );
  return markup`<ul class="legend">${entries}</ul>`;
}

function lineClass(at: number): string {
  return `line c${(at % COLORS) + 1}${at >= COLORS ? ' dashed' : ''}`;
}

function drawLine({ points, step }: Series, at: number, place: Place): Markup {
  let path = '';
  let dots: readonly Markup[] = [];
  let length = 0;
  let last = '';
  const end = (): void => {
    // A path of one point draws nothing.
    if (length === 1)
      dots = [...dots, markup`<circle class="dot c${(at % COLORS) + 1}" r="2.5" ${trusted(last)}/>`];
    length = 0;
  };
  for (const [atMs, value] of points) {
    if (!Number.isFinite(value)) {
      end();
      continue;
    }
    const [x, y] = [px(place.x(atMs)), px(place.y(value))];
    path += length === 0 ? `M${x} ${y}` : step ? `H${x}V${y}` : `L${x} ${y}`;
    last = `cx="${x}" cy="${y}"`;
    length++;
  }
  end();
  return markup`<path class="${lineClass(at)}" d="${path}"/>${dots}`;
}

/** Under the pointer: a line at this time, a dot on each series, and their values as the strip's title. */
function drawStrips(series: readonly Series[], place: Place, unit: string): Markup[] {
  const all = [...new Set(series.flatMap(({ points }) => points.map(([atMs]) => atMs)))].sort(
    (a, b) => a - b,
  );
  const every = Math.ceil(all.length / MAX_STRIPS);
  const times = all.filter((_, at) => at % every === 0);
  const next = series.map(() => 0);
  return times.map((atMs, strip) => {
    const x = place.x(atMs);
    const left = strip === 0 ? LEFT : (x + place.x(times[strip - 1] ?? 0)) / 2;
    const right = strip === times.length - 1 ? WIDTH - RIGHT : (x + place.x(times[strip + 1] ?? 0)) / 2;
    const seen = series.flatMap(({ name, points }, at) => {
      while ((points[next[at] ?? 0]?.[0] ?? Number.POSITIVE_INFINITY) <= atMs) next[at] = (next[at] ?? 0) + 1;
      const value = points[(next[at] ?? 0) - 1]?.[1];
      return value === undefined || !Number.isFinite(value) ? [] : [{ name, value, at }];
    });
    const title = [elapsed(atMs), ...seen.map(({ name, value }) => `${name}  ${withUnit(value, unit)}`)];
    const dots = seen.map(
      ({ value, at }) =>
        markup`<circle class="dot c${(at % COLORS) + 1}" cx="${px(x)}" cy="${px(place.y(value))}" r="3"/>`,
    );
    return markup`<g class="at"><rect x="${px(left)}" y="${TOP}" width="${px(right - left)}" height="${PLOT_HEIGHT}"/><path d="M${px(x)} ${TOP}V${TOP + PLOT_HEIGHT}"/>${dots}<title>${lines(title)}</title></g>
`;
  });
}

/** Lines of a title; a newline in one of them does not count. */
function lines(texts: readonly string[]): Markup[] {
  return texts.map((text, at) => markup`${at > 0 && trusted('\n')}${text}`);
}

/** At most two points to each unit of width, the least and the greatest, so that no peak is lost. */
function thinned(points: Series['points']): Series['points'] {
  if (points.length <= 2 * PLOT_WIDTH) return points;
  const size = Math.ceil(points.length / PLOT_WIDTH);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, at) =>
    points.slice(at * size, (at + 1) * size),
  ).flatMap((bucket) => {
    const known = bucket.filter(([, value]) => Number.isFinite(value));
    const low = known.reduce<Series['points'][number] | undefined>(
      (a, b) => (a && a[1] <= b[1] ? a : b),
      undefined,
    );
    const high = known.reduce<Series['points'][number] | undefined>(
      (a, b) => (a && a[1] >= b[1] ? a : b),
      undefined,
    );
    if (!low || !high) return bucket.slice(0, 1);
    return low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low];
  });
}

/** Where the axis of values begins: at 0, but states that hardly move are shown moving. */
function floorOf(series: readonly Series[], values: readonly number[]): number {
  const low = least(values);
  const steady = series.every(({ step }) => step) && low > 0.8 * greatest(values);
  return low < 0 || steady ? low : 0;
}

/** An axis: from where to where, and its ticks. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly step: number;
  readonly ticks: readonly number[];
}

/** An axis over these values with about so many ticks, all of them round. */
export function axis(from: number, to: number, about: number, stepFor: (atLeast: number) => number): Axis {
  // A number has no more than 15 digits to tell one tick from the next.
  const step = stepFor(Math.max((to - from) / about, Math.max(Math.abs(from), Math.abs(to)) * 1e-12));
  const first = Math.floor(from / step);
  const last = Math.max(Math.ceil(to / step), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
  return { low: first * step, high: last * step, step, ticks };
}

/** Counts have no halves. */
function decimalStep(unit: string): (atLeast: number) => number {
  return (atLeast) => Math.max(rounded(atLeast), unit === '' ? 1 : 0);
}

/** Powers of two stay round in KiB and MiB. */
function byteStep(atLeast: number): number {
  return Math.max(1, 2 ** Math.ceil(Math.log2(atLeast)));
}

/** The next of 1, 2, 5 with any power of ten. */
export function rounded(atLeast: number): number {
  if (!(atLeast > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(atLeast));
  return ([1, 2, 5].find((digit) => digit * power >= atLeast * 0.999) ?? 10) * power;
}

const SECOND_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200];

function timeStep(atLeastMs: number): number {
  if (atLeastMs <= 500) return Math.max(1, rounded(atLeastMs));
  const seconds = SECOND_STEPS.find((step) => step * 1000 >= atLeastMs);
  return (seconds ?? 86_400 * Math.ceil(atLeastMs / 86_400_000)) * 1000;
}

/** `0s`, `0.5s`, `45s`, `1m30s`, `2h05m`, `3d`: what is zero behind the first part is left out. */
function elapsed(ms: number): string {
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 2 : 1))}s`;
  const seconds = Math.round(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  const last = parts.findLastIndex(([amount]) => amount > 0);
  return parts
    .slice(first, last + 1)
    .map(([amount, unit], at) => `${at > 0 ? String(amount).padStart(2, '0') : amount}${unit}`)
    .join('');
}

/** A value as a tick (as exact as the step) or, without a step, to four digits. */
function withUnit(value: number, unit: string, step?: number): string {
  if (unit === 'B') return formatBytes(value);
  if (step === undefined) return `${readable(value)}${unit === '' ? '' : ` ${unit}`}`;
  const digits = Math.min(12, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return value.toLocaleString('en', {
    maximumFractionDigits: digits,
    ...(step >= 100_000 ? { notation: 'compact' } : {}),
  });
}

/** With thousands apart and no more digits than say something: `12,345`, `3.142`, `0.0012`. */
export function readable(value: number): string {
  return value.toLocaleString(
    'en',
    Number.isInteger(value)
      ? {}
      : Math.abs(value) >= 1000
        ? { maximumFractionDigits: 0 }
        : { maximumSignificantDigits: 4 },
  );
}

/** A length in the drawing, to a tenth. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Math.min and Math.max of more values than a call can take arguments. */
function least(values: readonly number[]): number {
  return values.reduce((a, b) => (a <= b ? a : b), Number.POSITIVE_INFINITY);
}

function greatest(values: readonly number[]): number {
  return values.reduce((a, b) => (a >= b ? a : b), Number.NEGATIVE_INFINITY);
}
