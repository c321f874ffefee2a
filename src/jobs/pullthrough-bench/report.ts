import { counted, formatBytes, formatDuration } from '../../base/index.ts';
import type { Check, Metric, Report, Section, Series } from '../../report/model.ts';
import { perSecond } from './figures.ts';
import { planLines } from './plan.ts';
import type {
  BenchSample,
  HerdImage,
  PullFigures,
  PullthroughBenchResult,
  StepResult,
  Tally,
  Throughput,
  UpstreamShare,
} from './result.ts';

const GROUP = 'pullthrough-bench';
/** Failures that say the content was wrong, not that it did not come. */
const CONTENT_ERRORS = ['digest', 'size', 'truncated', 'too-large', 'manifest'];

/** pullthrough-bench's answer in every format. */
export function reportPullthroughBench(result: PullthroughBenchResult): Report {
  return {
    title: `pullthrough-bench of ${result.cache}`,
    sections: [
      { title: 'Plan', text: planLines(result.plan).join('\n') },
      ...(result.steps.some(({ figures }) => figures) ? [stepSection(result)] : []),
      ...coldVsWarmSection(result),
      ...herdSection(result),
      ...requestSection(result),
      ...errorSection(result),
      ...upstreamSection(result.upstreamTraffic),
      { title: 'Run', facts: runFacts(result) },
    ],
    checks: checksOf(result),
    metrics: metricsOf(result),
    series: seriesOf(result),
    summary: summaryOf(result),
  };
}

/** How a run is going: the metrics of a tally, for who watches it. */
export function reportTally({ imagesPerSecond, pullers, images, failed, bytes, durationMs }: Tally): Report {
  const gauge = (name: string, help: string, value: number): Metric => ({ name, help, value, unit: '' });
  return {
    metrics: [
      ...(imagesPerSecond === null
        ? []
        : [gauge('pullthrough_images_per_second', 'Images per second', imagesPerSecond)]),
      gauge('pullthrough_pullers', 'Pullers at work', pullers),
      gauge('pullthrough_bytes_per_second', 'Bytes received per second', perSecond(bytes, durationMs)),
      gauge('pullthrough_tally_images', 'Images since the tally before', images),
      gauge('pullthrough_tally_errors', 'Failed pulls since the tally before', failed),
    ],
  };
}

function summaryOf({ totals, herd, durationMs, dryRun, knee }: PullthroughBenchResult): string {
  if (dryRun) return `dry run of ${formatDuration(durationMs)}: nothing was pulled`;
  if (herd) {
    const pulls = herd.reduce((sum, { ok }) => sum + ok, 0);
    const failed = herd.reduce((sum, one) => sum + one.failed, 0);
    return `${counted(herd.length, 'image')} asked for by herds: ${counted(pulls, 'pull')}, ${counted(failed, 'error')}`;
  }
  const { images = 0, failed = 0, imagesPerSecond = 0, bytesPerSecond = 0 } = totals ?? {};
  const stops = knee ? `; no faster beyond ${counted(knee.pullers, 'puller')}` : '';
  return `${counted(images, 'image')} in ${formatDuration(durationMs)}, ${counted(failed, 'error')}, ${round(imagesPerSecond)} images/s, ${formatBytes(Math.round(bytesPerSecond))}/s${stops}`;
}

function stepSection({ steps, knee }: PullthroughBenchResult): Section {
  return {
    title: 'Steps, each from where it has settled',
    table: {
      columns: [
        { title: 'step', align: 'right' },
        ...['pullers', 'images', 'errors', 'images/s', 'throughput', 'p50', 'p90', 'p99', 'first byte'].map(
          (title) => ({ title, align: 'right' as const }),
        ),
        { title: '' },
      ],
      rows: steps.map((step) => [...stepRow(step), knee?.step === step.step ? 'no faster beyond' : '']),
    },
  };
}

function stepRow({ step, pullers, figures }: StepResult): string[] {
  return [
    String(step),
    pullers === null ? '-' : String(pullers),
    ...(figures
      ? [
          String(figures.images),
          String(figures.failed),
          round(figures.imagesPerSecond),
          `${formatBytes(Math.round(figures.bytesPerSecond))}/s`,
          ms(figures.latencyMs?.p50),
          ms(figures.latencyMs?.p90),
          ms(figures.latencyMs?.p99),
          ms(figures.firstByteMs?.p50),
        ]
      : Array.from({ length: 8 }, () => '-')),
  ];
}

