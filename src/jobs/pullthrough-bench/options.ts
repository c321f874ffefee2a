import { RegopsError } from '../../base/index.ts';
import type { Threshold } from '../../load/index.ts';
import type { Platform } from '../../oci/index.ts';
import type { PathStyle } from './addressing.ts';
import { MAX_PATTERNS } from './patterns.ts';

export const SCENARIOS = ['ramp', 'cold-vs-warm', 'herd'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const ON_ERROR = ['continue', 'backoff', 'stop'] as const;
/** What a puller does after a failed pull: goes on at once, after a growing pause, or not at all. */
export type OnError = (typeof ON_ERROR)[number];

/** How a cache is made to forget: by ociregistry's prune, or by `PullthroughBenchContext.runColdHook`. */
export type ColdBy = 'prune' | 'hook';

export interface HerdOptions {
  /** How many ask for one image at once. */
  readonly clients: number;
  /** For how many images, one after the other. */
  readonly images: number;
  /** One more client is cut off in the middle of a blob; then an unrelated image is asked for. */
  readonly kill: boolean;
  /** How long that may take. */
  readonly probeTimeoutMs: number;
}

export interface PullthroughBenchOptions {
  /** The cache under test and the registry it pulls from, by the domains of their references. */
  readonly cache: string;
  readonly upstream: string;
  /** What the cache calls the upstream, `host[:port]`; default the upstream's domain. */
  readonly upstreamName?: string | undefined;
  /** Regular expressions on `repo:tag`, each element one of them or several with commas between. */
  readonly patterns: readonly string[];
  /** Only images whose `repo:tag` it finds. */
  readonly filter?: string | undefined;
  /** Which tags of a repository: the one listed first, all, or those the regular expression finds. */
  readonly tags: string;
  readonly pathStyle: PathStyle;
  readonly scenario: Scenario;
  /** A tenth of a second at least, and a multiple of it; `tallyMs` too. */
  readonly iterationMs: number;
  readonly tallyMs: number;
  readonly pullersPerPattern: number;
  readonly threads: number;
  readonly seed: number;
  /** Each puller goes through its images in a new order on every pass. */
  readonly shuffle: boolean;
  /** `ramp`: after each pass of a puller. The other scenarios: once for each pattern, before they begin. */
  readonly cold?: ColdBy | undefined;
  readonly onError: OnError;
  readonly maxPulls?: number | undefined;
  /** `ramp` only: images are asked for at this rate whatever happens, instead of by pullers. */
  readonly ratePerSecond?: number | undefined;
  /** With a rate: pulls that are due while so many are under way are dropped. */
  readonly maxInFlight: number;
  /** With a rate (default: as long as the ramp) and of `cold-vs-warm` (default: until all images are done). */
  readonly durationMs?: number | undefined;
  readonly platform: Platform;
  readonly layerConcurrency: number;
  readonly thresholds: readonly Threshold[];
  readonly abortOnFail?: { readonly afterMs: number } | undefined;
  /** Does everything but ask the cache for anything. */
  readonly dryRun: boolean;
  readonly herd: HerdOptions;
}

/** What an option is unless somebody says otherwise; the first four are the seed's. */
export const PULLTHROUGH_BENCH_DEFAULTS = {
  iterationMs: 60_000,
  tallyMs: 15_000,
  tags: 'first',
  pathStyle: 'in-path',
  scenario: 'ramp',
  pullersPerPattern: 1,
  threads: 1,
  onError: 'backoff',
  layerConcurrency: 3,
  maxInFlight: 1000,
  herd: { clients: 50, images: 10, kill: false, probeTimeoutMs: 10_000 },
} as const;

const GRAIN_MS = 100;
const MAX_MS = 7 * 24 * 3600 * 1000;
const MAX_PULLERS = 10_000;
const MAX_HERD_CLIENTS = 10_000;

/** Throws USAGE for options that make no sense or do not go together. */
export function checkOptions(options: PullthroughBenchOptions, hasColdHook: boolean): void {
  const { scenario, ratePerSecond, cold, pullersPerPattern, layerConcurrency, herd } = options;
  for (const [name, ms] of [
    ['iteration', options.iterationMs],
    ['tally interval', options.tallyMs],
  ] as const) {
    must(
      Number.isInteger(ms / GRAIN_MS) && ms > 0 && ms <= MAX_MS,
      `an ${name} cannot last ${ms / 1000} s`,
      'Whole or tenths of seconds, up to a week.',
    );
  }
  const { durationMs } = options;
  must(
    durationMs === undefined || (Number.isInteger(durationMs / GRAIN_MS) && durationMs > 0),
    `a run cannot last ${(durationMs ?? 0) / 1000} s`,
    'Whole or tenths of seconds.',
  );
  must(isCount(pullersPerPattern, MAX_PULLERS), `a pattern cannot have ${pullersPerPattern} pullers`);
  must(isCount(layerConcurrency, 100), `the layer concurrency cannot be ${layerConcurrency}`);
  if (ratePerSecond !== undefined) {
    must(scenario === 'ramp', `a rate does not go with the scenario ${scenario}`);
    must(
      cold === undefined,
      'a rate does not go with pruning: there are no passes after which to prune',
      'Use pullers (no --rate), or images that the cache has never seen.',
    );
  }
  for (const threshold of options.thresholds) checkThreshold(threshold, options);
  must(cold !== 'hook' || hasColdHook, 'there is no command to make the cache forget');
  must(isCount(herd.clients, MAX_HERD_CLIENTS), `a herd cannot have ${herd.clients} clients`);
  must(isCount(herd.images, 10_000), `a herd cannot be sent for ${herd.images} images`);
}

/** What a threshold in braces may be on: the pulls of a scenario. */
const PULL_KINDS: Readonly<Record<Scenario, readonly string[]>> = {
  ramp: ['pull'],
  'cold-vs-warm': ['cold', 'warm'],
  herd: ['pull'],
};

/** Throws USAGE for one that nothing could ever miss, or meet. */
function checkThreshold(
  { text, metric, kind }: Threshold,
  { scenario, ratePerSecond }: PullthroughBenchOptions,
): void {
  must(
    metric !== 'dropped' || ratePerSecond !== undefined,
    `there is nothing to judge by the threshold '${text}': pulls are only dropped at a given rate`,
    'Add --rate, or leave it out.',
  );
  const kinds = PULL_KINDS[scenario];
  must(
    kind === undefined || kinds.includes(kind),
    `there is nothing to judge by the threshold '${text}': ${scenario} has no pulls '${kind?.slice(0, 100)}'`,
    `Of this scenario: ${kinds.map((name) => `{${name}}`).join(' and ')}, or all without braces.`,
  );
}

/** Throws USAGE when there are more pullers than can be. */
export function checkPullers(patterns: number, pullersPerPattern: number): void {
  must(patterns <= MAX_PATTERNS, `there cannot be ${patterns} patterns`, `${MAX_PATTERNS} at most.`);
  must(
    patterns * pullersPerPattern <= MAX_PULLERS,
    `there cannot be ${patterns * pullersPerPattern} pullers`,
    `${MAX_PULLERS} at most.`,
  );
}

function isCount(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

function must(condition: boolean, message: string, hint?: string): void {
  if (!condition) throw new RegopsError('USAGE', message, { hints: hint === undefined ? [] : [hint] });
}
