import { parseDuration, parseRate, RegopsError } from '../base/index.ts';
import type { Distribution } from './histogram.ts';

/** What a run must keep to, as data. */
export interface Threshold {
  /** As it was written. */
  readonly text: string;
  readonly metric: keyof Distribution | 'errors' | 'rate' | 'dropped';
  /** Only operations of this kind; all of them without it. */
  readonly kind?: string;
  readonly comparison: '<' | '<=' | '>' | '>=';
  /** Milliseconds, operations per second, percent, or a plain number, by `unit`. */
  readonly bound: number;
  readonly unit: 'ms' | '/s' | '%' | '';
}

export interface ThresholdResult {
  readonly text: string;
  /** What was measured, in the threshold's unit; null when there was nothing to measure. */
  readonly value: number | null;
  readonly unit: Threshold['unit'];
  /** False also when there was nothing to measure: a run that did nothing has shown nothing. */
  readonly ok: boolean;
}

/** The figures that thresholds look at; every `LoadSummary` has them. */
export interface JudgedFigures {
  readonly count: number;
  readonly failed: number;
  readonly ratePerSecond: number;
  readonly latency: Distribution | null;
}

export interface Judged {
  readonly totals: JudgedFigures;
  readonly kinds: readonly (JudgedFigures & { readonly kind: string })[];
  readonly dropped: number;
}

const PATTERN =
  /^(?<metric>[a-z]+\d*(?:\.\d+)?)(?:\{(?<kind>[^{}]+)\})?\s*(?<comparison><=?|>=?)\s*(?<bound>[^\s<>=].*)$/;
const TIMES: ReadonlyMap<string, keyof Distribution> = new Map([
  ['min', 'min'],
  ['mean', 'mean'],
  ['p50', 'p50'],
  ['p90', 'p90'],
  ['p95', 'p95'],
  ['p99', 'p99'],
  ['p999', 'p999'],
  ['p99.9', 'p999'],
  ['max', 'max'],
]);

/**
 * Reads `p99<200ms`, `p50{pull}<50ms`, `mean<=1s`, `errors<1%`, `errors<5`, `rate>100/s`, `dropped<0.1%`.
 * Times are latencies from the intended start. Throws USAGE on anything else.
 */
export function parseThreshold(text: string): Threshold {
  const groups = PATTERN.exec(text.trim())?.groups;
  const { metric = '', kind, comparison = '', bound = '' } = groups ?? {};
  const base = {
    text: text.trim(),
    comparison: comparison as Threshold['comparison'],
    ...(kind === undefined ? {} : { kind }),
  };
  const time = TIMES.get(metric);
  if (time) return { ...base, metric: time, bound: duration(bound, text), unit: 'ms' };
  if (metric === 'rate') return { ...base, metric, bound: rate(bound, text), unit: '/s' };
  if (metric === 'errors' || (metric === 'dropped' && kind === undefined)) {
    const match = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(bound.trim());
    if (match) return { ...base, metric, bound: Number(match[1]), unit: match[2] === '%' ? '%' : '' };
  }
  throw invalid(text);
}

/** Compares what was measured with each threshold. */
export function evaluateThresholds(thresholds: readonly Threshold[], judged: Judged): ThresholdResult[] {
  return thresholds.map((threshold) => {
    const value = measured(threshold, judged);
    return {
      text: threshold.text,
      value,
      unit: threshold.unit,
      ok: value !== null && holds(threshold, value),
    };
  });
}

function measured({ metric, kind, unit }: Threshold, judged: Judged): number | null {
  const figures = kind === undefined ? judged.totals : judged.kinds.find((one) => one.kind === kind);
  switch (metric) {
    case 'rate':
      return figures?.ratePerSecond ?? 0;
    case 'errors':
      return unit === '%' ? percent(figures?.failed ?? 0, figures?.count ?? 0) : (figures?.failed ?? 0);
    case 'dropped':
      return unit === '%' ? percent(judged.dropped, judged.dropped + judged.totals.count) : judged.dropped;
    default:
      return figures?.latency?.[metric] ?? null;
  }
}

function holds({ comparison, bound }: Threshold, value: number): boolean {
  switch (comparison) {
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    case '>=':
      return value >= bound;
  }
}

function percent(part: number, whole: number): number | null {
  return whole === 0 ? null : (part / whole) * 100;
}

function duration(bound: string, text: string): number {
  // Without a unit it could be either; thresholds kept in a CI file must not be a thousand times off.
  if (/\d$/.test(bound)) throw invalid(text);
  return explained(() => parseDuration(bound), text);
}

function rate(bound: string, text: string): number {
  return explained(() => parseRate(bound), text);
}

function explained(parse: () => number, text: string): number {
  try {
    return parse();
  } catch {
    throw invalid(text);
  }
}

function invalid(text: string): RegopsError {
  return new RegopsError('USAGE', `invalid threshold '${text.slice(0, 100)}'`, {
    hints: ['Write it like p99<200ms, p50{pull}<50ms, errors<1%, rate>100/s or dropped<0.1%.'],
  });
}
