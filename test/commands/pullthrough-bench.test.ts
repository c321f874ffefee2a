import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseFaults, parseSynthetic, type TestbedOptions, type Upstream } from '../../src/testbed/index.ts';
import { freePort } from '../support/free-port.ts';
import { type Front, openFront } from '../support/http-front.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { upstreamOf } from '../support/testbed-upstream.ts';
import { parseXml } from '../support/xml.ts';
import { Screen } from '../unit/progress/streams.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();

/** Twelve images, three in each batch: a configuration and two layers. */
const SPEC = 'images=12,layers=2,sizes=4KiB:1,20KiB:1,batches=4';
const BLOBS = 3;
/** Nobody listens there. */
const NOBODY = 'http://127.0.0.1:9';

/** A cache before an upstream of synthetic images, both in this process. */
interface Rig {
  readonly upstream: Registry;
  readonly cache: Registry;
}

async function openRig(cache: TestbedOptions = {}): Promise<Rig> {
  const upstream = await openRegistry({ synthetic: parseSynthetic(SPEC) });
  return { upstream, cache: await openRegistry({ upstream: upstreamOf(upstream), ...cache }) };
}

function bench(
  { cache, upstream }: { readonly cache: { url: string }; readonly upstream: { url: string } },
  argv: readonly string[],
  options?: RunOptions,
): Promise<RunResult> {
  const urls = [`--pullthrough-url=${cache.url}`, '--registry-url', upstream.url];
  return runCommand('pullthrough-bench', [...urls, ...argv], options);
}

/** What an access log says was fetched. */
function fetched({ requests }: Registry): { manifests: number; blobs: number; bytes: number } {
  const of = (part: string) =>
    requests.filter(({ method, path }) => method === 'GET' && path.includes(`/${part}/`));
  const [manifests, blobs] = [of('manifests'), of('blobs')];
  const bytes = [...manifests, ...blobs].reduce((sum, line) => sum + line.bytesOut, 0);
  return { manifests: manifests.length, blobs: blobs.length, bytes };
}

function misbehave(registry: Registry, faults: string): void {
  for (const fault of parseFaults(faults)) registry.faults.add(fault);
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(20);
}

