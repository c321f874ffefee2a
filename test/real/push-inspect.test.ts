import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  makeImage,
  makeIndex,
  type TestImage,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
} from '../support/image-archives.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import {
  type DockerRegistry,
  type DockerRegistryOptions,
  startDockerRegistry,
} from '../support/servers/docker-registry.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo, type Skopeo, skopeoAccess } from '../support/servers/skopeo.ts';

// The promise of push-tar and inspect, on real registries, with skopeo as the witness.
const describeRegistry = requireServers('docker-registry', 'skopeo');
const describeDockerd = requireServers('dockerd', 'docker-registry', 'skopeo');

const MODES: Record<string, DockerRegistryOptions> = {
  anonymous: {},
  htpasswd: { auth: 'htpasswd' },
  'bearer token': { auth: 'token' },
  'TLS with an own CA': { tls: true },
  'client certificates': { clientCertificates: true },
  'TLS and htpasswd': { tls: true, auth: 'htpasswd' },
};

/** The flags that let regops into a registry. */
function accessFlags(registry: DockerRegistry, options: DockerRegistryOptions): string[] {
  return [
    '--registry-url',
    registry.url,
    ...(registry.caFile ? ['--ca-file', registry.caFile] : []),
    ...(registry.clientCertFile && registry.clientKeyFile
      ? ['--cert-file', registry.clientCertFile, '--key-file', registry.clientKeyFile]
      : []),
    ...(registry.tokenServer ? ['--allow-realm', new URL(registry.tokenServer.realm).host] : []),
    ...(options.auth && options.auth !== 'none' ? ['--username', registry.username, '--password-stdin'] : []),
  ];
}

function stdinFor(registry: DockerRegistry, options: DockerRegistryOptions): { stdin?: string } {
  return options.auth && options.auth !== 'none' ? { stdin: `${registry.password}\n` } : {};
}

function good(result: RunResult): RunResult {
  expect(result.exitCode, result.stderr + result.stdout).toBe(0);
  return result;
}

/** Every kind of archive: file name, how it is written, and which image of it is taken. */
const KINDS: Record<
  string,
  (path: string, image: TestImage, index: ReturnType<typeof makeIndex>) => Promise<void>
> = {
  'docker-classic.tar': (path, image) => writeDockerArchive(path, [image], { layout: 'classic' }),
  'docker-25.tar': (path, image) => writeDockerArchive(path, [image], { layout: 'docker25' }),
  'docker-gzip-layers.tar': (path, image) =>
    writeDockerArchive(path, [image], { layout: 'classic', compression: 'gzip' }),
  'docker-outer.tar.gz': (path, image) =>
    writeDockerArchive(path, [image], { layout: 'classic', outer: 'gzip' }),
  'docker-prefixed.tar': (path, image) =>
    writeDockerArchive(path, [image], { layout: 'classic', prefix: './' }),
  'oci.tar': (path, image) => writeOciArchive(path, [image]),
  'oci-plain-layers.tar': (path, image) => writeOciArchive(path, [image], { compression: 'none' }),
  'oci-outer.tar.zst': (path, image) => writeOciArchive(path, [image], { outer: 'zstd' }),
  'oci-index.tar': (path, _image, index) => writeOciArchive(path, [index]),
  'oci-layout': (path, image) => writeOciLayout(path, [image]),
};

