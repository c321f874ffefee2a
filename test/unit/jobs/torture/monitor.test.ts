import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/index.ts';
import { BoundedSeries } from '../../../../src/jobs/torture/bounded-series.ts';
import { changesBetween } from '../../../../src/jobs/torture/monitor/changes.ts';
import {
  alertLine,
  type MonitorAlert,
  type MonitorContext,
  type MonitorOptions,
  type MonitorResult,
  type MonitorSample,
  monitor,
  reportMonitor,
  type StateSample,
  sampleLine,
} from '../../../../src/jobs/torture/monitor/index.ts';
import { Watch } from '../../../../src/jobs/torture/monitor/watch.ts';
import { tortureSummary } from '../../../../src/jobs/torture/summary.ts';
import type { Testbed } from '../../../../src/testbed/index.ts';
import { call, openTestbed, pushImage } from '../../../support/testbed-client.ts';
import { connect, contextFor } from './support.ts';

const OPTIONS: MonitorOptions = {
  registry: 'it',
  api: 'auto',
  maxRepositories: 100,
  stateMs: 20,
  healthMs: 20,
  sessionsMs: 20,
  durationMs: 200,
  once: true,
  longSessionMs: 300_000,
  slowMs: 60_000,
};

async function watch(
  testbed: Testbed,
  options: Partial<MonitorOptions> = {},
  context: Partial<MonitorContext> = {},
) {
  const client = await connect(testbed.url);
  const samples: MonitorSample[] = [];
  const alerts: MonitorAlert[] = [];
  const { result, error } = await monitor(
    { ...OPTIONS, ...options },
    {
      ...contextFor(client),
      onAlert: (alert) => void alerts.push(alert),
      ...context,
      onSample(sample) {
        samples.push(sample);
        context.onSample?.(sample);
      },
      onProbed(soFar) {
        // What it would answer now holds all it has told.
        const states = samples.flatMap((sample) => (sample.type === 'state' ? [sample.state] : []));
        expect(soFar().final).toEqual(states.at(-1) ?? null);
        expect(soFar().alerts).toEqual(alerts);
      },
    },
  );
  return { result, error, samples, alerts };
}

function lineOf(samples: readonly MonitorSample[], type: MonitorSample['type']): string {
  const sample = samples.find((one) => one.type === type);
  if (!sample) throw new Error(`no ${type}`);
  return sampleLine(sample);
}

describe('a look', () => {
  test('says what the seed says', async () => {
    const testbed = await openTestbed();
    await pushImage(testbed, 'team/app', 'v1');
    await pushImage(testbed, 'team/app', 'v2');
    const { result, error, samples } = await watch(testbed);
    expect(error).toBeUndefined();
    expect(lineOf(samples, 'state')).toBe('State: repos=1, manifests=2, blobs=4, sessions=0, health=healthy');
    expect(lineOf(samples, 'sessions')).toBe('Active sessions: 0');
    expect(lineOf(samples, 'health')).toBe('Registry health: healthy');
    expect(result).toMatchObject({
      api: 'nscr',
      interrupted: false,
      snapshots: 1,
      health: 'healthy',
      sessions: 0,
      alerts: [],
      probes: { state: { count: 1, failed: 0 }, health: { count: 1 }, sessions: { count: 1 } },
    });
    const report = reportMonitor(result);
    expect(report.sections?.[0]?.text?.split('\n')).toEqual([
      '=== Torture Test Summary ===',
      'Total operations: 3',
      'Errors: 0',
      'Success rate: 100.00%',
      'State snapshots collected: 1',
      'Initial state: repos=1, manifests=2, blobs=4',
      'Final state: repos=1, manifests=2, blobs=4',
    ]);
    expect(report.checks?.map(({ status }) => status)).toEqual(Array(7).fill('pass'));
  });

  test('at any registry: what nobody tells is unknown', async () => {
    const { result, samples } = await watch(await openTestbed(), { api: 'oci' });
    expect(lineOf(samples, 'state')).toBe(
      'State: repos=0, manifests=0, blobs=0, sessions=unknown, health=healthy',
    );
    expect(lineOf(samples, 'sessions')).toBe('Active sessions: unknown');
    expect(result).toMatchObject({ api: 'oci', sessions: null, alerts: [] });
    expect(reportMonitor(result).metrics?.map(({ name }) => name)).not.toContain('sessions');
  });
});

