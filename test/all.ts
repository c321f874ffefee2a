/**
 * `npm run test:all`: everything a change has to pass: lint, typecheck, build and every test project. As root on
 * Debian or Ubuntu it installs the servers that the real-server tests start, while what needs none of them runs.
 * The last line says how many tests passed, failed and were skipped. With CI=true a missing server and a
 * skipped test are failures.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Missing, missing } from './support/servers/packages.ts';
import { formatSummary, type Summary, summarise, type VitestReport } from './support/summary.ts';

const CI = process.env['CI'] === 'true';
const MINUTE = 60_000;
const root = join(import.meta.dirname, '..');

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Ended {
  readonly ok: boolean;
  /** Why it is not ok. */
  readonly how: string;
  /** What it said, when it was run quietly. */
  readonly output: string;
}

/** Runs a command to its end: with our output, or quietly, keeping what it says. */
function run(
  command: string,
  args: readonly string[],
  options: { readonly minutes: number; readonly quiet?: boolean; readonly env?: NodeJS.ProcessEnv },
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: options.quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...options.env },
      timeout: options.minutes * MINUTE,
    });
    const kill = (): void => void child.kill();
    process.once('exit', kill);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.once('error', (error) => resolve({ ok: false, how: error.message, output }));
    child.once('close', (code, signal) => {
      process.off('exit', kill);
      resolve({ ok: code === 0, how: signal ? `ended by ${signal}` : `exit code ${code}`, output });
    });
  });
}

/** Installs what the real-server tests lack, where that is possible, and says plainly what it did. Gives what is still missing. */
async function prepareServers(): Promise<readonly Missing[]> {
  const before = missing();
  const packages = [...new Set(before.flatMap((it) => it.package ?? []))];
  if (packages.length > 0) {
    if (process.getuid?.() !== 0) say('Not root: nothing is installed.');
    else if (!isDebian()) say('Neither Debian nor Ubuntu: nothing is installed.');
    else await install(packages);
  }
  const after = missing();
  const installed = before.filter((it) => !after.some((still) => still.what === it.what));
  if (installed.length > 0) say(`Installed: ${installed.map((it) => it.what).join(', ')}.`);
  for (const it of after) {
    say(
      `Missing: ${it.what}${it.package ? ` (Debian package ${it.package})` : ''}; the tests that need it ${CI ? 'fail' : 'are skipped'}.`,
    );
  }
  return after;
}

function isDebian(): boolean {
  if (!existsSync('/etc/os-release')) return false;
  const ids = readFileSync('/etc/os-release', 'utf8').match(/^ID(?:_LIKE)?=.*$/gm) ?? [];
  return /\b(debian|ubuntu)\b/.test(ids.join(' '));
}

async function install(packages: readonly string[]): Promise<void> {
  say(`Installing ${packages.join(' ')} …`);
  // The packages bring services of their own; the tests start their servers themselves.
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = !existsSync(policy);
  const removePolicy = (): void => {
    if (isOurs) rmSync(policy, { force: true });
  };
  process.once('exit', removePolicy);
  if (isOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...packages]]) {
    const options = ['-q', '-o', 'DPkg::Lock::Timeout=120'];
    const ended = await run('apt-get', [...options, ...args], { minutes: 15, quiet: true, env });
    if (ended.ok) continue;
    say(`apt-get ${args[0]} failed (${ended.how}); it said:`);
    say(ended.output.trim().split('\n').slice(-40).join('\n'));
  }
  removePolicy();
}

/** Runs one of package.json's scripts. */
async function passes(script: string): Promise<boolean> {
  say(`\n# ${script}`);
  return (await run('npm', ['run', '--silent', script], { minutes: 15 })).ok;
}

/** Runs test projects and gives vitest's report; undefined when it did not live to write one. */
async function runTests(...projects: readonly string[]): Promise<VitestReport | undefined> {
  say(`\n# tests: ${projects.join(', ')}`);
  const folder = mkdtempSync(join(tmpdir(), 'regops-test-all-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const reportFile = join(folder, 'report.json');
  const args = [
    ...['run', '--config', 'test/vitest.config.ts', '--slowTestThreshold=10000'],
    ...projects.map((project) => `--project=${project}`),
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`],
    ...(process.stdout.isTTY ? [] : ['--no-color']),
  ];
  await run('vitest', args, { minutes: 60 });
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    return undefined;
  }
}

process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

const problems: string[] = [];

/** What needs no server, and gives the servers time to be installed. */
async function testWithoutServers(): Promise<Summary> {
  for (const script of ['lint', 'typecheck', 'build']) {
    if (!(await passes(script))) problems.push(`${script} failed`);
  }
  return summarise(await runTests('unit'));
}

const [stillMissing, first] = await Promise.all([prepareServers(), testWithoutServers()]);
const rest = summarise(await runTests('contract', 'commands', 'e2e', 'real'));
const summary: Summary = {
  passed: first.passed + rest.passed,
  failed: first.failed + rest.failed,
  skipped: first.skipped + rest.skipped,
};

if (summary.failed > 0) problems.push('tests failed');
if (CI && stillMissing.length > 0) problems.push('servers are missing');
if (CI && summary.skipped > 0) problems.push('tests were skipped');
if (first.passed === 0 || rest.passed === 0) problems.push('no test ran');

say(problems.length > 0 ? `\nNot passed: ${problems.join(', ')}.` : '');
say(formatSummary(summary));
process.exitCode = problems.length > 0 ? 1 : 0;
