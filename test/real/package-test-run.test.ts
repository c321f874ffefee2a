import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { buildDeb, type DebPackage, indexDebs } from '../support/deb-packages.ts';
import { elfLibrary } from '../support/elf-file.ts';
import { buildRpm, indexRpms, type RpmPackage } from '../support/rpm-packages.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { addBridge, type Bridge } from '../support/servers/bridge.ts';
import { importDistributions } from '../support/servers/debian-root.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import { startGitDaemon } from '../support/servers/git-daemon.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { parseXml } from '../support/xml.ts';

// The promise of package-test run, on a real engine with real package managers: sound packages pass, and every
// kind of broken one fails at its stage, with evidence.
const describeReal = requireServers('dockerd', 'debootstrap', 'rpm-tools', 'git', 'bridge');

const SOUND = {
  files: {
    '/usr/share/sound/data': 'data\n',
    // A name that would run in a careless shell, and one that is two words.
    '/usr/share/sound/$(touch pwned) `touch pwned2`;x': 'hostile\n',
    '/etc/sound.conf': 'a=1\n',
    '/usr/lib/libsound.so.1': elfLibrary({ needed: ['libc.so.6'], runPath: '/opt/sound' }),
  },
  links: { '/usr/share/sound/link': 'data' },
  configuration: ['/etc/sound.conf'],
};

const DEBS: readonly DebPackage[] = [
  { name: 'sound', ...SOUND, depends: 'companion', scripts: { postinst: "printf 'red: \\033[31m\\n'" } },
  { name: 'sound', version: '2:2.0-1', ...SOUND },
  { name: 'companion', files: { '/usr/share/companion/data': 'data\n' } },
  { name: 'wrong-version' },
  {
    name: 'file-removed',
    files: { '/usr/share/file-removed/data': 'data\n', '/usr/share/file-removed/more': 'more\n' },
    links: { '/usr/share/file-removed/broken': 'nowhere' },
    scripts: { postinst: 'rm /usr/share/file-removed/data' },
  },
  {
    name: 'file-changed',
    files: { '/usr/share/c/data': 'a\n' },
    scripts: { postinst: 'echo b >> /usr/share/c/data' },
  },
  {
    name: 'configured',
    files: { '/etc/configured.conf': 'a=1\n' },
    configuration: ['/etc/configured.conf'],
    scripts: { postinst: 'echo b=2 >> /etc/configured.conf' },
  },
  { name: 'missing-library', files: { '/usr/lib/libone.so.1': elfLibrary({ needed: ['libnowhere.so.7'] }) } },
  {
    name: 'own-library',
    files: {
      '/opt/own/liba.so': elfLibrary({ needed: ['libb.so'] }),
      '/opt/own/libb.so': elfLibrary({ needed: ['libc.so.6'] }),
    },
  },
  {
    name: 'run-path',
    files: { '/usr/lib/libtwo.so.1': elfLibrary({ needed: ['libc.so.6'], runPath: '/opt/x:' }) },
  },
  {
    name: 'leaves-files',
    scripts: { postinst: 'mkdir -p /var/lib/leaves-files && touch /var/lib/leaves-files/state' },
  },
  { name: 'broken-postinst', scripts: { postinst: 'echo "cannot go on"; exit 3' } },
  { name: 'broken-prerm', scripts: { prerm: 'echo "does not let go"; exit 3' } },
];

const RPMS: readonly RpmPackage[] = [
  // Whatever has a scriptlet needs it, and the image has no packages of its own.
  { name: 'shell', provides: '/bin/sh' },
  { name: 'needs-more', files: {}, scripts: { post: 'true' }, requires: 'no-such-thing' },
  { name: 'sound', ...SOUND, ghosts: ['/var/log/sound.log'], folders: ['/usr/share/sound'] },
  { name: 'sound', version: '2.0', epoch: 2, ...SOUND, folders: ['/usr/share/sound'] },
  {
    name: 'file-removed',
    files: { '/usr/share/file-removed': 'data\n' },
    scripts: { post: 'rm /usr/share/file-removed' },
  },
  {
    name: 'configured',
    files: { '/etc/configured.conf': 'a=1\n' },
    configuration: ['/etc/configured.conf'],
    scripts: { post: 'echo b=2 >> /etc/configured.conf' },
  },
  { name: 'missing-library', files: { '/usr/lib/libone.so.1': elfLibrary({ needed: ['libnowhere.so.7'] }) } },
  {
    name: 'leaves-files',
    scripts: { post: 'mkdir -p /var/lib/leaves-files && touch /var/lib/leaves-files/state' },
  },
];

