import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog, systemClock } from '../../src/base/index.ts';
import type { CommandContext } from '../../src/cli/index.ts';
import { localRunner } from '../../src/cli/testbed-alts.ts';
import { startTestbed, type Testbed } from '../../src/testbed/index.ts';
import { buildDeb, indexDebs } from '../support/deb-packages.ts';
import { runCommand } from '../support/run-command.ts';
import { importDistributions } from '../support/servers/debian-root.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import { type GitDaemon, startGitDaemon } from '../support/servers/git-daemon.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';

// The whole way on one machine: package-test submit, the testbed's scheduler, a real engine, real apt.
const describeReal = requireServers('dockerd', 'debootstrap', 'git');

describeReal('package-test submit', () => {
  let docker: Dockerd;
  let daemon: GitDaemon;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let mirror: Server;
  let scheduler: Testbed;
  const closers: (() => void | Promise<void>)[] = [];

  beforeAll(async () => {
    folder = await temporaryFolder('package-test-submit');
    docker = await startDockerd();
    daemon = await startGitDaemon();
    await importDistributions(docker, 'debian:12', 'almalinux:9');
    const debs = join(folder.path, 'debs');
    await buildDeb(debs, { name: 'sound', files: { '/usr/share/sound/data': 'data\n' } });
    await buildDeb(debs, {
      name: 'file-removed',
      files: { '/usr/share/file-removed/data': 'data\n' },
      scripts: { postinst: 'rm /usr/share/file-removed/data' },
    });
    await indexDebs(debs);
    mirror = createServer((request, response) => {
      readFile(join(debs, basename(request.url ?? ''))).then(
        (content) => response.end(content),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve));
    const context: Partial<CommandContext> = {
      signal: new AbortController().signal,
      clock: systemClock,
      log: silentLog,
      environment: { DOCKER_HOST: `unix://${docker.socket}`, HOME: folder.path, PATH: process.env['PATH'] },
      defer: (close) => void closers.push(close),
      conceal() {},
      label() {},
    };
    const runTask = await localRunner(context as CommandContext);
    expect(runTask).toBeDefined();
    scheduler = await startTestbed({ alts: { runTask, workers: 2 } });
  });
  afterAll(async () => {
    await scheduler?.close();
    for (const close of closers) await close();
    mirror?.close();
    await daemon?.close();
    await docker?.close();
    await folder?.remove();
  });

  const submit = (...argv: readonly string[]) => submitOn('amd64', ...argv);

  const submitOn = (architecture: string, ...argv: readonly string[]) => {
    const { port } = mirror.address() as AddressInfo;
    const on = [
      '--dist',
      'debian:12',
      '--arch',
      architecture,
      '--scheduler-url',
      scheduler.url,
      '--wait',
      '--json',
    ];
    const repository = `mine=deb http://127.0.0.1:${port} ./`;
    return runCommand('package-test submit', [...argv, ...on, '--repository', repository], {
      env: { XDG_STATE_HOME: join(folder.path, 'state') },
    });
  };

  test('runs what is submitted: a sound package passes, a broken and a missing one fail at their stage', async () => {
    const run = await submit('sound', 'file-removed', 'nowhere');
    expect(run.exitCode, run.stderr + run.stdout).toBe(1);
    const told = run.json().result.tasks.map(
      // biome-ignore lint/suspicious/noExplicitAny: the answer is checked against its schema
      ({ package: name, verdict }: any) => [
        name,
        verdict.outcome,
        ...verdict.stages
          .filter(({ status }: { status: string }) => status === 'failed')
          .map(({ path }: { path: string[] }) => path.join('/')),
      ],
    );
    expect(told).toEqual([
      ['sound', 'passed'],
      ['file-removed', 'failed', 'tests/package_integrity_tests'],
      ['nowhere', 'failed', 'install_package'],
    ]);
    expect(run.stdout).toContain('/usr/share/file-removed/data');
    expect(await docker.run(['ps', '--all', '--quiet'])).toBe('');
  });

  test('never mounts a folder of this machine for who submits', async () => {
    const run = await submit('sound', '--repository', `folder=deb file:${folder.path} ./`);
    expect(run.exitCode).toBe(69);
    expect(run.json().result.tasks[0]).toMatchObject({ state: 'FAILURE' });
  });

  test('runs the third-party tests of a repository, with their variables', async () => {
    await daemon.commit('tests', {
      'sound/good.sh': 'test -f /usr/share/sound/data && test "$GREETING" = hello\n',
      'sound/bad.sh': 'echo "1..1"; echo "not ok 1 - $GREETING"\n',
    });
    const tests = ['--test-repo', `${daemon.url}/tests/.git#sound@main`, '--test-env', 'GREETING=hello'];
    const run = await submit('sound', ...tests);
    expect(run.exitCode, run.stderr + run.stdout).toBe(1);
    const { verdict } = run.json().result.tasks[0];
    const stages = verdict.stages.map(({ path, status }: { path: string[]; status: string }) => [
      path.join('/'),
      status,
    ]);
    expect(stages).toContainEqual(['third_party/third_party_test_good.sh', 'passed']);
    expect(stages).toContainEqual(['third_party/third_party_test_bad.sh', 'failed']);
    expect(verdict.reason).toContain('1 of 1 test failed: hello');
  });

  test('is a failure of the worker when the tests cannot be had, and when there is no such image', async () => {
    for (const run of [
      await submit('sound', '--test-repo', `${daemon.url}/nowhere/.git#sound`),
      await submitOn('s390x', 'sound'),
    ]) {
      expect(run.exitCode, run.stderr + run.stdout).toBe(69);
      expect(run.json().result.tasks[0]).toMatchObject({ state: 'FAILURE' });
    }
    expect(await docker.run(['ps', '--all', '--quiet'])).toBe('');
  });
});
