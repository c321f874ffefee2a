import { asRegopsError, escapeText, parseRate, RegopsError } from '../base/index.ts';
import {
  reportTorture,
  type TortureContext,
  type TortureOptions,
  tortureAll,
} from '../jobs/torture/all/index.ts';
import {
  CONSISTENCY_DEFAULTS,
  type ConsistencyOptions,
  consistency,
  findingLine,
  reportConsistency,
} from '../jobs/torture/consistency/index.ts';
import {
  alertLine,
  type MonitorOptions,
  monitor,
  reportMonitor,
  sampleLine,
} from '../jobs/torture/monitor/index.ts';
import {
  parseBlobSizes,
  parseStages,
  parseWeights,
  reportStress,
  STRESS_DEFAULTS,
  type StressModel,
  type StressOptions,
  type StressWorkload,
  stress,
} from '../jobs/torture/stress/index.ts';
import {
  invariantsNamed,
  isAccepted,
  isVerdictWorkload,
  reportVerdict,
  stressJudged,
  VERDICT_DEFAULTS,
  type VerdictOptions,
  type VerdictWorkload,
  withRepro,
} from '../jobs/torture/verdict/index.ts';
import { parseThreshold, type Threshold } from '../load/index.ts';
import { hostPlatform, type Platform } from '../oci/index.ts';
import type { Check } from '../report/index.ts';
import { AlertCommand } from './alert-command.ts';
import type { CommandContext, Outcome } from './context.ts';
import { garbageCollector, type JudgedFlagValues, judgedWorkload } from './judged-stress.ts';
import { openRegistries, type Registries, type RegistryFlagValues } from './registries.ts';
import { LiveView } from './torture-view.ts';

export type TortureType = 'monitor' | 'consistency' | 'stress' | 'all';

/** Values of the torture commands' flags; a command has those of its own kind. */
export interface TortureFlagValues extends RegistryFlagValues, JudgedFlagValues {
  readonly duration: number;
  readonly api: 'auto' | 'nscr' | 'oci';
  readonly 'max-repositories': number;
  readonly repository?: RegExp | undefined;
  readonly once?: boolean;
  readonly 'state-interval'?: number;
  readonly 'health-interval'?: number;
  readonly 'session-interval'?: number;
  readonly 'long-session'?: number;
  readonly 'slow-probe'?: number;
  readonly 'on-alert'?: string | undefined;
  readonly interval?: number;
  readonly deep?: boolean;
  readonly 'slow-reply'?: number;
  readonly 'concurrent-requests'?: number;
  readonly rate?: string | undefined;
  readonly stages?: string | undefined;
  readonly 'max-in-flight'?: number;
  readonly threads?: number;
  readonly threshold?: readonly string[] | undefined;
  readonly workload?: StressWorkload | VerdictWorkload;
  readonly weights?: string;
  readonly 'blob-size'?: string;
  readonly 'chunk-size'?: number;
  readonly warmup?: number;
  readonly platform?: Platform | undefined;
  readonly 'write-prefix'?: string | undefined;
  readonly count?: number | undefined;
  readonly seed?: number | undefined;
  readonly 'abort-on-fail'?: boolean;
  readonly 'yes-write'?: boolean;
  readonly phases?: 'concurrent' | 'sequential';
}

/**
 * Runs one of the torture tests, or all of them: a check that failed or warns (a missed threshold, an alert, a
 * finding, an error that no threshold allows) is a problem found (exit 1).
 */
export async function torture(
  type: TortureType,
  flags: TortureFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const registries = await openRegistries(flags, context);
  const registry = (registries.named as NonNullable<Registries['named']>).domain;
  const alerts = flags['on-alert'] === undefined ? undefined : new AlertCommand(flags['on-alert'], context);
  const jobs = jobContext(registries, alerts, context);
  const staged = type === 'stress' && flags.stages !== undefined;
  const time = flags.once ? ' once' : staged ? '' : ` for ${flags.duration / 1000} seconds`;
  context.log.info(`Starting ${type} torture test${time}`);
  try {
    return await run(type, flags, registry, jobs, context.environment);
  } finally {
    await alerts?.settled();
  }
}

