import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  familyOf,
  type Package,
  parsePackage,
  shownRepository,
  type Verdict,
  verdictOf,
} from '../../../alts/index.ts';
import { asRegopsError, counted, messageOf, RegopsError, redactText } from '../../../base/index.ts';
import type { Engine, Image } from '../../../engine/index.ts';
import type { TaskOutcome } from '../result.ts';
import {
  type Delivered,
  type DeliveredTest,
  deliver,
  removeContainer,
  startContainer,
  type TestContainer,
} from './container.ts';
import { debTools } from './deb-tools.ts';
import { checkIntegrity } from './integrity.ts';
import { findLeftOvers, listLeftOvers, recordPaths } from './left-overs.ts';
import type { KeptContainer, PackageFile, PackageTestRunContext, PackageTestRunOptions } from './options.ts';
import type { Installed, PackageTools } from './package-tools.ts';
import { TestRecord } from './record.ts';
import { rpmTools } from './rpm-tools.ts';
import { Stage, type Step, type Target } from './stage.ts';
import { probeSystem, type System, showSystem } from './system.ts';
import { writeTap } from './tap.ts';
import { Transcript } from './transcript.ts';

/** ALTS' limit for a command that only tells something. */
const INFO_MS = 30_000;
const MAX_SCRIPT_OUTPUT = 1024 * 1024;

/** What is tested: a package by its name, or a file whose name is still to be read. */
export type Subject = { readonly package: Package } | { readonly file: PackageFile };

/** How a test ended. */
export interface Tested {
  readonly task: TaskOutcome;
  /** Why nothing can be said of the package. */
  readonly error?: RegopsError;
  readonly kept?: KeptContainer;
}

/** What is known of the test while it runs. */
interface Facts {
  wanted: Package | undefined;
  system: System | undefined;
  container: TestContainer | undefined;
}

/**
 * Tests one package in a container of its own, which is then removed, however it ended. Never rejects.
 *
 * @param label what it is called in progress, logs and folders; unlike every other test's
 */
export async function testPackage(
  subject: Subject,
  label: string,
  image: Image,
  engine: Engine,
  options: PackageTestRunOptions,
  context: PackageTestRunContext,
): Promise<Tested> {
  const began = performance.now();
  const facts: Facts = {
    wanted: 'package' in subject ? subject.package : undefined,
    system: undefined,
    container: undefined,
  };
  const over = new AbortController();
  const limit = limitOf(options.limits.packageMs, context, over.signal);
  const signal = AbortSignal.any([context.signal, limit]);
  const { logFolder } = options;
  const folder = logFolder === undefined ? undefined : join(logFolder, label.replaceAll(/[^\w.+-]/g, '_'));
  const record = new TestRecord(label, context.log, context.progress, folder);
  let error: RegopsError | undefined;
  try {
    if (folder !== undefined) await makeFolder(folder);
    await runStages(subject, label, facts, record, { image, engine, options, context, signal });
  } catch (thrown) {
    error = asRegopsError(thrown);
  }
  over.abort();
  const verdict = judge(record, error);
  const kept = await endContainer(facts.container, label, verdict, record, { engine, options, context });
  const { wanted, system } = facts;
  const file = 'file' in subject ? subject.file.name : '';
  const task: TaskOutcome = {
    package: wanted?.name ?? file,
    ...(wanted?.version === undefined ? {} : { version: wanted.version }),
    distribution: system?.distribution ?? shownDistribution(options) ?? '',
    architecture: system?.architecture ?? image.platform.architecture,
    // The end of the container is a stage as well.
    verdict: judge(record, error),
    result: record.result,
    durationMs: Math.round(performance.now() - began),
    details: record.details,
  };
  return { task, ...(error ? { error } : {}), ...(kept ? { kept } : {}) };
}

interface Surroundings {
  readonly image: Image;
  readonly engine: Engine;
  readonly options: PackageTestRunOptions;
  readonly context: PackageTestRunContext;
  readonly signal: AbortSignal;
}

