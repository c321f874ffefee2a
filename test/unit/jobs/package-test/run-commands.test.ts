import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { InstallOptions } from '../../../../src/jobs/package-test/run/package-tools.ts';
import { rpmTools } from '../../../../src/jobs/package-test/run/rpm-tools.ts';
import type { Stage, Step } from '../../../../src/jobs/package-test/run/stage.ts';
import { useTempFolder } from '../../../support/temp-folder.ts';

// What exactly is asked of package managers of which no image can be had here: the scripts run in a real sh, on a
// system whose package manager only writes down how it was called. The options are those of dnf5-install(8),
// yum(8) and microdnf's source; dnf 4 and apt are run for real in test/real.
const folder = useTempFolder();

const HELPERS = ['sed', 'sort', 'grep', 'cat', 'mkdir'];

/** A system with these programs, each with what it does beside writing down its arguments. */
async function systemWith(programs: Readonly<Record<string, string>>) {
  const place = await mkdtemp(folder('system-'));
  const [bin, log] = [join(place, 'bin'), join(place, 'log')];
  await mkdir(bin);
  await writeFile(log, '');
  for (const helper of HELPERS) await symlink(`/usr/bin/${helper}`, `${bin}/${helper}`);
  for (const [name, body] of Object.entries(programs)) {
    await writeFile(`${bin}/${name}`, `#!/bin/sh\necho "${name} $*" >> ${log}\n${body}\n`);
    await chmod(`${bin}/${name}`, 0o755);
  }
  const stage = {
    sh: (script: string, args: readonly string[] = []) =>
      new Promise<Step>((resolve) => {
        execFile(
          '/bin/sh',
          ['-c', script, 'sh', ...args],
          { env: { PATH: bin } },
          (error, stdout, stderr) => {
            resolve({
              exitCode: typeof error?.code === 'number' ? error.code : 0,
              stdout,
              stderr,
              cut: false,
            });
          },
        );
      }),
  } as Stage;
  return {
    stage,
    calls: async () => (await readFile(log, 'utf8')).trimEnd().split('\n'),
  };
}

async function installCalls(
  programs: Readonly<Record<string, string>>,
  version: string | undefined,
  how: InstallOptions = {},
) {
  const { stage, calls } = await systemWith(programs);
  const wanted = version === undefined ? { name: 'foo' } : { name: 'foo', version };
  const { exitCode } = await rpmTools.install(stage, wanted, how);
  return { exitCode, calls: await calls() };
}

const FILES = ['/t/foo-1.0-1.noarch.rpm', '/t/with space.rpm'];

test.each(['dnf', 'dnf5'])(
  '%s: its option stands behind the command, where dnf 5 alone takes it',
  async (tool) => {
    expect(await installCalls({ [tool]: '', rpm: '' }, '2:1.0-1')).toEqual({
      exitCode: 0,
      calls: [`${tool} -y install --allowerasing foo-2:1.0-1`],
    });
  },
);

test('dnf is asked before all others, and its failure is the failure', async () => {
  const others = { dnf5: '', yum: '', microdnf: '', rpm: '' };
  expect(await installCalls({ ...others, dnf: 'exit 7' }, undefined)).toEqual({
    exitCode: 7,
    calls: ['dnf -y install --allowerasing foo'],
  });
});

test('what is in a file is named by the file alone', async () => {
  const how = { files: FILES, fromFile: true };
  expect((await installCalls({ dnf5: '', rpm: '' }, undefined, how)).calls).toEqual([
    'dnf5 -y install --allowerasing /t/foo-1.0-1.noarch.rpm /t/with space.rpm',
  ]);
});

test.each<[tool: string, how: InstallOptions, again: string]>([
  ['dnf', {}, 'foo-1.0'],
  ['microdnf', {}, 'foo-1.0'],
  ['yum', { files: ['/t/a.rpm'], fromFile: true }, '/t/a.rpm'],
])('%s: what is there in that version already is installed once more', async (tool, how, again) => {
  const present = { version: '1.0-1', architecture: 'noarch' };
  const rpm = "printf '0\\t1.0-1\\tnoarch\\n'";
  const { calls } = await installCalls({ [tool]: '', rpm }, '1.0', { ...how, present });
  expect(calls.at(-1)).toBe(`${tool} -y reinstall ${again}`);
});

