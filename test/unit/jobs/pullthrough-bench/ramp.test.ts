import { describe, expect, test } from 'vitest';
import { reportPullthroughBench } from '../../../../src/jobs/pullthrough-bench/index.ts';
import { parseThreshold } from '../../../../src/load/index.ts';
import { parseFaults } from '../../../../src/testbed/index.ts';
import { openFront } from '../../../support/http-front.ts';
import { bench, namesFor, openRig, pullsIn, type QUICK } from './support.ts';

describe('what is pulled', () => {
  test.each([0, 2])('the tallies equal the access log, image for image (%d threads)', async (threads) => {
    const rig = await openRig(namesFor(['0001', '0002'], 3));
    const { result, tallies } = await bench(
      rig,
      { threads, maxPulls: 40 },
      {
        watchUpstream: () => rig.upstream.watchTraffic(),
      },
    );
    const { manifests, blobs } = pullsIn(rig.lines);
    expect(result.totals).toMatchObject({ images: 40, failed: 0, errors: {} });
    expect(manifests).toHaveLength(40);
    expect(blobs).toHaveLength(80);
    expect(result.requests).toMatchObject({ manifests: 40, blobs: 80, distinctBlobsExact: true });
    expect(result.totals?.requests.map(({ kind, count, failed }) => [kind, count, failed])).toEqual([
      ['blob', 80, 0],
      ['manifest', 40, 0],
    ]);
    const bytes = rig.lines
      .filter(({ method, path }) => method === 'GET' && /\/(manifests|blobs)\//.test(path))
      .reduce((sum, line) => sum + line.bytesOut, 0);
    expect(result.totals?.bytes).toBe(bytes);
    expect(tallies.reduce((sum, { images }) => sum + images, 0)).toBe(40);
    expect(tallies.at(-1)?.partial || tallies.at(-1)?.durationMs === 100).toBe(true);
    expect(result.tallies).toEqual(tallies);
    // Each of the images that were pulled was fetched once, however often it was pulled.
    const seen = new Set(blobs);
    expect(result.requests.distinctBlobs).toBe(seen.size);
    expect(result.upstreamTraffic).toMatchObject({
      blobGets: seen.size,
      distinctBlobs: seen.size,
      maxGetsOfOneBlob: 1,
      amplification: 1,
      cacheHitRatio: 1 - seen.size / 80,
    });
    expect(result.generator?.threads).toBe(threads === 0 ? 1 : threads);
  });

  test('one puller per pattern, in order, ramping up and down again', async () => {
    const rig = await openRig(namesFor(['0001', '0002'], 3));
    const { result, samples } = await bench(rig, { iterationMs: 400, layerConcurrency: 1 });
    const { manifests } = pullsIn(rig.lines);
    const first = manifests.filter((path) => path.includes('-0001'));
    const order = ['app0-0001', 'app1-0001', 'app2-0001'];
    first.forEach((path, at) => {
      expect(path).toContain(order[at % 3] as string);
    });
    expect(manifests.some((path) => path.includes('-0002'))).toBe(true);
    // The second pattern's puller comes later and leaves earlier.
    expect(manifests[0]).toContain('-0001');
    expect(manifests.at(-1)).toContain('-0001');
    expect(result.plan.steps.map(({ pullers }) => pullers)).toEqual([1, 2, 1]);
    expect(result.plan.durationMs).toBe(1200);
    expect(samples.map(({ pullers }) => pullers).slice(0, 12)).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1]);
    expect(result.steps.map(({ fromMs, toMs }) => [fromMs, toMs])).toEqual([
      [200, 400],
      [600, 800],
      [1000, 1200],
    ]);
    for (const { figures, durationMs } of result.steps) {
      expect(durationMs).toBe(200);
      expect(figures?.imagesPerSecond).toBe(((figures?.images ?? 0) * 1000) / durationMs);
      expect(figures?.latencyMs).not.toBeNull();
    }
    expect(reportPullthroughBench(result).series?.map(({ plot }) => plot)).toContain('Pullers');
  });

  test.each([
    ['in-path', /^\/v2\/127\.0\.0\.1:\d+\/team\/app0-0001\/manifests\/v1$/],
    ['mirror', /^\/v2\/team\/app0-0001\/manifests\/v1$/],
    ['ns-query', /^\/v2\/team\/app0-0001\/manifests\/v1$/],
  ] as const)('the cache is addressed: %s', async (pathStyle, expected) => {
    const rig = await openRig(namesFor(['0001'], 1));
    const queries: string[] = [];
    const front = await openFront(rig.cache, ({ url = '' }) => {
      queries.push(new URL(url, 'http://x').search);
      return false;
    });
    const { result } = await bench({ ...rig, cache: front }, { pathStyle, patterns: ['.*'], maxPulls: 3 });
    expect(result.totals).toMatchObject({ images: 3, failed: 0 });
    expect(pullsIn(rig.lines).manifests).toHaveLength(3);
    for (const path of pullsIn(rig.lines).manifests) expect(path).toMatch(expected);
    const ns = `?ns=${encodeURIComponent(rig.upstreamName)}`;
    expect(queries.filter((query) => query === ns).length).toBe(pathStyle === 'ns-query' ? 11 : 0);
  });

  test('several pullers of a pattern begin at evenly spread places, and shuffle between passes', async () => {
    const rig = await openRig(namesFor(['0001'], 4));
    const { result } = await bench(rig, {
      patterns: ['-0001'],
      pullersPerPattern: 2,
      shuffle: true,
      maxPulls: 60,
    });
    expect(result.plan.pullers).toBe(2);
    const { manifests } = pullsIn(rig.lines);
    const starts = manifests.slice(0, 2).map((path) => /app(\d)/.exec(path)?.[1]);
    expect(new Set(starts)).toEqual(new Set(['0', '2']));
    expect(result.passes).toBeGreaterThan(10);
    // Every pass has every image: whatever the order, they come equally often but for passes under way.
    const counts = ['app0', 'app1', 'app2', 'app3'].map(
      (name) => manifests.filter((path) => path.includes(name)).length,
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(60);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(4);
  });

  test('all tags, those of an expression, and a filter', async () => {
    const rig = await openRig(['a:v1', 'a:v2', 'b:v1', 'b:dev']);
    const plan = async (more: Partial<typeof QUICK>) =>
      (await bench(rig, { patterns: ['.*'], maxPulls: 1, ...more })).result.plan;
    expect(await plan({ tags: 'first' })).toMatchObject({ images: 2, listedImages: 2 });
    expect(await plan({ tags: 'all' })).toMatchObject({ images: 4, listedImages: 4 });
    expect(await plan({ tags: '^v' })).toMatchObject({ images: 3 });
    // The seed's filter sees a newline behind the tag; ours can be anchored.
    expect(await plan({ tags: 'all', filter: ':v1$' })).toMatchObject({ images: 2, filteredImages: 2 });
  });

  test('at a rate: images in turn from all groups, on schedule', async () => {
    const rig = await openRig(namesFor(['0001', '0002'], 2));
    const { result } = await bench(rig, { ratePerSecond: 100, durationMs: 500, maxPulls: 20 });
    expect(result.totals).toMatchObject({ images: 20, failed: 0 });
    const names = pullsIn(rig.lines).manifests.map((path) => /app\d-\d+/.exec(path)?.[0]);
    for (const name of ['app0-0001', 'app0-0002', 'app1-0001', 'app1-0002']) {
      expect([name, names.filter((one) => one === name).length]).toEqual([name, 5]);
    }
    expect(result.plan).toMatchObject({ ratePerSecond: 100, pullers: 0, durationMs: 500 });
    expect(result.steps).toHaveLength(1);
    expect(result.knee).toBeNull();
  });
});