/** A port that was free a moment ago. */
describe('the ramp', () => {
  test('its figures are the servers’ own, image for image', async () => {
    const rig = await openRig();
    const { result } = ended(
      0,
      await bench(rig, ['--patterns=-0001,-0002', '--max-pulls', '60', '--json']),
    ).json();
    const served = fetched(rig.cache);
    expect(served).toMatchObject({ manifests: 60, blobs: 60 * BLOBS });
    expect(rig.cache.traffic()).toMatchObject({ manifestGets: 60, blobGets: 60 * BLOBS });
    expect(result).toMatchObject({
      cache: rig.cache.name,
      upstream: rig.upstream.name,
      totals: { images: 60, failed: 0, errors: {}, bytes: served.bytes },
      requests: { manifests: 60, blobs: 60 * BLOBS, prunes: 0, distinctBlobsExact: true },
      // What is asked of an upstream elsewhere nobody can know.
      upstreamTraffic: null,
      unfinished: 0,
      interrupted: false,
    });
    const told = result.tallies.reduce((sum: number, { images }: { images: number }) => sum + images, 0);
    expect(told).toBe(60);
    expect(rig.upstream.traffic()).toMatchObject({
      blobGets: result.requests.distinctBlobs,
      maxGetsOfOneBlob: 1,
    });
  });

  test('goes up and down; each tally is an event and a line of the metrics file', async () => {
    const rig = await openRig();
    const metrics = folder('metrics.tsv');
    const argv = ['--patterns', '-0001', '--patterns=-0002', '--iteration-seconds=1', '--tally-seconds', '1'];
    const run = await bench(rig, [...argv, `--metrics-file=${metrics}`, '--format', 'ndjson']);
    const events = ended(0, run).events('pullthrough-bench.events');
    const [plan, ...others] = events;
    expect(plan).toMatchObject({ type: 'plan', plan: { durationMs: 3000, images: 6, pullers: 2 } });
    expect(plan.plan.steps.map(({ pullers }: { pullers: number }) => pullers)).toEqual([1, 2, 1]);
    const { result } = others.at(-1);
    expect(result.steps.map(({ pullers }: { pullers: number }) => pullers)).toEqual([1, 2, 1]);
    const of = (type: string) => others.filter((event) => event.type === type).map((event) => event[type]);
    expect(of('sample')).toEqual(result.series);
    const tallies = of('tally');
    expect(tallies).toEqual(result.tallies);
    expect(tallies.length).toBeGreaterThanOrEqual(3);
    expect(tallies.slice(0, 3).map(({ pullers }) => pullers)).toEqual([1, 2, 1]);

    const lines = (await readFile(metrics, 'utf8')).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines).toHaveLength(tallies.length);
    lines.forEach((line, at) => {
      const [time = '', rate, pullers] = line.split('\t');
      expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\t\d+\.\d{6}\t\d+$/);
      const { imagesPerSecond, time: told, pullers: working } = tallies[at];
      expect(new Date(time.replace(' ', 'T')).getTime()).toBe(Math.floor(Date.parse(told) / 1000) * 1000);
      expect([rate, pullers]).toEqual([imagesPerSecond.toFixed(6), String(working)]);
    });
    // The plan is known before anything is pulled.
    expect(run.stderr).toContain('3 steps of 1.0s, 3.0s in all');
    expect(run.stderr).toMatch(/^Tally: [\d.]+ images\/s, \d+ images? in 1\.0s, 2 pullers$/m);
    const { manifests } = fetched(rig.cache);
    expect(result.totals.images).toBeGreaterThan(0);
    expect(manifests - result.totals.images).toBeLessThanOrEqual(result.unfinished);
  });

  test('--prune has the cache go to the upstream again after each pass', async () => {
    const rig = await openRig();
    const argv = ['--patterns=-0001', '--prune=true', '--max-pulls=9', '--json'];
    const { result } = ended(0, await bench(rig, argv)).json();
    expect(result).toMatchObject({ totals: { images: 9 }, plan: { cold: 'prune' }, coldRuns: { failed: 0 } });
    const pruned = rig.cache.requests.filter(({ path }) => path === '/cmd/prune').length;
    expect(result.requests.prunes).toBe(pruned);
    expect(pruned).toBeGreaterThanOrEqual(2);
    expect(rig.upstream.traffic()).toMatchObject({ blobGets: 9 * BLOBS, maxGetsOfOneBlob: 3 });
  });

  test.each([
    ['--prune=false', { cold: null }],
    ['--shuffle=true', { shuffle: true }],
    ['--dry-run=false', { dryRun: false }],
  ])('%s means what it says', async (flag, expected) => {
    const rig = await openRig();
    const run = ended(0, await bench(rig, ['--patterns=-0001', '--max-pulls', '4', '--json', flag]));
    expect(run.json().result).toMatchObject({
      plan: expected,
      totals: { images: 4 },
      requests: { prunes: 0 },
    });
  });

  test.each(['mirror', 'ns-query'])('addresses the cache by %s', async (style) => {
    const rig = await openRig();
    const queries: (string | undefined)[] = [];
    const front = await openFront(rig.cache, ({ url = '' }) => {
      if (/\/(manifests|blobs)\//.test(url)) queries.push(url.split('?')[1]);
      return false;
    });
    const argv = ['--path-style', style, '--patterns', '.*', '--max-pulls', '4', '--json'];
    const { result } = ended(0, await bench({ ...rig, cache: front }, argv)).json();
    expect(result).toMatchObject({ totals: { images: 4, failed: 0 }, plan: { pathStyle: style } });
    expect(
      front.seen.filter((line) => /^GET \/v2\/synthetic\/.*\/manifests\/latest$/.test(line)),
    ).toHaveLength(4);
    const named = style === 'mirror' ? undefined : `ns=${encodeURIComponent(rig.upstream.name)}`;
    expect(queries).toEqual(Array(4 + 4 * BLOBS).fill(named));
  });

  test('filter, tags and patterns choose; what matches nothing or twice is told', async () => {
    const rig = await openRig();
    const argv = ['--filter', 'image0000(0[1-9]|10)', '--patterns', '-0001,000001,nothing', '--max-pulls=1'];
    const run = ended(0, await bench(rig, [...argv, '--json']));
    expect(run.json().result.plan).toMatchObject({ listedImages: 12, filteredImages: 10, images: 3 });
    expect(run.stderr).toContain("1 pattern matched no image and gets no puller: 'nothing'");
    expect(run.stderr).toContain('patterns overlap: 1 image matched by more than one');
  });

  test('an interrupt ends it with what there is', async () => {
    const rig = await openRig();
    const run = await bench(rig, ['--patterns=-0001', '--json'], {
      whileRunning: async (signal) => {
        await until(() => rig.cache.traffic().manifestGets > 5);
        signal('SIGINT');
      },
    });
    const answer = ended(130, run).json();
    expect(answer).toMatchObject({ interrupted: true, result: { interrupted: true } });
    expect(answer.result.totals.images).toBeGreaterThan(0);
    expect(answer.result.tallies).toMatchObject([{ partial: true, images: answer.result.totals.images }]);
  });
});

