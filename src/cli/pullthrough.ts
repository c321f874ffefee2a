import { asRegopsError, counted, formatDuration, parseRate, RegopsError } from '../base/index.ts';
import {
  type BenchPlan,
  type BenchSample,
  type HerdImage,
  PULLTHROUGH_BENCH_DEFAULTS,
  type PullthroughBenchContext,
  type PullthroughBenchOptions,
  pullthroughBench,
  reportPullthroughBench,
  reportTally,
  type Scenario,
  type Tally,
  tallyLine,
} from '../jobs/pullthrough-bench/index.ts';
import { parseThreshold } from '../load/index.ts';
import { hostPlatform, type Platform } from '../oci/index.ts';
import type { Display } from '../progress/index.ts';
import { parseTarget, ping, type RegistryClient } from '../registry/index.ts';
import { parseSynthetic, startTestbed, type Testbed } from '../testbed/index.ts';
import type { CommandContext, Outcome } from './context.ts';
import { EventFile } from './event-file.ts';
import { flagCredential, openRegistries, type Registries, type RegistryFlagValues } from './registries.ts';
import { Trace } from './trace.ts';
import { runUserCommand } from './user-command.ts';

/** Values of pullthrough-bench's flags. */
export interface PullthroughFlagValues extends RegistryFlagValues {
  readonly 'pullthrough-url'?: string | undefined;
  readonly 'pullthrough-username'?: string | undefined;
  readonly 'pullthrough-password'?: string | undefined;
  readonly patterns?: readonly string[] | undefined;
  readonly 'iteration-seconds': number;
  readonly 'tally-seconds': number;
  readonly 'metrics-file'?: string | undefined;
  readonly filter?: string | undefined;
  readonly 'dry-run': boolean;
  readonly prune: boolean;
  readonly shuffle: boolean;
  readonly tags: string;
  readonly scenario: Scenario;
  readonly 'path-style': PullthroughBenchOptions['pathStyle'];
  readonly 'upstream-name'?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly 'layer-concurrency': number;
  readonly 'on-error': PullthroughBenchOptions['onError'];
  readonly 'pullers-per-pattern': number;
  readonly threads: number;
  readonly 'max-in-flight': number;
  readonly clients: number;
  readonly 'herd-images': number;
  readonly 'kill-one': boolean;
  readonly threshold?: readonly string[] | undefined;
  readonly duration?: number | undefined;
  readonly 'max-pulls'?: number | undefined;
  readonly rate?: string | undefined;
  readonly 'cold-dir-hook'?: string | undefined;
  readonly upstream?: string | undefined;
  readonly 'upstream-port'?: number | undefined;
  readonly seed?: number | undefined;
  readonly 'abort-on-fail': boolean;
  readonly wait?: number | undefined;
}

const SYNTHETIC = 'synthetic:';
const HOOK_TIMEOUT_MS = 60_000;
/** For a cache whose upstream is served here: distribution's does not even start before it can reach it. */
const WAIT_MS = 30_000;
const WAIT_STEP_MS = 500;

/**
 * Runs the bench and judges it: a missed threshold or, where no threshold speaks of errors, a failed pull is a
 * problem found (exit 1).
 */
export async function pullthroughBenchCommand(
  flags: PullthroughFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const missing = [
    ...(flags['pullthrough-url'] === undefined ? ['--pullthrough-url'] : []),
    ...(flags['registry-url'] === undefined && flags.upstream === undefined ? ['--registry-url'] : []),
    ...((flags.patterns ?? []).length === 0 ? ['--patterns'] : []),
  ];
  if (missing.length > 0) throw new RegopsError('USAGE', `what is missing: ${missing.join(', ')}`);
  const metrics = flags['metrics-file'] === undefined ? undefined : new EventFile(flags['metrics-file']);
  if (metrics) context.defer(() => metrics.close());

  const testbed =
    flags.upstream === undefined ? undefined : await serveUpstream(flags, flags.upstream, context);
  const upstreamUrl = testbed?.url ?? (flags['registry-url'] as string);
  const { caches, upstreams } = await openBoth({ ...flags, 'registry-url': upstreamUrl }, context);
  const upstream = domainOf(upstreams.named);
  const cache = domainOf(caches.named);
  context.label('registry', upstream);
  context.label('cache', cache);
  if (!flags['dry-run']) {
    await awaitCache(await caches.client(cache), flags.wait ?? (testbed ? WAIT_MS : 0), context);
  }
  const options = optionsOf(flags, { cache, upstream, upstreamUrl });

  const live = new LiveBench(context.progress);
  const jobs: PullthroughBenchContext = {
    ...context,
    registry: (domain, role) => (role === 'cache' ? caches : upstreams).client(domain),
    ...(testbed ? { watchUpstream: () => testbed.watchTraffic() } : {}),
    ...hookOf(flags['cold-dir-hook'], context),
    onSample(sample) {
      context.event({ type: 'sample', sample });
      live.sample(sample);
    },
    onPlan(plan) {
      context.event({ type: 'plan', plan });
      live.plan(plan);
    },
    onHerdImage(image) {
      context.event({ type: 'herd', image });
      context.log.info(live.herd(image));
    },
    onTally(tally) {
      context.event({ type: 'tally', tally });
      void context.sample(reportTally(tally));
      metrics?.append(`${tallyLine(tally)}\n`);
      context.log.info(live.tally(tally));
    },
  };
  const result = await pullthroughBench(options, jobs);
  const report = reportPullthroughBench(result);
  const found = (report.checks ?? []).some(
    ({ status, advisory = false }) => status === 'fail' || (status === 'warn' && !advisory),
  );
  return { result, report, exitCode: found ? 1 : 0 };
}

