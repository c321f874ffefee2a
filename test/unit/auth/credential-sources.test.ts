import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CredentialEnvironment, createCredentialSource } from '../../../src/auth/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();
const HOST = 'registry.example.com';

function environment(env: Record<string, string> = {}): CredentialEnvironment {
  return { home: temp('home'), env: { PATH: `${temp('bin')}:/usr/bin:/bin`, ...env } };
}

async function put(path: string, content: unknown): Promise<string> {
  await mkdir(dirname(temp(path)), { recursive: true });
  await writeFile(temp(path), typeof content === 'string' ? content : JSON.stringify(content));
  return temp(path);
}

const auth = (username: string, password: string): { auth: string } => ({
  auth: Buffer.from(`${username}:${password}`).toString('base64'),
});
const dockerFile = (content: unknown): Promise<string> => put('home/.docker/config.json', content);

/** Puts a credential helper into PATH: a shell script, which finds its input in $host. */
async function helper(name: string, script: string): Promise<void> {
  const path = await put(`bin/docker-credential-${name}`, `#!/bin/sh\nread -r host\n${script}\n`);
  await chmod(path, 0o755);
}

const ask = (host = HOST, repository?: string, env?: Record<string, string>) =>
  createCredentialSource({ environment: environment(env) })(host, repository);

describe('the order of cli.md', () => {
  test('each place counts only when those before it do not know the registry', async () => {
    const entry = (name: string): unknown => ({ auths: { [HOST]: auth(name, 'p') } });
    await dockerFile(entry('docker'));
    const env: Record<string, string> = {
      DOCKER_AUTH_CONFIG: JSON.stringify(entry('inline')),
      REGISTRY_AUTH_FILE: await put('named.json', entry('named')),
      XDG_RUNTIME_DIR: temp('run'),
      XDG_CONFIG_HOME: temp('xdg'),
    };
    await put('run/containers/auth.json', entry('runtime'));
    await put('xdg/containers/auth.json', entry('xdg'));
    await put('home/.config/containers/auth.json', entry('home'));
    const explicit = { host: HOST, credential: { username: 'flag', password: 'p' } };
    const source = createCredentialSource({ environment: environment(env), explicit });
    expect(await source(HOST)).toBe(explicit.credential);
    expect(await source('other.example.com')).toBeUndefined();

    const found: unknown[] = [];
    const nameNow = async (): Promise<void> => {
      found.push(((await ask(HOST, undefined, env)) as { username?: string } | undefined)?.username);
    };
    await nameNow();
    delete env['DOCKER_AUTH_CONFIG'];
    await nameNow();
    await put('named.json', { auths: {} });
    await nameNow();
    await dockerFile({});
    await nameNow();
    await put('run/containers/auth.json', '');
    await nameNow();
    delete env['XDG_CONFIG_HOME'];
    await nameNow();
    await put('home/.config/containers/auth.json', {});
    await nameNow();
    expect(found).toEqual(['inline', 'named', 'docker', 'runtime', 'xdg', 'home', undefined]);
  });

  test('DOCKER_CONFIG names the folder, and missing files are no error', async () => {
    await put('elsewhere/config.json', { auths: { [HOST]: auth('u', 'p') } });
    expect(await ask(HOST, undefined, { DOCKER_CONFIG: temp('elsewhere') })).toEqual({
      username: 'u',
      password: 'p',
    });
    expect(await ask()).toBeUndefined();
    expect(
      await ask(HOST, undefined, { REGISTRY_AUTH_FILE: temp('none'), DOCKER_CONFIG: '' }),
    ).toBeUndefined();
  });

  test('files are read once', async () => {
    await dockerFile({ auths: { [HOST]: auth('u', 'p') } });
    const source = createCredentialSource({ environment: environment() });
    expect(await source(HOST)).toBeDefined();
    await dockerFile({});
    expect(await source(HOST)).toBeDefined();
  });
});