describe('errors', () => {
  test.each([
    ['GET blobs corrupt', 'digest'],
    ['GET blobs truncate=50%', 'truncated'],
    ['GET blobs shorten=50%', 'size'],
    ['GET blobs reset=mid', 'truncated'],
    ['GET manifests corrupt', 'digest'],
    ['GET manifests status=500', 'status-500'],
  ])('%s is an error and no pull', async (fault, error) => {
    const rig = await openRig(namesFor(['0001'], 2), { cache: { faults: [] } });
    for (const one of parseFaults(fault)) rig.cache.faults.add(one);
    const { result, tallies } = await bench(rig, { patterns: ['.*'], maxPulls: 4, layerConcurrency: 1 });
    expect(result.totals).toMatchObject({ images: 0, failed: 4, errors: { [error]: 4 } });
    expect(tallies.reduce((sum, { images }) => sum + images, 0)).toBe(0);
    const checks = reportPullthroughBench(result).checks ?? [];
    expect(checks.filter(({ status }) => status === 'fail').map(({ name }) => name)).toContain('errors');
    const content = checks.find(({ name }) => name === 'content');
    expect(content?.status).toBe(error.startsWith('status') ? 'pass' : 'fail');
  });

  test('continue: goes on at once; stop: never again', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    rig.cache.faults.add(parseFaults('GET manifests status=500 first=3')[0] as never);
    const going = await bench(rig, { patterns: ['.*'], maxPulls: 6, onError: 'continue' });
    expect(going.result.totals).toMatchObject({ images: 3, failed: 3 });
    rig.cache.faults.add(parseFaults('GET manifests status=500 first=3')[0] as never);
    const stopped = await bench(rig, { patterns: ['.*'], maxPulls: 6, onError: 'stop' });
    expect(stopped.result.totals).toMatchObject({ images: 0, failed: 1 });
    expect(stopped.result.stoppedPullers).toBe(1);
    expect(
      reportPullthroughBench(stopped.result).checks?.find(({ name }) => name === 'pullers')?.status,
    ).toBe('warn');
  });

  test('backoff: pauses longer and longer until a success', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    rig.cache.faults.add(parseFaults('GET manifests status=500 first=3')[0] as never);
    const { result } = await bench(rig, { patterns: ['.*'], maxPulls: 5, onError: 'backoff' });
    expect(result.totals).toMatchObject({ images: 2, failed: 3 });
    // Half of 100, 200 and 400 ms at least.
    expect(result.durationMs).toBeGreaterThanOrEqual(350);
    expect(result.stoppedPullers).toBe(0);
  });

  test('thresholds are judged, and one on errors says how many are none', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    rig.cache.faults.add(parseFaults('GET manifests status=500 first=1')[0] as never);
    const thresholds = [parseThreshold('errors<50%'), parseThreshold('p50<0.0001ms')];
    const { result } = await bench(rig, { patterns: ['.*'], maxPulls: 5, thresholds });
    expect(result.thresholds.map(({ ok }) => ok)).toEqual([true, false]);
    const checks = reportPullthroughBench(result).checks ?? [];
    expect(checks.find(({ name }) => name === 'errors')?.status).toBe('pass');
    expect(checks.find(({ name }) => name.startsWith('p50'))?.status).toBe('fail');
  });
});