async function runStages(
  subject: Subject,
  label: string,
  facts: Facts,
  record: TestRecord,
  { image, engine, options, context, signal }: Surroundings,
): Promise<void> {
  const { repositories, files, testFolders, limits, network, platform, keep } = options;
  const began = performance.now();
  const container = await startContainer(
    engine,
    { subject: label, image, platform, network, repositories, lasting: keep !== 'never' },
    signal,
  );
  facts.container = container;
  const folder = `/var/tmp/regops-${randomBytes(6).toString('hex')}`;
  const target: Target = { engine, container: container.id, folder, signal };
  const quiet = new Stage(target, new Transcript(context.log, label), limits.prepareMs);
  const system = await probeSystem(quiet);
  facts.system = withGivenName(system, options);
  const tools = toolsFor(system, options);
  await quiet.sh('mkdir -p -- "$@"', [folder, ...testFolders.map((_, at) => `${folder}/tests/${at}`)]);
  const delivered = await deliver(target, options);
  record.note(['start_environment'], { ok: true, note: container.name }, performance.now() - began);

  const prepared = await record.stage(['initial_provision'], target, limits.prepareMs, (stage) =>
    prepare(stage, options, tools),
  );
  if (!prepared) return;
  await record.stage(['system_info'], target, INFO_MS, async (stage) => {
    await showSystem(stage, tools.infoScript);
    return { ok: true };
  });

  let found: Found | undefined;
  const installed = await record.stage(['install_package'], target, limits.installMs, async (stage) => {
    facts.wanted ??= await nameInFile(stage, delivered, subject, files, tools);
    const fromFile = 'file' in subject;
    const { end, ...rest } = await install(stage, facts.wanted, { files: delivered.files, fromFile }, tools);
    found = rest;
    return end;
  });
  const { wanted } = facts;
  if (!installed || !found || !wanted) return;

  let paths: readonly string[] = [];
  await record.stage(['tests', 'package_integrity_tests'], target, limits.testMs, async (stage) => {
    const integrity = await checkIntegrity(stage, wanted, tools);
    paths = integrity.paths;
    const output = writeTap(integrity.points);
    for (const line of output.trimEnd().split('\n')) stage.transcript.line(line);
    record.warnings.push(...integrity.points.flatMap(({ ok, lines = [] }) => (ok ? lines : [])));
    return { ok: integrity.points.every(({ ok }) => ok), output };
  });

  const { tests } = delivered;
  const environment = scriptEnvironment(options, wanted, found, facts.system);
  for (const [at, test] of tests.entries()) {
    await record.stage(['third_party', stageOf(tests, at)], target, limits.testMs, (stage) =>
      runScript(stage, test, environment),
    );
  }
  for (const { name, leftOut } of testFolders) {
    for (const test of leftOut) {
      record.skip(`third_party_test_${test}`, `only .sh and .bats are run here: ${name}`);
      record.warnings.push(`the test ${test} of ${name} was not run: only .sh and .bats are run here`);
    }
  }

  if (keep !== 'never' && !isGood(judge(record, undefined))) {
    record.skip('uninstall_package', 'the container is kept as it was when a stage failed');
    return;
  }
  const stays = await tools.keeps(new Stage(target, quiet.transcript, INFO_MS), wanted.name);
  if (stays !== undefined) {
    record.skip('uninstall_package', stays);
    return;
  }
  await record.stage(['uninstall_package'], target, limits.uninstallMs, (stage) =>
    uninstall(stage, wanted, paths, found as Found, record, tools),
  );
}

/** Undoes exclusions, adds repositories, and reads them. */
async function prepare(stage: Stage, options: PackageTestRunOptions, tools: PackageTools) {
  const { repositories, scripts, testFolders } = options;
  const steps: (() => Promise<Step>)[] = [
    () => tools.prepare(stage),
    ...repositories.map((repository, at) => () => tools.addRepository(stage, repository, at)),
    () => tools.refresh(stage),
  ];
  for (const step of steps) {
    const { exitCode } = await step();
    if (exitCode !== 0) return { ok: false, exitCode, ...noteOf(stage) };
  }
  const tests = [...scripts.map(({ name }) => name), ...testFolders.flatMap((one) => one.scripts)];
  if (!tests.some((name) => name.endsWith('.bats'))) return { ok: true };
  if ((await stage.sh('command -v bats > /dev/null')).exitCode === 0) return { ok: true };
  const { exitCode } = await tools.install(stage, { name: 'bats' }, {});
  return exitCode === 0
    ? { ok: true }
    : { ok: false, exitCode, note: 'bats is not in the image, and cannot be installed' };
}

/** What the installation found and brought. */
interface Found {
  /** There before, in the image. */
  readonly present: Installed | undefined;
  readonly installed: Installed | undefined;
  /** Packages that came along. */
  readonly company: readonly string[];
  /** Whether the files that there were have been noted. */
  readonly recorded: boolean;
}

