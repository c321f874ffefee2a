/** The package-test commands that speak to a scheduler, from their flags to their answers. */
import { join } from 'node:path';
import {
  type Distribution,
  type Module,
  openScheduler,
  parsePackage,
  parseTaskId,
  type Repository,
  readAltsConfig,
  requestWarnings,
  type Scheduler,
  signToken,
  type TaskRequest,
  type TestRepository,
} from '../alts/index.ts';
import { counted, RegopsError, readNamedFile } from '../base/index.ts';
import { loadTlsFiles } from '../http/index.ts';
import { expandBlocks } from '../jobs/package-test/matrix/index.ts';
import {
  askForTests,
  endingOf,
  plannedRequests,
  type RemoteContext,
  type RemoteTest,
  type RemoteWork,
  reportLedger,
  reportRemote,
  reportSubmitted,
  submitTests,
  TaskLedger,
  type WaitOptions,
  waitForTests,
} from '../jobs/package-test/remote/index.ts';
import type { Report } from '../report/index.ts';
import type { CommandContext, Outcome } from './context.ts';
import { EXIT_FOUND } from './exit-codes.ts';
import { inFile, readMatrix } from './package-test-matrix.ts';
import { TestStates } from './package-test-view.ts';
import { proxySettings, systemAuthorities } from './registries.ts';
import { stateFolder } from './settings.ts';
import { readPasswordStdin } from './stdio.ts';

/** As ALTS' own client has it. */
const REQUEST_TIMEOUT_MS = 60_000;
const DEFAULT_RETRIES = 4;
/** No scheduler keeps a result for longer: older tests are not waited for unless they are named. */
const REMEMBERED_MS = 86_400_000;
const MOST_SECRET_BYTES = 64 * 1024;

export interface SchedulerFlagValues {
  readonly 'scheduler-url'?: string | undefined;
  readonly token?: string | undefined;
  readonly 'ca-file'?: string | undefined;
  readonly 'cert-file'?: string | undefined;
  readonly 'key-file'?: string | undefined;
  readonly insecure: boolean;
  readonly retries?: number | undefined;
}

interface WaitFlagValues {
  readonly timeout: number;
  readonly 'poll-interval': number;
  readonly 'pending-timeout'?: number | undefined;
}

export interface PackageTestSubmitFlagValues extends SchedulerFlagValues, WaitFlagValues {
  readonly dist?: readonly Distribution[] | undefined;
  readonly arch?: readonly string[] | undefined;
  readonly runner?: string | undefined;
  readonly repository?: readonly Repository[] | undefined;
  readonly module?: Module | undefined;
  readonly channel?: string | undefined;
  readonly 'test-repo'?: readonly TestRepository[] | undefined;
  readonly 'test-env'?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly callback?: string | undefined;
  readonly matrix?: string | undefined;
  readonly unchecked: boolean;
  readonly concurrency: number;
  readonly 'dry-run': boolean;
  readonly wait: boolean;
}

export type PackageTestWaitFlagValues = SchedulerFlagValues & WaitFlagValues;

export interface PackageTestListFlagValues {
  readonly unfinished: boolean;
  readonly 'scheduler-url'?: string | undefined;
}

export interface PackageTestTokenFlagValues {
  readonly email: string;
  readonly 'secret-file'?: string | undefined;
  readonly 'secret-stdin': boolean;
  readonly config?: string | undefined;
  readonly algorithm?: string | undefined;
  readonly expires?: number | undefined;
}

/** package-test submit. */
export async function packageTestSubmit(
  packages: readonly string[],
  flags: PackageTestSubmitFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const requests = await requestsOf(packages, flags);
  for (const warning of new Set(requests.flatMap(requestWarnings))) context.log.warn(warning);
  const url = flags['scheduler-url'];
  if (url === undefined) throw whichScheduler();
  if (flags['dry-run']) {
    const planned = plannedRequests(new URL(url), requests);
    const shown = planned.payloads.length === 1 ? planned.payloads[0] : planned.payloads;
    const summary = `${counted(requests.length, 'test')} would be submitted to ${planned.url}`;
    return {
      result: { dryRun: true, ...planned },
      report: { exact: `${JSON.stringify(shown, null, 2)}\n`, summary },
    };
  }
  const { remote, states } = await openRemote(url, flags, context);
  const work = await submitTests(
    {
      requests,
      concurrency: flags.concurrency,
      unchecked: flags.unchecked,
      wait: flags.wait ? waitOf(flags) : undefined,
    },
    remote,
  );
  states.end();
  const wasWaited = work.result.tasks.some(
    ({ verdict }) => verdict.outcome !== 'submitted' && verdict.outcome !== 'not-submitted',
  );
  return outcomeOf(work, wasWaited ? reportRemote(work.result) : reportSubmitted(work.result), context, {
    dryRun: false,
  });
}