function coldVsWarmSection({ coldVsWarm }: PullthroughBenchResult): Section[] {
  if (!coldVsWarm) return [];
  const { cold, warm, medianRatio } = coldVsWarm;
  const title =
    medianRatio === null
      ? 'Cold and warm'
      : `Cold and warm: the first pull takes ${round(medianRatio)} times as long`;
  return [{ title, table: latencyTable([cold, warm]) }];
}

function herdSection({ herd }: PullthroughBenchResult): Section[] {
  if (!herd) return [];
  const kills = herd.some(({ killed }) => killed !== null);
  const told = herd.some(({ upstream }) => upstream);
  const right = (title: string) => ({ title, align: 'right' as const });
  return [
    {
      title: 'Herds',
      table: {
        columns: [
          { title: 'image', shrink: true },
          ...['clients', 'errors', 'fastest', 'median', 'slowest'].map(right),
          ...(told ? ['upstream blobs', 'amplification'].map(right) : []),
          ...(kills ? [{ title: 'cut off' }, { title: 'others then' }] : []),
        ],
        rows: herd.map((one) => [
          one.image,
          String(one.clients),
          String(one.failed),
          ms(one.fastestMs),
          ms(one.medianMs),
          ms(one.slowestMs),
          ...(told ? [String(one.upstream?.blobGets ?? '-'), times(one.upstream?.amplification)] : []),
          ...(kills ? [one.killed ? 'in mid-pull' : 'not reached', probeText(one)] : []),
        ]),
      },
    },
  ];
}

function probeText({ probe }: HerdImage): string {
  if (!probe) return 'no other image';
  return probe.ok ? `answered in ${ms(probe.ms)}` : `failed: ${probe.error}`;
}

function requestSection({ totals }: PullthroughBenchResult): Section[] {
  return totals && totals.requests.length > 0
    ? [{ title: 'Requests', table: latencyTable(totals.requests) }]
    : [];
}

function latencyTable(rows: readonly PullFigures[]): NonNullable<Section['table']> {
  const names = ['mean', 'p50', 'p90', 'p99', 'max'] as const;
  return {
    columns: [
      { title: '' },
      ...['count', 'errors', 'bytes', ...names, 'first byte p50'].map((title) => ({
        title,
        align: 'right' as const,
      })),
    ],
    rows: rows.map(({ kind, count, failed, bytes, latencyMs, firstByteMs }) => [
      kind,
      String(count),
      String(failed),
      formatBytes(bytes),
      ...names.map((name) => ms(latencyMs?.[name])),
      ms(firstByteMs?.p50),
    ]),
  };
}

function errorSection({ totals, herd }: PullthroughBenchResult): Section[] {
  const rows = [
    ...Object.entries(totals?.errors ?? {}).map(([error, count]) => ['pull', error, String(count)]),
    ...(totals?.requests ?? []).flatMap(({ kind, errors }) =>
      Object.entries(errors).map(([error, count]) => [kind, error, String(count)]),
    ),
    ...(herd ?? []).flatMap(({ image, errors }) =>
      Object.entries(errors).map(([error, count]) => [image, error, String(count)]),
    ),
  ];
  if (rows.length === 0) return [];
  return [
    {
      title: 'Errors',
      table: {
        columns: [{ title: 'of' }, { title: 'error' }, { title: 'count', align: 'right' }],
        rows,
      },
    },
  ];
}

function upstreamSection(share: UpstreamShare | null): Section[] {
  if (!share) return [];
  return [
    {
      title: 'Upstream',
      facts: [
        ['manifests fetched', String(share.manifestGets)],
        ['blobs fetched', `${share.blobGets} (${formatBytes(share.blobBytes)})`],
        ['most fetches of one blob', String(share.maxGetsOfOneBlob)],
        ['amplification', times(share.amplification)],
        ['cache hit ratio', share.cacheHitRatio === null ? '-' : percent(share.cacheHitRatio)],
      ],
    },
  ];
}