describe('what goes wrong', () => {
  test.each([
    ['GET blobs corrupt', 'digest'],
    ['GET blobs truncate=50%', 'truncated'],
    ['GET manifests corrupt', 'digest'],
    ['GET manifests status=503', 'status-503'],
  ])('%s is an error and no pull: exit 1', async (fault, error) => {
    const rig = await openRig();
    misbehave(rig.cache, fault);
    const argv = ['--patterns=.*', '--max-pulls=4', '--on-error', 'continue', '--layer-concurrency=1'];
    const metrics = folder('metrics.tsv');
    const { result } = ended(1, await bench(rig, [...argv, '--json', '--metrics-file', metrics])).json();
    expect(result.totals).toMatchObject({ images: 0, failed: 4, errors: { [error]: 4 }, imagesPerSecond: 0 });
    expect(await readFile(metrics, 'utf8')).toMatch(/^[^\t]+\t0\.000000\t\d+\n$/);
  });

  test('a cache that knows the upstream by another name: the way out is told', async () => {
    const rig = await openRig();
    const argv = ['--patterns=.*', '--max-pulls', '2', '--upstream-name', 'registry.example.com'];
    const run = ended(1, await bench(rig, argv));
    expect(run.stdout).toMatch(/no image was pulled: .*'registry\.example\.com'.* --upstream-name\?/);
    ended(0, await bench(rig, ['--patterns=.*', '--max-pulls=2', '--upstream-name', rig.upstream.name]));
  });

  test('a threshold that is missed is exit 1, and ends the run when asked to', async () => {
    const rig = await openRig();
    const argv = ['--patterns=-0001,-0002,-0003', '--iteration-seconds=1', '--json'];
    const limits = ['--threshold', 'errors<1%', '--threshold', 'p50<0.001ms', '--abort-on-fail'];
    const { result } = ended(1, await bench(rig, [...argv, ...limits])).json();
    expect(result.thresholds.map(({ ok }: { ok: boolean }) => ok)).toEqual([true, false]);
    expect(result.abortedBy).toBe('p50<0.001ms');
    expect(result.durationMs).toBeLessThan(60_000);
  });

  test('a threshold on errors says how many are none', async () => {
    const rig = await openRig();
    misbehave(rig.cache, 'GET manifests status=500 first=1');
    const argv = ['--patterns=.*', '--max-pulls=5', '--on-error=continue', '--json'];
    const { result } = ended(0, await bench(rig, [...argv, '--threshold=errors<50%'])).json();
    expect(result.totals).toMatchObject({ images: 4, failed: 1 });
  });

  test('--on-error stop: a puller ends at its first error, and that is told', async () => {
    const rig = await openRig();
    misbehave(rig.cache, 'GET manifests repository=**-0001 status=500');
    const argv = [
      '--patterns=-0001',
      '--on-error=stop',
      '--max-pulls=9',
      '--json',
      '--threshold=errors<=100%',
    ];
    const { result } = ended(1, await bench(rig, argv)).json();
    expect(result).toMatchObject({ totals: { images: 0, failed: 1 }, stoppedPullers: 1 });
  });
});

