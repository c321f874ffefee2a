import { chmod, lstat, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type Credential,
  type CredentialEnvironment,
  type CredentialFile,
  createCredentialSource,
  credentialFile,
  eraseCredential,
  saveCredential,
} from '../../../src/auth/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();
const HOST = 'registry.example.com:5000';
const PASSWORD: Credential = { username: 'user', password: 'pa:ss' };

function environment(env: Record<string, string> = {}): CredentialEnvironment {
  return { home: temp('home'), env: { PATH: `${temp('bin')}:/usr/bin:/bin`, ...env } };
}

const docker = (): CredentialFile => credentialFile('docker', environment());

async function put(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

const read = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));

describe('credentialFile', () => {
  test("is docker's or podman's, wherever they are", () => {
    expect(docker()).toEqual({ kind: 'docker', path: temp('home/.docker/config.json') });
    expect(credentialFile('docker', environment({ DOCKER_CONFIG: '/d' })).path).toBe('/d/config.json');
    expect(credentialFile('podman', environment()).path).toBe(temp('home/.config/containers/auth.json'));
    expect(credentialFile('podman', { ...environment(), uid: 0 }).path).toBe('/run/containers/0/auth.json');
    expect(credentialFile('podman', environment({ XDG_RUNTIME_DIR: '/r' })).path).toBe(
      '/r/containers/auth.json',
    );
    expect(credentialFile('podman', environment({ REGISTRY_AUTH_FILE: '/f' })).path).toBe('/f');
  });
});

describe('saveCredential into a file', () => {
  test('makes it, for the owner alone, and it is found again', async () => {
    const file = docker();
    expect(await saveCredential(file, HOST, PASSWORD, environment())).toEqual({ path: file.path });
    expect((await stat(file.path)).mode & 0o777).toBe(0o600);
    expect(await createCredentialSource({ environment: environment() })(HOST)).toEqual(PASSWORD);
  });

  test.each<[string, Credential]>([
    ['a password', PASSWORD],
    ['an identity token', { identityToken: 'idt' }],
    ['an identity token with a name', { identityToken: 'idt', username: 'u' }],
    ['a bearer token', { bearerToken: 'b' }],
  ])('%s is read back as it was', async (_, credential) => {
    await saveCredential(docker(), HOST, credential, environment());
    expect(await createCredentialSource({ environment: environment() })(HOST)).toEqual(credential);
  });

  test("leaves everything else as it was, down to the indentation, and tightens the file's mode", async () => {
    const file = docker();
    const before = `{
    "experimental": "enabled",
    "auths": {
        "other.example.com": { "auth": "eDp5", "email": "x@example.com" }
    },
    "HttpHeaders": {
        "X-Meta": "1"
    }
}`;
    await put(file.path, before);
    await chmod(file.path, 0o644);
    await saveCredential(file, HOST, PASSWORD, environment());
    const after = await readFile(file.path, 'utf8');
    expect(after.endsWith('}')).toBe(true);
    expect(after).toContain('\n    "experimental": "enabled",\n    "auths": {\n        "other');
    expect(JSON.parse(after)).toEqual({
      experimental: 'enabled',
      auths: {
        'other.example.com': { auth: 'eDp5', email: 'x@example.com' },
        [HOST]: { auth: Buffer.from('user:pa:ss').toString('base64') },
      },
      HttpHeaders: { 'X-Meta': '1' },
    });
    expect((await stat(file.path)).mode & 0o777).toBe(0o600);
  });

  test('files Docker Hub as docker and podman do, and replaces its other spellings', async () => {
    const file = docker();
    await put(file.path, JSON.stringify({ auths: { 'docker.io': { auth: 'eDp5' }, 'index.docker.io': {} } }));
    await saveCredential(file, 'registry-1.docker.io', PASSWORD, environment());
    expect(Object.keys(((await read(file.path)) as { auths: object }).auths)).toEqual([
      'https://index.docker.io/v1/',
    ]);
    const podman = credentialFile('podman', environment());
    await saveCredential(podman, 'docker.io', PASSWORD, environment());
    expect(Object.keys(((await read(podman.path)) as { auths: object }).auths)).toEqual(['docker.io']);
  });

  test('writes through a link, also one that leads to no file yet', async () => {
    for (const [name, target] of [
      ['linked', 'real.json'],
      ['dangling', 'sub/new.json'],
    ] as const) {
      const path = temp(name, 'config.json');
      await mkdir(dirname(path), { recursive: true });
      if (name === 'linked') await put(temp(name, target), '{"auths":{}}');
      await symlink(target, path);
      await saveCredential({ kind: 'docker', path }, HOST, PASSWORD, environment());
      expect((await lstat(path)).isSymbolicLink()).toBe(true);
      expect(await read(temp(name, target))).toHaveProperty(['auths', HOST]);
    }
  });

  test('a broken file is CREDENTIALS_INVALID and stays as it is', async () => {
    await put(docker().path, '{ broken');
    await expect(saveCredential(docker(), HOST, PASSWORD, environment())).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
    });
    expect(await readFile(docker().path, 'utf8')).toBe('{ broken');
  });

  test('a file that cannot be written is OUTPUT_FAILED', async () => {
    await put(temp('file'), '');
    const file: CredentialFile = { kind: 'docker', path: temp('file', 'config.json') };
    await expect(saveCredential(file, HOST, PASSWORD, environment())).rejects.toMatchObject({
      code: 'OUTPUT_FAILED',
    });
  });

  test('a user name with a colon is refused before anything is stored', async () => {
    await expect(
      saveCredential(docker(), HOST, { username: 'a:b', password: 'c' }, environment()),
    ).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
    });
  });
});

