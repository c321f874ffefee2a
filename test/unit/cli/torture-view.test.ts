import { expect, test } from 'vitest';
import { LiveView } from '../../../src/cli/torture-view.ts';
import type { StateSample } from '../../../src/jobs/torture/monitor/index.ts';

const AT = '2026-01-01T00:00:00.000Z';

function view(seen = true) {
  let panel: readonly string[] = [];
  const live = new LiveView({
    panel: (lines) => {
      panel = lines;
      return seen;
    },
  });
  return { live, panel: () => panel };
}

function state(changed: Partial<StateSample> = {}) {
  const given: StateSample = {
    takenAt: AT,
    api: 'nscr',
    repositories: 5,
    manifests: 23,
    blobs: 67,
    sessions: 0,
    health: 'healthy',
    latencyMs: 12,
    unreadable: 0,
    truncated: false,
    ...changed,
  };
  return { type: 'state', state: given } as const;
}

const load = {
  atMs: 4000,
  durationMs: 1000,
  count: 250,
  failed: 2,
  dropped: 0,
  bytes: 1,
  ratePerSecond: 249.97,
  p50: 3.14,
  p99: 42,
  inFlight: 7,
};

test('shows the current figures and their past', () => {
  const { live, panel } = view();
  for (const blobs of [10, 30, 20]) live.sample(state({ blobs }));
  const lines = panel();
  expect(lines[0]).toBe('health healthy');
  expect(lines).toContain('repositories            5  ▁▁▁');
  expect(lines.find((line) => line.startsWith('blobs'))).toBe('blobs                  20  ▁█▅');
  expect(lines.some((line) => line.startsWith('operations/s'))).toBe(false);
});

test('remembers forty values and no more', () => {
  const { live, panel } = view();
  for (let blobs = 0; blobs < 100; blobs++) live.sample(state({ blobs }));
  expect(panel().find((line) => line.startsWith('blobs'))).toMatch(/^blobs +99 {2}\S{40}$/);
});

test('shows the load: rate, errors, latency, what is under way', () => {
  const { live, panel } = view();
  live.load(load);
  expect(panel()[0]).toBe('health unknown, after 5.0s, 7 under way');
  expect(panel()).toContain('operations/s        250.0  ▁');
  expect(panel()).toContain('p50 ms                3.1  ▁');
  live.load({ ...load, p50: null, p99: null, count: 0 });
  expect(panel()).toContain('p99 ms                 42  ▁');
});

test('health and sessions come from whoever knows them', () => {
  const { live, panel } = view();
  live.sample({ type: 'health', health: { takenAt: AT, status: 'degraded', detail: null, latencyMs: 3 } });
  live.sample(state({ health: 'unknown' }));
  expect(panel()[0]).toBe('health degraded');
  live.sample({ type: 'sessions', takenAt: AT, count: null, sessions: [], latencyMs: 1 });
  expect(panel().some((line) => line.startsWith('sessions'))).toBe(false);
  live.sample({ type: 'sessions', takenAt: AT, count: 4, sessions: [], latencyMs: 1 });
  expect(panel()).toContain('sessions                4  ▁');
});

test('says whether anybody sees it', () => {
  expect(view(true).live.sample(state())).toBe(true);
  expect(view(false).live.sample(state())).toBe(false);
  expect(view(false).live.load(load)).toBe(false);
});