describe('--dry-run', () => {
  test('goes through the ramp, asks the cache for nothing and claims no rate', async () => {
    const rig = await openRig();
    const argv = ['--dry-run', '--prune', '--patterns=-0001', '--iteration-seconds=1', '--tally-seconds=1'];
    const run = ended(0, await bench(rig, [...argv, '--json']));
    expect(rig.cache.requests).toEqual([]);
    expect(run.json().result).toMatchObject({
      dryRun: true,
      totals: null,
      passes: null,
      unfinished: 0,
      requests: { manifests: 0, prunes: 0 },
    });
    for (const { imagesPerSecond } of run.json().result.tallies) expect(imagesPerSecond).toBeNull();
    expect(run.stderr).toContain('Tally: dry run, ');
    expect(run.stderr).not.toContain('images/s');
    const prometheus = ended(0, await bench(rig, [...argv, '--format=prometheus'])).stdout;
    expect(prometheus).not.toMatch(/images/);
  });

  test('does not even need the cache, also with an upstream from here', async () => {
    const argv = ['--dry-run', '--patterns=-0001', '--iteration-seconds=1', '--pullthrough-url', NOBODY];
    const run = ended(0, await runCommand('pullthrough-bench', [...argv, '--upstream', `synthetic:${SPEC}`]));
    expect(run.stdout).toContain('nothing was pulled');
  });
});

describe('scenarios', () => {
  test('cold-vs-warm pulls each image twice', async () => {
    const rig = await openRig();
    const argv = ['--scenario', 'cold-vs-warm', '--patterns=-0001,-0002', '--json'];
    const { result } = ended(0, await bench(rig, argv)).json();
    expect(result.coldVsWarm).toMatchObject({ cold: { count: 6 }, warm: { count: 6 } });
    expect(fetched(rig.cache)).toMatchObject({ manifests: 12, blobs: 12 * BLOBS });
    expect(rig.upstream.traffic().blobGets).toBe(6 * BLOBS);
    const table = ended(0, await bench(rig, argv.slice(0, -1))).stdout;
    expect(table).toMatch(/the first pull takes [\d.]+ times as long/);
  });

  test('a herd wants one image at once, one is cut off, and another image is asked for', async () => {
    const rig = await openRig();
    const argv = ['--scenario=herd', '--clients=8', '--herd-images=2', '--kill-one', '--patterns=-0001'];
    const run = await bench(rig, [...argv, '--format=ndjson']);
    const events = ended(0, run).events('pullthrough-bench.events');
    const { result } = events.at(-1);
    expect(events.flatMap(({ type, image }) => (type === 'herd' ? [image] : []))).toEqual(result.herd);
    expect(result.herd).toMatchObject([
      { clients: 8, ok: 8, failed: 0, killed: true, probe: { ok: true } },
      { clients: 8, ok: 8, failed: 0, killed: true, probe: { ok: true } },
    ]);
    expect(run.stderr).toMatch(/^Herd: 8 clients got synthetic\/image000001-0001:latest in [\d.]+s$/m);
    // Eight clients, the one that is cut off, and the probe.
    expect(fetched(rig.cache).manifests).toBe(2 * 10);
    expect(rig.upstream.traffic()).toMatchObject({ blobGets: 2 * BLOBS, maxGetsOfOneBlob: 1 });
  });

  test('a herd of which some get nothing is exit 1', async () => {
    const rig = await openRig();
    misbehave(rig.cache, 'GET blobs reset=mid every=4');
    const argv = ['--scenario=herd', '--clients=4', '--herd-images=1', '--patterns=-0001', '--json'];
    const { result } = ended(1, await bench(rig, argv)).json();
    expect(result.herd[0].failed).toBeGreaterThan(0);
  });

  test('a herd that misses a threshold is exit 1, and is the last one when asked for', async () => {
    const rig = await openRig();
    const argv = ['--scenario=herd', '--clients=4', '--herd-images=3', '--patterns=-0001', '--json'];
    const limits = ['--threshold', 'p50<0.001ms', '--threshold=errors<1', '--abort-on-fail'];
    const { result } = ended(1, await bench(rig, [...argv, ...limits])).json();
    expect(result.thresholds.map(({ ok }: { ok: boolean }) => ok)).toEqual([false, true]);
    expect(result).toMatchObject({ abortedBy: 'p50<0.001ms', generator: { threads: 1 } });
    expect(result.herd).toHaveLength(1);
  });

  test('at a rate, whatever happens', async () => {
    const rig = await openRig();
    const argv = ['--rate', '100/s', '--duration', '1s', '--max-pulls', '20', '--patterns=-0001,-0002'];
    const { result } = ended(0, await bench(rig, [...argv, '--json'])).json();
    expect(result).toMatchObject({ totals: { images: 20 }, plan: { ratePerSecond: 100, pullers: 0 } });
  });
});

