import { RegopsError } from '../../../base/index.ts';
import { checkPlan, type LoadModel, type LoadPlan } from '../../../load/index.ts';
import { isRepository } from '../../../oci/index.ts';
import { STRESS_DEFAULTS, type StressModel, type StressOptions, weightsOf } from './options.ts';

/** Room for the thread's repository (`/w12`) below a prefix. */
const MAX_PREFIX_LENGTH = 200;
/** As little as a plan needs to be judged. */
const NO_WORKLOAD: LoadPlan['workload'] = { module: '', options: undefined };

/** Everything that can be said against options before anybody is asked anything. Throws USAGE. */
export function checkStress(options: StressOptions): void {
  checkWeights(options);
  checkPrefix(options.writePrefix);
  checkPlan(planOf(options, NO_WORKLOAD));
}

/** What must be so before anything is written. Throws USAGE. */
export function checkWrites(
  options: Pick<StressOptions, 'domain' | 'writePrefix' | 'yesWrite'> & { readonly workload: string },
): void {
  if (!options.yesWrite) {
    throw new RegopsError('USAGE', `the workload '${options.workload}' writes to ${options.domain}`, {
      hints: [
        'Say --yes-write to allow it; everything is written below --write-prefix and removed at the end.',
      ],
    });
  }
  checkPrefix(options.writePrefix);
}

/** The load that was asked for. */
export function planOf(options: StressOptions, workload: LoadPlan['workload']): LoadPlan {
  const { count, warmupMs, seed, threads, thresholds, abortOnFail } = options;
  return {
    model: modelOf(options.model, options),
    warmupMs,
    seed,
    threads,
    thresholds,
    workload,
    ...(count === undefined ? {} : { count }),
    ...(abortOnFail ? { abortOnFail } : {}),
  };
}

function modelOf(model: StressModel, { workload, durationMs }: StressOptions): LoadModel {
  if (model.kind === 'open') return model;
  const thinkMs = model.thinkMs ?? (workload === 'admin' ? STRESS_DEFAULTS.adminThinkMs : undefined);
  return {
    kind: 'closed',
    stages: [{ workers: model.concurrentRequests, durationMs }],
    ...(thinkMs ? { thinkMs } : {}),
  };
}

function checkWeights(options: StressOptions): void {
  const weights = weightsOf(options);
  if (!weights) return;
  if (weights.pull + weights.push + weights.delete <= 0) {
    throw new RegopsError('USAGE', 'the weights of the workload are all zero');
  }
  if (weights.push > 0 || weights.delete > 0) checkWrites(options);
}

function checkPrefix(prefix: string | undefined): void {
  if (prefix === undefined || (isRepository(prefix) && prefix.length <= MAX_PREFIX_LENGTH)) return;
  throw new RegopsError('USAGE', `invalid write prefix '${prefix.slice(0, 100)}'`, {
    hints: ['A prefix is a repository name, such as regops-torture/nightly.'],
  });
}
