import type { Ending, Report } from '../../src/report/index.ts';

const SECONDS = Array.from({ length: 120 }, (_, at) => at);

/** A report with everything a report can hold, as a torture run of two minutes would give it. */
export const FULL_REPORT: Report = {
  title: 'Torture test of registry.example.com',
  summary: '61,204 operations in 2m00s, 37 errors (0.06 %), 2 findings',
  checks: [
    {
      name: 'digests',
      group: 'consistency',
      status: 'pass',
      message: '412 blobs agree with their digest',
      durationMs: 8120,
    },
    {
      name: 'team/app:1.4',
      group: 'consistency',
      status: 'fail',
      message: 'the manifest refers to a blob that is missing',
      evidence:
        'GET /v2/team/app/manifests/1.4 → 200\nHEAD /v2/team/app/blobs/sha256:6f0c… → 404\n2026-03-01T10:00:41Z',
      durationMs: 42,
    },
    { name: 'team/ghost', group: 'consistency', status: 'warn', message: 'in the catalog, but has no tags' },
    {
      name: 'sessions',
      group: 'monitor',
      status: 'unknown',
      message: 'the registry does not tell its sessions',
    },
    { name: 'p99<200ms', group: 'stress', status: 'fail', message: '312 ms' },
    { name: 'errors<1%', group: 'stress', status: 'pass', message: '0.06 %' },
  ],
  sections: [
    {
      title: 'Run',
      facts: [
        ['registry', 'http://localhost:7000'],
        ['load', 'open, 500/s for 2m00s, Poisson arrivals, seed 7'],
        ['generator', 'not the bottleneck: event-loop delay p99 1.9 ms'],
      ],
    },
    {
      title: 'Latency by operation',
      table: {
        columns: [
          { title: 'operation', shrink: true },
          { title: 'count', align: 'right' },
          { title: 'p50', align: 'right' },
          { title: 'p99', align: 'right' },
          { title: 'bytes', align: 'right' },
        ],
        rows: [
          ['manifest-get', '30,112', '4.1 ms', '88 ms', '71 MiB'],
          ['blob-get', '31,092', '7.9 ms', '312 ms', '12 GiB'],
        ],
      },
    },
    { title: 'Errors', text: 'status-503  30\ntimeout      7\n' },
  ],
  metrics: [
    {
      name: 'operations_total',
      help: 'Operations done.',
      value: 61_204,
      type: 'counter',
      labels: { kind: 'all' },
    },
    {
      name: 'latency_ms',
      help: 'Latency from the intended start.',
      value: 312,
      unit: 'ms',
      labels: { percentile: '99' },
    },
    { name: 'read_bytes', help: 'Bytes read.', value: 12_884_901_888, unit: 'B' },
  ],
  series: [
    {
      plot: 'Rate',
      name: 'blob-get',
      unit: 'req/s',
      points: SECONDS.map((s) => [s * 1000, 250 + 12 * Math.sin(s / 3) - (s > 60 && s < 66 ? 180 : 0)]),
    },
    {
      plot: 'Rate',
      name: 'manifest-get',
      unit: 'req/s',
      points: SECONDS.map((s) => [s * 1000, 251 + 9 * Math.cos(s / 4)]),
    },
    {
      plot: 'Errors',
      name: 'errors',
      unit: 'req/s',
      points: SECONDS.map((s) => [s * 1000, s > 60 && s < 66 ? 6 : 0]),
    },
    ...[
      ['p50', 1],
      ['p90', 4],
      ['p99', 16],
    ].map(([name, factor]) => ({
      plot: 'Latency',
      name: String(name),
      unit: 'ms',
      points: SECONDS.map((s): [number, number] => [
        s * 1000,
        Number(factor) * (4 + Math.sin(s / 5) + (s > 60 && s < 70 ? 14 : 0)),
      ]),
    })),
    ...(['repositories', 'manifests', 'blobs'] as const).map((name, at) => ({
      plot: 'State',
      name,
      unit: '',
      step: true,
      points: SECONDS.filter((s) => s % 5 === 0).map((s): [number, number] => [
        s * 1000,
        s >= 30 && s < 40 ? Number.NaN : [5, 23, 67][at]! - (s > 80 ? at : 0),
      ]),
    })),
    {
      plot: 'Throughput',
      name: 'read',
      unit: 'B',
      points: SECONDS.map((s) => [s * 1000, 5e7 + 1e7 * Math.sin(s / 9)]),
    },
    { plot: 'Sessions', name: 'open', unit: '', step: true, points: [] },
  ],
};

/** How that run ended. */
export const FOUND: Ending = {
  command: 'torture all',
  ok: false,
  interrupted: false,
  at: Date.UTC(2026, 2, 1, 10, 2),
  warnings: ['certificates are not checked (--insecure)'],
};