async function install(
  stage: Stage,
  wanted: Package,
  from: { readonly files: readonly string[]; readonly fromFile: boolean },
  tools: PackageTools,
) {
  const { name } = wanted;
  const present = await tools.find(stage, name);
  const before = new Set(await tools.list(stage));
  const recorded = present === undefined && (await recordPaths(stage, 'before'));
  const { exitCode } = await tools.install(stage, wanted, { ...from, present });
  const installed = await tools.find(stage, name);
  const company = (await tools.list(stage)).filter((other) => other !== name && !before.has(other));
  const found: Found = { present, installed, company, recorded };
  if (exitCode !== 0) return { ...found, end: { ok: false, exitCode, ...noteOf(stage) } };
  // apt takes a name for a pattern when there is no such package, and is content.
  if (!installed) {
    return { ...found, end: { ok: false, note: `${name} is not installed, though no error was reported` } };
  }
  const origin = await tools.origin(stage, name);
  const source = origin ?? (from.files.length > 0 ? 'a file' : 'an unknown source');
  const note = [
    `${installed.version} ${installed.architecture} from ${redactText(source)}`,
    ...(present ? ['it was in the image already'] : []),
    ...(company.length > 0 ? [`${counted(company.length, 'package')} came with it`] : []),
  ].join('; ');
  stage.transcript.line(`installed: ${note}`);
  return { ...found, end: { ok: true, note } };
}

async function nameInFile(
  stage: Stage,
  { files: paths }: Delivered,
  subject: Subject,
  files: readonly PackageFile[],
  tools: PackageTools,
): Promise<Package> {
  if ('package' in subject) return subject.package;
  const { file } = subject;
  const { exitCode, stdout, stderr } = await tools.nameOf(stage, paths[files.indexOf(file)] as string);
  if (exitCode !== 0) {
    const said = redactText(stderr.trim().split('\n').at(-1) ?? '').slice(0, 300);
    throw new RegopsError('INPUT_INVALID', `${file.name} is no package: ${said}`);
  }
  return parsePackage(stdout.trim());
}

/** What a script finds in its environment. */
function scriptEnvironment(
  { testVariables }: PackageTestRunOptions,
  wanted: Package,
  found: Found,
  system: System | undefined,
): string[] {
  const told = {
    ...testVariables,
    REGOPS_PACKAGE: wanted.name,
    REGOPS_PACKAGE_VERSION: found.installed?.version ?? '',
    REGOPS_DISTRIBUTION: system?.distribution ?? '',
  };
  return Object.entries(told).map(([name, value]) => `${name}=${value}`);
}

/** What a script is run by: bats, its own first line, or bash, by which ALTS runs them all. */
const RUN = `
case $1 in *.bats) exec bats --tap "$1" ;; esac
IFS= read -r first < "$1"
case $first in '#!'*) chmod 755 "$1" && exec "$1" ;; esac
command -v bash > /dev/null && exec bash "$1"
exec sh "$1"
`;

async function runScript(stage: Stage, { name, path }: DeliveredTest, env: readonly string[]) {
  const { exitCode, stdout, stderr, cut } = await stage.sh(RUN, [path], {
    title: name,
    plain: true,
    kept: MAX_SCRIPT_OUTPUT,
    workingDir: path.slice(0, path.lastIndexOf('/')),
    env,
  });
  return {
    ok: exitCode === 0,
    exitCode,
    ...(cut ? { note: `${exitCode === 0 ? 'it passed' : 'it failed'}; it wrote more than is kept` } : {}),
    output: redactText(stdout),
    errorOutput: redactText(stderr),
  };
}

/** ALTS' name of a script's stage; scripts of the same name are told apart by their number. */
function stageOf(tests: readonly DeliveredTest[], at: number): string {
  const { name } = tests[at] as DeliveredTest;
  const twice = tests.filter((other) => other.name === name).length > 1;
  return `third_party_test_${name}${twice ? `_${at + 1}` : ''}`;
}

async function uninstall(
  stage: Stage,
  { name }: Package,
  paths: readonly string[],
  found: Found,
  record: TestRecord,
  tools: PackageTools,
) {
  const { exitCode } = await tools.remove(stage, name);
  if (exitCode !== 0) return { ok: false, exitCode, ...noteOf(stage) };
  if (await tools.find(stage, name)) return { ok: false, note: `${name} is still installed` };
  if (!found.recorded) {
    const why = found.present ? 'it was in the image already' : 'the image has no find, sort or comm';
    return { ok: true, note: `left-overs were not looked for: ${why}` };
  }
  if (found.company.length > 0) await tools.tidy(stage);
  const left = await findLeftOvers(stage, name, paths, found.company, tools);
  if (!left) return { ok: true, note: 'left-overs could not be looked for' };
  const others = listLeftOvers(left.others, `${name} or what came with it`);
  if (left.others.length > 0) {
    const more = left.others.length > 3 ? ' …' : '';
    record.warnings.push(`${others[0]} ${left.others.slice(0, 3).join(', ')}${more}`);
  }
  for (const line of [...others, ...listLeftOvers(left.own, name)]) stage.transcript.line(line);
  if (left.own.length === 0) return { ok: true, note: 'nothing was left behind' };
  const [first] = left.own;
  const more = left.own.length > 1 ? ` and ${left.own.length - 1} more` : '';
  return { ok: false, note: `left behind: ${first}${more}` };
}

