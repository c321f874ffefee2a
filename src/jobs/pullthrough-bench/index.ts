/**
 * pullthrough-bench: how many images per second a pull-through cache delivers. Lists the upstream, groups its
 * images by patterns, and pulls them through the cache by ever more pullers and then fewer again; or each image
 * twice; or one image by a herd of clients. Every pull is verified, and what the upstream was asked for is told
 * where it can be known.
 */
import { randomUUID } from 'node:crypto';
import { RegopsError, silentLog, systemClock } from '../../base/index.ts';
import { type LoadPlan, type LoadSummary, runLoad } from '../../load/index.ts';
import { openRegistryLane, type RegistryClient } from '../../registry/index.ts';
import type { JobContext } from '../context.ts';
import { placeOf } from './addressing.ts';
import { checkMayPull, checkReachable } from './checks.ts';
import { answerHooks, createChill, directHook, type HookLine, noHook, type RunColdHook } from './cold.ts';
import { Counters, GoneHome } from './counters.ts';
import { DigestSet } from './digest-set.ts';
import { coldVsWarmOf, kneeOf, stepResults, throughputOf, upstreamShare } from './figures.ts';
import { runHerd } from './herd.ts';
import { parseTagChoice, type Selection, selectImages } from './listing.ts';
import { checkOptions, checkPullers, type PullthroughBenchOptions } from './options.ts';
import { parseExpression, parsePatterns } from './patterns.ts';
import {
  type BenchPlan,
  describePlan,
  loadModelOf,
  planBench,
  planLines,
  planWarnings,
  sampleMsOf,
  windowsOf,
} from './plan.ts';
import type {
  BenchSample,
  HerdImage,
  PullthroughBenchResult,
  Tally,
  Traffic,
  UpstreamWatch,
} from './result.ts';
import { TallyKeeper } from './tally.ts';
import type { PullerOptions } from './workload.ts';

export { PATH_STYLES, type PathStyle } from './addressing.ts';
export type { RunColdHook } from './cold.ts';
export { type CompareOptions, type Comparison, compareRuns, reportComparison } from './compare.ts';
export {
  type ColdBy,
  type HerdOptions,
  ON_ERROR,
  type OnError,
  PULLTHROUGH_BENCH_DEFAULTS,
  type PullthroughBenchOptions,
  SCENARIOS,
  type Scenario,
} from './options.ts';
export { type BenchPlan, describePlan, type PlanStep, planLines } from './plan.ts';
export { reportPullthroughBench, reportTally } from './report.ts';
export type * from './result.ts';
export { tallyLine } from './tally.ts';

export interface PullthroughBenchContext extends Omit<JobContext, 'registry'> {
  /** @param role cache and upstream may be one registry, and have an account each */
  registry(domain: string, role: 'cache' | 'upstream'): Promise<RegistryClient>;
  /** Begins to count what the upstream is asked for; where it can tell. */
  readonly watchUpstream?: (() => UpstreamWatch) | undefined;
  /** Runs the user's command that makes the cache forget what a pattern matches: see {@link RunColdHook}. */
  readonly runColdHook?: RunColdHook;
  /** Told once, before anything is pulled. */
  onPlan?(plan: BenchPlan): void;
  onSample?(sample: BenchSample): void;
  /** @param soFar the result if the run ended now, without what only its end can tell (latencies, steps) */
  onTally?(tally: Tally, soFar: () => PullthroughBenchResult): void;
  onHerdImage?(image: HerdImage): void;
}

const LISTING_NEWS_MS = 5000;

/** What a run works with. */
interface Bench {
  readonly options: PullthroughBenchOptions;
  readonly context: PullthroughBenchContext;
  readonly cache: RegistryClient;
  readonly selection: Selection;
  readonly plan: BenchPlan;
  readonly counters: Counters;
  readonly digests: DigestSet;
  readonly home: GoneHome;
  readonly hook: HookLine;
}

/**
 * Runs the bench and gives what was measured; an aborted signal ends it early with what there is.
 *
 * @throws USAGE for options and patterns that make no sense, IMAGE_NOT_FOUND when there is nothing to pull, what
 *   keeps cache or upstream from being asked at all, and INTERRUPTED: all before anything is pulled
 */