describeRegistry('push-tar to docker-registry', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let skopeo: Skopeo;

  beforeAll(async () => {
    folder = await temporaryFolder('push-test');
    skopeo = await openSkopeo();
    const image = await makeImage({
      seed: 'real',
      names: ['team/app:1'],
      layers: [{ size: 700_000 }, { size: 3000 }, { size: 0 }],
    });
    const arm = await makeImage({
      seed: 'arm',
      platform: { os: 'linux', architecture: 'arm64' },
      layers: [{ size: 9000 }],
    });
    const index = makeIndex({ images: [image, arm], names: ['team/app:1'] });
    for (const [name, write] of Object.entries(KINDS)) await write(join(folder.path, name), image, index);
  });
  afterAll(async () => {
    await skopeo?.close();
    await folder?.remove();
  });

  describe.each(Object.entries(MODES))('%s', (mode, options) => {
    let registry: DockerRegistry;
    beforeAll(async () => {
      registry = await startDockerRegistry(options);
    });
    afterAll(() => registry?.close());

    test.each(Object.keys(KINDS))(
      '%s is pushed and read back by skopeo and by inspect --check --deep',
      async (kind) => {
        const repository = `kinds/${kind.replaceAll('.', '-')}`;
        const flags = accessFlags(registry, options);
        const stdin = stdinFor(registry, options);
        const archive = join(folder.path, kind);

        const pushed = good(
          await runCommand(
            'push-tar',
            [archive, '--repository', repository, '--tag', 'v1', '--json', ...flags],
            stdin,
          ),
        ).json();
        const [image] = pushed.result.images;
        expect(image.tags).toEqual([{ reference: `${registry.host}/${repository}:v1`, status: 'pushed' }]);

        const raw = await skopeo.inspectRaw(
          `docker://${registry.host}/${repository}:v1`,
          skopeoAccess(registry),
        );
        expect(`sha256:${createHash('sha256').update(raw).digest('hex')}`).toBe(image.digest);
        // skopeo reads every blob and compares digests and diffIDs.
        await skopeo.copy(
          `docker://${registry.host}/${repository}:v1`,
          `oci:${join(folder.path, `${mode} ${kind}`.replaceAll(/[ .]/g, '-'))}:v1`,
          {
            source: skopeoAccess(registry),
            args: ['--all'],
          },
        );
        const checked = good(
          await runCommand(
            'inspect',
            [`${registry.host}/${repository}:v1`, '--check', '--deep', '--json', ...flags],
            stdin,
          ),
        ).json();
        expect(checked.result.subjects[0].check).toMatchObject({ deep: true, problems: [] });
        expect(checked.result.subjects[0].check.blobs).toBeGreaterThanOrEqual(3);
      },
    );

    test('a second push of the same archive sends nothing', async () => {
      const flags = accessFlags(registry, options);
      const stdin = stdinFor(registry, options);
      const cache = { env: { XDG_CACHE_HOME: join(folder.path, 'cache') }, ...stdin };
      const argv = [join(folder.path, 'docker-classic.tar'), '--repository', 'twice/app', '--json', ...flags];
      expect(good(await runCommand('push-tar', argv, cache)).json().result.totals.sentBytes).toBeGreaterThan(
        0,
      );
      const again = good(await runCommand('push-tar', argv, cache)).json().result.totals;
      expect(again).toMatchObject({ sentBytes: 0, uploaded: 0, mounted: 0, existing: again.blobs });
    });
  });

  test('several images of one archive share their layers by mount', async () => {
    const registry = await startDockerRegistry({ auth: 'token' });
    try {
      const one = await makeImage({
        seed: 'one',
        names: ['shop/one:1', 'old.example.com/shop/one:latest'],
        layers: [{ size: 90_000 }, { size: 10 }],
      });
      const two = await makeImage({
        seed: 'two',
        names: ['shop/two:2'],
        layers: [...one.layers.slice(0, 1), { size: 20 }],
      });
      await writeDockerArchive(join(folder.path, 'several.tar'), [one, two]);
      const flags = accessFlags(registry, { auth: 'token' });
      const pushed = good(
        await runCommand('push-tar', [join(folder.path, 'several.tar'), '--json', ...flags], {
          stdin: `${registry.password}\n`,
        }),
      ).json();
      expect(pushed.result.totals).toMatchObject({ tags: 3, uploaded: 5, mounted: 1 });
      expect((await skopeo.listTags(`${registry.host}/shop/one`, skopeoAccess(registry))).sort()).toEqual([
        '1',
        'latest',
      ]);
      const copied = await skopeo.inspect(`docker://${registry.host}/shop/two:2`, skopeoAccess(registry));
      expect(copied['Layers']).toHaveLength(2);
    } finally {
      await registry.close();
    }
  });

  test('compression zstd and none, and chunked uploads, are read back whole', async () => {
    const registry = await startDockerRegistry();
    try {
      const flags = accessFlags(registry, {});
      const archive = join(folder.path, 'docker-classic.tar');
      for (const [tag, extra] of [
        ['zstd', ['--compression', 'zstd', '--compression-level', '1']],
        ['none', ['--compression', 'none']],
        ['chunked', ['--chunk-size', '64KiB', '--no-cache']],
        ['preserved', ['--preserve-digests']],
      ] as const) {
        good(
          await runCommand('push-tar', [
            archive,
            '--repository',
            `packed/${tag}`,
            '--tag',
            tag,
            ...extra,
            ...flags,
          ]),
        );
        good(await runCommand('inspect', [`packed/${tag}:${tag}`, '--check', '--deep', ...flags]));
        await skopeo.copy(
          `docker://${registry.host}/packed/${tag}:${tag}`,
          `oci:${folder.path}/packed-${tag}`,
          { source: skopeoAccess(registry) },
        );
      }
    } finally {
      await registry.close();
    }
  });

  test('a pipe is pushed while it passes, and skopeo reads what it would have written from a file', async () => {
    const registry = await startDockerRegistry();
    try {
      const flags = accessFlags(registry, {});
      const image = await makeImage({
        seed: 'piped',
        names: ['piped:1'],
        layers: [{ size: 9_000_000, compressible: 0 }, { size: 3000 }],
      });
      const path = (name: string): string => join(folder.path, `piped-${name}.tar`);
      await writeDockerArchive(path('classic'), [image]);
      await writeDockerArchive(path('25'), [image], { layout: 'docker25' });
      await writeDockerArchive(path('packed'), [image], { outer: 'gzip' });
      await skopeo.copy(`docker-archive:${path('classic')}`, `docker-archive:${path('skopeo')}:piped:1`);
      for (const name of ['classic', '25', 'packed', 'skopeo']) {
        const push = async (from: string, tag: string, options: RunOptions): Promise<string> => {
          const argv = [from, '--repository', `piped/${name}`, '--tag', tag, '--json', ...flags];
          return good(await runCommand('push-tar', argv, options)).json().result.images[0].digest;
        };
        const env = { TMPDIR: join(folder.path, 'no temporary file can be written here') };
        const piped = await push('-', 'piped', { stdin: await readFile(path(name)), env });
        expect(await push(path(name), 'file', {})).toBe(piped);
        const at = `docker://${registry.host}/piped/${name}:piped`;
        const raw = await skopeo.inspectRaw(at, skopeoAccess(registry));
        expect(`sha256:${createHash('sha256').update(raw).digest('hex')}`).toBe(piped);
        expect((await skopeo.inspect(at, skopeoAccess(registry)))['Layers']).toHaveLength(2);
        await skopeo.copy(at, `oci:${folder.path}/piped-${name}`, { source: skopeoAccess(registry) });
      }
    } finally {
      await registry.close();
    }
  });

  test('an archive that skopeo wrote is pushed with its digest', async () => {
    const registry = await startDockerRegistry();
    try {
      const flags = accessFlags(registry, {});
      const from = join(folder.path, 'docker-gzip-layers.tar');
      await skopeo.copy(`docker-archive:${from}`, `oci-archive:${folder.path}/by-skopeo.tar:by-skopeo:1`);
      const before = good(
        await runCommand('inspect', [join(folder.path, 'by-skopeo.tar'), '--digest']),
      ).stdout.trim();
      const pushed = good(
        await runCommand('push-tar', [join(folder.path, 'by-skopeo.tar'), ...flags]),
      ).stdout.trim();
      expect(pushed).toBe(`${registry.host}/by-skopeo:1@${before}`);
    } finally {
      await registry.close();
    }
  });

  test('a tag is deleted without its siblings, where only digests can be deleted', async () => {
    const registry = await startDockerRegistry();
    try {
      const flags = accessFlags(registry, {});
      const archive = join(folder.path, 'docker-classic.tar');
      good(
        await runCommand('push-tar', [
          archive,
          '--repository',
          'del/app',
          '--tag',
          'a',
          '--tag',
          'b',
          ...flags,
        ]),
      );
      const gone = good(await runCommand('delete', ['del/app:a', '--json', ...flags])).json();
      expect(gone.result.deleted[0]).toMatchObject({
        removedTags: ['a'],
        keptTags: ['b'],
        manifestDeleted: false,
      });
      expect(await skopeo.listTags(`${registry.host}/del/app`, skopeoAccess(registry))).toEqual(['b']);
      good(await runCommand('inspect', ['del/app:b', '--check', '--deep', ...flags]));
      expect((await runCommand('inspect', ['del/app:a', ...flags])).exitCode).toBe(66);

      const digest = gone.result.deleted[0].digest;
      const refused = await runCommand('delete', [`del/app@${digest}`, '--json', ...flags]);
      expect(refused.json().error.code).toBe('TAG_SHARED');
      good(await runCommand('delete', [`del/app@${digest}`, '--all-tags', ...flags]));
      expect((await runCommand('inspect', ['del/app:b', ...flags])).exitCode).toBe(66);
    } finally {
      await registry.close();
    }
  });

  test('500 repositories and 500 tags are listed whole', async () => {
    const registry = await startDockerRegistry();
    try {
      await fillStorage(registry, 500);
      const flags = accessFlags(registry, {});
      const repositories = good(await runCommand('inspect', flags))
        .stdout.trim()
        .split('\n');
      expect(repositories).toHaveLength(500);
      expect(repositories).toContain('many/repo-0499');
      const tags = good(await runCommand('inspect', ['--repository', 'many/repo-0000', ...flags]))
        .stdout.trim()
        .split('\n');
      expect(new Set(tags).size).toBe(500);
      expect(tags).toContain('tag-0499');
    } finally {
      await registry.close();
    }
  });

  test('login stores what the registry accepts, and push-tar then needs no flags', async () => {
    const registry = await startDockerRegistry({ auth: 'htpasswd' });
    try {
      const env = { DOCKER_CONFIG: join(folder.path, 'docker-config') };
      const flags = ['--username', registry.username, '--password-stdin'];
      const wrong = await runCommand('login', [registry.host, ...flags, '--json'], {
        env,
        stdin: 'wrong-secret\n',
      });
      expect(wrong.exitCode).toBe(77);
      expect(wrong.stdout + wrong.stderr).not.toContain('wrong-secret');
      good(await runCommand('login', [registry.host, ...flags], { env, stdin: `${registry.password}\n` }));
      const target = `${registry.host}/logged/in:1`;
      good(await runCommand('push-tar', [join(folder.path, 'oci.tar'), '--to', target], { env }));
      // What regops wrote, skopeo reads.
      await skopeo.run([
        'inspect',
        '--tls-verify=false',
        '--authfile',
        join(env.DOCKER_CONFIG, 'config.json'),
        `docker://${target}`,
      ]);
      good(await runCommand('logout', [registry.host], { env }));
      expect((await runCommand('inspect', [target], { env })).exitCode).toBe(77);
    } finally {
      await registry.close();
    }
  });

  /** Writes many repositories and tags straight into distribution's storage, as copies of one that was pushed. */
  async function fillStorage(registry: DockerRegistry, count: number): Promise<void> {
    const flags = accessFlags(registry, {});
    good(
      await runCommand('push-tar', [
        join(folder.path, 'docker-classic.tar'),
        '--repository',
        'many/repo-0000',
        '--tag',
        'tag-0000',
        ...flags,
      ]),
    );
    const repositories = join(registry.dir, 'storage', 'docker', 'registry', 'v2', 'repositories', 'many');
    const link = await readFile(
      join(repositories, 'repo-0000', '_manifests', 'tags', 'tag-0000', 'current', 'link'),
    );
    const number = (at: number): string => String(at).padStart(4, '0');
    for (let at = 1; at < count; at++) {
      const tag = join(repositories, 'repo-0000', '_manifests', 'tags', `tag-${number(at)}`, 'current');
      await mkdir(tag, { recursive: true });
      await writeFile(join(tag, 'link'), link);
      // The catalog is made of the folders that have `_layers`.
      await mkdir(join(repositories, `repo-${number(at)}`, '_layers'), { recursive: true });
      const other = join(repositories, `repo-${number(at)}`, '_manifests', 'tags', 'only', 'current');
      await mkdir(other, { recursive: true });
      await writeFile(join(other, 'link'), link);
    }
  }
});

