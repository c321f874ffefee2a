import { counted, formatDuration } from '../../base/index.ts';
import type { LoadModel, LoadWindow } from '../../load/index.ts';
import type { Platform } from '../../oci/index.ts';
import type { PathStyle } from './addressing.ts';
import type { Selection } from './listing.ts';
import type { ColdBy, HerdOptions, OnError, PullthroughBenchOptions, Scenario } from './options.ts';

/** A stretch of the run with the same load. */
export interface PlanStep {
  /** From 1. */
  readonly step: number;
  /** Null at a given rate, where nobody can say beforehand how many pull at once. */
  readonly pullers: number | null;
  readonly fromMs: number;
  readonly durationMs: number;
  /** Where it has settled: the figures are of the rest of the step. */
  readonly settledFromMs: number;
}

/** All that will happen, as data; what two runs must have in common to be compared. */
export interface BenchPlan {
  readonly scenario: Scenario;
  readonly pathStyle: PathStyle;
  /** What the cache calls the upstream. */
  readonly upstreamName: string;
  readonly filter: string | null;
  readonly tags: string;
  /** As the upstream listed them. */
  readonly repositories: number;
  readonly emptyRepositories: number;
  readonly listedImages: number;
  readonly filteredImages: number;
  /** Images that will be pulled: those that at least one pattern matches. */
  readonly images: number;
  /** Patterns and what they match; one that matches nothing has no pullers. */
  readonly groups: readonly { readonly pattern: string; readonly images: number; readonly pullers: number }[];
  /** At the peak; 0 at a given rate and in a herd. */
  readonly pullers: number;
  readonly pullersPerPattern: number;
  readonly iterationMs: number;
  readonly tallyMs: number;
  readonly steps: readonly PlanStep[];
  /** Without what is still under way at its end; null when the images decide. */
  readonly durationMs: number | null;
  readonly maxPulls: number | null;
  readonly ratePerSecond: number | null;
  readonly cold: ColdBy | null;
  readonly shuffle: boolean;
  readonly onError: OnError;
  readonly platform: Platform;
  readonly layerConcurrency: number;
  readonly threads: number;
  readonly seed: number;
  readonly dryRun: boolean;
  readonly herd: HerdOptions | null;
}

const SETTLE_MS = 1000;
const SETTLE_SHARE = 0.2;
/** A step shorter than this is looked at in finer samples, or nothing would be left of it when it has settled. */
const SHORT_STEP_MS = 10_000;

/** Decides what will be run. Pure. */
export function planBench(
  options: PullthroughBenchOptions,
  upstreamName: string,
  selection: Selection,
): BenchPlan {
  const { scenario, iterationMs, pullersPerPattern, ratePerSecond } = options;
  const withPullers = scenario !== 'herd' && ratePerSecond === undefined;
  const groups = selection.groups.map(({ pattern, images }) => ({
    pattern,
    images: images.length,
    pullers: images.length > 0 && withPullers ? pullersPerPattern : 0,
  }));
  const populated = groups.filter(({ images }) => images > 0).length;
  const { images } = { images: selection.table.size };
  const ramp = { iterationMs, sampleMs: sampleMsOf(options), pullersPerPattern };
  const steps = scenario === 'ramp' ? stepsOf(options, populated, ramp) : [];
  return {
    scenario,
    pathStyle: options.pathStyle,
    upstreamName,
    filter: options.filter ?? null,
    tags: options.tags,
    repositories: selection.repositories,
    emptyRepositories: selection.emptyRepositories,
    listedImages: selection.listedImages,
    filteredImages: selection.filteredImages,
    images,
    groups,
    // Of the second scenario each puller has its own share of all images.
    pullers: !withPullers
      ? 0
      : scenario === 'cold-vs-warm'
        ? Math.min(images, populated * pullersPerPattern)
        : populated * pullersPerPattern,
    pullersPerPattern,
    iterationMs,
    tallyMs: options.tallyMs,
    steps,
    durationMs: scenario === 'ramp' ? endOf(steps) : (options.durationMs ?? null),
    maxPulls: options.maxPulls ?? null,
    ratePerSecond: ratePerSecond ?? null,
    cold: options.cold ?? null,
    shuffle: options.shuffle,
    onError: options.onError,
    platform: options.platform,
    layerConcurrency: options.layerConcurrency,
    threads: options.threads,
    seed: options.seed,
    dryRun: options.dryRun,
    herd: scenario === 'herd' ? options.herd : null,
  };
}