describe('entries of a file', () => {
  test.each<[string, unknown, unknown]>([
    ['auth', auth('user', 'pa:ss'), { username: 'user', password: 'pa:ss' }],
    ['auth with padding NULs', auth('user', 'pass\0\0'), { username: 'user', password: 'pass' }],
    ['auth in UTF-8', auth('ü', 'ß'), { username: 'ü', password: 'ß' }],
    ['username and password', { username: 'user', password: 'pass' }, { username: 'user', password: 'pass' }],
    [
      'auth before username',
      { ...auth('a', 'b'), username: 'c', password: 'd' },
      { username: 'a', password: 'b' },
    ],
    ['identitytoken', { identitytoken: 'idt' }, { identityToken: 'idt' }],
    [
      'identitytoken with a name',
      { ...auth('0000', ''), identitytoken: 'idt' },
      { username: '0000', identityToken: 'idt' },
    ],
    ['user <token>', auth('<token>', 'idt'), { identityToken: 'idt' }],
    ['registrytoken', { registrytoken: 'rt' }, { bearerToken: 'rt' }],
    ['empty', {}, undefined],
    ['null', null, undefined],
    ['empty strings', { auth: '', username: '', password: '' }, undefined],
  ])('%s', async (_, entry, expected) => {
    await dockerFile({ auths: { [HOST]: entry } });
    expect(await ask()).toEqual(expected);
  });

  test('Docker Hub has three names', async () => {
    await dockerFile({ auths: { 'https://index.docker.io/v1/': auth('u', 'p') } });
    for (const host of ['docker.io', 'index.docker.io', 'registry-1.docker.io'])
      expect(await ask(host)).toBeDefined();
    expect(await ask('hub.docker.com')).toBeUndefined();
  });

  test('a namespace of podman holds for its repositories', async () => {
    await put('home/.config/containers/auth.json', { auths: { [`${HOST}/team`]: auth('team', 'p') } });
    expect(await ask(HOST, 'team/app')).toEqual({ username: 'team', password: 'p' });
    expect(await ask(HOST, 'other/app')).toBeUndefined();
    expect(await ask(HOST)).toBeUndefined();
  });

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '{"auths": SECRET', /config\.json: not JSON/],
    ['a list', '[]', /config\.json/],
    ['auths that is none', { auths: 'SECRET' }, /config\.json: auths/],
    [
      'auth that is no base64',
      { auths: { [HOST]: { auth: '§SECRET' } } },
      /auths\.registry\.example\.com.*base64/,
    ],
    ['auth without a colon', { auths: { [HOST]: { auth: 'U0VDUkVU' } } }, /base64/],
    ['a number', { auths: { [HOST]: { auth: 5 } } }, /auths\.registry\.example\.com: auth/],
    ['a helper that is none', { credHelpers: { [HOST]: 5 } }, /credHelpers\.registry\.example\.com/],
  ])('%s is CREDENTIALS_INVALID: it names the file and quotes nothing', async (_, content, message) => {
    await dockerFile(content);
    const error = await ask().catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'CREDENTIALS_INVALID', message: expect.stringMatching(message) });
    expect((error as Error).message).not.toContain('SECRET');
  });

  test('a broken entry of another registry does no harm', async () => {
    await dockerFile({
      auths: { 'other.example.com': { auth: 5 }, [HOST]: auth('u', 'p') },
      credHelpers: { x: 5 },
    });
    expect(await ask()).toEqual({ username: 'u', password: 'p' });
  });

  test('a folder in place of the file is CREDENTIALS_INVALID', async () => {
    await mkdir(temp('home/.docker/config.json'), { recursive: true });
    await expect(ask()).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  });
});