async function run(
  type: TortureType,
  flags: TortureFlagValues,
  registry: string,
  context: TortureContext,
  environment: CommandContext['environment'],
): Promise<Outcome> {
  switch (type) {
    case 'monitor': {
      const { result, error } = await monitor(monitorOptions(flags, registry), context);
      return judged(result, reportMonitor(result), error);
    }
    case 'consistency': {
      const { result, error } = await consistency(consistencyOptions(flags, registry), context);
      return judged(result, reportConsistency(result), error);
    }
    case 'stress': {
      const workload = judgedWorkload(flags);
      if (workload !== undefined) {
        const collectGarbage = garbageCollector(flags['gc-hook'], environment);
        const run = await stressJudged(verdictOptions(workload, flags, registry), {
          ...context,
          collectGarbage,
        });
        const { result, error = run.error } = await withRepro(run.result, flags.repro);
        const exitCode = isAccepted(result, flags.strict ?? false) ? 0 : 1;
        return { result, report: reportVerdict(result), exitCode, ...(error ? { error } : {}) };
      }
      const options = stressOptions(flags, registry);
      const result = await stress(options, { ...context, onSample: (sample) => context.onLoad?.(sample) });
      return judged(result, reportStress(result));
    }
    case 'all': {
      const options: TortureOptions = {
        monitor: monitorOptions(flags, registry),
        consistency: consistencyOptions(flags, registry),
        stress: stressOptions(flags, registry),
        phases: flags.phases ?? 'concurrent',
      };
      const { result, error } = await tortureAll(options, context);
      return judged(result, reportTorture(result), error);
    }
  }
}

function judged(result: unknown, report: Outcome['report'], error?: RegopsError): Outcome {
  const found = (report.checks ?? []).some(isProblem);
  return { result, report, exitCode: found ? 1 : 0, ...(error ? { error } : {}) };
}

/** Where nothing is wrong nothing is to warn of, except what says more of the run than of the registry. */
function isProblem({ status, advisory = false }: Check): boolean {
  return status === 'fail' || (status === 'warn' && !advisory);
}

function viewOptions(flags: TortureFlagValues) {
  return { api: flags.api, maxRepositories: flags['max-repositories'], repository: flags.repository };
}

function monitorOptions(flags: TortureFlagValues, registry: string): MonitorOptions {
  return {
    ...viewOptions(flags),
    registry,
    stateMs: flags['state-interval'] ?? 5000,
    healthMs: flags['health-interval'] ?? 10_000,
    sessionsMs: flags['session-interval'] ?? 20_000,
    durationMs: flags.duration,
    once: flags.once ?? false,
    longSessionMs: flags['long-session'] ?? 300_000,
    slowMs: flags['slow-probe'] ?? 2000,
  };
}

function consistencyOptions(flags: TortureFlagValues, registry: string): ConsistencyOptions {
  return {
    ...viewOptions(flags),
    registry,
    seed: flags.seed,
    deep: flags.deep ?? false,
    once: flags.once ?? false,
    intervalMs: flags.interval ?? CONSISTENCY_DEFAULTS.intervalMs,
    durationMs: flags.duration,
    slowMs: flags['slow-reply'] ?? CONSISTENCY_DEFAULTS.slowMs,
    confirmMs: CONSISTENCY_DEFAULTS.confirmMs,
  };
}