export async function pullthroughBench(
  options: PullthroughBenchOptions,
  context: PullthroughBenchContext,
): Promise<PullthroughBenchResult> {
  checkOptions(options, context.runColdHook !== undefined);
  const patterns = parsePatterns(options.patterns);
  checkPullers(patterns.length, options.pullersPerPattern);
  const filter = options.filter === undefined ? undefined : parseExpression(options.filter, 'filter');
  const tags = parseTagChoice(options.tags);

  const { signal, progress, log } = context;
  const upstream = await context.registry(options.upstream, 'upstream');
  const cache = await context.registry(options.cache, 'cache');
  await checkReachable('upstream', upstream, signal);
  if (!options.dryRun) await checkReachable('cache', cache, signal);
  progress.phase(`Listing images of ${upstream.domain}`);
  const selection = await selectImages(upstream, { patterns, filter, tags }, signal, listingNews(context));
  const upstreamName = options.upstreamName ?? upstream.domain;
  if (!options.dryRun) {
    const { repository } = selection.table.at(0);
    await checkMayPull(cache, placeOf(options.pathStyle, upstreamName, repository), signal);
  }

  const plan = planBench(options, upstreamName, selection);
  for (const warning of planWarnings(plan, selection)) log.warn(warning);
  for (const line of planLines(plan)) log.info(line);
  context.onPlan?.(plan);
  progress.phase(`Pulling from ${upstream.domain} through ${cache.domain}: ${describePlan(plan)}`);

  const { runColdHook } = context;
  const bench: Bench = {
    options,
    context,
    cache,
    selection,
    plan,
    counters: new Counters(),
    digests: new DigestSet(),
    home: new GoneHome(plan.pullers),
    hook: runColdHook
      ? directHook(runColdHook, signal, (message) =>
          log.warn(`the command that clears the cache failed: ${message}`),
        )
      : noHook,
  };
  if (plan.scenario !== 'ramp') await chillAll(bench);
  const watch = plan.dryRun ? undefined : context.watchUpstream?.();
  try {
    const measured = plan.scenario === 'herd' ? await herd(bench) : await load(bench);
    return resultOf(bench, measured, watch?.traffic());
  } finally {
    watch?.end();
  }
}

/** Says from time to time how far a long list has got. */
function listingNews({
  clock,
  progress,
}: Pick<JobContext, 'clock' | 'progress'>): (repositories: number) => void {
  let toldAt = clock.now();
  return (repositories) => {
    if (clock.now() - toldAt < LISTING_NEWS_MS) return;
    toldAt = clock.now();
    progress.phase(`Listed the tags of ${repositories} repositories`);
  };
}

function resultOf(
  { options, cache, plan, counters, digests }: Bench,
  measured: Measured,
  traffic: Traffic | undefined,
): PullthroughBenchResult {
  const requests = {
    manifests: counters.count('getManifest'),
    blobs: counters.count('getBlob'),
    prunes: counters.count('prune'),
    distinctBlobs: digests.size,
    distinctBlobsExact: digests.isExact,
  };
  const clients = { blobGets: requests.blobs, distinctBlobs: requests.distinctBlobs };
  return {
    cache: cache.domain,
    upstream: options.upstream,
    dryRun: plan.dryRun,
    plan,
    ...measured,
    requests,
    passes: plan.dryRun ? null : counters.count('pass'),
    redirectedPulls: counters.count('redirected'),
    stoppedPullers: counters.count('stopped'),
    upstreamTraffic: traffic ? upstreamShare(traffic, clients) : null,
  };
}

/** What one way of running gives of the result. */
type Measured = Omit<
  PullthroughBenchResult,
  | 'cache'
  | 'upstream'
  | 'dryRun'
  | 'plan'
  | 'requests'
  | 'passes'
  | 'redirectedPulls'
  | 'stoppedPullers'
  | 'upstreamTraffic'
>;

const NOT_MEASURED = {
  totals: null,
  steps: [],
  knee: null,
  coldVsWarm: null,
  herd: null,
  tallies: [],
  series: [],
  coldRuns: null,
  dropped: 0,
  unfinished: 0,
  thresholds: [],
  abortedBy: null,
  generator: null,
  interrupted: false,
} as const satisfies Omit<Measured, 'startedAt' | 'durationMs'>;

/** Has the cache forget everything beforehand. Throws when it cannot. */
async function chillAll({ options, cache, plan, counters, hook }: Bench): Promise<void> {
  if (options.cold === undefined || options.dryRun) return;
  const lane = await openRegistryLane(await cache.connection(), {
    connections: 1,
    log: silentLog,
    clock: systemClock,
  });
  try {
    await lane.learn('/v2/', []);
    const chill = createChill(options.cold, lane, counters, hook);
    for (const { pattern, images } of plan.groups) {
      const { ok, error } = images > 0 ? await chill(pattern) : { ok: true, error: undefined };
      if (ok) continue;
      throw new RegopsError(
        'REQUEST_REFUSED',
        `${cache.domain} could not be made to forget '${pattern.slice(0, 100)}': ${error}`,
        { hints: ['Where a cache cannot prune, take images it has never seen: --upstream synthetic:SPEC.'] },
      );
    }
  } finally {
    await lane.close();
  }
}