describe('each fault raises its alert, and nothing else', () => {
  test.each<[string, string, string[], Partial<MonitorOptions>]>([
    ['degraded health', 'degraded', ['WARNING Registry health degraded: healthy -> degraded'], {}],
    ['unhealthy', 'unhealthy', ['CRITICAL Registry health degraded: healthy -> unhealthy'], {}],
    ['a session too long', 'session=10m', ['WARNING Long-running session detected: '], {}],
    ['a state that fails', '/api/registry/state status=500', ['CRITICAL Failed to get registry state: '], {}],
    [
      'a health that fails',
      '/api/registry/health status=404',
      ['CRITICAL Failed to get registry health: '],
      {},
    ],
    [
      'a slow reply',
      '/api/registry/sessions delay=3s',
      ['WARNING Slow reply to active sessions: 3.'],
      { slowMs: 2900 },
    ],
  ])('%s', async (_, fault, expected, options) => {
    const testbed = await openTestbed();
    await pushImage(testbed, 'team/app', 'v1');
    testbed.faults.add(fault);
    const { alerts, result } = await watch(testbed, { api: 'nscr', ...options });
    expect(alerts.map(alertLine)).toEqual(expected.map((line) => expect.stringContaining(line)));
    expect(result.alerts).toEqual(alerts);
    const wrong = reportMonitor(result).checks?.filter(({ status }) => status !== 'pass');
    expect(wrong).toHaveLength(1);
  });

  test('what lasts is told once, what comes back is told too', async () => {
    const testbed = await openTestbed();
    testbed.faults.add({ name: 'ill', effect: { health: 'degraded' } });
    const stop = new AbortController();
    let seen = 0;
    const { alerts, result } = await watch(
      testbed,
      { once: false, durationMs: 60_000 },
      {
        signal: stop.signal,
        onSample({ type }) {
          if (type !== 'health') return;
          seen++;
          if (seen === 3) testbed.faults.remove('ill');
          if (seen === 15) stop.abort();
        },
      },
    );
    expect(alerts.map(({ kind, severity }) => `${severity} ${kind}`)).toEqual([
      'warning health-changed',
      'note health-changed',
    ]);
    expect(result.health).toBe('healthy');
  });
});

