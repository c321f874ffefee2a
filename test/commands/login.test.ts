import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type RunOptions, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { pushImage } from '../support/testbed-client.ts';
import { ended, openRegistry } from './support.ts';

const folder = useTempFolder();
const PASSWORD = 'geheim-und-recht-lang';
const auth = { username: 'ci', password: PASSWORD };
const BASIC = Buffer.from(`ci:${PASSWORD}`).toString('base64');
const asCi = { headers: { authorization: `Basic ${BASIC}` } };

/** The same home for every run of a test. */
const home = (): Record<string, string> => ({ HOME: folder('home') });
const dockerFile = (): string => folder('home', '.docker', 'config.json');

function login(argv: readonly string[], options: RunOptions = {}) {
  return runCommand('login', argv, { ...options, env: { ...home(), ...options.env } });
}

function logout(argv: readonly string[], options: RunOptions = {}) {
  return runCommand('logout', argv, { ...options, env: { ...home(), ...options.env } });
}

// biome-ignore lint/suspicious/noExplicitAny: foreign JSON
async function jsonOf(path: string): Promise<any> {
  return JSON.parse(await readFile(path, 'utf8'));
}

describe('login', () => {
  test.each([
    ['Basic', { auth }],
    ['a token service', { auth, tokenAuth: true }],
  ])('asks the registry first (%s): only what it accepts is stored', async (_, options) => {
    const registry = await openRegistry(options);
    const wrong = await login([registry.url, '-u', 'ci', '--password-stdin', '--json'], {
      stdin: 'not-the-password\n',
    });
    expect(ended(77, wrong).json()).toMatchObject({ result: null, error: { code: 'AUTHENTICATION_FAILED' } });
    await expect(stat(dockerFile())).rejects.toThrow('ENOENT');

    const right = await login([registry.url, '-u', 'ci', '--password-stdin', '--json'], {
      stdin: `${PASSWORD}\n`,
    });
    expect(ended(0, right).json().result).toEqual({
      registry: registry.name,
      username: 'ci',
      path: dockerFile(),
    });
    expect(await jsonOf(dockerFile())).toEqual({ auths: { [registry.name]: { auth: BASIC } } });
    expect((await stat(dockerFile())).mode & 0o777).toBe(0o600);
    expect(right.stdout + right.stderr + wrong.stdout + wrong.stderr).not.toContain(PASSWORD);
  });

  test('what it stored is used by the other commands, and by nothing for another registry', async () => {
    const registry = await openRegistry({ auth });
    const other = await openRegistry({ auth });
    await pushImage(registry, 'app', '1', {}, asCi);
    ended(0, await login([registry.name, '-u', 'ci', '--password', PASSWORD]));
    const seen = await runCommand('inspect', [`${registry.name}/app:1`, '--digest'], { env: home() });
    expect(ended(0, seen).stdout).toMatch(/^sha256:/);
    ended(77, await runCommand('inspect', [`${other.name}/app:1`], { env: home() }));
  });

  test('in words', async () => {
    const registry = await openRegistry({ auth });
    const run = await login(['--registry-url', registry.url], {
      env: { REGOPS_USERNAME: 'ci', REGOPS_PASSWORD: PASSWORD },
    });
    expect(ended(0, run).stdout).toBe(`logged in to ${registry.name} as ci; kept in ${dockerFile()}\n`);
  });

  test('foreign keys and other registries stay as they are', async () => {
    const registry = await openRegistry({ auth });
    await mkdir(folder('home', '.docker'), { recursive: true });
    const before = {
      HttpHeaders: { 'X-Meta': 'yes' },
      auths: { 'registry.example.com': { auth: 'b3RoZXI6cHc=', 'x-own': 1 } },
      credHelpers: { 'helped.example.com': 'nothing' },
      unknownToUs: [1, 2],
    };
    await writeFile(dockerFile(), JSON.stringify(before), { mode: 0o644 });
    ended(0, await login([registry.url, '-u', 'ci', '--password-stdin'], { stdin: PASSWORD }));
    expect(await jsonOf(dockerFile())).toEqual({
      ...before,
      auths: { ...before.auths, [registry.name]: { auth: BASIC } },
    });
    expect((await stat(dockerFile())).mode & 0o777).toBe(0o600);
    ended(0, await logout([registry.name]));
    expect(await jsonOf(dockerFile())).toEqual(before);
  });

  test('--store podman writes podman’s file, REGISTRY_AUTH_FILE names it', async () => {
    const registry = await openRegistry({ auth });
    const argv = [registry.url, '-u', 'ci', '--password-stdin', '--json'];
    const runtime = folder('run');
    const run = await login([...argv, '--store', 'podman'], {
      stdin: PASSWORD,
      env: { XDG_RUNTIME_DIR: runtime },
    });
    const file = folder('run', 'containers', 'auth.json');
    expect(ended(0, run).json().result.path).toBe(file);
    expect(await jsonOf(file)).toEqual({ auths: { [registry.name]: { auth: BASIC } } });
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    const env = { REGISTRY_AUTH_FILE: folder('own.json') };
    expect(ended(0, await login(argv, { stdin: PASSWORD, env })).json().result.path).toBe(folder('own.json'));
    expect(await jsonOf(folder('own.json'))).toEqual({ auths: { [registry.name]: { auth: BASIC } } });
    expect(ended(0, await logout([registry.name, '--json'], { env })).json().result).toEqual({
      registry: registry.name,
      path: folder('own.json'),
      removed: true,
    });
    expect(await jsonOf(folder('own.json'))).toEqual({ auths: {} });
  });

  test('a credential helper keeps the secret, the file does not', async () => {
    const registry = await openRegistry({ auth });
    await pushImage(registry, 'app', '1', {}, asCi);
    // Keeps what it is given beside itself, as docker-credential-* programs talk.
    const helper = folder('docker-credential-drawer');
    await writeFile(
      helper,
      [
        '#!/bin/sh',
        'drawer="$(dirname "$0")/drawer.json"',
        'case "$1" in',
        '  store) cat > "$drawer" ;;',
        '  get) [ -f "$drawer" ] && exec cat "$drawer"; echo credentials not found in native keychain; exit 1 ;;',
        '  erase) rm "$drawer" ;;',
        'esac',
      ].join('\n'),
    );
    await chmod(helper, 0o755);
    await mkdir(folder('home', '.docker'), { recursive: true });
    await writeFile(dockerFile(), JSON.stringify({ credHelpers: { [registry.name]: 'drawer' } }));
    const env = { PATH: `${folder()}:${process.env['PATH']}` };

    const run = await login([registry.url, '-u', 'ci', '--password-stdin', '--json'], {
      stdin: PASSWORD,
      env,
    });
    expect(ended(0, run).json().result).toMatchObject({ helper: 'drawer', path: dockerFile() });
    expect(await jsonOf(folder('drawer.json'))).toEqual({
      ServerURL: registry.name,
      Username: 'ci',
      Secret: PASSWORD,
    });
    expect(await readFile(dockerFile(), 'utf8')).not.toContain(BASIC);

    const seen = await runCommand('inspect', [`${registry.name}/app:1`, '--digest'], {
      env: { ...home(), ...env },
    });
    ended(0, seen);
    expect(ended(0, await logout([registry.name], { env })).stdout).toBe(`logged out of ${registry.name}\n`);
    await expect(stat(folder('drawer.json'))).rejects.toThrow('ENOENT');
  });

  test('a token is kept as one', async () => {
    const registry = await openRegistry();
    ended(0, await login([registry.url], { env: { REGOPS_TOKEN: 'ein-langes-geheimnis' } }));
    expect(await jsonOf(dockerFile())).toEqual({
      auths: { [registry.name]: { registrytoken: 'ein-langes-geheimnis' } },
    });
  });

  test('where no registry answers, nothing is stored', async () => {
    const argv = ['http://127.0.0.1:9', '-u', 'ci', '--password-stdin', '--retries', '0'];
    ended(69, await login(argv, { stdin: PASSWORD }));
    await expect(stat(dockerFile())).rejects.toThrow('ENOENT');
  });

  test('a broken file is left alone', async () => {
    const registry = await openRegistry({ auth });
    await mkdir(folder('home', '.docker'), { recursive: true });
    await writeFile(dockerFile(), '{"auths": {');
    const run = await login([registry.url, '-u', 'ci', '--password-stdin'], { stdin: PASSWORD });
    expect(ended(78, run).stderr).toContain(`${dockerFile()}: not JSON`);
    expect(await readFile(dockerFile(), 'utf8')).toBe('{"auths": {');
  });

  test.each([
    [[], 'no credentials for docker.io, and no terminal to ask on'],
    [['r.example.com', '-u', 'ci'], 'credentials need a password too'],
    [['r.example.com', '--password', PASSWORD], 'credentials need --username too'],
    [['r.example.com', '-u', 'ci', '--password-stdin'], '--password-stdin: no password on standard input'],
    [['r.example.com', '-u', 'a', '--password', PASSWORD, '--token', PASSWORD], 'cannot be used together'],
    [['ftp://r.example.com', '-u', 'ci', '--password', PASSWORD], "scheme 'ftp' is neither http nor https"],
    [['r.example.com', '--store', 'keychain'], '--store'],
  ])('%o is a usage error', async (argv, message) => {
    const run = ended(64, await login(argv));
    expect(run.stderr).toContain(message);
    expect(run.stdout + run.stderr).not.toContain(PASSWORD);
  });
});

describe('logout', () => {
  test('of what was never stored is no error', async () => {
    const run = ended(0, await logout(['registry.example.com', '--json']));
    expect(run.json().result).toEqual({
      registry: 'registry.example.com',
      path: dockerFile(),
      removed: false,
    });
    expect(ended(0, await logout(['registry.example.com'])).stdout).toBe(
      'nothing was stored for registry.example.com\n',
    );
    await expect(stat(dockerFile())).rejects.toThrow('ENOENT');
  });

  test('without a name means Docker Hub, under every name it has', async () => {
    await mkdir(folder('home', '.docker'), { recursive: true });
    const auths = { 'https://index.docker.io/v1/': { auth: BASIC }, 'registry.example.com': { auth: BASIC } };
    await writeFile(dockerFile(), JSON.stringify({ auths }));
    expect(ended(0, await logout(['--json'])).json().result).toMatchObject({
      registry: 'docker.io',
      removed: true,
    });
    expect(await jsonOf(dockerFile())).toEqual({ auths: { 'registry.example.com': { auth: BASIC } } });
  });
});