describe('credential helpers', () => {
  const answer = (name: string, secret: string): string =>
    `echo '{"ServerURL":"x","Username":"${name}","Secret":"${secret}"}'`;

  test('credHelpers comes before credsStore, which comes before auths', async () => {
    await helper('own', answer('own', 's'));
    await helper('common', answer('common', 's'));
    await dockerFile({
      credHelpers: { [HOST]: 'own' },
      credsStore: 'common',
      auths: { [HOST]: auth('file', 'p') },
    });
    expect(await ask()).toEqual({ username: 'own', password: 's' });
    expect(await ask('other.example.com')).toEqual({ username: 'common', password: 's' });
  });

  test('is given `get` and the registry on its standard input, nothing on its command line', async () => {
    await helper('spy', `echo "$* $host" >> ${temp('spied')}; ${answer('u', 's')}`);
    await dockerFile({ credsStore: 'spy' });
    await ask('registry.example.com:5000');
    await ask('docker.io');
    expect(await readFile(temp('spied'), 'utf8')).toBe(
      'get registry.example.com:5000\nget https://index.docker.io/v1/\n',
    );
  });

  test('is asked once per registry', async () => {
    await helper('spy', `echo x >> ${temp('spied')}; ${answer('u', 's')}`);
    await dockerFile({ credsStore: 'spy' });
    const source = createCredentialSource({ environment: environment() });
    await Promise.all([source(HOST), source(HOST, 'a/b'), source(HOST)]);
    expect(await readFile(temp('spied'), 'utf8')).toBe('x\n');
  });

  test('user <token> is an identity token', async () => {
    await helper('h', answer('<token>', 'idt'));
    await dockerFile({ credsStore: 'h' });
    expect(await ask()).toEqual({ identityToken: 'idt' });
  });

  test('"credentials not found" is none; the next place is asked', async () => {
    await helper('none', 'echo "credentials not found in native keychain"; exit 1');
    await dockerFile({ credsStore: 'none' });
    expect(await ask()).toBeUndefined();
    await dockerFile({ credsStore: 'none', auths: { [HOST]: auth('u', 'p') } });
    expect(await ask()).toEqual({ username: 'u', password: 'p' });
  });

  test.each<[string, string, RegExp]>([
    ['fails', 'echo "keychain is locked, password=SECRET" >&2; exit 3', /ended with 3 \(keychain is locked/],
    ['gives no JSON', 'echo SECRET', /no JSON/],
    ['gives other JSON', `echo '{"Secret":"SECRET"}'`, /no Username/],
    ['is killed', 'kill -9 $$', /SIGKILL/],
    ['floods', `yes SECRET`, /more than 1048576 bytes/],
  ])(
    'CVE-2021-41092: a helper that %s is CREDENTIAL_HELPER_FAILED, whatever else there is',
    async (_, script, message) => {
      await helper('bad', script);
      await dockerFile({
        credHelpers: { [HOST]: 'bad' },
        auths: { [HOST]: auth('u', 'p'), 'docker.io': auth('hub', 'p') },
      });
      const error = await ask().catch((thrown: Error) => thrown);
      expect(error).toMatchObject({
        code: 'CREDENTIAL_HELPER_FAILED',
        message: expect.stringMatching(message),
      });
      expect((error as Error).message).not.toContain('SECRET');
    },
  );

  test('a helper that is not installed is CREDENTIAL_HELPER_FAILED', async () => {
    await dockerFile({ credsStore: 'absent' });
    await expect(ask()).rejects.toMatchObject({
      code: 'CREDENTIAL_HELPER_FAILED',
      message: expect.stringContaining('docker-credential-absent is not in PATH'),
    });
  });

  test.each(['../evil', 'a b', 'a;touch x', 'a/b', '$(x)', 'a\n'])(
    'the name %j starts nothing',
    async (name) => {
      await dockerFile({ credsStore: name });
      await expect(ask()).rejects.toMatchObject({
        code: 'CREDENTIAL_HELPER_FAILED',
        message: expect.stringContaining('impossible name'),
      });
    },
  );

  test('a helper that hangs is stopped', async () => {
    await helper('slow', 'exec sleep 60');
    await dockerFile({ credsStore: 'slow' });
    const source = createCredentialSource({ environment: environment(), helperTimeoutMs: 100 });
    await expect(source(HOST)).rejects.toMatchObject({
      code: 'CREDENTIAL_HELPER_FAILED',
      message: expect.stringContaining('no answer within 0.1 s'),
    });
  });

  test('an empty name in credHelpers switches the common store off for that registry', async () => {
    await dockerFile({
      credsStore: 'absent',
      credHelpers: { [HOST]: '' },
      auths: { [HOST]: auth('u', 'p') },
    });
    expect(await ask()).toEqual({ username: 'u', password: 'p' });
  });

  test('a helper that does not read its input is fine', async () => {
    const path = await put('bin/docker-credential-deaf', `#!/bin/sh\n${answer('u', 's')}\n`);
    await chmod(path, 0o755);
    await dockerFile({ credsStore: 'deaf' });
    expect(await ask()).toEqual({ username: 'u', password: 's' });
  });
});