describe('eraseCredential from a file', () => {
  test('removes every spelling of that registry, and nothing else', async () => {
    const file = docker();
    const others = {
      'registry.example.com': {},
      [`${HOST}/team`]: { auth: 'eDp5' },
      'other.example.com:5000': {},
    };
    await put(
      file.path,
      JSON.stringify({ auths: { [HOST]: {}, [`https://${HOST}/v1/`]: {}, ...others }, x: 1 }),
    );
    expect(await eraseCredential(file, HOST.toUpperCase(), environment())).toBe(true);
    expect(await read(file.path)).toEqual({ auths: others, x: 1 });
    expect(await eraseCredential(file, HOST, environment())).toBe(false);
  });

  test('without a file there is nothing to erase, and none is made', async () => {
    expect(await eraseCredential(docker(), HOST, environment())).toBe(false);
    await expect(stat(docker().path)).rejects.toThrow('ENOENT');
  });
});

describe('with a helper', () => {
  /** A helper that keeps what it is given in a file. */
  async function install(): Promise<void> {
    await put(
      temp('bin/docker-credential-keeper'),
      `#!/bin/sh
kept=${temp('kept')}
case "$1" in
store) cat > "$kept" ;;
get) if [ -f "$kept" ]; then cat "$kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) read -r host; echo "$host" > ${temp('erased')}; if [ -f "$kept" ]; then rm "$kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
esac
`,
    );
    await chmod(temp('bin/docker-credential-keeper'), 0o755);
  }

  test.each([{ credsStore: 'keeper' }, { credHelpers: { [HOST]: 'keeper' } }])(
    '%j keeps the secret out of the file',
    async (config) => {
      await install();
      const file = docker();
      await put(file.path, JSON.stringify(config));
      const saved = await saveCredential(file, HOST, PASSWORD, environment());
      expect(saved).toEqual({ path: file.path, helper: 'keeper' });
      expect(await read(file.path)).toEqual({ ...config, auths: { [HOST]: {} } });
      expect(await read(temp('kept'))).toEqual({ ServerURL: HOST, Username: 'user', Secret: 'pa:ss' });
      expect(await createCredentialSource({ environment: environment() })(HOST)).toEqual(PASSWORD);

      expect(await eraseCredential(file, HOST, environment())).toBe(true);
      expect(await readFile(temp('erased'), 'utf8')).toBe(`${HOST}\n`);
      expect(await read(file.path)).toEqual({ ...config, auths: {} });
      expect(await eraseCredential(file, HOST, environment())).toBe(false);
    },
  );

  test('an identity token is kept under <token>, Docker Hub under its URL', async () => {
    await install();
    await put(docker().path, '{"credsStore":"keeper"}');
    await saveCredential(docker(), 'docker.io', { identityToken: 'idt' }, environment());
    expect(await read(temp('kept'))).toEqual({
      ServerURL: 'https://index.docker.io/v1/',
      Username: '<token>',
      Secret: 'idt',
    });
  });

  test('a helper that fails leaves the file alone, and its words do not repeat the secret', async () => {
    await put(temp('bin/docker-credential-bad'), '#!/bin/sh\necho "cannot keep $(cat)"; exit 1\n');
    await chmod(temp('bin/docker-credential-bad'), 0o755);
    await put(docker().path, '{"credsStore":"bad"}');
    const error = await saveCredential(
      docker(),
      HOST,
      { username: 'u', password: 'hunter2' },
      environment(),
    ).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({
      code: 'CREDENTIAL_HELPER_FAILED',
      message: expect.stringContaining('cannot keep'),
    });
    expect((error as Error).message).not.toContain('hunter2');
    expect(await readFile(docker().path, 'utf8')).toBe('{"credsStore":"bad"}');
    await expect(eraseCredential(docker(), HOST, environment())).rejects.toMatchObject({
      code: 'CREDENTIAL_HELPER_FAILED',
    });
  });

  test('a bearer token cannot go there', async () => {
    await install();
    await put(docker().path, '{"credsStore":"keeper"}');
    await expect(saveCredential(docker(), HOST, { bearerToken: 'b' }, environment())).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
    });
  });
});