describe('over time', () => {
  test('drops are told, and what changed at the end', async () => {
    const testbed = await openTestbed();
    const { digest } = await pushImage(testbed, 'team/app', 'v1');
    await pushImage(testbed, 'team/app', 'v2');
    const stop = new AbortController();
    let states = 0;
    let isDeleted = false;
    const { result, alerts } = await watch(
      testbed,
      { once: false, durationMs: 60_000 },
      {
        signal: stop.signal,
        onSample(sample) {
          if (sample.type !== 'state') return;
          states++;
          const { repositories, manifests } = sample.state;
          if (states === 2) void pushImage(testbed, 'team/new', 'v1');
          if (repositories === 2 && manifests === 3 && !isDeleted) {
            isDeleted = true;
            void call(testbed, 'DELETE', `/v2/team/app/manifests/${digest}`);
          }
          if (isDeleted && manifests === 2) stop.abort();
        },
      },
    );
    expect(alerts.map(({ message }) => message)).toEqual(['Manifest count decreased: 3 -> 2']);
    expect(result.changes).toMatchObject({
      repositories: 1,
      manifests: 0,
      appeared: ['team/new'],
      appearedCount: 1,
      vanishedCount: 0,
      retaggedCount: 1,
    });
    expect(result.snapshots).toBe(states);
    expect(result.history).toHaveLength(states);
    expect(reportMonitor(result).sections?.[1]?.facts?.[0]).toEqual(['repositories', '+1 (new: team/new)']);
  });

  test('one state is taken at the very end', async () => {
    const testbed = await openTestbed();
    const { result } = await watch(testbed, { once: false, stateMs: 60_000, durationMs: 500 });
    expect(result.snapshots).toBe(2);
    expect(result.probes.health.count).toBeGreaterThan(1);
  });

  test('an interrupt gives what was seen so far', async () => {
    const testbed = await openTestbed();
    const abort = new AbortController();
    const { result, error } = await watch(
      testbed,
      { once: false, durationMs: 60_000 },
      { signal: abort.signal, onSample: ({ type }) => type === 'state' && abort.abort() },
    );
    expect(error).toMatchObject({ code: 'INTERRUPTED' });
    expect(result).toMatchObject({ interrupted: true, snapshots: 1 });
    expect(result.initial).toEqual(result.final);
    expect(reportMonitor(result).summary).toContain('(interrupted)');
  });

  test('a registry that goes away is an alert, one that never was there an error', async () => {
    const testbed = await openTestbed();
    const client = await connect(testbed.url);
    const stop = new AbortController();
    let last: MonitorResult | undefined;
    const gone = await monitor(
      { ...OPTIONS, once: false, durationMs: 60_000 },
      {
        ...contextFor(client),
        signal: stop.signal,
        onSample: ({ type }) => type === 'health' && void testbed.close(),
        // Who only hears of what was answered would believe the last good answer for ever.
        onProbed(soFar) {
          last = soFar();
          if (last.probes.state.failed > 0 && last.probes.health.failed > 0) stop.abort();
        },
      },
    );
    expect(gone.error).toMatchObject({ code: 'INTERRUPTED' });
    expect(last).toMatchObject({ health: 'unknown', alertCounts: { 'probe-failed': expect.any(Number) } });
    expect(last && reportMonitor(last).metrics).toContainEqual(
      expect.objectContaining({ name: 'healthy', value: 0 }),
    );
    expect(gone.result.alertCounts['probe-failed']).toBeGreaterThan(0);
    expect(gone.result.alerts.length).toBeLessThanOrEqual(3);
    for (const api of ['auto', 'oci'] as const) {
      const { result, error } = await monitor({ ...OPTIONS, api }, contextFor(client));
      expect(error).toMatchObject({ code: 'CONNECTION_FAILED' });
      expect(reportMonitor(result).checks).toMatchObject([{ name: 'probes', status: 'fail' }]);
    }
  });

  test('a registry without the admin API that was asked for is an error at once', async () => {
    const testbed = await openTestbed({
      faults: [{ match: { kind: 'api' }, effect: { status: 404 } }],
    });
    const { error } = await watch(testbed, { api: 'nscr', once: false, durationMs: 60_000 });
    expect(error).toMatchObject({ code: 'UNSUPPORTED_BY_SERVER' });
  });

  test('a probe that takes longer than its interval is not asked twice at once', async () => {
    const testbed = await openTestbed({
      faults: [{ match: { kind: 'api' }, effect: { delay: '40ms' } }],
    });
    let underWay = 0;
    let most = 0;
    const client = await connect(testbed.url);
    await monitor(
      { ...OPTIONS, api: 'nscr', once: false, stateMs: 1, healthMs: 1, sessionsMs: 1 },
      {
        ...contextFor({
          ...client,
          async request(request) {
            most = Math.max(most, ++underWay);
            try {
              return await client.request(request);
            } finally {
              underWay--;
            }
          },
        }),
        clock: systemClock,
      },
    );
    expect(most).toBeLessThanOrEqual(3);
  });
});

