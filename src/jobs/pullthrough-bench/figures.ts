import type { KindFigures, LoadSummary, OperationFigures, WindowFigures } from '../../load/index.ts';
import type { BenchPlan } from './plan.ts';
import type {
  ColdVsWarm,
  Knee,
  PullFigures,
  StepResult,
  Throughput,
  Traffic,
  UpstreamShare,
} from './result.ts';

/** Less than this more images for the next step's pullers, and they bring nothing any more. */
const KNEE_GAIN = 0.05;
/** Parts that are no requests of a pull. */
const COLD_PARTS: readonly string[] = ['prune', 'hook'];

type Measured = Pick<LoadSummary, 'totals' | 'parts' | 'durationMs'>;

/** What was pulled in a stretch of time. */
export function throughputOf({ totals, parts, durationMs }: Measured): Throughput {
  const images = totals.count - totals.failed;
  const requests = parts.filter(({ kind }) => !COLD_PARTS.includes(kind));
  // Of requests and not of pulls: a large image's bytes belong to when they came, not to when it was complete.
  const bytes = requests.reduce((sum, part) => sum + part.bytes, 0);
  return {
    images,
    failed: totals.failed,
    errors: totals.errors,
    imagesPerSecond: perSecond(images, durationMs),
    bytes,
    bytesPerSecond: perSecond(bytes, durationMs),
    latencyMs: totals.latency,
    firstByteMs: totals.firstByte,
    requests: requests.map(pullFiguresOf),
  };
}

/** The steps from where they have settled. @param windows in the steps' order */
export function stepResults({ steps, dryRun }: BenchPlan, windows: readonly WindowFigures[]): StepResult[] {
  return steps.map(({ step, pullers }, at) => {
    const window = windows[at];
    const { fromMs = 0, toMs = 0, durationMs = 0 } = window ?? {};
    const figures = window && durationMs > 0 && !dryRun ? throughputOf(window) : null;
    return { step, pullers, fromMs, toMs, durationMs, figures };
  });
}

/** Where, on the way up, the next step's pullers bring less than five percent more images. */
export function kneeOf(steps: readonly StepResult[]): Knee | null {
  const up = steps.slice(0, (steps.length + 1) / 2);
  for (let at = 0; at + 1 < up.length; at++) {
    const { step, pullers, figures } = up[at] as StepResult;
    const next = up[at + 1]?.figures;
    if (!figures || !next || pullers === null) return null;
    if (next.imagesPerSecond < figures.imagesPerSecond * (1 + KNEE_GAIN)) {
      return { step, pullers, imagesPerSecond: figures.imagesPerSecond };
    }
  }
  return null;
}

/** First and second pulls side by side. */
export function coldVsWarmOf(kinds: readonly KindFigures[]): ColdVsWarm {
  const of = (kind: string): PullFigures => {
    const found = kinds.find((one) => one.kind === kind);
    return found ? pullFiguresOf(found) : { kind, ...NOTHING };
  };
  const [cold, warm] = [of('cold'), of('warm')];
  return {
    cold,
    warm,
    medianRatio: ratio(cold.latencyMs?.p50, warm.latencyMs?.p50),
    meanRatio: ratio(cold.latencyMs?.mean, warm.latencyMs?.mean),
  };
}

/** What the upstream was asked for, beside what clients asked the cache for. */
export function upstreamShare(
  { manifestGets, blobGets, distinctBlobs, maxGetsOfOneBlob, blobBytes }: Traffic,
  clients: { readonly blobGets: number; readonly distinctBlobs: number },
): UpstreamShare {
  return {
    manifestGets,
    blobGets,
    distinctBlobs,
    maxGetsOfOneBlob,
    blobBytes,
    amplification: ratio(blobGets, clients.distinctBlobs),
    cacheHitRatio: clients.blobGets > 0 ? 1 - blobGets / clients.blobGets : null,
  };
}

/** Per second; 0 when no time has passed. */
export function perSecond(count: number, durationMs: number): number {
  return durationMs > 0 ? (count * 1000) / durationMs : 0;
}

function pullFiguresOf({
  kind,
  count,
  failed,
  errors,
  bytes,
  latency,
  firstByte,
}: OperationFigures & { readonly kind: string }): PullFigures {
  return { kind, count, failed, errors, bytes, latencyMs: latency, firstByteMs: firstByte };
}

const NOTHING = {
  count: 0,
  failed: 0,
  errors: {},
  bytes: 0,
  latencyMs: null,
  firstByteMs: null,
} as const;

function ratio(a: number | undefined, b: number | undefined): number | null {
  return a === undefined || b === undefined || b === 0 ? null : a / b;
}