/** The sample interval that steps, tallies and settled windows are whole multiples of. */
export function sampleMsOf({
  iterationMs,
  tallyMs,
  durationMs,
}: Pick<PullthroughBenchOptions, 'iterationMs' | 'tallyMs' | 'durationMs'>): number {
  const longest = Math.min(iterationMs, durationMs ?? iterationMs) < SHORT_STEP_MS ? 100 : 1000;
  return [iterationMs, tallyMs, durationMs ?? iterationMs].reduce(greatestCommonDivisor, longest);
}

/** 1…N…1 times the pullers of a pattern, each for one iteration; or one step at a given rate. */
function stepsOf(
  { ratePerSecond, durationMs }: PullthroughBenchOptions,
  patterns: number,
  ramp: { readonly iterationMs: number; readonly sampleMs: number; readonly pullersPerPattern: number },
): PlanStep[] {
  const { iterationMs, sampleMs, pullersPerPattern } = ramp;
  const count = 2 * patterns - 1;
  if (ratePerSecond !== undefined) {
    const wholeMs = durationMs ?? count * iterationMs;
    return [stepOf(1, null, 0, wholeMs, sampleMs)];
  }
  return Array.from({ length: count }, (_, at) => {
    const pullers = Math.min(at + 1, count - at) * pullersPerPattern;
    return stepOf(at + 1, pullers, at * iterationMs, iterationMs, sampleMs);
  });
}

function stepOf(
  step: number,
  pullers: number | null,
  fromMs: number,
  durationMs: number,
  sampleMs: number,
): PlanStep {
  const wantedMs = Math.max(SETTLE_MS, SETTLE_SHARE * durationMs);
  const halfMs = Math.floor(durationMs / 2 / sampleMs) * sampleMs;
  const settleMs = Math.min(Math.ceil(wantedMs / sampleMs) * sampleMs, halfMs);
  return { step, pullers, fromMs, durationMs, settledFromMs: fromMs + settleMs };
}

function endOf(steps: readonly PlanStep[]): number {
  const last = steps.at(-1);
  return last ? last.fromMs + last.durationMs : 0;
}

/** The plan's load; not for a herd. */
export function loadModelOf(plan: BenchPlan, { maxInFlight }: PullthroughBenchOptions): LoadModel {
  const { durationMs, ratePerSecond, steps, pullers } = plan;
  const wholeMs = durationMs ?? Number.POSITIVE_INFINITY;
  if (ratePerSecond !== null) {
    return {
      kind: 'open',
      stages: [{ ratePerSecond, durationMs: wholeMs }],
      arrival: 'constant',
      maxInFlight,
    };
  }
  const stages = steps.map((step) => ({ workers: step.pullers ?? 0, durationMs: step.durationMs }));
  return { kind: 'closed', stages: stages.length > 0 ? stages : [{ workers: pullers, durationMs: wholeMs }] };
}

/** Where the steps have settled. */
export function windowsOf({ steps }: BenchPlan): LoadWindow[] {
  return steps.map(({ settledFromMs, fromMs, durationMs }) => ({
    fromMs: settledFromMs,
    toMs: fromMs + durationMs,
  }));
}

/** The step that runs at a time; the last one afterwards, undefined when there are none. */
export function stepAt({ steps }: BenchPlan, atMs: number): PlanStep | undefined {
  const step = steps.find(({ fromMs, durationMs }) => atMs < fromMs + durationMs);
  return step ?? steps.at(-1);
}

