import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import {
  type DockerRegistry,
  type DockerRegistryOptions,
  startDockerRegistry,
} from '../support/servers/docker-registry.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import {
  type ProgramFailure,
  runProgram,
  startServer,
  temporaryFolder,
} from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo, type Skopeo, skopeoAccess } from '../support/servers/skopeo.ts';

// The servers that other tests trust: each must be what it says it is.
const describeRegistry = requireServers('docker-registry', 'skopeo');
const describeDockerd = requireServers('dockerd');
const describeDockerdPush = requireServers('dockerd', 'docker-registry', 'skopeo');

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The failure of work that must not succeed. */
async function failureOf(work: Promise<unknown>): Promise<ProgramFailure> {
  try {
    await work;
  } catch (error) {
    return error as ProgramFailure;
  }
  throw new Error('it succeeded');
}

describeRegistry('docker-registry', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let skopeo: Skopeo;
  let archive: string;

  beforeAll(async () => {
    folder = await temporaryFolder('servers-test');
    skopeo = await openSkopeo();
    archive = `docker-archive:${join(folder.path, 'tiny.tar')}:tiny:1`;
    const image = await makeImage({ seed: 'servers', names: ['tiny:1'], layers: [{ size: 100 }] });
    await writeDockerArchive(join(folder.path, 'tiny.tar'), [image]);
  });
  afterAll(async () => {
    await skopeo?.close();
    await folder?.remove();
  });

  async function withRegistry(
    options: DockerRegistryOptions,
    use: (registry: DockerRegistry) => Promise<void>,
  ): Promise<void> {
    const registry = await startDockerRegistry(options);
    try {
      await use(registry);
    } finally {
      await registry.close();
    }
    expect(existsSync(registry.dir)).toBe(false);
    await expect(once(connect(registry.port, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED');
  }

  const push = (registry: DockerRegistry, options: { anonymous?: boolean } = {}): Promise<void> =>
    skopeo.copy(archive, `docker://${registry.host}/team/tiny:1`, {
      destination: skopeoAccess(registry, options),
    });

  test.each<[string, DockerRegistryOptions]>([
    ['anonymous', {}],
    ['htpasswd', { auth: 'htpasswd' }],
    ['bearer token', { auth: 'token' }],
    ['TLS', { tls: true }],
    ['client certificates', { clientCertificates: true }],
    ['TLS and htpasswd', { tls: true, auth: 'htpasswd' }],
    ['TLS and bearer token', { tls: true, auth: 'token' }],
  ])('%s: skopeo pushes and reads back', async (_mode, options) => {
    await withRegistry(options, async (registry) => {
      await push(registry);
      const access = skopeoAccess(registry);
      expect(await skopeo.listTags(`${registry.host}/team/tiny`, access)).toEqual(['1']);
      const raw = await skopeo.inspectRaw(`docker://${registry.host}/team/tiny:1`, access);
      const inspected = await skopeo.inspect(`docker://${registry.host}/team/tiny:1`, access);
      expect(inspected['Digest']).toBe(`sha256:${sha256(Buffer.from(raw))}`);
      expect(JSON.parse(raw).layers).toHaveLength(1);
    });
  });

  test('anonymous: plain http, no challenge, and what was pushed can be deleted by its digest', async () => {
    await withRegistry({}, async (registry) => {
      expect(registry).toMatchObject({
        caFile: undefined,
        clientCertFile: undefined,
        tokenServer: undefined,
      });
      expect((await fetch(`${registry.url}/v2/`)).status).toBe(200);
      await push(registry);
      const { Digest: digest } = await skopeo.inspect(
        `docker://${registry.host}/team/tiny:1`,
        skopeoAccess(registry),
      );
      const manifest = `${registry.url}/v2/team/tiny/manifests/${digest}`;
      expect((await fetch(manifest, { method: 'DELETE' })).status).toBe(202);
      expect((await fetch(manifest)).status).toBe(404);
    });
  });

  test('delete can be forbidden', async () => {
    await withRegistry({ deleteEnabled: false }, async (registry) => {
      const manifest = `${registry.url}/v2/team/tiny/manifests/sha256:${'0'.repeat(64)}`;
      expect((await fetch(manifest, { method: 'DELETE' })).status).toBe(405);
    });
  });

  test('htpasswd: 401 with a Basic challenge without the password, or with a wrong one', async () => {
    await withRegistry({ auth: 'htpasswd' }, async (registry) => {
      const ask = (credentials?: string): Promise<Response> =>
        fetch(`${registry.url}/v2/`, {
          headers: credentials
            ? { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
            : {},
        });
      const refused = await ask();
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
      expect((await ask(`${registry.username}:wrong`)).status).toBe(401);
      expect((await ask(`${registry.username}:${registry.password}`)).status).toBe(200);
      expect((await failureOf(push(registry, { anonymous: true }))).stderr).toContain('unauthorized');
    });
  });

  describe('bearer token', () => {
    const token = async (registry: DockerRegistry, query: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${registry.tokenServer?.realm}?service=x&${query}`, { headers });
      return { status: response.status, body: (await response.json()) as Record<string, string> };
    };
    const oauth = async (registry: DockerRegistry, form: Record<string, string>) => {
      const body = new URLSearchParams({ service: 'x', client_id: 'test', ...form });
      const response = await fetch(registry.tokenServer?.realm ?? '', { method: 'POST', body });
      return { status: response.status, body: (await response.json()) as Record<string, string> };
    };
    const tags = (registry: DockerRegistry, bearer: string | undefined): Promise<Response> =>
      fetch(`${registry.url}/v2/team/tiny/tags/list`, { headers: { authorization: `Bearer ${bearer}` } });
    const scope = 'repository:team/tiny:pull';

    test('401 names realm, service and scope, and skopeo’s login is asked for', async () => {
      await withRegistry({ auth: 'token' }, async (registry) => {
        const response = await fetch(`${registry.url}/v2/team/tiny/tags/list`);
        expect(response.status).toBe(401);
        const { realm, service } = registry.tokenServer ?? {};
        expect(response.headers.get('www-authenticate')).toBe(
          `Bearer realm="${realm}",service="${service}",scope="${scope}"`,
        );
        await push(registry);
        const requests = registry.tokenServer?.requests ?? [];
        expect(requests.length).toBeGreaterThan(0);
        expect(requests.every((it) => it.grant === 'basic' && it.status === 200)).toBe(true);
      });
    });

    test('without a name one may pull and not push', async () => {
      await withRegistry({ auth: 'token' }, async (registry) => {
        await push(registry);
        const anonymous = skopeoAccess(registry, { anonymous: true });
        expect(await skopeo.listTags(`${registry.host}/team/tiny`, anonymous)).toEqual(['1']);
        expect((await failureOf(push(registry, { anonymous: true }))).stderr).toMatch(/denied|unauthorized/);
      });
    });

    test('wrong credentials get none, and a token is good for its scope alone', async () => {
      await withRegistry({ auth: 'token' }, async (registry) => {
        await push(registry);
        const wrong = { authorization: `Basic ${Buffer.from('anna:wrong').toString('base64')}` };
        expect((await token(registry, `scope=${scope}`, wrong)).status).toBe(401);
        const right = await token(registry, `scope=${scope}`);
        expect((await tags(registry, right.body['token'])).status).toBe(200);
        const other = await token(registry, 'scope=repository:team/other:pull');
        expect((await tags(registry, other.body['token'])).status).toBe(401);
        const forged = `${right.body['token']?.slice(0, -8)}AAAAAAAA`;
        expect((await tags(registry, forged)).status).toBe(401);
      });
    });

    test('OAuth 2: password and refresh_token', async () => {
      await withRegistry({ auth: 'token' }, async (registry) => {
        await push(registry);
        const { username, password } = registry;
        const login = { grant_type: 'password', username, password, access_type: 'offline', scope };
        const first = await oauth(registry, login);
        expect((await tags(registry, first.body['access_token'])).status).toBe(200);
        const refreshToken = first.body['refresh_token'] ?? '';
        for (const refresh_token of [refreshToken, registry.tokenServer?.issueRefreshToken() ?? '']) {
          const again = await oauth(registry, { grant_type: 'refresh_token', refresh_token, scope });
          expect((await tags(registry, again.body['access_token'])).status).toBe(200);
        }
        expect((await oauth(registry, { ...login, password: 'wrong' })).status).toBe(401);
        expect((await oauth(registry, { grant_type: 'refresh_token', refresh_token: 'no' })).status).toBe(
          401,
        );
      });
    });
  });

  describe('TLS', () => {
    /** HTTP status of a GET with Node's own client, or the code of its error. */
    const status = async (
      registry: DockerRegistry,
      withClientCertificate: boolean,
      ca = true,
    ): Promise<unknown> => {
      const file = async (path: string | undefined, wanted: boolean): Promise<Buffer | undefined> =>
        path && wanted ? readFile(path) : undefined;
      const options = {
        ca: await file(registry.caFile, ca),
        cert: await file(registry.clientCertFile, withClientCertificate),
        key: await file(registry.clientKeyFile, withClientCertificate),
        agent: false as const,
      };
      return new Promise((resolve) => {
        get(`${registry.url}/v2/`, options, (response) => resolve(response.resume().statusCode)).on(
          'error',
          (error: NodeJS.ErrnoException) => resolve(error.code),
        );
      });
    };

    test('is trusted through its own CA, by address and by name, and not without', async () => {
      await withRegistry({ tls: true }, async (registry) => {
        expect(registry.url.startsWith('https://')).toBe(true);
        expect(await status(registry, false)).toBe(200);
        const byName = { ...registry, url: registry.url.replace('127.0.0.1', 'localhost') };
        expect(await status(byName, false)).toBe(200);
        expect(await status(registry, false, false)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
        const untrusting = skopeo.copy(archive, `docker://${registry.host}/team/tiny:1`);
        expect((await failureOf(untrusting)).stderr).toContain('x509');
      });
    });

    test('client certificates are demanded', async () => {
      await withRegistry({ clientCertificates: true }, async (registry) => {
        expect(await status(registry, true)).toBe(200);
        expect(await status(registry, false)).not.toBe(200);
      });
    });
  });

  test('a pull-through cache gives what its upstream has, and takes nothing', async () => {
    await withRegistry({}, async (upstream) => {
      await push(upstream);
      await withRegistry({ proxyUpstream: upstream.url }, async (cache) => {
        const access = skopeoAccess(cache);
        const image = `docker://${cache.host}/team/tiny:1`;
        const target = join(folder.path, 'pulled.tar');
        await skopeo.copy(image, `oci-archive:${target}`, { source: access });
        expect([...(await filesOf(target)).keys()]).toContain('index.json');
        expect(await skopeo.inspectRaw(image, access)).toBe(
          await skopeo.inspectRaw(`docker://${upstream.host}/team/tiny:1`, skopeoAccess(upstream)),
        );
        expect((await failureOf(push(cache))).stderr).toMatch(/unsupported|not allowed/i);
      });
    });
  });

  test('it goes to a bearer upstream as its user', async () => {
    await withRegistry({ auth: 'token' }, async (upstream) => {
      await push(upstream);
      const pushed = upstream.tokenServer?.requests.length;
      const { username, password } = upstream;
      const proxy = { proxyUpstream: upstream.url, proxyCredentials: { username, password } };
      await withRegistry(proxy, async (cache) => {
        await skopeo.inspectRaw(`docker://${cache.host}/team/tiny:1`, skopeoAccess(cache));
        const requests = upstream.tokenServer?.requests.slice(pushed) ?? [];
        expect(requests.map((it) => it.grant)).toContain('basic');
      });
    });
  });

  test('two at once do not know of each other', async () => {
    await withRegistry({}, async (one) => {
      await withRegistry({}, async (other) => {
        await push(one);
        expect(
          (await failureOf(skopeo.listTags(`${other.host}/team/tiny`, skopeoAccess(other)))).code,
        ).not.toBe(0);
      });
    });
  });
});