describe('--upstream synthetic', () => {
  /** A cache of an upstream that is not there yet. */
  async function cacheOfPort(port: number): Promise<Registry> {
    return openRegistry({ upstream: upstreamOf({ host: '127.0.0.1', port }) });
  }
  const urls = (cache: Registry, port: number): string[] => [
    ...['--pullthrough-url', cache.url, '--upstream', `synthetic:${SPEC}`, '--upstream-port', String(port)],
    '--json',
  ];

  test('says how often each blob was fetched from it: a cache that coalesces has amplification 1', async () => {
    const port = await freePort();
    const cache = await cacheOfPort(port);
    const argv = [...urls(cache, port), '--patterns=-0001,-0002', '--max-pulls=30', '--threads=2'];
    const { result } = ended(0, await runCommand('pullthrough-bench', argv)).json();
    const { distinctBlobs } = result.requests;
    expect(result.upstreamTraffic).toMatchObject({
      blobGets: distinctBlobs,
      maxGetsOfOneBlob: 1,
      amplification: 1,
      cacheHitRatio: 1 - distinctBlobs / (30 * BLOBS),
    });
    expect(fetched(cache)).toMatchObject({ manifests: 30, blobs: 30 * BLOBS });
  });

  test('also for a herd, image by image', async () => {
    const port = await freePort();
    const cache = await cacheOfPort(port);
    const argv = [...urls(cache, port), '--scenario=herd', '--clients=6', '--herd-images=2', '--patterns=.*'];
    const { result } = ended(0, await runCommand('pullthrough-bench', argv)).json();
    for (const { upstream } of result.herd)
      expect(upstream).toMatchObject({ blobGets: BLOBS, amplification: 1 });
    expect(result.upstreamTraffic).toMatchObject({ amplification: 1, cacheHitRatio: 5 / 6 });
  });
});

describe('--cold-dir-hook', () => {
  test('runs after each pass, with the pattern in REGOPS_PATTERN', async () => {
    const rig = await openRig();
    const told = folder('told');
    const argv = [
      '--patterns=-0003',
      '--cold-dir-hook',
      `echo "$REGOPS_PATTERN" >> '${told}'`,
      '--max-pulls=9',
    ];
    const { result } = ended(0, await bench(rig, [...argv, '--json'])).json();
    expect(result).toMatchObject({ plan: { cold: 'hook' }, totals: { images: 9 }, coldRuns: { failed: 0 } });
    const lines = (await readFile(told, 'utf8')).trimEnd().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(2);
    expect(new Set(lines)).toEqual(new Set(['-0003']));
  });

  test('that fails is an error', async () => {
    const rig = await openRig();
    const argv = [
      '--patterns=-0003',
      '--cold-dir-hook=exit 3',
      '--max-pulls=9',
      '--on-error=continue',
      '--json',
    ];
    const run = ended(1, await bench(rig, argv));
    expect(run.json().result.coldRuns.failed).toBeGreaterThanOrEqual(2);
    expect(run.stderr).toContain('exit code 3');
  });
});