test('yum: without the epoch, and by a downgrade where something newer is there', async () => {
  expect((await installCalls({ yum: '', rpm: 'exit 0' }, '2:1.0-1')).calls).toEqual([
    'yum -y install foo-1.0-1',
    'rpm -q -- foo-1.0-1',
  ]);
  expect(await installCalls({ yum: '', rpm: 'exit 1' }, '1.0-1')).toEqual({
    exitCode: 0,
    calls: ['yum -y install foo-1.0-1', 'rpm -q -- foo-1.0-1', 'yum -y downgrade foo-1.0-1'],
  });
  expect(await installCalls({ yum: 'exit 3', rpm: '' }, undefined)).toEqual({
    exitCode: 3,
    calls: ['yum -y install foo'],
  });
});

test('microdnf takes no files: rpm does, after what they need', async () => {
  expect((await installCalls({ microdnf: '', rpm: '' }, '1.0-1')).calls).toEqual([
    'microdnf -y install foo-1.0-1',
  ]);
  const rpm = `case $* in *--test*)
    printf 'error: Failed dependencies:\\n\\tbar >= 2 is needed by foo-1.0-1.noarch\\n' >&2
    printf '\\tlibx.so.1()(64bit) is needed by foo-1.0-1.noarch\\n\\t(a if b) is needed by foo\\n' >&2
    exit 2 ;;
  esac`;
  const options = '--replacepkgs --oldpackage -- /t/foo-1.0-1.noarch.rpm /t/with space.rpm';
  const how = { files: FILES, fromFile: true };
  expect(await installCalls({ microdnf: '', rpm }, undefined, how)).toEqual({
    exitCode: 0,
    calls: [`rpm -U --test ${options}`, 'microdnf -y install bar libx.so.1()(64bit)', `rpm -Uvh ${options}`],
  });
  expect((await installCalls({ microdnf: 'exit 1', rpm }, undefined, how)).exitCode).toBe(1);
  // Files that come along, and a package of a repository.
  const company = await installCalls({ microdnf: '', rpm: 'case $* in -q*) exit 1 ;; esac' }, '1.0', {
    files: FILES,
  });
  expect(company.calls.slice(1)).toEqual([
    `rpm -Uvh ${options}`,
    'rpm -q -- foo-1.0',
    'microdnf -y install foo-1.0',
  ]);
});

test('with rpm alone there must be a file', async () => {
  const { exitCode, calls } = await installCalls({ rpm: '' }, '1.0', { files: ['/t/foo.rpm'] });
  expect([exitCode, calls]).toEqual([0, ['rpm -Uvh --replacepkgs --oldpackage -- /t/foo.rpm']]);
  expect((await installCalls({ rpm: '' }, '1.0')).exitCode).toBe(1);
});

test.each([
  ['dnf', '', 0, 'dnf -y makecache'],
  ['yum', 'exit 1', 1, 'yum -y makecache'],
  ['microdnf', 'exit 1', 1, 'microdnf -y makecache'],
  // As before 3.8.
  ['microdnf', 'echo "error: Unknown command: \'makecache\'" >&2; exit 1', 0, 'microdnf -y makecache'],
])('%s reads its repositories', async (tool, body, exitCode, call) => {
  const { stage, calls } = await systemWith({ [tool]: body });
  expect((await rpmTools.refresh(stage)).exitCode).toBe(exitCode);
  expect(await calls()).toEqual([call]);
});

test.each([
  ['dnf', 'dnf -q -C list --installed foo'],
  ['dnf5', 'dnf5 -q -C list --installed foo'],
  ['yum', 'yum -q -C list installed foo'],
])('%s says where a package came from', async (tool, call) => {
  const { stage, calls } = await systemWith({ [tool]: "echo 'foo.noarch 1.0-1 @extra'" });
  expect(await rpmTools.origin(stage, 'foo')).toBe('extra');
  expect(await calls()).toEqual([call]);
});

test.each(['dnf', 'dnf5', 'yum'])('%s removes what nothing needs any more', async (tool) => {
  const { stage, calls } = await systemWith({ [tool]: '' });
  await rpmTools.tidy(stage);
  expect(await calls()).toEqual([`${tool} -y autoremove`]);
});

test.each(['dnf', 'dnf5'])(
  '%s is asked whether a package is protected, and never answered yes',
  async (tool) => {
    const words =
      'echo "Problem: The operation would result in removing the following protected packages: foo" >&2';
    const { stage, calls } = await systemWith({ [tool]: `${words}; exit 1` });
    expect(await rpmTools.keeps(stage, 'foo')).toBe('it is a protected package');
    expect(await calls()).toEqual([`${tool} -C --assumeno remove foo`]);
    const free = await systemWith({ [tool]: 'exit 1' });
    expect(await rpmTools.keeps(free.stage, 'foo')).toBeUndefined();
  },
);