/** package-test result. */
export async function packageTestResult(
  ids: readonly string[],
  flags: SchedulerFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const wanted = ids.map(parseTaskId);
  const ledger = ledgerOf(context);
  const { remote } = await openRemote(await schedulerOf(wanted, flags, ledger), flags, context);
  const work = await askForTests(wanted, remote);
  return outcomeOf(work, reportRemote(work.result), context);
}

/** package-test wait. */
export async function packageTestWait(
  ids: readonly string[],
  flags: PackageTestWaitFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const ledger = ledgerOf(context);
  const wanted =
    ids.length > 0 ? ids.map(parseTaskId) : await unfinished(ledger, flags['scheduler-url'], context);
  const { remote, states } = await openRemote(await schedulerOf(wanted, flags, ledger), flags, context);
  const work = await waitForTests(wanted, waitOf(flags), remote);
  states.end();
  return outcomeOf(work, reportRemote(work.result), context);
}

/** package-test list. */
export async function packageTestList(
  flags: PackageTestListFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const ledger = ledgerOf(context);
  const url = flags['scheduler-url'];
  const entries = (await ledger.list()).filter(
    ({ outcome, scheduler }) =>
      (!flags.unfinished || outcome === undefined) && (url === undefined || scheduler === url),
  );
  return { result: { folder: ledger.folder, tasks: entries }, report: reportLedger(entries) };
}

/** package-test token. */
export async function packageTestToken(
  flags: PackageTestTokenFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const { email, expires, config } = flags;
  const given = await secretOf(flags, config, context);
  context.conceal(given.secret);
  const algorithm = flags.algorithm ?? given.algorithm ?? 'HS256';
  const { clock } = context;
  const token = await signToken({ email, secret: given.secret, algorithm, expiresInMs: expires, clock });
  const expiresAt =
    expires === undefined ? null : new Date(Math.floor((clock.now() + expires) / 1000) * 1000).toISOString();
  return { result: { token, email, algorithm, expiresAt }, report: { exact: `${token}\n` } };
}

async function requestsOf(
  packages: readonly string[],
  flags: PackageTestSubmitFlagValues,
): Promise<TaskRequest[]> {
  const defaults = {
    ...(packages.length > 0 ? { packages: packages.map(parsePackage) } : {}),
    ...(flags.dist ? { distributions: flags.dist } : {}),
    ...(flags.arch ? { architectures: flags.arch } : {}),
    ...(flags.repository ? { repositories: flags.repository } : {}),
    ...(flags['test-repo'] ? { testRepositories: flags['test-repo'] } : {}),
    ...(flags.runner === undefined ? {} : { runner: flags.runner }),
    ...(flags.module ? { module: flags.module } : {}),
    ...(flags['test-env'] ? { testEnvironment: Object.fromEntries(flags['test-env']) } : {}),
    ...(flags.channel === undefined ? {} : { channel: flags.channel }),
    ...(flags.callback === undefined ? {} : { callback: flags.callback }),
  };
  const { matrix, unchecked } = flags;
  if (matrix === undefined) return expandBlocks([{}], defaults, { unchecked, fromFile: false });
  const blocks = await readMatrix(matrix);
  try {
    return expandBlocks(blocks, defaults, { unchecked, fromFile: true });
  } catch (error) {
    throw inFile(matrix, error);
  }
}

/** The jobs' context for a scheduler, and the view of what its tests do. */
async function openRemote(
  url: string,
  flags: SchedulerFlagValues,
  context: CommandContext,
): Promise<{ remote: RemoteContext; states: TestStates }> {
  const scheduler = await connect(url, flags, context);
  const states = new TestStates(context.progress);
  const onTest = (test: RemoteTest): void => {
    context.event({ type: 'task', task: test });
    states.take(test);
  };
  return {
    remote: { ...context, progress: states.progress, scheduler, ledger: ledgerOf(context), onTest },
    states,
  };
}