async function load(bench: Bench): Promise<Measured> {
  const { options, context, cache, plan, counters, digests, home, hook } = bench;
  const { clock, signal } = context;
  const hookChannel = `regops-pullthrough-bench-${randomUUID()}`;
  const workload: PullerOptions = {
    connection: options.dryRun ? undefined : await cache.connection(),
    ...imagesOf(bench),
    mode: plan.ratePerSecond !== null ? 'rate' : plan.scenario === 'cold-vs-warm' ? 'cold-vs-warm' : 'passes',
    pullers: plan.pullers,
    pullersPerPattern: plan.pullersPerPattern,
    pathStyle: plan.pathStyle,
    upstreamName: plan.upstreamName,
    pull: { platform: plan.platform, layerConcurrency: plan.layerConcurrency },
    shuffle: plan.shuffle,
    cold: plan.scenario === 'ramp' ? options.cold : undefined,
    hookChannel,
    onError: plan.onError,
    counters: counters.memory,
    home: home.memory,
    digests: digests.memory,
  };
  const beganAt = clock.now();
  const startedAt = new Date(beganAt).toISOString();
  const keeper = new TallyKeeper(plan, beganAt, (pullers) => home.among(pullers), {
    onSample: (sample) => context.onSample?.(sample),
    onTally: (tally) =>
      context.onTally?.(tally, () =>
        resultOf(bench, { ...NOT_MEASURED, startedAt, ...keeper.soFar() }, undefined),
      ),
  });
  const endHooks = options.cold === 'hook' ? answerHooks(hookChannel, hook) : async (): Promise<void> => {};
  let summary: LoadSummary;
  try {
    summary = await runLoad(loadPlanOf(bench, workload), {
      signal,
      sampleMs: sampleMsOf(options),
      onSample: (sample) => keeper.add(sample),
    });
  } finally {
    await endHooks();
  }
  keeper.end();
  const { dryRun } = plan;
  const steps = stepResults(plan, summary.windows);
  const cold = summary.parts.find(({ kind }) => kind === 'prune' || kind === 'hook');
  return {
    ...NOT_MEASURED,
    ...keeper.soFar(),
    startedAt,
    durationMs: summary.durationMs,
    totals: dryRun ? null : throughputOf(summary),
    steps,
    knee: plan.ratePerSecond === null ? kneeOf(steps) : null,
    coldVsWarm: plan.scenario === 'cold-vs-warm' && !dryRun ? coldVsWarmOf(summary.kinds) : null,
    coldRuns: options.cold && !dryRun ? { done: cold?.count ?? 0, failed: cold?.failed ?? 0 } : null,
    dropped: dryRun ? 0 : summary.dropped,
    unfinished: dryRun ? 0 : summary.unfinished,
    thresholds: summary.thresholds,
    abortedBy: summary.abortedBy,
    generator: summary.generator,
    interrupted: summary.interrupted,
  };
}

/** The images as the threads get them: without the patterns that match nothing. */
function imagesOf({ selection }: Bench): Pick<PullerOptions, 'images' | 'groups'> {
  return {
    images: selection.table.memory,
    groups: selection.groups
      .filter(({ images }) => images.length > 0)
      .map(({ pattern, images }) => ({ pattern, images: images.buffer })),
  };
}

function loadPlanOf({ options, plan }: Bench, workload: PullerOptions): LoadPlan {
  const { abortOnFail } = options;
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return {
    model: loadModelOf(plan, options),
    warmupMs: 0,
    seed: plan.seed,
    threads: plan.threads,
    // There is nothing to judge in a dry run.
    thresholds: plan.dryRun ? [] : options.thresholds,
    windows: windowsOf(plan),
    workload: { module: new URL(`./workload${extension}`, import.meta.url).href, options: workload },
    ...(plan.maxPulls === null ? {} : { count: plan.maxPulls }),
    ...(abortOnFail && !plan.dryRun ? { abortOnFail } : {}),
  };
}

async function herd(bench: Bench): Promise<Measured> {
  const { options, context, cache, plan, counters, digests, selection } = bench;
  const { clock, signal } = context;
  const begun = clock.now();
  const run =
    options.dryRun || plan.herd === null
      ? undefined
      : await runHerd({
          connection: await cache.connection(),
          table: selection.table,
          plan: { ...plan, herd: plan.herd },
          counters,
          digests,
          thresholds: options.thresholds,
          abortOnFail: options.abortOnFail !== undefined,
          signal,
          watchUpstream: context.watchUpstream,
          onImage: (image) => context.onHerdImage?.(image),
        });
  const { images = null, ...judged } = run ?? {};
  return {
    ...NOT_MEASURED,
    ...judged,
    startedAt: new Date(begun).toISOString(),
    durationMs: clock.now() - begun,
    herd: images,
    interrupted: signal.aborted,
  };
}