/** What the user should know about a plan before it is carried out. */
export function planWarnings(plan: BenchPlan, { overlap }: Pick<Selection, 'overlap'>): string[] {
  const warnings: string[] = [];
  const idle = plan.groups.filter(({ images }) => images === 0);
  if (idle.length > 0) {
    const named = idle.slice(0, 5).map(({ pattern }) => `'${pattern.slice(0, 100)}'`);
    const more = idle.length > named.length ? ` and ${idle.length - named.length} more` : '';
    warnings.push(
      `${counted(idle.length, 'pattern')} matched no image and ${idle.length === 1 ? 'gets' : 'get'} no puller: ${named.join(', ')}${more}`,
    );
  }
  if (overlap) {
    const [first, second] = overlap.patterns.map((pattern) => pattern.slice(0, 100));
    warnings.push(
      `patterns overlap: ${counted(overlap.images, 'image')} matched by more than one (${overlap.example}: '${first}' and '${second}'), so that one puller warms the cache for another`,
    );
  }
  if (plan.cold === 'prune') {
    const misread = plan.groups.find(({ pattern }) => pattern.startsWith('^') || pattern.includes(','));
    if (misread) {
      warnings.push(
        `the cache will read the pattern '${misread.pattern.slice(0, 100)}' differently when it prunes: it splits at commas and matches HOST/repo:tag`,
      );
    }
    if (plan.pullersPerPattern > 1 && plan.scenario === 'ramp') {
      warnings.push('each puller of a pattern prunes for all of them');
    }
  }
  return warnings;
}

/** The plan in lines for people. */
export function planLines(plan: BenchPlan): string[] {
  const { repositories, emptyRepositories, listedImages, filteredImages, images } = plan;
  const empty = emptyRepositories > 0 ? ` (${emptyRepositories} without tags)` : '';
  const filtered = plan.filter === null ? '' : `, ${filteredImages} after the filter`;
  return [
    `Upstream: ${counted(repositories, 'repository', 'repositories')}${empty}, ${counted(listedImages, 'image')}${filtered}, ${images} matched by a pattern`,
    ...plan.groups.slice(0, 20).map((group) => `  ${group.pattern}: ${counted(group.images, 'image')}`),
    ...(plan.groups.length > 20 ? [`  … and ${plan.groups.length - 20} more patterns`] : []),
    `Plan: ${describePlan(plan)}`,
  ];
}

/** One sentence. */
export function describePlan(plan: BenchPlan): string {
  const { herd, steps, pullers, ratePerSecond, maxPulls, durationMs, iterationMs } = plan;
  const dry = plan.dryRun ? ' (dry run: nothing is pulled)' : '';
  const limit = maxPulls === null ? '' : `, ${counted(maxPulls, 'pull')} at most`;
  if (herd) {
    const killed = herd.kill ? ', one more is cut off in mid-pull' : '';
    return `herd: ${counted(herd.clients, 'client')} at once for each of ${counted(Math.min(herd.images, plan.images), 'image')}${killed}${dry}`;
  }
  const takes = durationMs === null ? 'until all are done' : `${formatDuration(durationMs)} in all`;
  if (plan.scenario === 'cold-vs-warm') {
    return `cold-vs-warm: ${counted(plan.images, 'image')}, each pulled twice, ${counted(pullers, 'puller')}, ${takes}${limit}${dry}`;
  }
  if (ratePerSecond !== null) return `${ratePerSecond} images/s, ${takes}${limit}${dry}`;
  const up = steps.map((step) => step.pullers).slice(0, (steps.length + 1) / 2);
  const ramp =
    steps.length === 1
      ? counted(pullers, 'puller')
      : `ramp of 1 to ${up.length} patterns and back, ${pullers} pullers at the peak`;
  return `${ramp}, ${counted(steps.length, 'step')} of ${formatDuration(iterationMs)}, ${takes}${limit}${dry}`;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
