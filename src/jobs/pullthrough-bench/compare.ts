import { RegopsError } from '../../base/index.ts';
import type { Report } from '../../report/model.ts';

export type Verdict = 'better' | 'same' | 'worse';

export interface CompareOptions {
  /** Changes of up to so many percent are none. Default 5. */
  readonly tolerancePercent?: number;
}

/** One figure of two runs. */
export interface FigureChange {
  readonly name: string;
  readonly unit: string;
  readonly a: number | null;
  readonly b: number | null;
  /** Of b over a; null when one is missing, or a is zero. */
  readonly changePercent: number | null;
  /** Null when it cannot be judged. */
  readonly verdict: Verdict | null;
}

/** Two runs side by side: b as seen from a. */
export interface Comparison {
  /** Worse when any figure is, better when any is and none is worse. */
  readonly verdict: Verdict;
  readonly tolerancePercent: number;
  readonly samePlan: boolean;
  /** What makes the comparison doubtful. */
  readonly warnings: readonly string[];
  readonly figures: readonly FigureChange[];
}

const DEFAULT_TOLERANCE_PERCENT = 5;
/** What two runs should have in common, of their plans. */
const PLAN_FIELDS = [
  'scenario',
  'pathStyle',
  'filter',
  'tags',
  'images',
  'groups',
  'pullersPerPattern',
  'iterationMs',
  'steps',
  'durationMs',
  'maxPulls',
  'ratePerSecond',
  'cold',
  'shuffle',
  'onError',
  'platform',
  'layerConcurrency',
  'threads',
  'herd',
] as const;

type Json = Readonly<Record<string, unknown>>;

/** A figure of a run, and which way is good. */
interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number | null;
  readonly good: 'more' | 'less';
}

/**
 * Compares two JSON answers of this command, or their `result`s. Throws INPUT_INVALID for what is none, for a dry
 * run, and for a run that pulled nothing.
 */
export function compareRuns(a: unknown, b: unknown, options: CompareOptions = {}): Comparison {
  const tolerancePercent = options.tolerancePercent ?? DEFAULT_TOLERANCE_PERCENT;
  if (!(tolerancePercent >= 0 && tolerancePercent < 100)) {
    throw new RegopsError('USAGE', `a tolerance cannot be ${tolerancePercent} %`);
  }
  const [runA, runB] = [readRun(a, 'first'), readRun(b, 'second')];
  const differing = PLAN_FIELDS.filter((field) => textOf(runA.plan[field]) !== textOf(runB.plan[field]));
  const warnings = [
    ...(differing.length > 0 ? [`the plans differ in ${differing.join(', ')}`] : []),
    ...doubtsOf(runA.result, 'first'),
    ...doubtsOf(runB.result, 'second'),
  ];
  const [figuresA, figuresB] = [figuresOf(runA.result), figuresOf(runB.result)];
  const figures = figuresA
    .map((figure) =>
      changeOf(figure, figuresB.find(({ name }) => name === figure.name)?.value ?? null, tolerancePercent),
    )
    .filter((figure) => figure.a !== null || figure.b !== null);
  return {
    verdict: verdictOf(figures),
    tolerancePercent,
    samePlan: differing.length === 0,
    warnings,
    figures,
  };
}

/** A comparison in every format. */
export function reportComparison(comparison: Comparison): Report {
  const { verdict, tolerancePercent, warnings, figures } = comparison;
  const right = (title: string) => ({ title, align: 'right' as const });
  const summary = `the second run is ${verdict === 'same' ? 'the same' : verdict} (within ${tolerancePercent} %)`;
  return {
    title: 'pullthrough-bench: two runs',
    sections: [
      {
        table: {
          columns: [{ title: 'figure' }, right('first'), right('second'), right('change'), { title: '' }],
          rows: figures.map((figure) => [
            figure.name,
            shown(figure.a, figure.unit),
            shown(figure.b, figure.unit),
            figure.changePercent === null
              ? '-'
              : `${figure.changePercent > 0 ? '+' : ''}${figure.changePercent.toFixed(1)} %`,
            figure.verdict ?? '',
          ]),
        },
      },
      ...(warnings.length > 0 ? [{ title: 'Doubts', text: warnings.join('\n') }] : []),
    ],
    checks: [
      {
        group: 'pullthrough-bench compare',
        name: 'comparison',
        status: verdict === 'worse' ? 'fail' : 'pass',
        message: summary,
        ...(warnings.length > 0 ? { evidence: warnings.join('\n') } : {}),
      },
    ],
    summary,
  };
}

function readRun(document: unknown, which: string): { readonly result: Json; readonly plan: Json } {
  const refuse = (why: string): RegopsError =>
    new RegopsError('INPUT_INVALID', `the ${which} run is not an answer of pullthrough-bench: ${why}`, {
      hints: ['Give two files that regops pullthrough-bench --json --output FILE has written.'],
    });
  if (!isObject(document)) throw refuse('it is no JSON object');
  const { schema } = document;
  if (schema !== undefined && !/^regops\.pullthrough-bench\/1$/.test(String(schema))) {
    throw refuse(`its schema is ${String(schema).slice(0, 100)}`);
  }
  const result = schema === undefined ? document : document['result'];
  if (!isObject(result)) throw refuse('it has no result');
  const plan = result['plan'];
  if (!isObject(plan)) throw refuse('it has no plan');
  if (result['dryRun'] === true) throw refuse('it was a dry run, in which nothing was pulled');
  if (figuresOf(result).every(({ value }) => value === null)) throw refuse('it measured nothing');
  return { result, plan };
}