function stressOptions(flags: TortureFlagValues, registry: string): StressOptions {
  const thresholds: Threshold[] = (flags.threshold ?? []).map(parseThreshold);
  if (flags['abort-on-fail'] && thresholds.length === 0) {
    throw new RegopsError('USAGE', '--abort-on-fail needs a --threshold');
  }
  return {
    domain: registry,
    workload: stressWorkload(flags.workload),
    model: modelOf(flags),
    durationMs: flags.duration,
    count: flags.count,
    warmupMs: flags.warmup ?? 0,
    threads: flags.threads ?? 1,
    seed: seedOf(flags),
    thresholds,
    ...(flags['abort-on-fail'] ? { abortOnFail: { afterMs: Math.min(5000, flags.duration / 10) } } : {}),
    api: flags.api,
    weights: parseWeights(flags.weights ?? STRESS_DEFAULTS.weights),
    repository: flags.repository,
    maxImages: STRESS_DEFAULTS.maxImages,
    platform: flags.platform ?? hostPlatform(),
    layerConcurrency: STRESS_DEFAULTS.layerConcurrency,
    blobSizes: parseBlobSizes(flags['blob-size'] ?? STRESS_DEFAULTS.blobSizes),
    upload: 'both',
    chunkBytes: flags['chunk-size'] ?? STRESS_DEFAULTS.chunkBytes,
    writePrefix: flags['write-prefix'],
    yesWrite: flags['yes-write'] ?? false,
  };
}

/** `torture all` has no judged workloads. */
function stressWorkload(workload: TortureFlagValues['workload'] = 'admin'): StressWorkload {
  if (!isVerdictWorkload(workload)) return workload;
  throw new RegopsError('USAGE', `the workload '${workload}' is for torture stress`);
}

function verdictOptions(
  workload: VerdictWorkload,
  flags: TortureFlagValues,
  registry: string,
): VerdictOptions {
  return {
    domain: registry,
    workload,
    required: {
      level: flags.require ?? VERDICT_DEFAULTS.level,
      allowed: invariantsNamed(flags.allow ?? []),
    },
    durationMs: flags.duration,
    clients: flags['concurrent-requests'] ?? STRESS_DEFAULTS.concurrentRequests,
    seed: seedOf(flags),
    settleMs: flags.settle ?? VERDICT_DEFAULTS.settleMs,
    deleteGraceMs: flags['delete-grace'] ?? 0,
    history: flags.history,
    writePrefix: flags['write-prefix'],
    yesWrite: flags['yes-write'] ?? false,
  };
}

function seedOf({ seed }: TortureFlagValues): number {
  return seed ?? Math.floor(Math.random() * 2 ** 31);
}

function modelOf(flags: TortureFlagValues): StressModel {
  const maxInFlight = flags['max-in-flight'] ?? STRESS_DEFAULTS.maxInFlight;
  if (flags.stages !== undefined) {
    return { kind: 'open', stages: parseStages(flags.stages), arrival: 'constant', maxInFlight };
  }
  if (flags.rate !== undefined) {
    const stage = { ratePerSecond: parseRate(flags.rate), durationMs: flags.duration };
    return { kind: 'open', stages: [stage], arrival: 'constant', maxInFlight };
  }
  return {
    kind: 'closed',
    concurrentRequests: flags['concurrent-requests'] ?? STRESS_DEFAULTS.concurrentRequests,
  };
}

/** Lets everybody who is interested hear of what happens: the log, the live view, NDJSON, Prometheus, `--on-alert`. */
function jobContext(
  registries: Registries,
  alerts: AlertCommand | undefined,
  context: CommandContext,
): TortureContext {
  const live = new LiveView(context.progress);
  return {
    ...context,
    registry: (domain) => registries.client(domain),
    onSample(sample) {
      context.event({ type: 'sample', sample });
      if (!live.sample(sample)) context.log.info(sampleLine(sample));
    },
    onProbed(soFar) {
      context.sample(reportMonitor(soFar())).catch((error: unknown) => {
        context.log.warn(asRegopsError(error).message);
      });
    },
    onAlert(alert) {
      context.event({ type: 'alert', alert });
      alerts?.tell({ type: 'alert', alert });
      context.log.info(escapeText(alertLine(alert)));
    },
    onFinding(finding) {
      context.event({ type: 'finding', finding });
      alerts?.tell({ type: 'finding', finding });
      context.log.info(escapeText(findingLine(finding)));
    },
    onLoad(sample) {
      context.event({ type: 'load', sample });
      live.load(sample);
    },
  };
}