async function connect(url: string, flags: SchedulerFlagValues, context: CommandContext): Promise<Scheduler> {
  const files = await loadTlsFiles({
    caFile: flags['ca-file'],
    certFile: flags['cert-file'],
    keyFile: flags['key-file'],
  });
  if (flags.insecure) context.log.warn('certificates are not checked (--insecure)');
  const { clientCertificate } = files;
  const scheduler = openScheduler({
    url,
    token: flags.token,
    tls: {
      ca: [...(await systemAuthorities(context)), ...(files.ca ?? [])],
      ...(clientCertificate ? { clientCertificate } : {}),
    },
    insecure: flags.insecure,
    proxy: proxySettings(context),
    timeoutMs: REQUEST_TIMEOUT_MS,
    retries: flags.retries ?? DEFAULT_RETRIES,
    userAgent: context.userAgent,
    log: context.log,
    clock: context.clock,
    signal: context.signal,
  });
  context.defer(() => scheduler.close());
  return scheduler;
}

function ledgerOf({ environment, log }: CommandContext): TaskLedger {
  return new TaskLedger(join(stateFolder(environment), 'package-tests'), log);
}

/** The scheduler that is named, or where these tests are remembered to be. Throws USAGE. */
async function schedulerOf(
  ids: readonly string[],
  flags: SchedulerFlagValues,
  ledger: TaskLedger,
): Promise<string> {
  const named = flags['scheduler-url'];
  if (named !== undefined) return named;
  const remembered = new Set<string>();
  for (const id of ids) {
    const entry = await ledger.find(id);
    if (entry) remembered.add(entry.scheduler);
  }
  const [only, ...others] = remembered;
  if (only === undefined) throw whichScheduler();
  if (others.length === 0) return only;
  throw new RegopsError('USAGE', 'these tests are at several schedulers', {
    hints: [...remembered].map((url) => `One of them: --scheduler-url ${url}`),
  });
}

/** Tests whose end was not seen, and that a scheduler may still know. Throws USAGE when there are none. */
async function unfinished(
  ledger: TaskLedger,
  scheduler: string | undefined,
  { clock, log }: CommandContext,
): Promise<string[]> {
  const open = (await ledger.list()).filter(
    (entry) => entry.outcome === undefined && (scheduler === undefined || entry.scheduler === scheduler),
  );
  const recent = open.filter(({ submittedAt }) => clock.now() - Date.parse(submittedAt) < REMEMBERED_MS);
  if (recent.length === 0) {
    throw new RegopsError('USAGE', 'no test is remembered whose end was not seen', {
      hints: ['Name the ids; regops package-test list shows all that are remembered.'],
    });
  }
  const old = open.length - recent.length;
  if (old > 0) log.info(`${counted(old, 'test')} of more than a day ago not waited for`);
  return recent.map(({ id }) => id).reverse();
}

function waitOf(flags: WaitFlagValues): WaitOptions {
  return {
    timeoutMs: flags.timeout,
    intervalMs: flags['poll-interval'],
    pendingMs: flags['pending-timeout'],
  };
}

function outcomeOf(work: RemoteWork, report: Report, { signal }: CommandContext, more: object = {}): Outcome {
  const { found, error } = endingOf(work, signal.aborted);
  return {
    result: { ...more, ...work.result },
    report,
    ...(found ? { exitCode: EXIT_FOUND } : {}),
    ...(error ? { error } : {}),
  };
}

async function secretOf(
  flags: PackageTestTokenFlagValues,
  config: string | undefined,
  { stdin }: CommandContext,
): Promise<{ secret: string; algorithm?: string }> {
  if (config !== undefined) return readAltsConfig(config);
  if (flags['secret-stdin']) return { secret: await readPasswordStdin(stdin, '--secret-stdin') };
  const path = flags['secret-file'];
  if (path === undefined) {
    throw new RegopsError('USAGE', "a token needs the scheduler's secret", {
      hints: ['Give one of --secret-file FILE, --secret-stdin and --config alts_config.yaml.'],
    });
  }
  return { secret: await readSecret(path) };
}

/** A file's text without the newline at its end, which `openssl rand -hex 32 > FILE` leaves. */
async function readSecret(path: string): Promise<string> {
  const content = await readNamedFile(path, {
    maxBytes: MOST_SECRET_BYTES,
    tooLarge: () => new RegopsError('INPUT_INVALID', `${path}: larger than 64 KiB`),
  });
  return content.toString('utf8').replace(/\r?\n$/, '');
}

function whichScheduler(): RegopsError {
  return new RegopsError('USAGE', 'which scheduler? Give --scheduler-url', {
    hints: ['Or set it for good: regops config set scheduler-url URL.'],
  });
}