describeDockerd('real docker save archives', () => {
  let dockerd: Dockerd;
  let registry: DockerRegistry;
  let skopeo: Skopeo;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeAll(async () => {
    folder = await temporaryFolder('docker-save-test');
    [dockerd, registry, skopeo] = await Promise.all([startDockerd(), startDockerRegistry(), openSkopeo()]);
    await dockerd.importBaseImage('base:1', {
      'etc/os-release': 'ID=test\n',
      // More than what is held of a pipe in memory.
      'bin/big': randomBytes(9_000_000),
    });
    await dockerd.commitImage('base:2', 'base:1', { 'srv/data': 'second layer' });
    await dockerd.buildImage('app:1', 'FROM base:2\nADD hello /hello\nENV A=b\nLABEL l=m\n', {
      hello: 'world',
    });
  });
  afterAll(async () => {
    await Promise.all([dockerd?.close(), registry?.close(), skopeo?.close()]);
    await folder?.remove();
  });

  test('one image, several images, and a pipe', async () => {
    const one = join(folder.path, 'one.tar');
    const several = join(folder.path, 'several.tar');
    await dockerd.save(['app:1'], one);
    await dockerd.save(['base:1', 'base:2', 'app:1'], several);

    const lines = good(await runCommand('push-tar', [several, '--registry-url', registry.url]))
      .stdout.trim()
      .split('\n');
    expect(lines.map((line) => line.split('@')[0])).toEqual(
      expect.arrayContaining([
        `${registry.host}/base:1`,
        `${registry.host}/base:2`,
        `${registry.host}/app:1`,
      ]),
    );
    for (const name of ['base:1', 'base:2', 'app:1']) {
      good(await runCommand('inspect', [name, '--registry-url', registry.url, '--check', '--deep']));
    }
    good(
      await runCommand('push-tar', ['-', '--to', `${registry.host}/piped/app:1`], {
        stdin: await readFile(one),
        env: { TMPDIR: join(folder.path, 'no temporary file can be written here') },
      }),
    );

    // The engine itself takes the image back, and finds in it what it put there.
    await dockerd.run(['rmi', 'app:1']);
    await dockerd.run(['pull', `${registry.host}/piped/app:1`]);
    const config = JSON.parse(
      await dockerd.run(['inspect', '--format', '{{json .Config}}', `${registry.host}/piped/app:1`]),
    );
    expect(config.Env).toContain('A=b');
    const seen = await skopeo.inspect(`docker://${registry.host}/piped/app:1`, skopeoAccess(registry));
    expect(seen['Labels']).toEqual({ l: 'm' });
    expect(seen['Layers']).toHaveLength(3);
  });

  test('inspect shows the archive as docker made it', async () => {
    const path = join(folder.path, 'shown.tar');
    await dockerd.save(['base:2'], path);
    const shown = good(await runCommand('inspect', [path, '--check', '--deep', '--json'])).json().result
      .subjects[0];
    expect(shown).toMatchObject({
      kind: 'archive',
      format: 'docker-archive',
      images: [{ names: ['base:2'] }],
    });
    expect(shown.images[0].root.layers).toHaveLength(2);
    expect(shown.check.problems).toEqual([]);
  });
});