describe('the watch', () => {
  const state = (change: Partial<StateSample>): StateSample => ({
    takenAt: '2026-01-01T00:00:00.000Z',
    api: 'oci',
    repositories: 5,
    manifests: 23,
    blobs: 67,
    sessions: null,
    health: 'healthy',
    latencyMs: 1,
    unreadable: 0,
    truncated: false,
    ...change,
  });
  const limits = { longSessionMs: 1000, slowMs: 100 };

  test('tells every drop, of repositories, manifests and blobs', () => {
    const watcher = new Watch(limits);
    expect(watcher.state(state({}), 30)).toEqual([]);
    const alerts = watcher.state(state({ repositories: 4, manifests: 22, blobs: 66 }), 30);
    expect(alerts.map(({ message }) => message)).toEqual([
      'Repository count decreased: 5 -> 4',
      'Manifest count decreased: 23 -> 22',
      'Blob count decreased: 67 -> 66',
    ]);
    expect(watcher.state(state({ repositories: 4, manifests: 22, blobs: 66 }), 30)).toEqual([]);
  });

  test('where only /v2/ shows what there is, a tag that moved is a note and one that is gone is not', () => {
    const watcher = new Watch(limits);
    watcher.state(state({ api: 'oci' }), 30);
    const moved = watcher.state(state({ api: 'oci', manifests: 22, blobs: 66 }), 30);
    expect(moved.map(({ severity }) => severity)).toEqual(['note', 'note']);
    const gone = watcher.state(state({ api: 'oci', manifests: 21, blobs: 60 }), 29);
    expect(gone.map(({ severity }) => severity)).toEqual(['warning', 'warning']);
  });

  test('a state with parts missing is no drop', () => {
    const watcher = new Watch(limits);
    watcher.state(state({}), 30);
    const partial = state({ manifests: 3, unreadable: 1 });
    expect(watcher.state(partial, 30).map(({ kind }) => kind)).toEqual(['partial-state']);
    expect(watcher.state(partial, 30)).toEqual([]);
    expect(watcher.state(state({}), 30)).toEqual([]);
  });

  test('a session is told once, and again when it comes back', () => {
    const watcher = new Watch(limits);
    const reading = (...durations: number[]) => ({
      takenAt: '2026-01-01T00:00:00.000Z',
      latencyMs: 1,
      sessions: durations.map((durationMs, at) => ({ id: `s${at}\u001b`, startedAt: null, durationMs })),
    });
    expect(watcher.sessions(reading(1001, 1000)).map(({ message }) => message)).toEqual([
      'Long-running session detected: s0\\x1b (1001ms)',
    ]);
    expect(watcher.sessions(reading(2000))).toEqual([]);
    expect(watcher.sessions(reading())).toEqual([]);
    expect(watcher.sessions(reading(3000))).toHaveLength(1);
  });
});

describe('the history', () => {
  test('never grows beyond its bound, keeps the first, and stays even', () => {
    const series = new BoundedSeries<number>(8);
    for (let value = 0; value < 1000; value++) {
      series.push(value);
      expect(series.values.length).toBeLessThanOrEqual(8);
    }
    const { values } = series;
    expect(values[0]).toBe(0);
    expect(values.length).toBeGreaterThanOrEqual(4);
    const steps = new Set(values.slice(1).map((value, at) => value - (values[at] ?? 0)));
    expect([...steps]).toHaveLength(1);
    expect(series.seen).toBe(1000);
  });

  test('changes name at most a hundred repositories, and count all', () => {
    const none = { repositories: 0, manifests: 0, blobs: 0, tagCounts: new Map() };
    const many = {
      ...none,
      repositories: 150,
      tagCounts: new Map(Array.from({ length: 150 }, (_, at) => [`r${at}`, 1])),
    };
    const changes = changesBetween(many as never, none as never);
    expect(changes.vanished).toHaveLength(100);
    expect(changes).toMatchObject({ vanishedCount: 150, repositories: -150, appearedCount: 0 });
  });
});

test('the seed’s summary: nothing done is no success, and states only where there are any', () => {
  const none = { operations: 0, errors: 0, snapshots: 0, initial: null, final: null };
  expect(tortureSummary(none).text).toBe(
    '=== Torture Test Summary ===\nTotal operations: 0\nErrors: 0\nSuccess rate: 0.00%\nState snapshots collected: 0',
  );
  expect(tortureSummary({ ...none, operations: 3, errors: 1 }).text).toContain('Success rate: 66.67%');
});