describe('cold passes', () => {
  test('prune after each pass makes the next one cold', async () => {
    const rig = await openRig(namesFor(['0001', '0002'], 2));
    const { result } = await bench(
      rig,
      { patterns: ['-0001'], cold: 'prune', maxPulls: 6 },
      { watchUpstream: () => rig.upstream.watchTraffic() },
    );
    expect(result.totals).toMatchObject({ images: 6, failed: 0 });
    const prunes = rig.lines.filter(({ path }) => path === '/cmd/prune');
    expect(result.coldRuns).toEqual({ done: prunes.length, failed: 0 });
    expect(result.requests.prunes).toBe(prunes.length);
    // The one after the last pass may not be waited for.
    expect(prunes.length).toBeGreaterThanOrEqual(2);
    // Three passes, each of two images with two blobs, none from the cache.
    expect(result.upstreamTraffic).toMatchObject({ blobGets: 12, amplification: 3, cacheHitRatio: 0 });
  });

  test('a prune that fails is an error and minds --on-error', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    rig.cache.faults.add(parseFaults('/cmd/prune status=500')[0] as never);
    const options = { patterns: ['-0001'], cold: 'prune', maxPulls: 6 } as const;
    const going = await bench(rig, { ...options, onError: 'continue' });
    expect(going.result.totals).toMatchObject({ images: 6, failed: 0 });
    expect(going.result.coldRuns?.failed).toBeGreaterThanOrEqual(2);
    expect(reportPullthroughBench(going.result).checks?.find(({ name }) => name === 'errors')).toMatchObject({
      status: 'fail',
    });
    const stopped = await bench(rig, { ...options, onError: 'stop' });
    expect(stopped.result.totals).toMatchObject({ images: 2, failed: 0 });
    expect(stopped.result).toMatchObject({ stoppedPullers: 1, coldRuns: { done: 1, failed: 1 } });
  });

  test.each([0, 2])('a hook runs in the main thread with the pattern (%d threads)', async (threads) => {
    const rig = await openRig(namesFor(['0001', '0002'], 2));
    const asked: string[] = [];
    const { result, warnings } = await bench(
      rig,
      { cold: 'hook', threads, iterationMs: 1000, onError: 'continue' },
      {
        runColdHook: async (pattern) => {
          asked.push(pattern);
          if (asked.length === 2) throw new Error('no room');
        },
      },
    );
    expect(new Set(asked)).toEqual(new Set(['-0001', '-0002']));
    expect(result.coldRuns?.done).toBeGreaterThan(2);
    expect(result.coldRuns?.failed).toBe(1);
    expect(warnings).toContain('the command that clears the cache failed: no room');
  });
});

describe('ends', () => {
  test('a dry run asks the cache for nothing and claims nothing', async () => {
    const rig = await openRig(namesFor(['0001', '0002'], 2));
    const { result, tallies } = await bench(rig, { dryRun: true, iterationMs: 300, cold: 'prune' });
    expect(rig.lines).toEqual([]);
    expect(result).toMatchObject({ dryRun: true, totals: null, coldRuns: null, thresholds: [] });
    expect(result.steps.map(({ pullers, figures }) => [pullers, figures])).toEqual([
      [1, null],
      [2, null],
      [1, null],
    ]);
    expect(tallies.length).toBeGreaterThanOrEqual(9);
    for (const { imagesPerSecond, images } of tallies) expect([imagesPerSecond, images]).toEqual([null, 0]);
    const report = reportPullthroughBench(result);
    expect(report.summary).toContain('nothing was pulled');
    expect(report.metrics).toEqual([]);
  });

  test('an interrupted run gives what it has', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    const ending = new AbortController();
    const { result } = await bench(
      rig,
      { patterns: ['.*'] },
      { signal: ending.signal, onTally: ({ images }) => images > 0 && ending.abort() },
    );
    expect(result.interrupted).toBe(true);
    expect(result.totals?.images).toBeGreaterThan(0);
    expect(result.steps.map(({ figures }) => figures)).toEqual([null]);
  });
});