describe('formats', () => {
  const argv = ['--patterns=-0001', '--iteration-seconds=1', '--tally-seconds=1'];

  test('html is one page with the ramp plotted', async () => {
    const rig = await openRig();
    ended(0, await bench(rig, [...argv, '--format', 'html', '--output', folder('page')]));
    const html = await readFile(folder('page'), 'utf8');
    expect(html).toMatch(/^<!doctype html>[\s\S]*<svg/);
    for (const plot of ['Pullers', 'Images', 'Throughput', 'Pull time']) expect(html).toContain(plot);
    expect(html).not.toMatch(/(src|href)="https?:/);
  });

  test('prometheus has the figures', async () => {
    const rig = await openRig();
    const { stdout } = ended(0, await bench(rig, [...argv, '--max-pulls=7', '--format', 'prometheus']));
    expect(stdout).toMatch(/^regops_pullthrough_images_total\{registry="[\w.:]+",cache="[\w.:]+"\} 7$/m);
    expect(stdout).toMatch(/^regops_pullthrough_errors_total\{.*\} 0$/m);
    expect(stdout).toMatch(/^regops_pullthrough_images_per_second\{.*\} [\d.]+$/m);
    expect(stdout).toMatch(/^regops_pullthrough_latency_seconds\{.*,quantile="p99"\} [\d.e-]+$/m);
  });

  test('junit has a case for each check, red when something is wrong', async () => {
    const rig = await openRig();
    const limit = ['--max-pulls=4', '--on-error=continue', '--format=junit', '--threshold', 'p99<1h'];
    const good = parseXml(ended(0, await bench(rig, [...argv, ...limit])).stdout);
    expect(good.attributes).toMatchObject({ failures: '0', errors: '0' });
    misbehave(rig.cache, 'GET blobs corrupt first=1');
    const bad = parseXml(ended(1, await bench(rig, [...argv, ...limit])).stdout);
    const failed = bad.children
      .flatMap(({ children }) => children)
      .filter(({ children }) => children.some(({ name }) => name === 'failure'))
      .map(({ attributes }) => attributes['name']);
    expect(failed).toEqual(['errors', 'content']);
  });

  test('on a terminal the ramp is live', async () => {
    const rig = await openRig();
    const run = ended(0, await bench(rig, [...argv, '--iteration-seconds=2'].toSpliced(1, 1), { tty: 120 }));
    expect(run.stderr).toMatch(/images\/s +[\d.]+ {2}[▁-█]/);
    expect(run.stderr).toMatch(/step 1 of 1, 1 puller, 0 errors, 1\.\ds left/);
    const screen = new Screen(120);
    screen.write(run.stderr);
    expect(screen.shown().join('\n')).not.toContain('p99 ms');
  });
});

describe('credentials', () => {
  /** Both ask for a password, and not for the same; the cache knows the upstream's. */
  async function guardedRig(
    tokenAuth: boolean,
  ): Promise<Rig & { readonly front: Front; readonly shown: string[] }> {
    const auth = { username: 'up', password: 'upstream-secret' };
    const upstream = await openRegistry({ synthetic: parseSynthetic(SPEC), auth });
    const authorization = `Basic ${btoa('up:upstream-secret')}`;
    const open = upstreamOf(upstream);
    const cached: Upstream = {
      ...open,
      fetch: (request) => open.fetch({ ...request, headers: { ...request.headers, authorization } }),
    };
    const cache = await openRegistry({
      upstream: cached,
      tokenAuth,
      auth: { username: 'ca', password: 'cache-secret' },
    });
    const shown: string[] = [];
    const front = await openFront(cache, ({ headers, url }) => {
      shown.push(`${url} ${headers.authorization ?? ''}`);
      return false;
    });
    return { upstream, cache, front, shown };
  }
  const UPSTREAM = ['--username', 'up', '--password', 'upstream-secret'];
  const CACHE = ['--pullthrough-username', 'ca', '--pullthrough-password', 'cache-secret'];
  const argv = ['--patterns=-0001', '--max-pulls=4', '--json'];

  test.each([false, true])('the upstream’s never reach the cache (bearer tokens: %o)', async (tokenAuth) => {
    const rig = await guardedRig(tokenAuth);
    const through = { upstream: rig.upstream, cache: tokenAuth ? rig.cache : rig.front };
    const run = ended(0, await bench(through, [...UPSTREAM, ...CACHE, ...argv, '--path-style=mirror']));
    expect(run.json().result.totals).toMatchObject({ images: 4, failed: 0 });
    expect(run.stdout + run.stderr).not.toMatch(/(upstream|cache)-secret/);
    if (tokenAuth) return;
    const basic = `Basic ${btoa('ca:cache-secret')}`;
    expect(new Set(rig.shown.map((line) => line.replace(/^\S+ /, '')))).toEqual(new Set(['', basic]));
  });

  test.each([
    ['cache', UPSTREAM],
    ['cache', [...UPSTREAM, '--pullthrough-username=ca', '--pullthrough-password=wrong']],
    ['upstream', CACHE],
    ['upstream', ['--username=up', '--password=wrong', ...CACHE]],
  ])('what the %s does not accept is 77 before anything is pulled', async (who, given) => {
    const rig = await guardedRig(false);
    const run = ended(77, await bench({ ...rig, cache: rig.front }, [...given, ...argv]));
    expect(run.json().error).toMatchObject({
      code: 'AUTHENTICATION_FAILED',
      message: expect.stringContaining(who),
    });
    expect(fetched(rig.cache).manifests).toBe(0);
    expect(rig.shown.join('\n')).not.toContain(btoa('up:upstream-secret'));
  });

  describe('where cache and upstream are one registry', () => {
    const auth = { username: 'ca', password: 'cache-secret' };
    const wrong = (flag: string) => [`--${flag}username=ca`, `--${flag}password=wrong`];

    test.each([
      ['the registry’s', ['--username=ca', '--password=cache-secret']],
      ['the cache’s', CACHE],
    ])('%s are for both', async (_whose, given) => {
      const one = await openRegistry({ synthetic: parseSynthetic(SPEC), auth });
      const run = ended(
        0,
        await bench({ cache: one, upstream: one }, [...given, ...argv, '--path-style=mirror']),
      );
      expect(run.json().result.totals).toMatchObject({ images: 4, failed: 0 });
    });

    test.each([
      ['the upstream', [...wrong(''), ...CACHE]],
      ['the cache', ['--username=ca', '--password=cache-secret', ...wrong('pullthrough-')]],
      ['the upstream', []],
    ])('%s keeps its own', async (who, given) => {
      const one = await openRegistry({ synthetic: parseSynthetic(SPEC), auth });
      const run = ended(
        77,
        await bench({ cache: one, upstream: one }, [...given, ...argv, '--path-style=mirror']),
      );
      expect(run.json().error.message).toContain(who);
    });
  });

  test('from the environment they are kept apart too', async () => {
    const rig = await guardedRig(false);
    const env = {
      REGOPS_USERNAME: 'up',
      REGOPS_PASSWORD: 'upstream-secret',
      REGOPS_PULLTHROUGH_USERNAME: 'ca',
      REGOPS_PULLTHROUGH_PASSWORD: 'cache-secret',
    };
    ended(0, await bench({ ...rig, cache: rig.front }, argv, { env }));
    expect(rig.shown.join('\n')).not.toContain(btoa('up:upstream-secret'));
  });
});

describe('refuses before it starts', () => {
  test.each([
    '--patterns=(',
    '--patterns=*',
    '--patterns=',
    '--patterns=a,,b',
    '--patterns=a --filter=(',
    '--patterns=a --tags=(',
    '--patterns=a --threshold=p42<1s',
    '--patterns=a --abort-on-fail',
    '--patterns=a --rate=fast',
    '--patterns=a --rate=5/s --prune',
    '--patterns=a --rate=5/s --scenario=herd',
    '--patterns=a --threshold=dropped<1%',
    '--patterns=a --threshold=p99{warm}<1s',
    '--patterns=a --tally-seconds=0',
    '--patterns=a --iteration-seconds=-1',
    '--patterns=a --upstream=synthetic:images=5',
    '--patterns=a --prune --cold-dir-hook=true',
    '--patterns=a --upstream-port=5',
    '--patterns=a --scenario=stampede',
    '--patterns=a b',
    '',
  ])('%s: usage', async (line) => {
    const argv = line.split(' ').filter((word) => word !== '');
    const rig = await openRig();
    const run = ended(64, await bench(rig, [...argv, '--json']));
    expect(run.json().error.code).toBe('USAGE');
    expect(rig.cache.requests).toEqual([]);
    expect(rig.upstream.requests).toEqual([]);
  });

  test('what is missing is named', async () => {
    const run = ended(64, await runCommand('pullthrough-bench', ['--prune', '--json']));
    expect(run.json().error.message).toContain('--pullthrough-url, --registry-url, --patterns');
    const other = ['--upstream=docker://x', '--pullthrough-url', NOBODY, '--patterns=a', '--json'];
    expect(ended(64, await runCommand('pullthrough-bench', other)).json().error.message).toContain(
      'synthetic:',
    );
  });

  test.each([
    ['the upstream', 69, 'CONNECTION_FAILED', { upstream: { url: NOBODY } }],
    ['the cache', 69, 'CONNECTION_FAILED', { cache: { url: NOBODY } }],
  ] as const)('%s that nobody listens for', async (who, exitCode, code, instead) => {
    const rig = { ...(await openRig()), ...instead };
    const run = ended(exitCode, await bench(rig, ['--patterns=.', '--retries=0', '--json']));
    expect(run.json().error).toMatchObject({ code, message: expect.stringContaining(who) });
  });

  test('patterns, a filter and tags that leave nothing', async () => {
    const rig = await openRig();
    for (const argv of [
      ['--patterns=no,none'],
      ['--patterns=.', '--filter=no'],
      ['--patterns=.', '--tags=no'],
    ]) {
      const run = ended(66, await bench(rig, [...argv, '--json']));
      expect(run.json().error.code).toBe('IMAGE_NOT_FOUND');
    }
    const nothing = await openRegistry();
    ended(66, await bench({ ...rig, upstream: nothing }, ['--patterns=.', '--json']));
    expect(fetched(rig.cache)).toMatchObject({ manifests: 0, blobs: 0 });
  });

  test('no arguments: shows its help', async () => {
    const run = ended(0, await runCommand('pullthrough-bench', []));
    expect(run.stdout).toMatch(/USAGE\n +\$ regops pullthrough-bench /);
  });
});

describe('compare', () => {
  /** A run's answer, and ways to have another like it. */
  async function answered(): Promise<{
    first: string;
    // biome-ignore lint/suspicious/noExplicitAny: tests change any part of an answer
    like(change: (answer: any) => void): Promise<string>;
  }> {
    const rig = await openRig();
    const first = folder('first.json');
    ended(0, await bench(rig, ['--patterns=-0001', '--max-pulls=20', '--json', '--output', first]));
    const text = await readFile(first, 'utf8');
    return {
      first,
      async like(change) {
        const answer = JSON.parse(text);
        change(answer);
        const file = folder(`other-${Math.random()}.json`);
        await writeFile(file, JSON.stringify(answer));
        return file;
      },
    };
  }

  test('better, the same, worse; and of another plan', async () => {
    const { first, like } = await answered();
    const compare = (...argv: string[]) => runCommand('pullthrough-bench compare', argv);
    const slower = await like(({ result }) => {
      result.totals.imagesPerSecond /= 2;
    });
    const same = ended(0, await compare(first, first, '--json')).json();
    expect(same.result).toMatchObject({ verdict: 'same', samePlan: true, warnings: [] });
    expect(ended(1, await compare(first, slower, '--json')).json()).toMatchObject({
      schema: 'regops.pullthrough-bench.compare/1',
      result: { verdict: 'worse', samePlan: true },
    });
    expect(ended(0, await compare(slower, first, '--json')).json().result.verdict).toBe('better');
    ended(0, await compare(first, slower, '--tolerance', '60'));
    const table = ended(1, await compare(first, slower)).stdout;
    expect(table).toMatch(/images per second +[\d.]+ \/s +[\d.]+ \/s +-50\.0 % +worse/);
    const junit = parseXml(ended(1, await compare(first, slower, '--format=junit')).stdout);
    expect(junit.attributes).toMatchObject({ failures: '1' });

    const longer = await like(({ result }) => {
      result.plan.layerConcurrency = 1;
    });
    const differs = ended(0, await compare(first, longer, '--json')).json();
    expect(differs.result).toMatchObject({ samePlan: false });
    expect(differs.result.warnings.join()).toContain('layerConcurrency');
  });

  test('says what is wrong with a file', async () => {
    const { first, like } = await answered();
    const refused = async (exitCode: number, ...files: string[]) =>
      ended(exitCode, await runCommand('pullthrough-bench compare', [...files, '--json'])).json().error;
    expect(await refused(66, first, folder('nowhere'))).toMatchObject({ code: 'FILE_NOT_FOUND' });
    await writeFile(folder('text'), 'Tally: 1 image');
    expect((await refused(65, folder('text'), first)).message).toContain('text');
    const dry = await like(({ result }) => {
      result.dryRun = true;
    });
    expect((await refused(65, first, dry)).message).toMatch(/second .*dry run/);
    const foreign = await like((answer) => {
      answer.schema = 'regops.inspect/1';
    });
    expect((await refused(65, foreign, first)).message).toMatch(/first .*regops\.inspect/);
    await refused(64, first);
  });
});
