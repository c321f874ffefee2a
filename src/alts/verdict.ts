import { counted, type RegopsError, redactText } from '../base/index.ts';
import { STAGE_GROUPS, type StageRecord, type TaskResult } from './result.ts';
import { type Ending, isTerminal } from './state.ts';
import { isTapFailure, parseTap, type TapReport } from './tap.ts';

/**
 * What a test came to:
 * - `passed`: every stage that was to run did, and none failed.
 * - `failed`: the package is at fault: its installation, its tests, its removal.
 * - `infrastructure`: the scheduler, a worker or the environment is at fault; nothing is known of the package.
 * - `revoked`: it was called off.
 * - `skipped`: the scheduler's list left everything out.
 * - `incomplete`: it is over, and stages that must be there are missing.
 * - `timeout`, `lost`, `unreachable`: we do not know (see `Ending`).
 * - `pending`: it goes on.
 */
export type Outcome =
  | 'passed'
  | 'failed'
  | 'infrastructure'
  | 'revoked'
  | 'skipped'
  | 'incomplete'
  | 'timeout'
  | 'lost'
  | 'unreachable'
  | 'pending';

/** What a stage's failure says about. `advisory` stages are reported, and decide nothing. */
export type StageKind = 'infrastructure' | 'unexpected' | 'package' | 'test' | 'advisory';

export interface JudgedStage {
  /** Its names from the outside in: `['tests', 'package_integrity_tests']`. */
  readonly path: readonly string[];
  readonly kind: StageKind;
  readonly status: 'passed' | 'failed' | 'skipped' | 'warning';
  /** Why it did not simply pass. */
  readonly message?: string;
  readonly exitCode?: number;
  /** Of a failed stage: the end of what it wrote, without secrets. Foreign text over several lines. */
  readonly evidence?: string;
  /** Of a test that wrote TAP. */
  readonly tap?: TapReport;
}

export interface Verdict {
  readonly outcome: Outcome;
  /** One sentence that says why. May hold foreign text. */
  readonly reason: string;
  readonly stages: readonly JudgedStage[];
  readonly warnings: readonly string[];
}

/** What is judged: a followed task, a result at hand, or a local run (`{ state: 'SUCCESS', result }`). */
export interface Judgeable {
  readonly state?: string;
  readonly result?: TaskResult | null;
  readonly ending?: Ending;
  readonly error?: RegopsError;
}

const KINDS: Readonly<Record<string, StageKind>> = {
  prepare_environment: 'infrastructure',
  initialize_terraform: 'infrastructure',
  start_environment: 'infrastructure',
  initial_provision: 'infrastructure',
  'Unexpected errors during tests': 'unexpected',
  system_info: 'advisory',
  stop_environment: 'advisory',
  install_package: 'package',
  uninstall_package: 'package',
  tests: 'test',
  third_party_tests_wrapper: 'test',
  third_party: 'test',
};

const INSTALLATION = 'install_package';
const INTEGRITY = 'package_integrity_tests';
const EVIDENCE_LINES = 20;
const EVIDENCE_CHARACTERS = 2000;
const NAMED_FAILURES = 3;

/**
 * Judges a test by its stages: Celery's SUCCESS only means that the worker came back. Recurses into groups and
 * stages alike, reads TAP where a test wrote it, and never takes a missing stage for a passed one. Pure.
 */
export function verdictOf(task: Judgeable): Verdict {
  const stages = task.result ? judgeResult(task.result) : [];
  const warnings = task.result ? warningsOf(task.result, stages) : [];
  const give = (outcome: Outcome, reason: string): Verdict => ({ outcome, reason, stages, warnings });

  const open = openOutcome(task);
  if (open) return give(...open);
  if (task.state === 'REVOKED' || task.result?.revoked) return give('revoked', 'the test was called off');
  if (task.state === 'FAILURE') {
    return give('infrastructure', 'the worker failed; the scheduler does not say why');
  }
  if (!task.result) return give('incomplete', 'the worker returned no result');

  const failed = (...kinds: StageKind[]): JudgedStage[] =>
    stages.filter(({ status, kind }) => status === 'failed' && kinds.includes(kind));
  const unprepared = failed('infrastructure');
  if (unprepared.length > 0) return give('infrastructure', sentence(unprepared));
  const faults = failed('package', 'test');
  if (faults.length > 0) return give('failed', sentence(faults));
  const unexpected = failed('unexpected');
  if (unexpected.length > 0) {
    return give('infrastructure', 'the worker met an unexpected error; the scheduler does not say which');
  }
  const installed = stages.find(({ path }) => path[0] === INSTALLATION);
  if (!installed) {
    return give('incomplete', 'the test ended before the package was installed, and no stage says why');
  }
  const ran = stages.filter(
    ({ status, kind }) => status === 'passed' && (kind === 'package' || kind === 'test'),
  );
  if (ran.length === 0) return give('skipped', 'the scheduler skips every test of this package');
  return give(
    'passed',
    `${counted(stages.filter(({ status }) => status === 'passed').length, 'stage')} passed`,
  );
}

/** The outcome of a task that has not come to its own end. */
function openOutcome({ state, ending, error }: Judgeable): [Outcome, string] | undefined {
  if (state !== undefined && isTerminal(state) && (ending === undefined || ending === 'ended'))
    return undefined;
  const last = state === undefined ? 'no answer so far' : `its last state was ${state}`;
  switch (ending) {
    case 'timeout':
      return [
        'timeout',
        state === 'PENDING'
          ? 'it was still PENDING when the time was over: in the queue, or its id is unknown or has expired'
          : `the time was over before it ended; ${last}`,
      ];
    case 'lost':
      return ['lost', 'the scheduler no longer knows it: its result has expired or its broker lost it'];
    case 'unstarted':
      return [
        'lost',
        'it was never anything but PENDING: its id is unknown or expired, or no worker takes it',
      ];
    case 'unreachable':
      return ['unreachable', error?.message ?? `the scheduler could no longer be asked; ${last}`];
    case 'unreadable':
      return ['unreachable', error?.message ?? "the scheduler's answer cannot be used"];
    default:
      return ['pending', `it has not ended; ${last}`];
  }
}