function runFacts(result: PullthroughBenchResult): [string, string][] {
  const { plan, requests, generator, coldRuns } = result;
  const { manifests, blobs, distinctBlobs, distinctBlobsExact } = requests;
  const facts: [string, string][] = [
    ['cache', `${result.cache} (${plan.pathStyle})`],
    [
      'upstream',
      result.upstream === plan.upstreamName ? result.upstream : `${result.upstream} (${plan.upstreamName})`,
    ],
    ['duration', formatDuration(result.durationMs)],
    ['seed', String(plan.seed)],
    [
      'requests',
      `${counted(manifests, 'manifest')}, ${counted(blobs, 'blob')} (${distinctBlobsExact ? '' : 'more than '}${distinctBlobs} distinct)`,
    ],
  ];
  const when = (condition: boolean, name: string, value: string): void => {
    if (condition) facts.push([name, value]);
  };
  when(Boolean(result.passes), 'passes', String(result.passes));
  when(
    coldRuns !== null,
    'made to forget',
    coldRuns ? `${coldRuns.done} times, ${counted(coldRuns.failed, 'error')}` : '',
  );
  when(result.dropped > 0, 'dropped', String(result.dropped));
  when(result.unfinished > 0, 'given up at the end', String(result.unfinished));
  when(result.abortedBy !== null, 'ended by', result.abortedBy ?? '');
  if (generator) {
    const { eventLoopDelayP99Ms, utilization, threads, bound } = generator;
    facts.push([
      'generator',
      `${counted(threads, 'thread')}, event-loop delay p99 ${ms(eventLoopDelayP99Ms)}, ${percent(utilization)} busy${bound ? ', generator-bound' : ''}`,
    ]);
  }
  return facts;
}

/** One check per threshold, for errors and wrong content, for what spoils the figures, and for each herd. */
function checksOf(result: PullthroughBenchResult): Check[] {
  const { totals, herd, dryRun } = result;
  const thresholds = result.thresholds.map(
    ({ text, value, unit, ok }): Check =>
      check(
        text,
        ok,
        value === null ? 'nothing was measured' : `${round(value)}${unit === 'ms' ? ' ms' : unit}`,
      ),
  );
  if (dryRun) return [check('dry run', true, 'nothing was pulled')];
  return [
    ...(totals ? pullChecks(result, totals) : []),
    ...(herd ?? []).flatMap((image) => herdChecks(image, judgesErrors(result))),
    ...thresholds,
    ...generatorChecks(result),
  ];
}

function pullChecks(result: PullthroughBenchResult, totals: Throughput): Check[] {
  const { coldRuns, redirectedPulls, stoppedPullers, interrupted } = result;
  const { failed, errors, images } = totals;
  const coldFailed = coldRuns?.failed ?? 0;
  const wrong = CONTENT_ERRORS.filter((name) => errors[name]).map((name) => `${name} ${errors[name]}`);
  return [
    ...(images === 0 && !interrupted ? [check('pulls', false, noPulls(result, failed))] : []),
    check(
      'errors',
      (failed === 0 && coldFailed === 0) || judgesErrors(result),
      failed + coldFailed === 0
        ? 'none'
        : [
            ...Object.entries(errors).map(([name, count]) => `${name} ${count}`),
            ...(coldFailed > 0 ? [`making the cache forget ${coldFailed}`] : []),
          ].join(', '),
    ),
    check(
      'content',
      wrong.length === 0,
      wrong.length === 0 ? 'every byte was what it should be' : wrong.join(', '),
    ),
    ...(redirectedPulls > 0
      ? [
          warning(
            'redirects',
            `blobs of ${counted(redirectedPulls, 'pull')} are kept elsewhere and were not fetched`,
          ),
        ]
      : []),
    ...(stoppedPullers > 0
      ? [warning('pullers', `${counted(stoppedPullers, 'puller')} gave up after a failure`)]
      : []),
  ];
}

/** A cache that knows the upstream by another name, or wants it said elsewhere, fails every pull. */
function noPulls({ plan: { pathStyle, upstreamName } }: PullthroughBenchResult, failed: number): string {
  if (failed === 0) return 'no image was pulled';
  const said = pathStyle === 'mirror' ? 'without naming the upstream' : `as of '${upstreamName}'`;
  const flags = pathStyle === 'mirror' ? '--path-style' : '--path-style or --upstream-name';
  return `no image was pulled: they were asked for ${said} (${pathStyle}); does the cache want another ${flags}?`;
}

/** A threshold on errors says how many are none. */
function judgesErrors({ thresholds }: PullthroughBenchResult): boolean {
  return thresholds.some(({ text }) => text.startsWith('errors'));
}

/** @param judgedElsewhere a threshold says how many clients may get nothing */
function herdChecks(
  { image, clients, failed, errors, killed, probe }: HerdImage,
  judgedElsewhere: boolean,
): Check[] {
  const named = Object.entries(errors).map(([name, count]) => `${name} ${count}`);
  const how = killed === null ? '' : ' while one was cut off';
  return [
    check(
      `herd ${image}`,
      failed === 0 || judgedElsewhere,
      failed === 0 ? `${counted(clients, 'client')} got it${how}` : named.join(', '),
    ),
    ...(probe
      ? [check(`probe ${probe.image}`, probe.ok, probe.ok ? `answered in ${ms(probe.ms)}` : `${probe.error}`)]
      : []),
  ];
}