/**
 * Each with its own account. Where both are one registry (a cache that serves its upstream's images under a path of
 * its own), what was given for one of them is for the other too, unless that has been given its own.
 */
async function openBoth(
  flags: PullthroughFlagValues,
  context: CommandContext,
): Promise<{ readonly caches: Registries; readonly upstreams: Registries }> {
  const targetOf = (url: string | undefined): string =>
    parseTarget(url ?? '', { plainHttp: flags['plain-http'] ?? false }).domain;
  const isOne = targetOf(flags['pullthrough-url']) === targetOf(flags['registry-url']);
  const own = forCache(flags, isOne);
  const forUpstream = await flagCredential(flags, context);
  const forItself = await flagCredential(own, context);
  return {
    upstreams: await openRegistries(flags, context, forUpstream ?? (isOne ? forItself : undefined)),
    caches: await openRegistries(own, context, forItself ?? (isOne ? forUpstream : undefined)),
  };
}

/** The flags' credentials and client certificate are the upstream's; the cache has flags of its own. */
function forCache(flags: PullthroughFlagValues, isUpstream: boolean): RegistryFlagValues {
  return {
    ...flags,
    'registry-url': flags['pullthrough-url'],
    username: flags['pullthrough-username'],
    password: flags['pullthrough-password'],
    'password-stdin': false,
    token: undefined,
    ...(isUpstream ? {} : { 'cert-file': undefined, 'key-file': undefined }),
  };
}

function domainOf(named: { readonly domain: string } | undefined): string {
  if (!named) throw new RegopsError('BUG', 'a registry without a name');
  return named.domain;
}

async function serveUpstream(
  flags: PullthroughFlagValues,
  upstream: string,
  context: CommandContext,
): Promise<Testbed> {
  if (!upstream.startsWith(SYNTHETIC)) {
    throw new RegopsError('USAGE', `--upstream takes ${SYNTHETIC}SPEC`, {
      hints: [
        'Such as synthetic:images=1000,layers=5,sizes=50KiB:3,5MiB:1; for a registry use --registry-url.',
      ],
    });
  }
  const testbed = await startTestbed({
    synthetic: parseSynthetic(upstream.slice(SYNTHETIC.length)),
    port: flags['upstream-port'] ?? 0,
    log: context.log,
  });
  context.defer(() => testbed.close());
  context.log.info(`Synthetic upstream at ${testbed.url}`);
  return testbed;
}

/** Waits until the cache answers, whatever it answers, or the time is over; the bench then says what is wrong. */
async function awaitCache(
  cache: RegistryClient,
  ms: number,
  { signal, clock, progress }: CommandContext,
): Promise<void> {
  const until = clock.now() + ms;
  while (clock.now() < until) {
    const failure = await ping(cache, signal).then(() => undefined, asRegopsError);
    if (failure?.code !== 'CONNECTION_FAILED') return;
    progress.phase(`Waiting for ${cache.domain} to answer`);
    await clock.sleep(WAIT_STEP_MS, signal);
  }
}

