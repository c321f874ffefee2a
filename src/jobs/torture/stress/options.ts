import { parseDuration, parseRate, parseSize, RegopsError } from '../../../base/index.ts';
import type { OpenModel, RateStage, Threshold } from '../../../load/index.ts';
import type { Platform } from '../../../oci/index.ts';
import type { BlobSize } from '../workloads/blobs.ts';
import type { PushOptions } from '../workloads/push.ts';
import type { TrafficWeights } from '../workloads/traffic.ts';

export const STRESS_WORKLOADS = ['admin', 'pull', 'push', 'mixed', 'delete'] as const;
export type StressWorkload = (typeof STRESS_WORKLOADS)[number];

/** So many clients at once that wait for their answers, or operations that come at a rate whatever happens. */
export type StressModel =
  | {
      readonly kind: 'closed';
      readonly concurrentRequests: number;
      /** A client's pause between operations; default none, with `admin` the seed's 0.1–1.0 s. */
      readonly thinkMs?: readonly [min: number, max: number];
    }
  | Pick<OpenModel, 'kind' | 'stages' | 'arrival' | 'maxInFlight'>;

export interface StressOptions {
  /** The registry, by the domain of its references. */
  readonly domain: string;
  readonly workload: StressWorkload;
  readonly model: StressModel;
  /** For the closed model; the open one's stages say it themselves. May be Infinity with a count. */
  readonly durationMs: number;
  readonly count?: number | undefined;
  readonly warmupMs: number;
  readonly threads: number;
  readonly seed: number;
  readonly thresholds: readonly Threshold[];
  readonly abortOnFail?: { readonly afterMs: number } | undefined;
  /** For `admin`: which API to read. */
  readonly api: 'auto' | 'nscr' | 'oci';
  /** For `mixed`. */
  readonly weights: TrafficWeights;
  /** For `pull` and `mixed`: only repositories whose name it finds. */
  readonly repository?: RegExp | undefined;
  /** For `pull` and `mixed`: no more images than that are looked up. */
  readonly maxImages: number;
  readonly platform: Platform;
  readonly layerConcurrency: number;
  readonly blobSizes: readonly BlobSize[];
  readonly upload: PushOptions['upload'];
  readonly chunkBytes: number;
  /** Everything is written below it; default `regops-torture/RUN`. */
  readonly writePrefix?: string | undefined;
  /** Writing workloads must be allowed by the user. */
  readonly yesWrite: boolean;
}

/** What an option is unless somebody says otherwise. */
export const STRESS_DEFAULTS = {
  concurrentRequests: 10,
  adminThinkMs: [100, 1000],
  maxInFlight: 1000,
  maxImages: 1000,
  layerConcurrency: 3,
  chunkBytes: 4 * 1024 * 1024,
  blobSizes: '64KiB:8,1MiB:2',
  weights: 'pull:3,push:1',
} as const;

const MAX_BLOB_BYTES = 16 * 1024 ** 3;
const MAX_PARTS = 1000;

/** What an operation of each workload is drawn from; none for `admin`, which is of another kind. */
export function weightsOf({ workload, weights }: StressOptions): TrafficWeights | undefined {
  switch (workload) {
    case 'admin':
      return undefined;
    case 'pull':
      return { pull: 1, push: 0, delete: 0 };
    case 'push':
      return { pull: 0, push: 1, delete: 0 };
    case 'delete':
      return { pull: 0, push: 1, delete: 1 };
    case 'mixed':
      return weights;
  }
}

/**
 * Reads the stages of an arrival rate: `10/s:30s,100/s:60s`; `..100/s:60s` changes evenly from the rate before.
 * Throws USAGE.
 */
export function parseStages(text: string): RateStage[] {
  return parts('stages', text, '10/s:30s,..100/s:60s').map(([rate = '', duration = '']) => {
    const ramp = rate.startsWith('..');
    return {
      ratePerSecond: parseRate(ramp ? rate.slice(2) : rate),
      durationMs: parseDuration(duration),
      ...(ramp ? { ramp } : {}),
    };
  });
}

/** Reads sizes and how often each comes: `64KiB:8,1MiB:2`, or one size alone. Throws USAGE. */
export function parseBlobSizes(text: string): BlobSize[] {
  return parts('blob sizes', text, '64KiB:8,1MiB:2').map(([size = '', weight = '1']) => {
    const bytes = parseSize(size);
    if (bytes < 1 || bytes > MAX_BLOB_BYTES) {
      throw new RegopsError('USAGE', `a blob cannot be of ${size}`, { hints: ['From 1 byte up to 16GiB.'] });
    }
    return { bytes, weight: weightOf(weight, text) };
  });
}

/** Reads the weights of `mixed`: `pull:3,push:1,delete:1`. Throws USAGE. */
export function parseWeights(text: string): TrafficWeights {
  const weights = { pull: 0, push: 0, delete: 0 };
  for (const [name = '', weight = ''] of parts('weights', text, 'pull:3,push:1')) {
    if (!Object.hasOwn(weights, name)) {
      throw new RegopsError('USAGE', `no such operation: '${name.slice(0, 50)}'`, {
        hints: ['Weights are for pull, push and delete.'],
      });
    }
    weights[name as keyof typeof weights] = weightOf(weight, text);
  }
  return weights;
}

function parts(what: string, text: string, example: string): string[][] {
  const all = text.split(',').map((part) => part.trim().split(':'));
  const isRead = all.every((part) => part.length <= 2 && part.every((word) => word !== ''));
  if (!isRead || all.length > MAX_PARTS) {
    throw new RegopsError('USAGE', `invalid ${what} '${text.slice(0, 100)}'`, {
      hints: [`Write it like ${example}.`],
    });
  }
  return all;
}

function weightOf(text: string, whole: string): number {
  const weight = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(weight > 0)) {
    throw new RegopsError('USAGE', `invalid weight '${text.slice(0, 50)}' in '${whole.slice(0, 100)}'`, {
      hints: ['A weight is a number above 0.'],
    });
  }
  return weight;
}