function generatorChecks({ generator }: PullthroughBenchResult): Check[] {
  if (!generator) return [];
  return generator.bound
    ? [
        {
          ...warning(
            'generator',
            `generator-bound (${generator.boundBy.join(', ')}): the figures say as much of this machine as of the cache`,
          ),
          advisory: true,
        },
      ]
    : [check('generator', true, 'not the bottleneck')];
}

function check(name: string, ok: boolean, message: string): Check {
  return { group: GROUP, name, status: ok ? 'pass' : 'fail', message };
}

function warning(name: string, message: string): Check {
  return { group: GROUP, name, status: 'warn', message };
}

function metricsOf(result: PullthroughBenchResult): Metric[] {
  const { totals, steps, knee, upstreamTraffic, herd } = result;
  const gauge = (
    name: string,
    help: string,
    value: number | null | undefined,
    unit: NonNullable<Metric['unit']>,
    labels: Record<string, string> = {},
  ): Metric[] => (value === null || value === undefined ? [] : [{ name, help, value, unit, labels }]);
  const counter = (name: string, help: string, value: number, unit: 'c' | 'B'): Metric => ({
    name,
    help,
    value,
    unit,
    type: 'counter',
  });
  const share: Metric[] = [
    ...gauge(
      'pullthrough_upstream_amplification',
      'Upstream blob fetches for each distinct blob that clients asked for',
      upstreamTraffic?.amplification,
      '',
    ),
    ...gauge(
      'pullthrough_cache_hit_ratio',
      'Share of blob requests that did not reach the upstream',
      upstreamTraffic?.cacheHitRatio,
      '',
    ),
  ];
  const herds = (herd ?? []).flatMap(({ image, slowestMs }) =>
    gauge('pullthrough_herd_slowest_ms', "The slowest client's pull", slowestMs, 'ms', { image }),
  );
  if (!totals) return [...herds, ...share];
  return [
    counter('pullthrough_images_total', 'Images pulled whole and verified', totals.images, 'c'),
    counter('pullthrough_errors_total', 'Pulls that failed', totals.failed, 'c'),
    counter('pullthrough_bytes_total', 'Bytes received', totals.bytes, 'B'),
    ...gauge('pullthrough_images_per_second', 'Images per second', totals.imagesPerSecond, ''),
    ...(['p50', 'p90', 'p99', 'max'] as const).flatMap((quantile) =>
      gauge('pullthrough_latency_ms', 'Time of a whole pull', totals.latencyMs?.[quantile], 'ms', {
        quantile,
      }),
    ),
    ...steps.flatMap(({ step, pullers, figures }) =>
      gauge(
        'pullthrough_step_images_per_second',
        'Images per second of a step that has settled',
        figures?.imagesPerSecond,
        '',
        { step: String(step), pullers: String(pullers ?? '') },
      ),
    ),
    ...gauge(
      'pullthrough_knee_pullers',
      'Pullers beyond which there are no more images per second',
      knee?.pullers,
      '',
    ),
    ...share,
  ];
}

function seriesOf({ series, dryRun }: PullthroughBenchResult): Series[] {
  if (series.length === 0) return [];
  const line = (
    plot: string,
    name: string,
    unit: string,
    of: (sample: BenchSample) => number | null,
  ): Series => ({
    plot,
    name,
    unit,
    points: series.map((sample) => [sample.atMs, of(sample) ?? Number.NaN]),
  });
  const pullers: Series = { ...line('Pullers', 'pullers', '', (sample) => sample.pullers), step: true };
  if (dryRun) return [pullers];
  return [
    pullers,
    line('Images', 'images', 'images/s', (sample) => sample.imagesPerSecond),
    line('Images', 'errors', 'images/s', ({ failed, durationMs }) => (failed * 1000) / durationMs),
    line('Throughput', 'received', 'MB/s', (sample) => sample.bytesPerSecond / 1e6),
    line('Pull time', 'p50', 'ms', (sample) => sample.p50Ms),
    line('Pull time', 'p99', 'ms', (sample) => sample.p99Ms),
  ];
}

/** Three digits at least, no more after the point than they need. */
function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function ms(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : `${round(value)} ms`;
}

function times(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : `${round(value)}×`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