/** Lines that give a reason, the most telling first: dnf's of a missing dependency, apt's and dnf's errors, dpkg's and rpm's. */
const REASONS = [
  /^No match for argument: /,
  /^\s*- nothing provides /,
  /^\s*Problem(?: \d+)?: /,
  /^(?:E|Error|ERROR): \S/,
  /^(?:dpkg: error|error: )/,
];

/** What a package manager gave as the reason of its failure, else what it said last. */
function noteOf({ transcript }: Stage): { readonly note?: string } {
  const lines = transcript.text.trimEnd().split('\n');
  const telling = REASONS.map((pattern) => lines.find((line) => pattern.test(line)));
  const reason = (telling.find((line) => line !== undefined) ?? lines.at(-1) ?? '').trim();
  return reason === '' ? {} : { note: reason.replace(/^- /, '').slice(0, 300) };
}

/** The verdict of ALTS' own rules, unless the test did not come to its end. */
function judge(record: TestRecord, error: RegopsError | undefined): Verdict {
  const { result, details } = record;
  const verdict = verdictOf({ state: 'SUCCESS', result });
  const warnings = [...verdict.warnings, ...record.warnings];
  if (error) {
    const outcome =
      error.code === 'INTERRUPTED' ? 'revoked' : error.code === 'TIMED_OUT' ? 'timeout' : 'infrastructure';
    return { ...verdict, warnings, outcome, reason: error.message };
  }
  const failed = verdict.stages.find(({ status }) => status === 'failed');
  const path = failed?.path.join('/') ?? '';
  const note = Object.hasOwn(details, path) ? details[path]?.note : undefined;
  return { ...verdict, warnings, ...(note === undefined ? {} : { reason: `${path}: ${note}` }) };
}

function isGood({ outcome }: Verdict): boolean {
  return outcome === 'passed' || outcome === 'skipped';
}

/** Removes the container, or says how to get into it. */
async function endContainer(
  container: TestContainer | undefined,
  label: string,
  verdict: Verdict,
  record: TestRecord,
  { engine, options, context }: Pick<Surroundings, 'engine' | 'options' | 'context'>,
): Promise<KeptContainer | undefined> {
  if (!container) return undefined;
  const began = performance.now();
  const { name, id } = container;
  const interrupted = context.signal.aborted;
  const keep =
    options.keep === 'always' || (options.keep === 'on-failure' && !isGood(verdict) && !interrupted);
  if (keep) {
    const enter = `docker exec -it ${name} sh`;
    context.log.info(`${label}: its container is kept: ${enter} (to remove it: docker rm -f ${name})`);
    record.note(['stop_environment'], { ok: true, note: `kept: ${enter}` }, performance.now() - began);
    return { name, package: label, enter };
  }
  try {
    await removeContainer(engine, id, interrupted);
    record.note(['stop_environment'], { ok: true }, performance.now() - began);
  } catch (error) {
    context.log.warn(
      `the container ${name} could not be removed (docker rm -f ${name}): ${messageOf(error)}`,
    );
    record.note(['stop_environment'], { ok: false, note: messageOf(error) }, performance.now() - began);
  }
  return undefined;
}

/** A signal that aborts when a package has had its time. */
function limitOf(ms: number, { clock }: PackageTestRunContext, over: AbortSignal): AbortSignal {
  const limit = new AbortController();
  const error = new RegopsError('TIMED_OUT', `the test did not end within ${ms / 1000} s`);
  clock.sleep(ms, over).then(
    () => limit.abort(error),
    () => {},
  );
  return limit.signal;
}

function shownDistribution({ distribution }: PackageTestRunOptions): string | undefined {
  return distribution && `${distribution.name}:${distribution.version}`;
}

function withGivenName(system: System, options: PackageTestRunOptions): System {
  return { ...system, distribution: shownDistribution(options) ?? system.distribution };
}

/** The package manager of a system. Throws USAGE when files or repositories are of the other kind. */
function toolsFor({ family }: System, options: PackageTestRunOptions): PackageTools {
  const { distribution, files, repositories } = options;
  const named = distribution && familyOf(distribution.name) !== family ? distribution.name : undefined;
  const file = files.find(({ name }) => !name.endsWith(`.${family}`))?.name;
  const other = repositories.find(({ url }) => /^deb(?:-src)?\s/.test(url) !== (family === 'deb'));
  const what = named ?? file ?? (other && `the repository ${shownRepository(other)}`);
  if (what !== undefined) {
    throw new RegopsError('USAGE', `${what} does not go with the image, whose packages are ${family}`, {
      hints: other
        ? ['For deb write an apt line: deb https://packages.example.com/debian bookworm main; for rpm a URL.']
        : [],
    });
  }
  return family === 'deb' ? debTools : rpmTools;
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new RegopsError('OUTPUT_FAILED', `cannot make the folder ${folder}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