function optionsOf(
  flags: PullthroughFlagValues,
  {
    cache,
    upstream,
    upstreamUrl,
  }: { readonly cache: string; readonly upstream: string; readonly upstreamUrl: string },
): PullthroughBenchOptions {
  const thresholds = (flags.threshold ?? []).map(parseThreshold);
  if (flags['abort-on-fail'] && thresholds.length === 0) {
    throw new RegopsError('USAGE', '--abort-on-fail needs a --threshold');
  }
  const iterationMs = flags['iteration-seconds'] * 1000;
  return {
    cache,
    upstream,
    upstreamName: flags['upstream-name'] ?? parseTarget(upstreamUrl, { plainHttp: false }).domain,
    patterns: flags.patterns ?? [],
    filter: flags.filter,
    tags: flags.tags,
    pathStyle: flags['path-style'],
    scenario: flags.scenario,
    iterationMs,
    tallyMs: flags['tally-seconds'] * 1000,
    pullersPerPattern: flags['pullers-per-pattern'],
    threads: flags.threads,
    seed: flags.seed ?? Math.floor(Math.random() * 2 ** 31),
    shuffle: flags.shuffle,
    cold: flags['cold-dir-hook'] === undefined ? (flags.prune ? 'prune' : undefined) : 'hook',
    onError: flags['on-error'],
    maxPulls: flags['max-pulls'],
    ratePerSecond: flags.rate === undefined ? undefined : parseRate(flags.rate),
    maxInFlight: flags['max-in-flight'],
    durationMs: flags.duration,
    platform: flags.platform ?? hostPlatform(),
    layerConcurrency: flags['layer-concurrency'],
    thresholds,
    abortOnFail: flags['abort-on-fail'] ? { afterMs: Math.min(5000, iterationMs) } : undefined,
    dryRun: flags['dry-run'],
    herd: {
      ...PULLTHROUGH_BENCH_DEFAULTS.herd,
      clients: flags.clients,
      images: flags['herd-images'],
      kill: flags['kill-one'],
    },
  };
}

function hookOf(
  command: string | undefined,
  { environment }: CommandContext,
): Pick<PullthroughBenchContext, 'runColdHook'> {
  if (command === undefined) return {};
  return {
    runColdHook: (pattern, signal) =>
      runUserCommand(command, {
        environment: { ...environment, REGOPS_PATTERN: pattern },
        timeoutMs: HOOK_TIMEOUT_MS,
        signal,
      }),
  };
}

/** What a bench looks like while it runs: a panel on a terminal, a line for each tally and each herd. */
class LiveBench {
  readonly #display: Pick<Display, 'panel'>;
  readonly #rate = new Trace();
  readonly #megabytes = new Trace();
  readonly #p99 = new Trace();
  #plan: BenchPlan | undefined;
  #failed = 0;

  constructor(display: Pick<Display, 'panel'>) {
    this.#display = display;
  }

  plan(plan: BenchPlan): void {
    this.#plan = plan;
  }

  sample({ atMs, durationMs, step, pullers, failed, ...rates }: BenchSample): void {
    this.#failed += failed;
    this.#rate.push(rates.imagesPerSecond);
    this.#megabytes.push(rates.bytesPerSecond / 1e6);
    if (rates.p99Ms !== null) this.#p99.push(rates.p99Ms);
    const { steps = [], durationMs: wholeMs = null, dryRun = false } = this.#plan ?? {};
    const where = step === null ? '' : `step ${step} of ${steps.length}, `;
    const doneMs = atMs + durationMs;
    const time =
      wholeMs === null
        ? `after ${formatDuration(doneMs)}`
        : `${formatDuration(Math.max(0, wholeMs - doneMs))} left`;
    const figures = dryRun
      ? ['dry run: nothing is pulled']
      : [this.#rate.line('images/s'), this.#megabytes.line('MB/s'), this.#p99.line('p99 ms')];
    this.#display.panel([
      `${where}${counted(pullers, 'puller')}, ${counted(this.#failed, 'error')}, ${time}`,
      ...figures,
    ]);
  }

  tally({ images, failed, imagesPerSecond, pullers, durationMs }: Tally): string {
    const errors = failed > 0 ? `, ${failed} failed` : '';
    const rate = imagesPerSecond === null ? 'dry run' : `${imagesPerSecond.toFixed(1)} images/s`;
    return `Tally: ${rate}, ${counted(images, 'image')} in ${formatDuration(durationMs)}, ${counted(pullers, 'puller')}${errors}`;
  }

  herd({ image, ok, failed, slowestMs }: HerdImage): string {
    const errors = failed > 0 ? `, ${failed} failed` : '';
    const all = slowestMs === null ? '' : ` in ${formatDuration(slowestMs)}`;
    return `Herd: ${counted(ok, 'client')} got ${image}${all}${errors}`;
  }
}
