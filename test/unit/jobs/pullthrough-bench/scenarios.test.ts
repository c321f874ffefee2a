import { describe, expect, test } from 'vitest';
import { type HerdImage, reportPullthroughBench } from '../../../../src/jobs/pullthrough-bench/index.ts';
import { parseFaults } from '../../../../src/testbed/index.ts';
import { bench, namesFor, openRig, pullsIn } from './support.ts';

describe('cold-vs-warm', () => {
  test.each([0, 2])('each image once, twice in a row (%d threads)', async (threads) => {
    const names = namesFor(['0001', '0002'], 3);
    const rig = await openRig(names);
    const { result } = await bench(
      rig,
      { scenario: 'cold-vs-warm', threads, patterns: ['-0001', '-0002', 'app0'] },
      { upstreamTraffic: async () => rig.upstream.traffic() },
    );
    expect(result.coldVsWarm).toMatchObject({
      cold: { count: 6, failed: 0 },
      warm: { count: 6, failed: 0 },
    });
    expect(result.coldVsWarm?.medianRatio).toBeGreaterThan(0);
    expect(result.totals).toMatchObject({ images: 12, failed: 0 });
    const { manifests } = pullsIn(rig.lines);
    for (const name of names) {
      const repository = name.split(':')[0] as string;
      expect(manifests.filter((path) => path.includes(`/${repository}/`))).toHaveLength(2);
    }
    expect(result.totals?.requests.map(({ kind, count }) => [kind, count])).toEqual([
      ['blob_cold', 12],
      ['blob_warm', 12],
      ['manifest_cold', 6],
      ['manifest_warm', 6],
    ]);
    expect(result.upstreamTraffic).toMatchObject({ blobGets: 12, amplification: 1, cacheHitRatio: 0.5 });
    expect(result.stoppedPullers).toBe(0);
  });

  test('one puller goes image by image, and a failed first pull has no second', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    rig.cache.faults.add(parseFaults('GET manifests status=500 nth=1')[0] as never);
    const { result } = await bench(rig, { scenario: 'cold-vs-warm', patterns: ['.*'] });
    const order = pullsIn(rig.lines).manifests.map((path) => /app\d/.exec(path)?.[0]);
    expect(order).toEqual(['app0', 'app1', 'app1', 'app2', 'app2']);
    expect(result.coldVsWarm).toMatchObject({ cold: { count: 3, failed: 1 }, warm: { count: 2, failed: 0 } });
    expect(reportPullthroughBench(result).checks?.find(({ name }) => name === 'errors')?.status).toBe('fail');
  });

  test('the cache is made to forget before it begins, or the run does not begin', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    const options = { scenario: 'cold-vs-warm', patterns: ['-0001'], cold: 'prune' } as const;
    await bench(rig, options);
    const traffic = rig.upstream.traffic();
    await bench(rig, options);
    expect(rig.upstream.traffic().blobGets).toBe(2 * traffic.blobGets);
    rig.cache.faults.add(parseFaults('/cmd/prune status=404')[0] as never);
    await expect(bench(rig, options)).rejects.toMatchObject({ code: 'REQUEST_REFUSED' });
  });
});

describe('herd', () => {
  test('many clients for one image at once', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    const told: HerdImage[] = [];
    const { result } = await bench(
      rig,
      { scenario: 'herd', patterns: ['.*'] },
      { upstreamTraffic: async () => rig.upstream.traffic(), onHerdImage: (image) => told.push(image) },
    );
    expect(result.herd).toEqual(told);
    expect(result.herd).toMatchObject([
      { image: 'team/app0-0001:v1', clients: 5, ok: 5, failed: 0, killed: null, probe: null },
      { image: 'team/app1-0001:v1', clients: 5, ok: 5, failed: 0 },
    ]);
    for (const { fastestMs, medianMs, slowestMs, upstream } of result.herd ?? []) {
      expect([fastestMs, medianMs, slowestMs].map(Number)).toEqual(
        [fastestMs, medianMs, slowestMs].map(Number).sort((a, b) => a - b),
      );
      // The testbed shares a fetch among all who wait for it.
      expect(upstream).toMatchObject({ blobGets: 2, amplification: 1, cacheHitRatio: 0.8 });
    }
    const { manifests, blobs } = pullsIn(rig.lines);
    expect([manifests.length, blobs.length]).toEqual([10, 20]);
    expect(result.requests).toMatchObject({ manifests: 10, blobs: 20, distinctBlobs: 4 });
    expect(reportPullthroughBench(result).sections?.map(({ title }) => title)).toContain('Herds');
  });

  test('one is cut off in mid-pull, and an unrelated image still answers', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    const herd = { clients: 4, images: 2, kill: true, probeTimeoutMs: 1000 };
    const { result } = await bench(rig, { scenario: 'herd', patterns: ['.*'], herd });
    expect(result.herd).toMatchObject([
      { ok: 4, killed: true, probe: { image: 'team/app2-0001:v1', ok: true, error: null } },
      { ok: 4, killed: true, probe: { ok: true } },
    ]);
    expect((reportPullthroughBench(result).checks ?? []).map(({ status }) => status)).toEqual(
      Array(4).fill('pass'),
    );
  });

  test('a cache that hangs for others afterwards is found out', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    rig.cache.faults.add(parseFaults('GET manifests repository=team/app2-* delay=5s')[0] as never);
    const herd = { clients: 2, images: 1, kill: true, probeTimeoutMs: 200 };
    const { result } = await bench(rig, { scenario: 'herd', patterns: ['.*'], herd, filter: 'app[02]' });
    expect(result.herd).toMatchObject([{ ok: 2, probe: { ok: false, error: 'timeout' } }]);
    expect(
      (reportPullthroughBench(result).checks ?? []).filter(({ status }) => status === 'fail').length,
    ).toBe(1);
  });
});
