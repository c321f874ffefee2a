/**
 * torture stress: loads a registry with reads, pulls, pushes or deletes and says how it bore them. What a writing
 * workload leaves behind is removed at the end, also after a failure or an interruption.
 */
import { counted } from '../../../base/index.ts';
import { type LoadPlan, type LoadSample, type LoadSummary, runLoad } from '../../../load/index.ts';
import type { RegistryClient } from '../../../registry/index.ts';
import type { JobContext } from '../../context.ts';
import { graceAfter } from '../grace.ts';
import { openView } from '../open-view.ts';
import { newRunId } from '../run-id.ts';
import { DEFAULT_MAX_REPOSITORIES } from '../view.ts';
import type { AdminOptions } from '../workloads/admin.ts';
import { Ledger, WRITE_PREFIX } from '../workloads/ledger.ts';
import type { TrafficOptions, TrafficWeights } from '../workloads/traffic.ts';
import { cleanUp } from './cleanup.ts';
import { findImages, nothingToPull } from './images.ts';
import { type StressOptions, weightsOf } from './options.ts';
import { checkStress, planOf } from './plan.ts';
import type { Cleanup, StressResult } from './result.ts';

export {
  parseBlobSizes,
  parseStages,
  parseWeights,
  STRESS_DEFAULTS,
  STRESS_WORKLOADS,
  type StressModel,
  type StressOptions,
  type StressWorkload,
} from './options.ts';
export { checkStress } from './plan.ts';
export { reportStress, stressChecks, stressMetrics, stressSections, stressSeries } from './report.ts';
export type { Cleanup, StressResult } from './result.ts';

export interface StressContext extends JobContext {
  /** Told what happened in each second. */
  onSample?(sample: LoadSample): void;
  /** Told when manifests begin to be deleted, by the workload or the clean-up, and when that is over. */
  onDeleting?(isDeleting: boolean): void;
}

/** A workload module beside this one: a source under type stripping, or the built program's. */
function moduleUrl(name: 'admin' | 'traffic'): string {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`../workloads/${name}${extension}`, import.meta.url).href;
}

/**
 * Runs the load and gives what was measured; an aborted signal ends it early with what there is.
 *
 * @throws USAGE for options that do not go together, IMAGE_NOT_FOUND when there is nothing to pull, and what keeps
 *   the registry from being asked at all; a registry that fails under load is a result, not an error
 */
export async function stress(options: StressOptions, context: StressContext): Promise<StressResult> {
  checkStress(options);
  const { signal, clock, progress } = context;
  const weights = weightsOf(options);
  const runId = newRunId(clock);
  const run = { runId, writePrefix: options.writePrefix ?? `${WRITE_PREFIX}/${runId}` };
  const client = await context.registry(options.domain);
  const ledger = Ledger.forThreads(options.threads);
  const { workload, api } = weights
    ? { workload: await trafficPlan(options, weights, run, client, ledger, signal), api: undefined }
    : await adminPlan(options, client, ledger, signal);

  const grace = graceAfter(signal);
  const clean = async (): Promise<Cleanup | undefined> => {
    if (ledger.total('begun') === 0) return undefined;
    context.onDeleting?.(true);
    progress.phase(`Removing what was written below ${run.writePrefix}`);
    const cleanup = await cleanUp(client, run, ledger, grace.signal);
    warnOfLeftovers(cleanup, context);
    return cleanup;
  };
  progress.phase(describe(options));
  if (weights && weights.delete > 0) context.onDeleting?.(true);
  const startedAt = new Date(clock.now()).toISOString();
  try {
    let summary: LoadSummary;
    try {
      summary = await runLoad(planOf(options, workload), {
        signal,
        onSample: (sample) => context.onSample?.(sample),
      });
    } catch (error) {
      await clean();
      throw error;
    }
    const cleanup = await clean();
    const { kinds, parts: _parts, windows: _windows, ...figures } = summary;
    return {
      registry: options.domain,
      workload: options.workload,
      ...(api === undefined ? {} : { api }),
      seed: options.seed,
      startedAt,
      requests: ledger.requests(),
      operations: kinds,
      ...figures,
      ...(cleanup ? { cleanup } : {}),
    };
  } finally {
    grace.end();
    context.onDeleting?.(false);
  }
}

async function adminPlan(
  options: StressOptions,
  client: RegistryClient,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<{ workload: LoadPlan['workload']; api: 'nscr' | 'oci' }> {
  const view = { api: options.api, maxRepositories: DEFAULT_MAX_REPOSITORIES };
  const { api } = await openView(client, view, signal);
  const given: AdminOptions = { connection: await client.connection(), ledger: ledger.memory, api };
  return { workload: { module: moduleUrl('admin'), options: given }, api };
}

async function trafficPlan(
  options: StressOptions,
  weights: TrafficWeights,
  run: { readonly runId: string; readonly writePrefix: string },
  client: RegistryClient,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<LoadPlan['workload']> {
  const { platform, layerConcurrency, upload, chunkBytes, blobSizes } = options;
  const images = weights.pull > 0 ? await findImages(client, options, signal) : [];
  if (images.length === 0 && weights.push === 0 && weights.delete === 0) {
    throw nothingToPull(options.domain, options.repository);
  }
  const given: TrafficOptions = {
    connection: await client.connection(),
    ledger: ledger.memory,
    weights,
    images,
    pull: { platform, layerConcurrency },
    push: { upload, chunkBytes },
    blobSizes,
    ...run,
  };
  return { module: moduleUrl('traffic'), options: given };
}

/** The seed's words for its own model. */
function describe({ model, durationMs, count }: StressOptions): string {
  if (model.kind === 'open') {
    const ms = model.stages.reduce((sum, stage) => sum + stage.durationMs, 0);
    return `Starting stress test for ${ms / 1000} seconds at a given rate`;
  }
  const end = Number.isFinite(durationMs) ? `${durationMs / 1000} seconds` : `${count} operations`;
  return `Starting stress test for ${end} with ${model.concurrentRequests} concurrent requests`;
}

function warnOfLeftovers(cleanup: Cleanup, { log }: JobContext): void {
  if (cleanup.manifestsLeft === 0 && cleanup.complete) return;
  const [first] = cleanup.left;
  const why = first ? ` (${first.repository}:${first.tag}: ${first.reason})` : '';
  const missed = cleanup.complete ? '' : ', and not everything was looked at';
  log.warn(
    `${counted(cleanup.manifestsLeft, 'manifest')} below ${cleanup.writePrefix} could not be removed${missed}${why}`,
  );
}
