import { describe, expect, test } from 'vitest';
import { type HerdImage, reportPullthroughBench } from '../../../../src/jobs/pullthrough-bench/index.ts';
import { parseThreshold } from '../../../../src/load/index.ts';
import { parseFaults } from '../../../../src/testbed/index.ts';
import { openFront } from '../../../support/http-front.ts';
import { bench, namesFor, openRig, pullsIn } from './support.ts';

describe('cold-vs-warm', () => {
  test.each([0, 2])('each image once, twice in a row (%d threads)', async (threads) => {
    const names = namesFor(['0001', '0002'], 3);
    const rig = await openRig(names);
    const { result } = await bench(
      rig,
      { scenario: 'cold-vs-warm', threads, patterns: ['-0001', '-0002', 'app0'] },
      { watchUpstream: () => rig.upstream.watchTraffic() },
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

test('cold-vs-warm: thresholds on first and second pulls, and an end when one is missed', async () => {
  const rig = await openRig(namesFor(['0001'], 60));
  const thresholds = ['p99{cold}<1h', 'p50{warm}<0.001ms', 'errors<1'].map(parseThreshold);
  const options = { scenario: 'cold-vs-warm', patterns: ['.*'], iterationMs: 500, thresholds } as const;
  const whole = await bench(rig, options);
  expect(whole.result.thresholds.map(({ ok }) => ok)).toEqual([true, false, true]);
  expect(whole.result).toMatchObject({ abortedBy: null, totals: { images: 120 } });
  rig.cache.faults.add(parseFaults('GET manifests delay=20ms')[0] as never);
  const ended = await bench(rig, { ...options, abortOnFail: { afterMs: 100 } });
  expect(ended.result.abortedBy).toBe('p50{warm}<0.001ms');
  expect(ended.result.totals?.images).toBeLessThan(120);
});

describe('herd', () => {
  test('many clients for one image at once', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    const told: HerdImage[] = [];
    const { result } = await bench(
      rig,
      { scenario: 'herd', patterns: ['.*'] },
      { watchUpstream: () => rig.upstream.watchTraffic(), onHerdImage: (image) => told.push(image) },
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
    const checks = (reportPullthroughBench(result).checks ?? []).filter(({ name }) => name !== 'generator');
    expect(checks.map(({ status }) => status)).toEqual(Array(4).fill('pass'));
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

  test('thresholds are judged by the pulls of all clients; the generator is watched', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    const texts = ['p50<1h', 'max{pull}<0.001ms', 'rate>0.1/s', 'errors<1'];
    const { result } = await bench(rig, {
      scenario: 'herd',
      patterns: ['.*'],
      thresholds: texts.map(parseThreshold),
    });
    expect(result.thresholds.map(({ text, ok }) => [text, ok])).toEqual([
      ['p50<1h', true],
      ['max{pull}<0.001ms', false],
      ['rate>0.1/s', true],
      ['errors<1', true],
    ]);
    expect(result.thresholds[1]?.value).toBe(
      Math.max(...(result.herd ?? []).map(({ slowestMs }) => slowestMs ?? 0)),
    );
    expect(result).toMatchObject({ abortedBy: null, generator: { threads: 1 } });
    expect(result.generator?.utilization).toBeGreaterThan(0);
    const checks = reportPullthroughBench(result).checks ?? [];
    expect(checks.filter(({ status }) => status === 'fail').map(({ name }) => name)).toEqual([texts[1]]);
    expect(checks.map(({ name }) => name)).toContain('generator');
  });

  test('a missed threshold ends it after the image that missed it, if asked for', async () => {
    const rig = await openRig(namesFor(['0001'], 3));
    rig.cache.faults.add(parseFaults('GET manifests repository=team/app1-* status=500')[0] as never);
    const options = {
      scenario: 'herd',
      patterns: ['.*'],
      thresholds: [parseThreshold('errors<1%')],
    } as const;
    const herd = { clients: 4, images: 3, kill: false, probeTimeoutMs: 1000 };
    const ended = await bench(rig, { ...options, herd, abortOnFail: { afterMs: 60_000 } });
    expect(ended.result).toMatchObject({ abortedBy: 'errors<1%', herd: [{ ok: 4 }, { failed: 4 }] });
    const whole = await bench(rig, { ...options, herd });
    expect(whole.result).toMatchObject({ abortedBy: null, herd: [{ ok: 4 }, { failed: 4 }, { ok: 4 }] });
  });

  test('a threshold on errors says how many clients may get nothing', async () => {
    const rig = await openRig(namesFor(['0001'], 1));
    rig.cache.faults.add(parseFaults('GET manifests status=500 first=1')[0] as never);
    const options = { scenario: 'herd', patterns: ['.*'] } as const;
    const failing = async (threshold: string) => {
      const { result } = await bench(rig, { ...options, thresholds: [parseThreshold(threshold)] });
      return (reportPullthroughBench(result).checks ?? []).filter(({ status }) => status === 'fail').length;
    };
    expect(await failing('errors<=1')).toBe(0);
    rig.cache.faults.add(parseFaults('GET manifests status=500 first=1')[0] as never);
    expect(await failing('p99<1h')).toBe(1);
  });

  test('what the upstream was asked for before is not in its figures', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    const options = { scenario: 'herd', patterns: ['.*'], cold: 'prune' } as const;
    const watched = { watchUpstream: () => rig.upstream.watchTraffic() };
    for (const _run of [1, 2, 3]) {
      const { result } = await bench(rig, options, watched);
      const once = { blobGets: 2, distinctBlobs: 2, maxGetsOfOneBlob: 1, amplification: 1 };
      expect(result.herd?.map(({ upstream }) => upstream)).toMatchObject([once, once]);
      expect(result.upstreamTraffic).toMatchObject({ ...once, blobGets: 4, distinctBlobs: 4 });
    }
    expect(rig.upstream.traffic().maxGetsOfOneBlob).toBe(3);
  });
});

describe('a cache that wants tokens', () => {
  const auth = { username: 'anna', password: 'hunter2-S3cr3t' };

  /**
   * A cache behind a server that takes the upstream's host out of every path: what it asks tokens for is the
   * repository without it.
   */
  async function openBehind() {
    const rig = await openRig(namesFor(['0001'], 3), { cache: { tokenAuth: true, auth } });
    const refused: string[] = [];
    const front = await openFront(rig.cache, (request, response) => {
      request.url = request.url?.replace(`/v2/${rig.upstreamName}/`, '/v2/');
      const writeHead = response.writeHead.bind(response);
      response.writeHead = ((status: number, headers: Record<string, string>) => {
        if (status === 401) refused.push(`${request.url} ${headers['www-authenticate']}`);
        return writeHead(status, headers);
      }) as typeof writeHead;
      return false;
    });
    return { ...rig, cache: front, refused };
  }

  test('and names another scope than the path does', async () => {
    const rig = await openBehind();
    const options = { patterns: ['.*'], maxPulls: 30, threads: 1, pathStyle: 'in-path' } as const;
    const { result } = await bench(rig, options, { credential: auth });
    expect(result.totals).toMatchObject({ images: 30, failed: 0, errors: {} });
    // Once for each repository, as each pull of docker's begins; not once for each pull.
    const pulls = rig.refused.filter((line) => /\/manifests\//.test(line));
    expect([pulls.length, new Set(pulls).size]).toEqual([3, 3]);
    for (const line of pulls) expect(line).toMatch(/scope="repository:team\/app\d-0001:pull"/);
  });

  test('and so for a herd', async () => {
    const rig = await openBehind();
    const { result } = await bench(
      rig,
      { scenario: 'herd', patterns: ['.*'], pathStyle: 'in-path' },
      { credential: auth },
    );
    expect(result.herd).toMatchObject([
      { ok: 5, failed: 0 },
      { ok: 5, failed: 0 },
    ]);
  });

  test('whom its tokens do not help, is told so once more and no more', async () => {
    const rig = await openBehind();
    const front = await openFront(
      { host: '127.0.0.1', port: Number(rig.cache.host.split(':')[1]) },
      (request, response) => {
        if (!request.url?.includes('/manifests/')) return false;
        response.writeHead(401, {
          'www-authenticate': `Bearer realm="http://${request.headers.host}/token",service="regops-testbed",scope="repository:elsewhere:pull"`,
        });
        response.end();
        return true;
      },
    );
    const { result } = await bench(
      { ...rig, cache: front },
      { patterns: ['.*'], maxPulls: 6, layerConcurrency: 1 },
      { credential: auth },
    );
    expect(result.totals).toMatchObject({ images: 0, failed: 6, errors: { 'status-401': 6 } });
    expect(front.seen.filter((line) => line.includes('/manifests/')).length).toBe(6 + 3);
  });
});