function judgeResult(result: TaskResult): JudgedStage[] {
  const stages = result.stages.flatMap((record) => judgeRecord(record, [record.name]));
  const present = new Set(stages.flatMap(({ path }) => path));
  const left = result.skippedTests
    .map((name) => name.replace(/^run_/, ''))
    .filter((name) => !present.has(name));
  return [
    ...stages,
    ...[...new Set(left)].map(
      (name): JudgedStage => ({
        path: name === INTEGRITY ? ['tests', name] : [name],
        kind: kindOf(name === INTEGRITY ? 'tests' : name),
        status: 'skipped',
        message: "left out by the scheduler's list",
      }),
    ),
  ];
}

/** A stage and all inside it; a group that gives no verdict of its own is only its parts. */
function judgeRecord(record: StageRecord, path: readonly string[]): JudgedStage[] {
  const inner = record.stages.flatMap((child) => judgeRecord(child, [...path, child.name]));
  const group =
    record.success === undefined &&
    (inner.length > 0 || (path.length === 1 && STAGE_GROUPS.has(record.name)));
  return group ? inner : [judgeStage(record, path), ...inner];
}

function judgeStage(record: StageRecord, path: readonly string[]): JudgedStage {
  const kind = kindOf(path[0] as string);
  const tap = kind === 'test' && record.output ? parseTap(record.output) : undefined;
  const fault = faultOf(record, tap);
  const skipped = fault === undefined && tap ? skipReason(tap) : undefined;
  const message = fault ?? skipped;
  const evidence = fault === undefined ? undefined : evidenceOf(record);
  return {
    path,
    kind,
    status:
      fault !== undefined
        ? kind === 'advisory'
          ? 'warning'
          : 'failed'
        : skipped !== undefined
          ? 'skipped'
          : 'passed',
    ...(message === undefined ? {} : { message }),
    ...(record.exitCode === undefined ? {} : { exitCode: record.exitCode }),
    ...(evidence ? { evidence } : {}),
    ...(tap ? { tap } : {}),
  };
}

/** Why a stage failed. Both its own word and its TAP have to be good: a script may swallow its exit code. */
function faultOf({ success, exitCode }: StageRecord, tap: TapReport | undefined): string | undefined {
  const told = tap && !tap.ok ? tapFault(tap) : undefined;
  if (success === true) return told;
  if (told !== undefined) return told;
  if (success === undefined) return 'it gave no verdict';
  const code = exitCode === undefined || exitCode === 0 ? '' : ` (exit code ${exitCode})`;
  return `it failed${code}${tap ? ', although its TAP shows no failure' : ''}`;
}

function tapFault(tap: TapReport): string {
  if (tap.bailOut !== undefined) return `its tests bailed out${tap.bailOut ? `: ${tap.bailOut}` : ''}`;
  const failures = tap.tests.filter(isTapFailure);
  if (failures.length === 0) return tap.problems.join('; ');
  const names = failures
    .slice(0, NAMED_FAILURES)
    .map(({ number, description }) => description || `test ${number}`)
    .join(', ');
  const more = failures.length > NAMED_FAILURES ? ` and ${failures.length - NAMED_FAILURES} more` : '';
  return `${failures.length} of ${counted(tap.tests.length, 'test')} failed: ${names}${more}`;
}

/** Why nothing of a test was run, if so. */
function skipReason({ plan, tests }: TapReport): string | undefined {
  if (tests.length === 0)
    return plan?.skipReason === undefined ? undefined : plan.skipReason || 'all skipped';
  if (tests.some(({ directive }) => directive !== 'skip')) return undefined;
  return tests.find(({ reason }) => reason)?.reason ?? 'all skipped';
}

function evidenceOf({ output = '', errorOutput = '' }: StageRecord): string {
  const tail = [output, errorOutput]
    .map((text) => text.slice(-2 * EVIDENCE_CHARACTERS).trimEnd())
    .filter((text) => text !== '')
    .join('\n');
  // Installers repeat the URLs of repositories, which may hold user info or the build system's token.
  return redactText(tail).split('\n').slice(-EVIDENCE_LINES).join('\n').slice(-EVIDENCE_CHARACTERS);
}

function warningsOf(result: TaskResult, stages: readonly JudgedStage[]): string[] {
  const shown = (name: string): string => name.slice(0, 100);
  return [
    ...stages
      .filter(({ status }) => status === 'warning')
      .map(({ path, message }) => `${path.map(shown).join('/')}: ${message}`),
    ...(stages.some(({ path, status }) => path[0] === INSTALLATION && status === 'passed') &&
    !stages.some(({ path }) => path[0] === 'tests')
      ? ['no integrity test was reported: the system may be set up without them']
      : []),
    ...(result.ignored.length > 0
      ? [`parts of the result were not understood: ${result.ignored.slice(0, 5).map(shown).join(', ')}`]
      : []),
  ];
}

function sentence(failed: readonly JudgedStage[]): string {
  const [first] = failed as [JudgedStage];
  const more = failed.length > 1 ? ` (and ${counted(failed.length - 1, 'more stage')})` : '';
  return `${first.path.join('/')}: ${first.message}${more}`;
}

function kindOf(name: string): StageKind {
  return Object.hasOwn(KINDS, name) ? (KINDS[name] as StageKind) : 'package';
}
