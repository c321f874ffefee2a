import type { Distribution, LoadSummary } from '../../load/index.ts';
import type { BenchPlan } from './plan.ts';

/** What an upstream was asked for in a stretch of time. */
export interface Traffic {
  readonly manifestGets: number;
  readonly blobGets: number;
  readonly distinctBlobs: number;
  readonly maxGetsOfOneBlob: number;
  readonly blobBytes: number;
}

/** A count of what an upstream is asked for, from the moment it was begun. */
export interface UpstreamWatch {
  traffic(): Traffic;
  end(): void;
}

/** What was asked of the upstream during a run or a herd, and what that says about the cache. */
export interface UpstreamShare extends Traffic {
  /** Upstream blob fetches for each distinct blob that clients asked for: 1 is ideal for a cold cache; null without blobs. */
  readonly amplification: number | null;
  /** The share of the clients' blob requests that did not reach the upstream: 0 when none was spared, below it when more were made than asked for. */
  readonly cacheHitRatio: number | null;
}

/** Figures of pulls, or of one kind of request. Failed ones count in latency and bytes, as they were waited for. */
export interface PullFigures {
  readonly kind: string;
  readonly count: number;
  readonly failed: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly latencyMs: Distribution | null;
  readonly firstByteMs: Distribution | null;
}

/** All pulls of a run, or of a settled step. Images are pulls that brought everything, verified. */
export interface Throughput {
  readonly images: number;
  readonly failed: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly imagesPerSecond: number;
  /** Of all requests that ended in the time. */
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly latencyMs: Distribution | null;
  readonly firstByteMs: Distribution | null;
  readonly requests: readonly PullFigures[];
}

/** One step of the ramp, from where it has settled. */
export interface StepResult {
  readonly step: number;
  readonly pullers: number | null;
  readonly fromMs: number;
  readonly toMs: number;
  /** How much of it was run; less than the whole when the run ended early. */
  readonly durationMs: number;
  /** Null in a dry run, and for what was not run. */
  readonly figures: Throughput | null;
}

/** What happened since the tally before. */
export interface Tally {
  /** From the run's start to the tally, and how much of that was since the one before. */
  readonly atMs: number;
  readonly durationMs: number;
  readonly time: string;
  readonly images: number;
  readonly failed: number;
  readonly bytes: number;
  /** Null in a dry run: nothing was pulled. */
  readonly imagesPerSecond: number | null;
  /** Pullers at work; at a given rate, pulls under way. */
  readonly pullers: number;
  /** The end of the run, shorter than the others. */
  readonly partial: boolean;
}

/** One moment of the run, for plots. */
export interface BenchSample {
  readonly atMs: number;
  readonly durationMs: number;
  readonly step: number | null;
  readonly pullers: number;
  readonly images: number;
  readonly failed: number;
  readonly bytes: number;
  readonly imagesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** First and second pulls of the same images. */
export interface ColdVsWarm {
  readonly cold: PullFigures;
  readonly warm: PullFigures;
  /** Cold over warm, of the median and of the mean; null when one of them is missing. */
  readonly medianRatio: number | null;
  readonly meanRatio: number | null;
}

/** The step from which more pullers bring no more images. */
export interface Knee {
  readonly step: number;
  readonly pullers: number;
  readonly imagesPerSecond: number;
}

export interface Probe {
  readonly image: string;
  /** A whole answer with status 200 within the time. */
  readonly ok: boolean;
  readonly error: string | null;
  readonly ms: number;
}

/** What became of many clients that asked for one image at once. */
export interface HerdImage {
  readonly image: string;
  readonly clients: number;
  readonly ok: number;
  readonly failed: number;
  readonly errors: Readonly<Record<string, number>>;
  /** Of the clients that got it; null when none did. */
  readonly fastestMs: number | null;
  readonly medianMs: number | null;
  readonly slowestMs: number | null;
  readonly bytes: number;
  /** Whether the client that was to be cut off got as far as a blob; null when none was. */
  readonly killed: boolean | null;
  /** After a kill: an unrelated image. */
  readonly probe: Probe | null;
  readonly upstream: UpstreamShare | null;
}

/** The `result` of pullthrough-bench's JSON answer. Times are milliseconds, sizes bytes. */
export interface PullthroughBenchResult {
  readonly cache: string;
  readonly upstream: string;
  readonly startedAt: string;
  readonly dryRun: boolean;
  readonly plan: BenchPlan;
  /** Measured time. */
  readonly durationMs: number;
  /** Of all pulls; null in a dry run and for a herd. */
  readonly totals: Throughput | null;
  readonly steps: readonly StepResult[];
  /** Null when more pullers still brought more images, and where there was no ramp. */
  readonly knee: Knee | null;
  readonly coldVsWarm: ColdVsWarm | null;
  readonly herd: readonly HerdImage[] | null;
  readonly tallies: readonly Tally[];
  readonly series: readonly BenchSample[];
  /** Requests that were sent to the cache, also those that were given up at the end. */
  readonly requests: {
    readonly manifests: number;
    readonly blobs: number;
    readonly prunes: number;
    /** Blobs asked for by digest, each counted once; exact as long as there are not millions. */
    readonly distinctBlobs: number;
    readonly distinctBlobsExact: boolean;
  };
  /** Passes that pullers ended, null in a dry run; and what came of making the cache forget after them. */
  readonly passes: number | null;
  readonly coldRuns: { readonly done: number; readonly failed: number } | null;
  /** Pulls of which at least one blob is kept elsewhere and was not fetched. */
  readonly redirectedPulls: number;
  /** Pullers that gave up after a failure. */
  readonly stoppedPullers: number;
  /** Null where the upstream does not tell. */
  readonly upstreamTraffic: UpstreamShare | null;
  /** At a given rate: due, but not sent because too many were under way. */
  readonly dropped: number;
  /** Given up at the end of the run. */
  readonly unfinished: number;
  readonly thresholds: LoadSummary['thresholds'];
  readonly abortedBy: string | null;
  /** Null in a dry run of a herd. */
  readonly generator: LoadSummary['generator'] | null;
  readonly interrupted: boolean;
}
