import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { LayerCache } from '../../src/archive/index.ts';
import { silentLog, systemClock } from '../../src/base/index.ts';
import { openEngine } from '../../src/engine/index.ts';
import { pullSnapshot, pushSnapshot, type SnapshotContext } from '../../src/jobs/snapshot/index.ts';
import { silentProgress } from '../../src/progress/index.ts';
import { connectRegistry, parseTarget } from '../../src/registry/index.ts';
import { parseFaults, startTestbed } from '../../src/testbed/index.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { type DockerRegistry, startDockerRegistry } from '../support/servers/docker-registry.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import { type Podman, startPodman } from '../support/servers/podman.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';

// The promise of snapshot, on two real engines (two hosts) and real registries.
const describeReal = requireServers('dockerd', 'docker-registry');

const SLEEP = ['sleep', '1000'];

describeReal('snapshot', () => {
  let here: Dockerd;
  let there: Dockerd;
  let registry: DockerRegistry;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeAll(async () => {
    folder = await temporaryFolder('snapshot');
    [here, there, registry] = await Promise.all([startDockerd(), startDockerd(), startDockerRegistry()]);
    await here.importShellImage('base:1');
  });
  afterAll(async () => {
    await Promise.all([here?.close(), there?.close(), registry?.close()]);
    await folder?.remove();
  });

  /** Runs `regops snapshot …` against one of the engines. */
  function snapshot(
    engine: Dockerd | Podman,
    words: string,
    argv: readonly string[],
    options: Parameters<typeof runCommand>[2] = {},
  ): Promise<RunResult> {
    return runCommand(`snapshot ${words}`, argv, {
      ...options,
      env: { DOCKER_HOST: `unix://${engine.socket}`, ...options.env },
    });
  }

  /** A container that runs, with a file of its own. */
  async function runningContainer(name: string, args: readonly string[] = []): Promise<string> {
    const id = await here.run([
      'run',
      '-d',
      '--name',
      name,
      '--network',
      'none',
      ...args,
      'base:1',
      ...SLEEP,
    ]);
    onTestFinished(async () => {
      await here.run(['rm', '-f', name]).catch(() => '');
    });
    await here.run(['exec', name, 'sh', '-c', `echo written in ${name} > /memory`]);
    return id;
  }

  /** What a container says of itself. */
  async function inspected(engine: Dockerd, container: string) {
    return JSON.parse(await engine.run(['inspect', container]))[0];
  }

  function to(at: DockerRegistry, repository: string): string[] {
    return ['--registry-url', at.url, '--repository', repository];
  }

  function ended(exitCode: number, run: RunResult): RunResult {
    expect(run.exitCode, run.stderr + run.stdout).toBe(exitCode);
    return run;
  }

  async function tagsOf(at: DockerRegistry, repository: string): Promise<string[]> {
    const reply = await fetch(`${at.url}/v2/${repository}/tags/list`);
    return ((await reply.json()) as { tags: string[] | null }).tags?.sort() ?? [];
  }

  async function digestAt(at: DockerRegistry, repository: string, tag: string): Promise<string | null> {
    const reply = await fetch(`${at.url}/v2/${repository}/manifests/${tag}`, {
      method: 'HEAD',
      headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
    });
    return reply.headers.get('docker-content-digest');
  }

  /** The snapshot on the other engine has the file, and runs. */
  async function restoredThere(id: string, file: string): Promise<void> {
    onTestFinished(async () => {
      await there.run(['rm', '-f', id]).catch(() => '');
    });
    expect(await there.run(['exec', id, 'cat', '/memory'])).toBe(file);
  }

  test('a container is pushed, removed, and runs again on another engine as it was', async () => {
    await runningContainer('sb-123', [
      ...['--label', 'team=red', '-e', 'GREETING=hello', '--memory', '96m', '--hostname', 'sandbox'],
      ...['--restart', 'on-failure:3', '--workdir', '/tmp'],
    ]);
    const pushed = ended(
      0,
      await snapshot(here, 'push', [
        'sb-123',
        ...to(registry, 'team/snapshots'),
        ...['--snapshot-id', 'snap-xyz', '--ttl', '1h', '--label', 'why=test', '--json'],
      ]),
    ).json().result;
    expect(pushed.local.reference).toBe('regops-snapshots:sb-123-snap-xyz');
    const [destination] = pushed.destinations;
    expect(destination).toMatchObject({
      reference: `${registry.host}/team/snapshots:sb-123-snap-xyz`,
      status: 'pushed',
      layers: { moved: 3, existing: 0, mounted: 0 },
    });
    expect(destination.digest).toBe(await digestAt(registry, 'team/snapshots', 'sb-123-snap-xyz'));
    // It runs on, and unpaused.
    expect((await inspected(here, 'sb-123')).State).toMatchObject({ Running: true, Paused: false });

    const pulled = ended(
      0,
      await snapshot(there, 'pull', [`${registry.host}/team/snapshots:sb-123-snap-xyz`, '--start', '--json']),
    ).json().result;
    expect(pulled).toMatchObject({
      status: 'pulled',
      digest: destination.digest,
      snapshot: { id: 'snap-xyz', source: 'sb-123', parent: 'base:1' },
      container: { name: 'sb-123', status: 'running' },
    });
    await restoredThere(pulled.container.id, 'written in sb-123');
    const restored = await inspected(there, 'sb-123');
    expect(restored.Config).toMatchObject({ Hostname: 'sandbox', WorkingDir: '/tmp', Cmd: SLEEP });
    expect(restored.Config.Env).toContain('GREETING=hello');
    expect(restored.Config.Labels).toMatchObject({
      team: 'red',
      why: 'test',
      'regops.snapshot.id': 'snap-xyz',
    });
    expect(restored.HostConfig).toMatchObject({
      Memory: 96 * 1024 * 1024,
      NetworkMode: 'none',
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    });

    const again = ended(
      0,
      await snapshot(there, 'pull', [`${registry.host}/team/snapshots@${destination.digest}`, '--json']),
    ).json().result;
    expect(again).toMatchObject({ status: 'present', digest: destination.digest });
  });

  test('without a registry it stays in the engine; a second push of it sends only what is new', async () => {
    await runningContainer('stays');
    const alone = ended(0, await snapshot(here, 'push', ['stays', '--snapshot-id', 'one'])).stdout;
    expect(alone).toBe('regops-snapshots:stays-one\n');
    const flags = [...to(registry, 'team/later'), '--json'];
    const first = ended(
      0,
      await snapshot(here, 'push', ['--from-image', 'regops-snapshots:stays-one', ...flags]),
    ).json().result;
    expect(first.snapshot.id).toBe('one');
    await here.run(['exec', 'stays', 'sh', '-c', 'echo more > /more']);
    const second = ended(0, await snapshot(here, 'push', ['stays', '--snapshot-id', 'two', ...flags])).json();
    expect(second.result.destinations[0].layers).toMatchObject({ moved: 1, existing: 2 });
    expect(await tagsOf(registry, 'team/later')).toEqual(['stays-one', 'stays-two']);
  });

  test('scrubbed variables are nowhere in the image, and --remove-local leaves nothing behind', async () => {
    await runningContainer('secretive', ['-e', 'DB_PASSWORD=hunter2', '-e', 'API_TOKEN=hunter3']);
    const run = ended(
      0,
      await snapshot(here, 'push', [
        ...['secretive', '--snapshot-id', 's', '--scrub-env', 'db_', '--remove-local', '--json'],
        ...to(registry, 'team/scrubbed'),
      ]),
    );
    const answer = run.json();
    expect(answer.warnings.join()).toContain('API_TOKEN');
    expect(answer.warnings.join()).not.toContain('DB_PASSWORD');
    expect(run.stdout + run.stderr).not.toContain('hunter');
    const manifest = (await (
      await fetch(`${registry.url}/v2/team/scrubbed/manifests/secretive-s`, {
        headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
      })
    ).json()) as { config: { digest: string } };
    const config = await (
      await fetch(`${registry.url}/v2/team/scrubbed/blobs/${manifest.config.digest}`)
    ).text();
    expect(config).toContain('hunter3');
    expect(config).not.toContain('hunter2');
    expect(answer.result.local.removed).toBe(true);
    expect(await here.run(['images', '-a', '--format', '{{.Repository}}:{{.Tag}}'])).not.toMatch(
      /secretive|unscrubbed/,
    );
    expect(await here.run(['ps', '-a', '--format', '{{.Names}}'])).toBe('secretive');
  });

  describe('registries that want more', () => {
    let guarded: DockerRegistry;
    let secure: DockerRegistry;
    beforeAll(async () => {
      [guarded, secure] = await Promise.all([
        startDockerRegistry({ auth: 'htpasswd' }),
        startDockerRegistry({ tls: true, auth: 'htpasswd' }),
      ]);
    });
    afterAll(() => Promise.all([guarded?.close(), secure?.close()]));

    test('htpasswd: the engine pushes and pulls with the credentials of a configuration file', async () => {
      await runningContainer('guarded');
      const file = join(folder.path, 'server-config.yaml');
      await writeFile(
        file,
        [
          'listen: 127.0.0.1:8900',
          'snapshot_registry:',
          `  url: "${guarded.host}"`,
          '  repository: team/snapshots',
          `  username: ${guarded.username}`,
          `  password: "\${REGISTRY_PASSWORD}"`,
          '  insecure: true',
        ].join('\n'),
      );
      const env = { REGISTRY_PASSWORD: guarded.password };
      const unset = ended(78, await snapshot(here, 'push', ['guarded', '--config', file]));
      expect(unset.stderr).toContain('REGISTRY_PASSWORD');
      const pushed = ended(
        0,
        await snapshot(here, 'push', ['guarded', '--snapshot-id', 'g', '--config', file], { env }),
      );
      expect(pushed.stdout).toMatch(/^127\.0\.0\.1:\d+\/team\/snapshots:guarded-g@sha256:[0-9a-f]{64}\n$/);
      expect(pushed.stderr).not.toContain(guarded.password);
      const pulled = ended(
        0,
        await snapshot(there, 'pull', ['guarded-g', '--start', '--config', file, '--json'], { env }),
      ).json().result;
      await restoredThere(pulled.container.id, 'written in guarded');
    });

    test('TLS with an authority of its own: --transport direct takes the user’s own settings', async () => {
      await runningContainer('secured');
      const flags = [
        ...[...to(secure, 'team/snapshots'), '--ca-file', secure.caFile as string],
        ...['--username', secure.username, '--password-stdin'],
      ];
      const stdin = `${secure.password}\n`;
      const direct = [...flags, '--transport', 'direct', '--json'];
      const pushed = ended(
        0,
        await snapshot(here, 'push', ['secured', '--snapshot-id', 't', ...direct], { stdin }),
      ).json().result;
      expect(pushed.destinations[0].layers).toMatchObject({ moved: 3 });
      const pulled = ended(
        0,
        await snapshot(there, 'pull', [`${secure.host}/team/snapshots:secured-t`, '--start', ...direct], {
          stdin,
        }),
      ).json().result;
      expect(pulled).toMatchObject({ status: 'pulled', digest: pushed.destinations[0].digest });
      await restoredThere(pulled.container.id, 'written in secured');
      const again = ended(
        0,
        await snapshot(there, 'pull', [`${secure.host}/team/snapshots:secured-t`, ...direct], { stdin }),
      ).json().result;
      expect(again.status).toBe('present');
    });

    test('a wrong password fails before anything is done', async () => {
      await runningContainer('denied');
      const run = ended(
        77,
        await snapshot(
          here,
          'push',
          ['denied', ...to(guarded, 'team/denied'), '--username', guarded.username, '--password-stdin'],
          { stdin: 'wrong\n' },
        ),
      );
      // The engine would try for 50 s to push there; it never began, and neither did regops.
      const log = await guarded.log();
      expect(log).toContain('authentication failure');
      expect(log).not.toContain('team/denied');
      expect(run.stdout).toBe('');
      expect(await here.run(['images', '-q', 'regops-snapshots'])).not.toContain('denied');
    });
  });

  requireServers('podman')('podman', () => {
    let podman: Podman;
    beforeAll(async () => {
      podman = await startPodman();
    });
    afterAll(() => podman?.close());

    test.each(['daemon', 'direct'])(
      'takes a snapshot, makes one, and gives it to docker (%s)',
      async (transport) => {
        const repository = to(registry, `team/podman-${transport}`);
        const place = [...repository, '--transport', transport];
        const name = `podman-${transport}`;
        await runningContainer(name);
        // What this docker cannot read, podman can; and its own push would take it as it is.
        const compression = transport === 'direct' ? 'zstd' : 'gzip';
        const packed = [
          '--transport',
          'direct',
          '--compression',
          compression,
          '--snapshot-id',
          'one',
          '--json',
        ];
        const first = ended(0, await snapshot(here, 'push', [name, ...repository, ...packed])).json().result;
        const pulled = ended(0, await snapshot(podman, 'pull', [`${name}-one`, ...place, '--json'])).json()
          .result;
        expect(pulled).toMatchObject({
          status: 'pulled',
          digest: first.destinations[0].digest,
          snapshot: { id: 'one', source: name },
        });
        expect(
          ended(0, await snapshot(podman, 'pull', [`${name}-one`, ...place, '--json'])).json().result,
        ).toMatchObject(transport === 'daemon' ? { status: 'present' } : {});

        await podman.run(['create', '--name', name, `${registry.host}/team/podman-${transport}:${name}-one`]);
        onTestFinished(async () => {
          await podman.run(['rm', name]).catch(() => '');
        });
        const argv = [name, '--snapshot-id', 'two', '--label', 'why=a "quoted" $reason', ...place, '--json'];
        const second = ended(0, await snapshot(podman, 'push', argv)).json().result.destinations[0];
        expect(second.status).toBe('pushed');
        // Podman does not say what it sent.
        expect(second.layers?.moved).toBe(transport === 'daemon' ? undefined : 4);
        const listed = ended(0, await snapshot(podman, 'list', [...repository, '--json']));
        expect(
          listed
            .json()
            .result.snapshots.filter(({ source }: { source: string }) => source === name)
            .map(({ id, where }: { id: string; where: string }) => [id, where]),
        ).toEqual([
          ['two', 'both'],
          ['one', 'both'],
        ]);

        const restored = ended(
          0,
          await snapshot(there, 'pull', [`${name}-two`, '--start', ...place, '--json']),
        ).json();
        expect(restored.result.digest).toBe(second.digest);
        await restoredThere(restored.result.container.id, `written in ${name}`);
        expect((await inspected(there, restored.result.container.id)).Config.Labels.why).toBe(
          'a "quoted" $reason',
        );

        await podman.run(['rm', name]);
        const pruned = ended(
          0,
          await snapshot(podman, 'prune', ['--local', '--max-age', '0', '--json']),
        ).json();
        expect(pruned.result.snapshots.map(({ status }: { status: string }) => status)).toEqual([
          'deleted',
          'deleted',
        ]);
        expect(await podman.run(['images', '--quiet'])).toBe('');
      },
    );

    test('credentials over plain http: the right ones push, the wrong ones are refused', async () => {
      const locked = await startDockerRegistry({ auth: 'htpasswd' });
      onTestFinished(() => locked.close());
      await podman.run(['import', '--message', 'nothing in it', '/dev/null', 'localhost/empty:1']);
      const flags = [...to(locked, 'team/podman'), '--username', locked.username, '--password-stdin'];
      const refused = await snapshot(podman, 'push', ['--from-image', 'localhost/empty:1', ...flags], {
        stdin: 'wrong\n',
      });
      ended(77, refused);
      const pushed = await snapshot(podman, 'push', ['--from-image', 'localhost/empty:1', ...flags], {
        stdin: `${locked.password}\n`,
      });
      expect(ended(0, pushed).stdout).toMatch(/team\/podman:1@sha256:/);
    });
  });

  test('--also: two registries in one pass, the second time only the new layer', async () => {
    const second = await startDockerRegistry();
    onTestFinished(() => second.close());
    await runningContainer('twice');
    const flags = [
      ...to(registry, 'team/twice'),
      ...['--also', `${second.url}/eu/twice`, '--transport', 'direct', '--json'],
    ];
    const env = { XDG_CACHE_HOME: join(folder.path, 'cache') };
    const first = ended(
      0,
      await snapshot(here, 'push', ['twice', '--snapshot-id', '1', ...flags], { env }),
    ).json().result;
    expect(first.destinations.map((one: { status: string }) => one.status)).toEqual(['pushed', 'pushed']);
    expect(await digestAt(second, 'eu/twice', 'twice-1')).toBe(first.destinations[0].digest);
    await here.run(['exec', 'twice', 'sh', '-c', 'echo more > /more']);
    const next = ended(
      0,
      await snapshot(here, 'push', ['twice', '--snapshot-id', '2', ...flags], { env }),
    ).json().result;
    for (const { layers } of next.destinations) expect(layers).toEqual({ moved: 1, existing: 2, mounted: 0 });
  });

  test('--transport direct to one registry needs no temporary file, and makes what one makes with it', async () => {
    const [second, third] = await Promise.all([startDockerRegistry(), startDockerRegistry()]);
    onTestFinished(async () => {
      await Promise.all([second.close(), third.close()]);
    });
    await runningContainer('passing');
    for (const compression of ['gzip', 'zstd', 'none']) {
      const direct = ['--transport', 'direct', '--compression', compression, '--json'];
      const passing = ended(
        0,
        await snapshot(
          here,
          'push',
          ['passing', '--snapshot-id', compression, ...to(registry, 'team/passing'), ...direct],
          { env: { TMPDIR: '/nowhere' } },
        ),
      ).json();
      const warning = 'restored by Docker 23 and newer only';
      if (compression === 'zstd') expect(passing.warnings.join()).toContain(warning);
      else expect(passing.warnings.join()).not.toContain(warning);
      const [destination] = passing.result.destinations;
      const stored = ended(
        0,
        await snapshot(here, 'push', [
          ...['--from-image', passing.result.local.reference, ...to(second, 'team/passing')],
          ...['--also', `${third.url}/team/passing`, ...direct],
        ]),
      ).json().result;
      expect(stored.destinations.map(({ digest }: { digest: string }) => digest)).toEqual([
        destination.digest,
        destination.digest,
      ]);
      expect(destination.layers.moved + destination.layers.existing).toBe(3);
    }
  });

  test('--transport direct: what an old engine could not read is refused before it is fetched', async () => {
    const requests: string[] = [];
    const watched = await startTestbed({
      onRequest: ({ method, path }) => void requests.push(`${method} ${path}`),
    });
    onTestFinished(() => watched.close());
    const place = ['--registry-url', watched.url, '--repository', 'team/zstd'];
    await runningContainer('zstd');
    ended(
      0,
      await snapshot(here, 'push', [
        ...['zstd', '--snapshot-id', 'z', ...place, '--transport', 'direct', '--compression', 'zstd'],
      ]),
    );
    await there.run(['image', 'prune', '-af']);
    requests.length = 0;
    for (const transport of ['daemon', 'direct']) {
      const run = ended(76, await snapshot(there, 'pull', ['zstd-z', ...place, '--transport', transport]));
      expect(run.stderr).toMatch(/zstd, which this engine, Docker 20\.10\S+, cannot read/);
      expect(run.stderr).toContain('--compression gzip');
    }
    // The configuration is looked into, no layer.
    expect(new Set(requests.filter((request) => request.includes('GET /v2/team/zstd/blobs/'))).size).toBe(1);
  });

  test('--transport direct: a layer that must be sent anew comes from a second export', async () => {
    const shaky = await startTestbed({ faults: parseFaults('PUT nth=1 status=503') });
    onTestFinished(() => shaky.close());
    await runningContainer('shaky');
    const [destination] = ended(
      0,
      await snapshot(here, 'push', [
        ...['shaky', '--registry-url', shaky.url, '--repository', 'team/shaky', '--transport', 'direct'],
        '--json',
      ]),
    ).json().result.destinations;
    expect(destination.status).toBe('pushed');
    expect(destination.layers.moved + destination.layers.existing).toBe(3);
  });

  test('--transport direct: of the layers only those that the other engine lacks are fetched', async () => {
    const requests: string[] = [];
    const watched = await startTestbed({
      onRequest: ({ method, path }) => void requests.push(`${method} ${path}`),
    });
    onTestFinished(() => watched.close());
    const host = new URL(watched.url).host;
    const flags = ['--registry-url', watched.url, '--repository', 'team/grows', '--transport', 'direct'];
    const layersFetched = async (id: string): Promise<number> => {
      const manifest = (await (
        await fetch(`${watched.url}/v2/team/grows/manifests/grows-${id}`, {
          headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
        })
      ).json()) as { layers: { digest: string }[] };
      return manifest.layers.filter(({ digest }) => requests.includes(`GET /v2/team/grows/blobs/${digest}`))
        .length;
    };
    await runningContainer('grows');
    for (const [id, fetched] of [
      ['1', 3],
      ['2', 1],
    ] as const) {
      await here.run(['exec', 'grows', 'sh', '-c', `echo ${id} > /memory`]);
      const push = await snapshot(here, 'push', ['grows', '--snapshot-id', id, ...flags]);
      expect(ended(0, push).stderr).not.toContain('standard input');
      requests.length = 0;
      if (id === '1') await there.run(['image', 'prune', '-af']);
      const pulled = ended(
        0,
        await snapshot(there, 'pull', [`${host}/team/grows:grows-${id}`, '--start', ...flags, '--json']),
      ).json().result;
      expect(pulled.status).toBe('pulled');
      expect(await layersFetched(id)).toBe(fetched);
      await restoredThere(pulled.container.id, id);
    }
  });

  test('a container, an engine, a registry or a snapshot that is not there', async () => {
    ended(66, await snapshot(here, 'push', ['nobody', ...to(registry, 'team/none')]));
    ended(
      69,
      await runCommand('snapshot push', ['nobody'], { env: { DOCKER_HOST: 'unix:///nowhere.sock' } }),
    );
    await runningContainer('lonely');
    ended(
      69,
      await snapshot(here, 'push', [
        ...['lonely', '--registry-url', 'http://127.0.0.1:1', '--repository', 'team/none', '--retries', '0'],
      ]),
    );
    expect(await here.run(['images', '--format', '{{.Tag}}', 'regops-snapshots'])).not.toMatch(/lonely/);
    const gone = ended(66, await snapshot(there, 'pull', [`${registry.host}/team/later:gone`]));
    expect(gone.stderr).toMatch(/deleted, or it expired/);
    expect(await tagsOf(registry, 'team/none')).toEqual([]);
  });

  test('a registry that dies while the image is pushed: the snapshot is kept, and can be pushed later', async () => {
    const mortal = await startDockerRegistry();
    onTestFinished(() => mortal.close());
    await runningContainer('unlucky');
    await here.run(['exec', 'unlucky', 'sh', '-c', 'for i in 1 2 3; do cat /usr/bin/* > /big$i; done']);
    const run = ended(
      69,
      await snapshot(
        here,
        'push',
        ['unlucky', '--snapshot-id', 'u', ...to(mortal, 'team/snapshots'), '--retries', '0'],
        {
          async whileRunning(_signal, _stdout, stderr) {
            while (!stderr().includes('pushing')) await new Promise((resolve) => setTimeout(resolve, 5));
            await mortal.close();
          },
        },
      ),
    );
    expect(run.stdout).toBe('');
    expect(run.stderr).toContain('--from-image regops-snapshots:unlucky-u');
    expect((await inspected(here, 'unlucky')).State).toMatchObject({ Running: true, Paused: false });
    ended(
      0,
      await snapshot(here, 'push', [
        '--from-image',
        'regops-snapshots:unlucky-u',
        ...to(registry, 'team/unlucky'),
      ]),
    );
    expect(await tagsOf(registry, 'team/unlucky')).toEqual(['unlucky-u']);
  });

  test('a name that the image had before a failed push stays its name', async () => {
    const forgetful = await startTestbed({ faults: parseFaults('PUT status=403') });
    onTestFinished(() => forgetful.close());
    const name = `${new URL(forgetful.url).host}/team/snapshots:mine`;
    await here.run(['tag', 'base:1', name]);
    ended(
      69,
      await snapshot(here, 'push', [
        ...['--from-image', name, '--registry-url', forgetful.url, '--repository', 'team/snapshots'],
      ]),
    );
    expect(await here.run(['images', '-q', name])).not.toBe('');
    await here.run(['rmi', name]);
  });

  test.each(['daemon', 'direct'])('a registry that loses the tag is not believed (%s)', async (transport) => {
    const forgetful = await startTestbed({ faults: parseFaults(`lost=lost-${transport}`) });
    onTestFinished(() => forgetful.close());
    await runningContainer(`lost-${transport}`);
    const run = ended(
      76,
      await snapshot(here, 'push', [
        ...[`lost-${transport}`, '--tag', `lost-${transport}`, '--transport', transport],
        ...['--registry-url', forgetful.url, '--repository', 'team/snapshots'],
      ]),
    );
    expect(run.stdout).toBe('');
  });

  test('ten pushes and ten restores at once keep every digest right', async () => {
    const names = Array.from({ length: 10 }, (_, index) => `load-${index}`);
    for (const name of names) await runningContainer(name);
    // One process has one stdout: here the jobs are asked, not the commands.
    const contextOf = async (docker: Dockerd): Promise<SnapshotContext> => {
      const engine = await openEngine({ host: `unix://${docker.socket}` });
      const client = await connectRegistry({
        target: parseTarget(registry.url),
        ...{ credentials: async () => undefined, timeoutMs: 30_000, retries: 0, userAgent: 'test' },
        ...{ log: silentLog, clock: systemClock },
      });
      onTestFinished(async () => {
        engine.close();
        await client.close();
      });
      return {
        ...{
          signal: new AbortController().signal,
          clock: systemClock,
          progress: silentProgress,
          log: silentLog,
        },
        registry: async () => client,
        engine: async () => engine,
        credential: async () => undefined,
        packing: { compression: 'gzip', cache: () => LayerCache.open(undefined) },
        pushArchive: () => Promise.reject(new Error('not by this transport')),
      };
    };
    const repository = { domain: registry.host, repository: 'team/load' };
    const [pushing, pulling] = [await contextOf(here), await contextOf(there)];
    const pushed = await Promise.all(
      names.map(async (container) => {
        const { result, error } = await pushSnapshot(
          {
            source: {
              ...{ kind: 'container', container, snapshotId: 's', pause: true, ttlMs: 0 },
              ...{ labels: {}, scrubEnv: [] },
            },
            ...{ repositories: [repository], removeLocal: false, transport: 'daemon' },
          },
          pushing,
        );
        if (error) throw error;
        return result;
      }),
    );
    const digests = pushed.map(({ destinations }) => destinations[0]?.digest);
    expect(new Set(digests).size).toBe(10);
    for (const [index, name] of names.entries()) {
      expect(await digestAt(registry, 'team/load', `${name}-s`)).toBe(digests[index]);
    }
    const pulled = await Promise.all(
      names.map((name) =>
        pullSnapshot(
          { reference: { ...repository, tag: `${name}-s` }, start: true, transport: 'daemon' },
          pulling,
        ),
      ),
    );
    expect(pulled.map(({ digest }) => digest)).toEqual(digests);
    for (const [index, { container }] of pulled.entries()) {
      await restoredThere(container?.id ?? '', `written in load-${index}`);
    }
  });

  test('list and prune see what the registry has, and take what the rules say', async () => {
    const place = to(registry, 'team/kept');
    await runningContainer('kept');
    for (const id of ['1', '2', '3', '4', '5']) {
      const ttl = id === '1' ? '1s' : '1h';
      ended(0, await snapshot(here, 'push', ['kept', '--snapshot-id', id, '--ttl', ttl, ...place]));
    }
    await here.run(['tag', `${registry.host}/team/kept:kept-2`, `${registry.host}/team/kept:golden`]);
    await here.run(['push', `${registry.host}/team/kept:golden`]);
    const listed = ended(0, await snapshot(here, 'list', [...place, '--json'])).json().result;
    const own = listed.snapshots.filter((one: { source: string }) => one.source === 'kept');
    expect(own.map((one: { id: string; where: string }) => [one.id, one.where])).toEqual(
      ['5', '4', '3', '2', '1'].map((id) => [id, 'both']),
    );
    for (const one of own) {
      expect(one.digest).toBe(await digestAt(registry, 'team/kept', `kept-${one.id}`));
    }
    const elsewhere = ended(0, await snapshot(there, 'list', [...place, '--expired', '--json'])).json()
      .result;
    expect(elsewhere.snapshots.map((one: { id: string; where: string }) => [one.id, one.where])).toEqual([
      ['1', 'registry'],
    ]);

    const dry = ended(
      0,
      await snapshot(there, 'prune', [...place, '--keep', '3', '--expired', '--dry-run', '--json']),
    ).json().result;
    expect(dry.snapshots.map((one: { id: string; status: string }) => [one.id, one.status])).toEqual([
      ['2', 'shared'],
      ['1', 'planned'],
    ]);
    const all = ['golden', 'kept-1', 'kept-2', 'kept-3', 'kept-4', 'kept-5'];
    expect(await tagsOf(registry, 'team/kept')).toEqual(all);
    const pruned = ended(
      0,
      await snapshot(there, 'prune', [...place, '--keep', '3', '--expired', '--json']),
    ).json();
    expect(pruned.result.totals).toMatchObject({ deleted: 1, failed: 0 });
    expect(await tagsOf(registry, 'team/kept')).toEqual(all.filter((tag) => tag !== 'kept-1'));

    // Here the rest: the image of 2 has a name of somebody else's too.
    ended(0, await snapshot(here, 'prune', ['--local', '--keep', '1', '--json']));
    const left = await here.run(['images', '--format', '{{.Tag}}', 'regops-snapshots']);
    expect(
      left
        .split('\n')
        .filter((tag) => tag.startsWith('kept-'))
        .sort(),
    ).toEqual(['kept-2', 'kept-5']);
  });

  test('deletes that the registry refuses are told, and are exit 1', async () => {
    const frozen = await startDockerRegistry({ deleteEnabled: false });
    onTestFinished(() => frozen.close());
    await runningContainer('frozen');
    for (const id of ['1', '2']) {
      ended(0, await snapshot(here, 'push', ['frozen', '--snapshot-id', id, ...to(frozen, 'team/frozen')]));
    }
    const run = ended(
      1,
      await snapshot(there, 'prune', [...to(frozen, 'team/frozen'), '--max-total-size', '1', '--json']),
    );
    expect(run.json().result.snapshots.map((one: { status: string }) => one.status)).toEqual([
      'failed',
      'failed',
    ]);
  });
});
