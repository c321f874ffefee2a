import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';

const folder = useTempFolder();
const path = (): string => folder('regops', 'config.json');

const config = (words: string, argv: readonly string[] = [], env: Record<string, string> = {}) =>
  runCommand(`config ${words}`, argv, { env: { XDG_CONFIG_HOME: folder(), ...env } });

async function write(text: string): Promise<void> {
  await mkdir(dirname(path()), { recursive: true });
  await writeFile(path(), text);
}

test('path says where the file is, whether there or not, broken or not', async () => {
  expect(await config('path')).toMatchObject({ exitCode: 0, stdout: `${path()}\n`, stderr: '' });
  await write('{');
  expect((await config('path', ['--json'])).json().result).toEqual({ path: path() });
});

describe('set and get', () => {
  test('a default', async () => {
    const set = await config('set', ['timeout', '45s']);
    expect(set).toMatchObject({ exitCode: 0, stdout: `defaults.timeout is set in ${path()}\n` });
    expect(await config('get', ['timeout'])).toMatchObject({ exitCode: 0, stdout: '45s\n' });
    expect((await config('get', ['defaults.timeout', '--json'])).json().result).toEqual({
      name: 'timeout',
      value: '45s',
      from: 'defaults.timeout',
    });
  });

  test('a profile’s value, which is in force when the profile is chosen', async () => {
    await config('set', ['timeout', '45s']);
    await config('set', ['profiles.prod.timeout', '90s']);
    expect((await config('get', ['timeout'])).stdout).toBe('45s\n');
    expect((await config('get', ['timeout', '--profile', 'prod'])).stdout).toBe('90s\n');
    expect((await config('get', ['timeout'], { REGOPS_PROFILE: 'prod' })).stdout).toBe('90s\n');
    expect((await config('get', ['profiles.prod.timeout'])).stdout).toBe('90s\n');
    expect((await config('get', ['timeout'], { REGOPS_TIMEOUT: '7' })).stdout).toBe('7\n');
  });

  test('a switch is stored as what it means', async () => {
    expect((await config('set', ['insecure', 'YES', '--json'])).json().result.value).toBe(true);
    expect((await config('set', ['insecure', 'off', '--json'])).json().result.value).toBe(false);
    expect(JSON.parse(await readFile(path(), 'utf8'))).toEqual({ defaults: { insecure: false } });
  });

  test.each([
    [['timeout', '5x'], "timeout: invalid duration '5x'"],
    [['insecure', 'maybe'], 'insecure: expected true or false'],
    [['format', 'xml'], 'format: expected one of table, json'],
    [['timeout', '1', '2'], 'timeout takes one value'],
    [['timeot', '1s'], "there is no setting 'timeot'"],
    [['a.b.c', '1s'], "'a.b.c' is not a setting"],
    [['timeout'], 'missing argument VALUE'],
    [['registry-url', 'https://me:geheim123@registry.example.com'], 'must not hold a user name or password'],
    [['password', 'geheim123'], 'password is a secret'],
    [['profiles.prod.token', 'geheim123'], 'profiles.prod.token is a secret'],
    [['profile', 'prod'], "there is no setting 'profile'"],
  ])('refuses %j and stores nothing', async (argv, message) => {
    const run = await config('set', argv);
    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toContain(message);
    expect(run.stderr).not.toContain('geheim123');
    await expect(readFile(path())).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('what is not set is exit 66', async () => {
    const run = await config('get', ['timeout', '--json']);
    expect(run.exitCode).toBe(66);
    expect(run.json().error).toMatchObject({ code: 'SETTING_NOT_FOUND' });
  });
});

test('unset takes a value out, and does not mind one that is not there', async () => {
  await config('set', ['timeout', '45s']);
  expect((await config('unset', ['timeout', '--json'])).json().result).toEqual({
    key: 'defaults.timeout',
    path: path(),
    removed: true,
  });
  expect(await config('unset', ['timeout'])).toMatchObject({
    exitCode: 0,
    stdout: `defaults.timeout was not set in ${path()}\n`,
  });
});

test('unset also removes a secret that somebody wrote into the file', async () => {
  await write('{"defaults": {"password": "geheim123"}}');
  expect((await config('unset', ['password'])).exitCode).toBe(0);
  expect(await readFile(path(), 'utf8')).not.toContain('geheim123');
});

describe('list', () => {
  test('what no command knows is in force nowhere', async () => {
    await write(JSON.stringify({ defaults: { timeot: '45s' } }));
    const { settings } = (await config('list', ['--json'])).json().result;
    expect(settings).toEqual([{ name: 'timeot', value: '45s', from: 'defaults.timeot', inForce: false }]);
  });

  test('shows what is in force and where it comes from, and no secret', async () => {
    await write(
      JSON.stringify({
        defaults: { timeout: '45s', password: 'geheim123' },
        profiles: { prod: { timeout: 9 } },
      }),
    );
    const run = await config('list', ['--profile', 'prod'], { REGOPS_TOKEN: 'geheim456' });
    expect(run.stdout.split('\n').slice(0, 4)).toEqual([
      'SETTING  VALUE     FROM                   IN FORCE',
      'timeout  9         profiles.prod.timeout  yes',
      'timeout  45s       defaults.timeout       no',
      'token    (secret)  REGOPS_TOKEN           yes',
    ]);
    expect(run.stdout + run.stderr).not.toMatch(/geheim/);
    expect((await config('list', ['--profile', 'prod', '--json'])).json().result.profile).toBe('prod');
  });

  test('shows a variable under the name that its commands listen to', async () => {
    const env = { REGOPS_SNAPSHOT_REPOSITORY: 'team/snapshots', REGOPS_REPOSITORY: 'nobody/listens' };
    expect((await config('list', ['--json'], env)).json().result.settings).toEqual([
      { name: 'repository', value: 'team/snapshots', from: 'REGOPS_SNAPSHOT_REPOSITORY', inForce: true },
    ]);
    expect((await config('get', ['repository'], env)).stdout).toBe('team/snapshots\n');
  });

  test('of nothing says where it would be', async () => {
    expect(await config('list')).toMatchObject({
      exitCode: 0,
      stdout: `nothing is set; ${path()} is where it would be\n`,
    });
  });

  test('with a profile that is not there is exit 78', async () => {
    expect((await config('list', ['--profile', 'none'])).exitCode).toBe(78);
  });
});

test.each(['list', 'get timeout', 'set timeout 5s', 'unset timeout'])(
  'with a broken file %s is exit 78 and says what to do',
  async (words) => {
    await write('{"defaults": ');
    const [name = '', ...argv] = words.split(' ');
    const run = await config(name, argv);
    expect(run).toMatchObject({ exitCode: 78, stdout: '' });
    expect(run.stderr).toContain(`the settings file ${path()} is broken`);
    expect(run.stderr).toContain('Correct');
    expect(await readFile(path(), 'utf8')).toBe('{"defaults": ');
  },
);