describeRegistry('a server that goes wrong', () => {
  test('says why it did not start', async () => {
    const folder = await temporaryFolder('servers-test');
    try {
      const configFile = join(folder.path, 'config.yml');
      await writeFile(
        configFile,
        '{"version": "0.1", "storage": {"inmemory": {}}, "http": {"addr": "127.0.0.1:no"}}',
      );
      const server = await startServer('docker-registry', ['serve', configFile], {
        logFile: join(folder.path, 'log'),
      });
      await expect(server.logged(/listening on/)).rejects.toThrow(
        /ended with code 1; it said:[\s\S]*listen tcp/,
      );
      await server.stop();
    } finally {
      await folder.remove();
    }
  });

  test('ends when the process that started it is killed', async () => {
    const support = new URL('../support/servers/docker-registry.ts', import.meta.url).href;
    const program = `
      const { startDockerRegistry } = await import(${JSON.stringify(support)});
      const { port, dir } = await startDockerRegistry();
      console.log(JSON.stringify({ port, dir }));
      setInterval(() => {}, 1000);
    `;
    const starter = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(createInterface(starter.stdout), 'line');
    const { port, dir } = JSON.parse(line);
    try {
      const connects = (): Promise<boolean> =>
        new Promise((resolve) => {
          const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
          socket.on('connect', () => socket.destroy());
        });
      expect(await connects()).toBe(true);
      starter.kill('SIGKILL');
      while (await connects()) await wait(20);
    } finally {
      starter.kill('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('a program that fails gives its code and what it said', async () => {
    const failure = await failureOf(runProgram('sh', ['-c', 'cat; echo no >&2; exit 3'], { input: 'in' }));
    expect(failure).toMatchObject({ code: 3, stdout: 'in', stderr: 'no\n' });
    expect(await failureOf(runProgram('regops-no-such-program', []))).toMatchObject({ code: 'ENOENT' });
  });
});

/** Names and contents of a tar's files. */
async function filesOf(path: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const tar = extract();
  tar.end(await readFile(path));
  for await (const entry of tar) {
    if (entry.header.type === 'file') files.set(entry.header.name, await buffer(entry));
    else entry.resume();
  }
  return files;
}

interface DockerArchiveItem {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

describeDockerd('dockerd', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let docker: Dockerd;

  beforeAll(async () => {
    folder = await temporaryFolder('servers-test');
    docker = await startDockerd();
    await docker.importBaseImage('base:1', { 'etc/base': 'base' });
    await docker.buildImage('team/built:1', 'FROM base:1\nADD one /one\nENV A=b\nADD two /two\n', {
      one: 'one',
      two: 'two',
    });
    await docker.commitImage('127.0.0.1:5000/team/committed:2', 'team/built:1', { 'opt/three': 'three' });
    await docker.buildImage('scratch:1', 'FROM scratch\nADD file /file\n', { file: 'from nothing' });
  });
  afterAll(async () => {
    await docker?.close();
    await folder?.remove();
  });

  const manifestOf = async (path: string): Promise<DockerArchiveItem[]> => {
    const files = await filesOf(path);
    const items = JSON.parse(String(files.get('manifest.json'))) as DockerArchiveItem[];
    for (const item of items) {
      const config = files.get(item.Config);
      expect(`${sha256(config ?? Buffer.alloc(0))}.json`).toBe(item.Config);
      const diffIds = JSON.parse(String(config)).rootfs.diff_ids as string[];
      expect(item.Layers).toHaveLength(diffIds.length);
    }
    return items;
  };

  test('saves one image with its layers', async () => {
    const path = join(folder.path, 'one.tar');
    await docker.save(['team/built:1'], path);
    const items = await manifestOf(path);
    expect(items.map((item) => item.RepoTags)).toEqual([['team/built:1']]);
    expect(items[0]?.Layers).toHaveLength(3);
  });

  test('saves several images that share layers, in one archive', async () => {
    const path = join(folder.path, 'many.tar');
    const names = ['127.0.0.1:5000/team/committed:2', 'base:1', 'scratch:1', 'team/built:1'];
    await docker.save(names, path);
    const items = await manifestOf(path);
    expect(items.flatMap((item) => item.RepoTags ?? []).sort()).toEqual(names);
    const layers = items.map((item) => item.Layers.length).sort();
    expect(layers).toEqual([1, 1, 3, 4]);
  });

  test('what it cannot do is an error with its words', async () => {
    const failure = await failureOf(docker.save(['no-such-image:1'], join(folder.path, 'none.tar')));
    expect(failure.stderr).toContain('reference does not exist');
  });
});

describeDockerdPush('dockerd and docker-registry', () => {
  test('docker pushes to a registry on the loopback, and skopeo reads it', async () => {
    const cleanup = new AsyncDisposableStack();
    try {
      const docker = await startDockerd();
      cleanup.defer(docker.close);
      const registry = await startDockerRegistry({ auth: 'htpasswd' });
      cleanup.defer(registry.close);
      const skopeo = await openSkopeo();
      cleanup.defer(skopeo.close);
      const name = `${registry.host}/team/base:1`;
      await docker.importBaseImage(name, { file: 'pushed' });
      const login = ['login', '--username', registry.username, '--password-stdin', registry.host];
      await docker.run(login, Buffer.from(registry.password));
      await docker.run(['push', '--quiet', name]);
      expect(await skopeo.listTags(`${registry.host}/team/base`, skopeoAccess(registry))).toEqual(['1']);
    } finally {
      await cleanup.disposeAsync();
    }
  });
});