const SCRIPTS = {
  'fails.sh':
    'echo "testing $REGOPS_PACKAGE $REGOPS_PACKAGE_VERSION on $REGOPS_DISTRIBUTION"; echo boom >&2; exit 4\n',
  'tap.sh':
    '#!/bin/bash\necho 1..3\necho "ok 1 - first"\necho "not ok 2 - second"\necho "# it said no"\necho "ok 3 - third # SKIP not here"\n',
  'works.sh': 'test -f /usr/share/sound/data\n',
  'works.bats': '@test "it is there" {\n  [ -f /usr/share/sound/data ]\n}\n',
  'slow.sh': 'echo begun; sleep 1000\n',
};

describeReal('package-test run', () => {
  let docker: Dockerd;
  let bridge: Bridge;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let debs: string;
  let rpms: string;

  beforeAll(async () => {
    folder = await temporaryFolder('package-test');
    [debs, rpms] = [join(folder.path, 'debs'), join(folder.path, 'rpms')];
    bridge = await addBridge();
    docker = await startDockerd(bridge.name);
    await importDistributions(docker, 'deb:1', 'rpm:1');
    for (const one of DEBS) await buildDeb(debs, one);
    await indexDebs(debs, { 'wrong-version': '2.0-1' });
    for (const one of RPMS) await buildRpm(rpms, one);
    await indexRpms(rpms);
    for (const [name, text] of Object.entries(SCRIPTS)) await writeFile(join(folder.path, name), text);
  });
  afterAll(async () => {
    await docker?.close();
    await bridge?.remove();
    await folder?.remove();
  });
  afterEach(async () => {
    // Whatever happened, nothing stays unasked.
    expect(await docker.run(['ps', '--all', '--quiet'])).toBe('');
  });

  const script = (name: keyof typeof SCRIPTS): string[] => ['--script', join(folder.path, name)];

  function run(
    image: 'deb:1' | 'rpm:1',
    argv: readonly string[],
    options: Parameters<typeof runCommand>[2] = {},
  ): Promise<RunResult> {
    const repository = image === 'deb:1' ? `test=deb file:${debs} ./` : `test=file://${rpms}`;
    return runCommand(
      'package-test run',
      [...argv, '--image', image, '--network', 'host', '--repository', repository],
      { ...options, env: { DOCKER_HOST: `unix://${docker.socket}`, ...options.env } },
    );
  }

  function ended(exitCode: number, result: RunResult): RunResult {
    expect(result.exitCode, result.stderr + result.stdout).toBe(exitCode);
    return result;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the answer is checked against its schema
  type Task = any;

  /** The tests by what was asked for. */
  function tasksOf(result: RunResult): Record<string, Task> {
    return Object.fromEntries(
      result
        .json()
        .result.tasks.map((task: Task) => [`${task.package}${task.version ? `=${task.version}` : ''}`, task]),
    );
  }

  function failedStages(task: Task): string[] {
    return task.verdict.stages
      .filter(({ status }: Task) => status === 'failed')
      .map(({ path }: Task) => path.join('/'));
  }

  function outputOf(task: Task, name: string): string {
    const stages = task.result.stages.flatMap((stage: Task) => [stage, ...stage.stages]);
    return stages.find((stage: Task) => stage.name === name)?.output ?? '';
  }

  const INTEGRITY = 'tests/package_integrity_tests';

  describe('deb', () => {
    test('sound packages pass every stage, in the version that was asked for', async () => {
      const logs = join(folder.path, 'logs');
      const result = ended(
        0,
        await run('deb:1', [
          ...[
            'sound=1.0-1',
            'sound',
            'configured',
            'own-library',
            '--jobs',
            '2',
            '--json',
            '--log-dir',
            logs,
          ],
        ]),
      );
      const tasks = tasksOf(result);
      expect(tasks['sound=1.0-1']).toMatchObject({
        distribution: 'debian:12',
        architecture: 'amd64',
        verdict: { outcome: 'passed', warnings: [] },
        details: {
          install_package: { note: `1.0-1 all from file:${debs} ./; 1 package came with it` },
          uninstall_package: { note: 'nothing was left behind' },
        },
      });
      expect(tasks['sound'].details.install_package.note).toContain('2:2.0-1 all');
      expect(tasks['sound'].verdict.stages.map(({ path }: Task) => path.join('/'))).toEqual([
        ...['start_environment', 'initial_provision', 'system_info', 'install_package'],
        ...[INTEGRITY, 'uninstall_package', 'stop_environment'],
      ]);
      expect(outputOf(tasks['sound'], 'package_integrity_tests')).toContain(
        'libraries of 1 ELF file resolve',
      );
      // What is changed on purpose, or found by other ways, is only warned of.
      expect(tasks['configured'].verdict).toMatchObject({
        outcome: 'passed',
        warnings: [expect.stringMatching(/^changed configuration file: .*\/etc\/configured\.conf$/)],
      });
      expect(tasks['own-library'].verdict).toMatchObject({
        outcome: 'passed',
        warnings: [expect.stringContaining("the package's own libb.so")],
      });
      expect(await readdir(join(logs, 'sound_1.0-1'))).toHaveLength(5);
      const log = await readFile(join(logs, 'sound_1.0-1', '3-install_package.log'), 'utf8');
      expect(log).toContain('Setting up sound');
      expect(log).toContain('red: \\x1b[31m');
    });

    test('each broken package fails at its own stage, with evidence', async () => {
      const wanted: Record<string, [stage: string, evidence: RegExp]> = {
        'no-such-package': ['install_package', /Unable to locate package no-such-package/],
        'sound=9.9': ['install_package', /Version '9\.9' for 'sound' was not found/],
        'wrong-version=2.0-1': [INTEGRITY, /# asked for 2\.0-1, installed is 1\.0-1/],
        'file-removed': [
          INTEGRITY,
          /# missing: \/usr\/share\/file-removed\/data\n# broken link: .*\/broken -> nowhere/,
        ],
        'file-changed': [INTEGRITY, /not ok 5 - dpkg -V\n# .*\/usr\/share\/c\/data/],
        'missing-library': [INTEGRITY, /# \/usr\/lib\/libone\.so\.1: libnowhere\.so\.7 not found/],
        'run-path': [INTEGRITY, /# \/usr\/lib\/libtwo\.so\.1: its run path/],
        'leaves-files': ['uninstall_package', /left behind: \/var\/lib\/leaves-files\/state/],
        'broken-postinst': ['install_package', /cannot go on/],
        'broken-prerm': ['uninstall_package', /does not let go/],
      };
      const result = ended(1, await run('deb:1', [...Object.keys(wanted), '--jobs', '2', '--json']));
      const tasks = tasksOf(result);
      expect(Object.keys(tasks)).toEqual(Object.keys(wanted));
      for (const [name, [stage, evidence]] of Object.entries(wanted)) {
        const task = tasks[name];
        expect([name, task.verdict.outcome, failedStages(task)]).toEqual([name, 'failed', [stage]]);
        expect(outputOf(task, stage.split('/').at(-1) as string)).toMatch(evidence);
        expect(task.verdict.reason).toContain(stage);
      }
    });

    test('scripts: an exit code, TAP, bats; a table and JUnit that say what failed', async () => {
      const argv = [
        'sound',
        ...script('works.sh'),
        ...script('fails.sh'),
        ...script('tap.sh'),
        ...script('works.bats'),
      ];
      const table = ended(1, await run('deb:1', argv)).stdout;
      expect(table).toContain('testing sound 2:2.0-1 on debian:12\nboom');
      expect(table).toMatch(/third_party_test_fails\.sh +failed .*it failed \(exit code 4\)/);
      expect(table).toMatch(/third_party_test_works\.sh +passed/);
      const junit = ended(1, await run('deb:1', [...argv, '--format', 'junit'])).stdout;
      const [suite] = parseXml(junit).children;
      const cases = Object.fromEntries(
        (suite?.children ?? [])
          .filter(({ name }) => name === 'testcase')
          .map(({ attributes, children }) => [attributes['name'], children[0]?.name ?? 'passed']),
      );
      expect(cases).toMatchObject({
        install_package: 'passed',
        [`${INTEGRITY}: 1 2:2.0-1 all is installed`]: 'passed',
        'third_party/third_party_test_works.sh': 'passed',
        'third_party/third_party_test_fails.sh': 'failure',
        'third_party/third_party_test_tap.sh': 'failure',
        'third_party/third_party_test_tap.sh: 1 first': 'passed',
        'third_party/third_party_test_tap.sh: 2 second': 'failure',
        'third_party/third_party_test_tap.sh: 3 third': 'skipped',
        'third_party/third_party_test_works.bats: 1 it is there': 'passed',
        uninstall_package: 'passed',
      });
      expect(junit).toContain('it said no');
    });

    test('the tests of a git repository, with what lies beside them and variables of their own', async () => {
      const daemon = await startGitDaemon();
      onTestFinished(() => daemon.close());
      await daemon.commit('tests', {
        'library/common': 'answer() { echo "$GREETING from $REGOPS_PACKAGE"; }\n',
        // As ALTS runs it: by bash, in its folder.
        'sound/check.sh': '[[ -n $BASH_VERSION ]] && . ../library/common && answer && test -f check.sh\n',
        'sound/works.bats': '@test "it is there" {\n  [ -f /usr/share/sound/data ]\n}\n',
        'sound/play.yml': '- hosts: all\n',
      });
      await daemon.git('tests', 'tag', 'v1');
      await daemon.commit('tests', { 'sound/later.sh': 'exit 1\n' });
      const tests = (rest: string): string[] => ['--test-repo', `${daemon.url}/tests/.git#${rest}`, '--json'];
      const variable = ['--test-env', 'GREETING=hello there', '--test-env', 'OTHER='];
      const passing = ended(0, await run('deb:1', ['sound=1.0-1', ...tests('sound@v1'), ...variable]));
      const [task] = passing.json().result.tasks;
      const stages = task.verdict.stages.map(({ path }: Task) => path.join('/'));
      expect(stages).toContain('third_party/third_party_test_check.sh');
      expect(stages).toContain('third_party/third_party_test_works.bats');
      expect(outputOf(task, 'third_party_test_check.sh')).toBe('hello there from sound\n');
      expect(task.result.skippedTests).toEqual(['third_party_test_play.yml']);
      expect(task.verdict.warnings).toEqual([
        expect.stringMatching(/^the test play\.yml of git:.* was not run/),
      ]);
      const failing = ended(1, await run('deb:1', ['sound', ...tests('sound')]));
      expect(failedStages(failing.json().result.tasks[0])).toEqual(['third_party/third_party_test_later.sh']);
      // Nothing is tested when its tests cannot be had.
      const nowhere = ended(66, await run('deb:1', ['sound', ...tests('sound@nowhere')]));
      expect(nowhere.json()).toMatchObject({ error: { code: 'REPOSITORY_NOT_FOUND' }, result: null });
    });

    test('an image of another platform is not taken for the one that is asked for', async () => {
      // Nobody is there to pull from.
      const image = '127.0.0.1:1/deb:1';
      await docker.run(['tag', 'deb:1', image]);
      onTestFinished(() => void docker.run(['rmi', image]));
      const argv = ['--file', join(debs, 'companion_1.0-1_all.deb'), '--image', image, '--network', 'host'];
      const env = { DOCKER_HOST: `unix://${docker.socket}` };
      const on = (platform: string): Promise<RunResult> =>
        runCommand('package-test run', [...argv, '--platform', platform, '--json'], { env });
      ended(0, await on('linux/x86_64'));
      expect(ended(69, await on('linux/s390x')).json()).toMatchObject({ result: null });
    });

    test('a file is tested without a repository, and every line is told with ndjson', async () => {
      const file = join(debs, 'companion_1.0-1_all.deb');
      const result = ended(
        0,
        await runCommand(
          'package-test run',
          ['--file', file, '--image', 'deb:1', '--network', 'host', '--format', 'ndjson'],
          { env: { DOCKER_HOST: `unix://${docker.socket}` } },
        ),
      );
      const [event, last] = result.events('package-test.run.events');
      expect(event).toMatchObject({
        type: 'task',
        task: { package: 'companion', details: { install_package: { note: '1.0-1 all from a file' } } },
      });
      expect(last).toMatchObject({ type: 'result', ok: true });
    });

    test('a script that takes too long is ended, and the test goes on', async () => {
      const result = ended(
        1,
        await run('deb:1', ['companion', ...script('slow.sh'), '--test-timeout', '10s', '--json']),
      );
      const task = tasksOf(result)['companion'];
      expect(failedStages(task)).toEqual(['third_party/third_party_test_slow.sh']);
      expect(task.verdict.reason).toContain('timed out after 10 s');
      expect(outputOf(task, 'third_party_test_slow.sh')).toContain('begun');
      expect(task.verdict.stages.map(({ path }: Task) => path[0])).toContain('uninstall_package');
    });

    test('an interruption ends the test and removes the container', async () => {
      const result = await run('deb:1', ['companion', ...script('slow.sh'), '--json', '-v'], {
        async whileRunning(signal, _stdout, stderr) {
          await expect.poll(stderr, { timeout: 50_000 }).toContain('begun');
          signal('SIGINT');
        },
      });
      expect(ended(130, result).json()).toMatchObject({
        interrupted: true,
        result: { tasks: [{ package: 'companion', verdict: { outcome: 'revoked' } }] },
      });
    });

    test('--keep leaves the container as it was when a stage failed, and says how to enter', async () => {
      const result = ended(
        1,
        await run('deb:1', ['companion', ...script('fails.sh'), '--keep', 'on-failure', '--json']),
      );
      const [kept] = result.json().result.kept;
      expect(kept.enter).toBe(`docker exec -it ${kept.name} sh`);
      expect(result.stderr).toContain(kept.enter);
      expect(await docker.run(['exec', kept.name, 'cat', '/usr/share/companion/data'])).toBe('data');
      await docker.run(['rm', '--force', kept.name]);
      // Nothing failed: nothing to look at.
      ended(0, await run('deb:1', ['companion', '--keep', 'on-failure']));
    });

    test('what is not the fault of the package is no failed test', async () => {
      const argv = ['companion', '--repository', 'deb http://user:GEHEIM@127.0.0.1:9/ ./', '--json', '-v'];
      const result = ended(69, await run('deb:1', argv));
      expect(result.json()).toMatchObject({
        error: { code: 'ENGINE_FAILED' },
        result: { tasks: [{ verdict: { outcome: 'infrastructure' } }] },
      });
      expect(result.stdout + result.stderr).not.toContain('GEHEIM');
      ended(64, await run('deb:1', ['companion', '--repository', 'https://packages.example.com/el9/']));
    });

    test('on the bridge a container has a network of its own, and reaches what is on it', async () => {
      const mirror = createServer((request, response) => {
        readFile(join(debs, basename(request.url ?? ''))).then(
          (content) => response.end(content),
          () => response.writeHead(404).end(),
        );
      });
      await new Promise<void>((resolve) => mirror.listen(0, bridge.address, resolve));
      onTestFinished(() => void mirror.close());
      const { port } = mirror.address() as AddressInfo;
      const network = `${bridge.address.replace(/\.1$/, '')}.`;
      await writeFile(
        join(folder.path, 'network.sh'),
        `grep -F '${network}' /proc/net/fib_trie && ! grep '^${bridge.name}:' /proc/net/dev\n`,
      );
      const options = ['--repository', `deb http://${bridge.address}:${port} ./`, '--json'];
      const script = ['--script', join(folder.path, 'network.sh')];
      const argv = ['companion', '--image', 'deb:1', '--network', 'bridge', ...options, ...script];
      const env = { DOCKER_HOST: `unix://${docker.socket}` };
      const [task] = ended(0, await runCommand('package-test run', argv, { env })).json().result.tasks;
      expect(task.details.install_package.note).toBe(`1.0-1 all from http://${bridge.address}:${port} ./`);
      expect(outputOf(task, 'third_party_test_network.sh')).toContain(`${network}2`);
    });

    test('packages that a system cannot do without are not removed', async () => {
      const [task] = ended(0, await run('deb:1', ['libc6', '--json'])).json().result.tasks;
      expect(task).toMatchObject({
        verdict: { outcome: 'passed' },
        result: { skippedTests: ['uninstall_package'] },
        details: { uninstall_package: { note: 'essential packages need it' } },
      });
    });
  });

  describe('rpm', () => {
    test('sound packages pass every stage, in the version that was asked for', async () => {
      const argv = ['sound=1.0-1', 'sound=2:2.0-1', 'configured', '--jobs', '2', '--json'];
      const tasks = tasksOf(ended(0, await run('rpm:1', argv)));
      expect(tasks['sound=1.0-1']).toMatchObject({
        distribution: 'almalinux:9.4',
        architecture: 'x86_64',
        verdict: { outcome: 'passed', warnings: [] },
        details: {
          install_package: { note: '1.0-1 noarch from regops-0-test' },
          uninstall_package: { note: 'nothing was left behind' },
        },
      });
      expect(tasks['sound=2:2.0-1'].verdict.outcome).toBe('passed');
      expect(tasks['configured'].verdict).toMatchObject({
        outcome: 'passed',
        warnings: [expect.stringContaining('/etc/configured.conf')],
      });
    });

    test('each broken package fails at its own stage, with evidence', async () => {
      const wanted: Record<string, [stage: string, evidence: RegExp]> = {
        'no-such-package': ['install_package', /No match for argument: no-such-package/],
        'sound=9.9': ['install_package', /No match for argument: sound-9\.9/],
        'needs-more': ['install_package', /nothing provides no-such-thing needed by needs-more/],
        'file-removed': [INTEGRITY, /# missing: \/usr\/share\/file-removed\n/],
        'missing-library': [INTEGRITY, /# \/usr\/lib\/libone\.so\.1: libnowhere\.so\.7 not found/],
        'leaves-files': ['uninstall_package', /left behind: \/var\/lib\/leaves-files\/state/],
      };
      const result = ended(1, await run('rpm:1', [...Object.keys(wanted), '--jobs', '2', '--json']));
      const tasks = tasksOf(result);
      for (const [name, [stage, evidence]] of Object.entries(wanted)) {
        const task = tasks[name];
        expect([name, task.verdict.outcome, failedStages(task)]).toEqual([name, 'failed', [stage]]);
        expect(outputOf(task, stage.split('/').at(-1) as string)).toMatch(evidence);
      }
    });

    test('a file is tested, with a script: it and no newer one of a repository', async () => {
      const file = join(rpms, 'sound-1.0-1.noarch.rpm');
      const argv = ['--file', file, ...script('works.bats'), '--json'];
      const [task] = ended(0, await run('rpm:1', argv)).json().result.tasks;
      expect(task).toMatchObject({
        package: 'sound',
        verdict: { outcome: 'passed' },
        details: { install_package: { note: '1.0-1 noarch from a file' } },
      });
      expect(outputOf(task, 'third_party_test_works.bats')).toContain('ok 1 it is there');
    });

    test('a file is tested without a repository', async () => {
      const argv = ['--file', join(rpms, 'sound-1.0-1.noarch.rpm'), '--image', 'rpm:1', '--network', 'host'];
      const env = { DOCKER_HOST: `unix://${docker.socket}` };
      const [task] = ended(0, await runCommand('package-test run', [...argv, '--json'], { env })).json()
        .result.tasks;
      expect(task.details.install_package.note).toBe('1.0-1 noarch from a file');
    });
  });
});