function figuresOf(result: Json): Figure[] {
  const totals = objectIn(result, 'totals');
  const latency = objectIn(totals, 'latencyMs');
  const [images, failed] = [numberIn(totals, 'images'), numberIn(totals, 'failed')];
  const steps = listIn(result, 'steps').map((step) => numberIn(objectIn(step, 'figures'), 'imagesPerSecond'));
  const rates = steps.filter((rate) => rate !== null);
  const herd = listIn(result, 'herd');
  const coldVsWarm = objectIn(result, 'coldVsWarm');
  const medianOf = (kind: string) => numberIn(objectIn(objectIn(coldVsWarm, kind), 'latencyMs'), 'p50');
  const herdMedians = herd.map((one) => numberIn(one, 'medianMs')).filter((ms) => ms !== null);
  const herdSlowest = herd.map((one) => numberIn(one, 'slowestMs')).filter((ms) => ms !== null);
  const [herdOk, herdFailed] = [sumIn(herd, 'ok'), sumIn(herd, 'failed')];
  const more = (name: string, unit: string, value: number | null): Figure => ({
    name,
    unit,
    value,
    good: 'more',
  });
  const less = (name: string, unit: string, value: number | null): Figure => ({
    name,
    unit,
    value,
    good: 'less',
  });
  return [
    more('images per second', '/s', numberIn(totals, 'imagesPerSecond')),
    more('images per second, best step', '/s', rates.length > 0 ? Math.max(...rates) : null),
    more('bytes per second', 'B/s', numberIn(totals, 'bytesPerSecond')),
    less('pull p50', 'ms', numberIn(latency, 'p50')),
    less('pull p90', 'ms', numberIn(latency, 'p90')),
    less('pull p99', 'ms', numberIn(latency, 'p99')),
    less('first byte p50', 'ms', numberIn(objectIn(totals, 'firstByteMs'), 'p50')),
    less('cold p50', 'ms', medianOf('cold')),
    less('warm p50', 'ms', medianOf('warm')),
    less('herd median', 'ms', meanOf(herdMedians)),
    less('herd slowest', 'ms', herdSlowest.length > 0 ? Math.max(...herdSlowest) : null),
    less(
      'errors',
      '%',
      herd.length > 0
        ? percentOf(herdFailed, herdOk + herdFailed)
        : images === null || failed === null
          ? null
          : percentOf(failed, images + failed),
    ),
    less('upstream amplification', '×', numberIn(objectIn(result, 'upstreamTraffic'), 'amplification')),
  ];
}

function changeOf({ name, unit, value: a, good }: Figure, b: number | null, tolerance: number): FigureChange {
  if (a === null || b === null) return { name, unit, a, b, changePercent: null, verdict: null };
  const change = a === 0 ? (b === 0 ? 0 : Number.POSITIVE_INFINITY) : (b / a - 1) * 100;
  const verdict =
    Math.abs(change) <= tolerance ? 'same' : change > 0 === (good === 'more') ? 'better' : 'worse';
  return { name, unit, a, b, changePercent: Number.isFinite(change) ? change : null, verdict };
}

function verdictOf(figures: readonly FigureChange[]): Verdict {
  if (figures.some(({ verdict }) => verdict === 'worse')) return 'worse';
  return figures.some(({ verdict }) => verdict === 'better') ? 'better' : 'same';
}

function doubtsOf(result: Json, which: string): string[] {
  return [
    ...(result['interrupted'] === true ? [`the ${which} run was interrupted`] : []),
    ...(typeof result['abortedBy'] === 'string' ? [`the ${which} run was ended by a threshold`] : []),
    ...(objectIn(result, 'generator')['bound'] === true
      ? [`the ${which} run was generator-bound: its figures say as much of the machine as of the cache`]
      : []),
  ];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectIn(value: unknown, field: string): Json {
  const found = isObject(value) ? value[field] : undefined;
  return isObject(found) ? found : {};
}

function listIn(value: Json, field: string): readonly unknown[] {
  const found = value[field];
  return Array.isArray(found) ? found : [];
}

function numberIn(value: unknown, field: string): number | null {
  const found = isObject(value) ? value[field] : undefined;
  return typeof found === 'number' && Number.isFinite(found) ? found : null;
}

function sumIn(list: readonly unknown[], field: string): number {
  return list.reduce<number>((sum, one) => sum + (numberIn(one, field) ?? 0), 0);
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percentOf(part: number, whole: number): number | null {
  return whole === 0 ? null : (part / whole) * 100;
}

/** JSON with its keys in order, so that two documents can be compared as text. */
function textOf(value: unknown): string {
  return (
    JSON.stringify(value ?? null, (_, one: unknown) =>
      isObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one,
    ) ?? ''
  );
}

function shown(value: number | null, unit: string): string {
  if (value === null) return '-';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`.trim();
}
