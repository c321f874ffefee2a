import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isRegopsError, type Log, type RegopsError } from '../../src/base/index.ts';
import { type Engine, openEngine, type TransferEvent } from '../../src/engine/index.ts';
import { parseReference } from '../../src/oci/index.ts';
import { type DockerRegistry, startDockerRegistry } from '../support/servers/docker-registry.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo, type Skopeo, skopeoAccess } from '../support/servers/skopeo.ts';

const describeReal = requireServers('dockerd', 'docker-registry', 'skopeo');

const SHELL = parseReference('shell:1');

async function failure(work: Promise<unknown>): Promise<RegopsError> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (!isRegopsError(error)) throw error;
  return error;
}

describeReal('a real engine', () => {
  let docker: Dockerd;
  let registry: DockerRegistry;
  let skopeo: Skopeo;
  let engine: Engine;
  let container: string;
  const warnings: string[] = [];
  const log: Log = { warn: (line) => warnings.push(line), info() {}, trace() {} };

  const credential = () => ({ username: registry.username, password: registry.password });
  const inRegistry = (name: string) => parseReference(`${registry.host}/${name}`);

  beforeAll(async () => {
    [docker, registry, skopeo] = await Promise.all([
      startDockerd(),
      startDockerRegistry({ auth: 'htpasswd' }),
      openSkopeo(),
    ]);
    await docker.importShellImage('shell:1');
    engine = await openEngine({ host: `unix://${docker.socket}`, log });
    container = await engine.containers.create({
      image: SHELL,
      name: 'one',
      run: {
        command: ['/bin/sh', '-c', 'echo hello; echo oops >&2; exec sleep 1000'],
        env: ['SECRET=GEHEIM'],
        labels: { role: 'test' },
      },
      host: { networkMode: 'host', memoryBytes: 64 * 1024 * 1024 },
    });
    await engine.containers.start(container);
    await engine.containers.waitUntilRunning(container);
  });
  afterAll(async () => {
    await engine?.containers.remove(container, { force: true });
    engine?.close();
    await skopeo?.close();
    await registry?.close();
    await docker?.close();
  });

  test('says who it is, and which registries it may talk to plainly', async () => {
    expect(engine.version).toMatchObject({ product: 'docker', os: 'linux' });
    expect(await engine.info()).toMatchObject({ cpus: expect.any(Number), containerdStore: false });
    expect(await engine.mayTalkPlainly(registry.host)).toBe(true);
    expect(await engine.mayTalkPlainly('registry.invalid')).toBe(false);
  });

  test('a container is what it was made to be', async () => {
    const found = await engine.containers.inspect('one', { size: true });
    expect(found).toMatchObject({
      id: container,
      name: 'one',
      state: { status: 'running', running: true, paused: false },
      run: { labels: { role: 'test' }, env: expect.arrayContaining(['SECRET=GEHEIM']) },
      host: { networkMode: 'host', memoryBytes: 64 * 1024 * 1024 },
      writtenBytes: expect.any(Number),
    });
    expect((await engine.containers.list(['role=test'])).map(({ id }) => id)).toEqual([container]);
    expect(await engine.containers.list(['role=other'])).toEqual([]);
    expect(await engine.containers.logs('one')).toMatchObject({ stdout: 'hello\n', stderr: 'oops\n' });
    await engine.containers.start('one');
  });

  test('programs run in it: both outputs, the exit code, user, folder and variables', async () => {
    const lines: string[] = [];
    const script = 'echo "$A"; id -u; echo err >&2; exit 3';
    const result = await engine.containers.exec('one', ['sh', '-c', script], {
      env: ['A=b c'],
      user: 'anna',
      workingDir: '/usr',
      onLine: (stream, line) => lines.push(`${stream} ${line}`),
    });
    expect(result).toMatchObject({ exitCode: 3, stdout: 'b c\n1000\n', stderr: 'err\n', timedOut: false });
    expect(lines).toHaveLength(3);
    expect((await engine.containers.exec('one', ['no-such-program'])).exitCode).toBeGreaterThan(125);
    const much = await engine.containers.exec('one', [
      'sh',
      '-c',
      'i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done',
    ]);
    expect(much.stdout).toHaveLength(220_000);
  });

  test('a daemon that holds the output open does not hold us', async () => {
    const result = await engine.containers.exec('one', ['sh', '-c', 'sleep 60 & echo started']);
    expect(result).toMatchObject({ exitCode: 0, stdout: 'started\n' });
  });

  test.each([undefined, 'anna'])(
    'a program whose time is over is killed with all it started (user %s)',
    async (user) => {
      const script = 'echo begun; setsid sleep 4711 & sleep 4712';
      const options = { timeoutMs: 1_000, ...(user === undefined ? {} : { user }) };
      const result = await engine.containers.exec('one', ['sh', '-c', script], options);
      expect(result).toMatchObject({ exitCode: undefined, timedOut: true, stdout: 'begun\n' });
      expect(await docker.run(['top', 'one'])).not.toMatch(/sleep 471/);
      expect(warnings).toEqual([]);
    },
  );

  test('so is one that is interrupted', async () => {
    const stop = new AbortController();
    const running = engine.containers.exec('one', ['sh', '-c', 'echo begun; sleep 4713'], {
      signal: stop.signal,
      onLine: () => stop.abort(),
    });
    expect(await failure(running)).toMatchObject({ code: 'INTERRUPTED' });
    expect(await docker.run(['top', 'one'])).not.toMatch(/sleep 4713/);
  });

  test('files are copied in', async () => {
    const tar = pack();
    tar.entry({ name: 'copied' }, 'by regops');
    tar.finalize();
    await engine.containers.copyIn('one', '/tmp/..', Readable.from(tar));
    expect(await engine.containers.exec('one', ['cat', '/copied'])).toMatchObject({ stdout: 'by regops' });
    const early = Readable.from([Buffer.alloc(1024)]);
    expect(await failure(engine.containers.copyIn('one', '/no/such/folder', early))).toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
    expect(early.destroyed).toBe(true);
  });

  test('commit, push, prove, pull, export and load', async () => {
    await engine.containers.exec('one', ['sh', '-c', 'echo kept > /kept']);
    const name = inRegistry('team/snap:1');
    const labels = { 'regops.test': 'quote " dollar $HOME \\ line\nend' };
    const id = await engine.containers.commit('one', {
      name,
      labels,
      env: { SECRET: '' },
      comment: 'a snapshot',
    });
    expect((await engine.containers.inspect('one')).state).toMatchObject({ running: true, paused: false });
    const image = await engine.images.inspect(name);
    expect(image).toMatchObject({ id, comment: 'a snapshot', run: { labels: { role: 'test', ...labels } } });
    expect(image.run.env).toContain('SECRET=');
    expect(image.run.env.join()).not.toContain('GEHEIM');
    expect((await engine.images.history(name)).length).toBeGreaterThan(1);
    expect((await engine.images.list(['regops.test'])).map((one) => one.id)).toEqual([id]);

    const events: TransferEvent[] = [];
    const pushed = await engine.images.push(name, {
      credential: credential(),
      onEvent: (event) => events.push(event),
    });
    expect(pushed.layers?.moved).toBe(image.layers.length);
    expect(events.some((event) => event.kind === 'layer' && (event.currentBytes ?? 0) > 0)).toBe(true);
    const seen = await skopeo.inspect(`docker://${registry.host}/team/snap:1`, skopeoAccess(registry));
    expect(seen['Digest']).toBe(pushed.digest);
    expect(await engine.images.inRegistry(name, { credential: credential() })).toMatchObject({
      digest: pushed.digest,
    });
    const again = await engine.images.push(name, { credential: credential() });
    expect(again).toMatchObject({
      digest: pushed.digest,
      layers: { moved: 0, existing: image.layers.length },
    });

    const archive = await buffer(await engine.images.export([name]));
    expect((await engine.images.remove(name)).untagged).toContain(`${registry.host}/team/snap:1`);
    expect(await engine.images.find(name)).toBeUndefined();
    const { tag: _, ...repository } = name;
    const pulled = await engine.images.pull(
      { ...repository, digest: pushed.digest },
      { credential: credential() },
    );
    expect(pulled).toMatchObject({ digest: pushed.digest, image: { id } });
    await engine.images.remove(pulled.image.id, { force: true });
    expect(await engine.images.load(Readable.from([archive]))).toMatchObject({
      names: [`${registry.host}/team/snap:1`],
    });
    expect(await engine.images.inspect(name)).toMatchObject({ id, layers: image.layers });

    const restored = await engine.containers.create({
      image: name,
      host: { networkMode: 'host' },
      run: { command: ['cat', '/kept'] },
    });
    await engine.containers.start(restored);
    expect(await engine.containers.wait(restored)).toEqual({ exitCode: 0, error: '' });
    expect((await engine.containers.logs(restored)).stdout).toBe('kept\n');
    await engine.containers.remove(restored);
  });

  test('an import, a tag more, and what is in use', async () => {
    const tar = pack();
    tar.entry({ name: 'file' }, 'content');
    tar.finalize();
    const imported = await engine.images.importFiles(Readable.from(tar), parseReference('imported:1'), {
      changes: ['LABEL a=b'],
    });
    expect(imported).toMatchObject({ tags: ['imported:1'], run: { labels: { a: 'b' } } });
    await engine.images.tag(imported.id, parseReference('imported:2'));
    expect((await engine.images.inspect(imported.id)).tags).toEqual(['imported:1', 'imported:2']);
    expect(await failure(engine.images.remove(SHELL))).toMatchObject({ code: 'ENGINE_CONFLICT' });
  });

  test.each<[string, () => Promise<unknown>, string]>([
    ['no container', () => engine.containers.inspect('none'), 'CONTAINER_NOT_FOUND'],
    [
      'no container to commit',
      () => engine.containers.commit('none', { name: SHELL }),
      'CONTAINER_NOT_FOUND',
    ],
    ['no image', () => engine.images.inspect(parseReference('none:1')), 'IMAGE_NOT_FOUND'],
    ['no image to push', () => engine.images.push(inRegistry('team/none:1')), 'IMAGE_NOT_FOUND'],
    [
      'no image to run',
      () => engine.containers.create({ image: parseReference('none:1') }),
      'IMAGE_NOT_FOUND',
    ],
    [
      'a name that is taken',
      () => engine.containers.create({ image: SHELL, name: 'one' }),
      'ENGINE_CONFLICT',
    ],
    [
      'no manifest',
      () => engine.images.pull(inRegistry('team/none:1'), { credential: credential() }),
      'MANIFEST_NOT_FOUND',
    ],
    ['nobody', () => engine.images.pull(inRegistry('team/none:1')), 'AUTHENTICATION_FAILED'],
    ['no registry', () => engine.images.pull(parseReference('127.0.0.1:1/team/none:1')), 'CONNECTION_FAILED'],
    [
      'a wrong password',
      () => engine.checkCredential(registry.host, { username: 'anna', password: 'no' }),
      'AUTHENTICATION_FAILED',
    ],
    [
      'no registry to sign in to',
      () => engine.checkCredential('127.0.0.1:1', credential()),
      'CONNECTION_FAILED',
    ],
    [
      'an archive that is none',
      () => engine.images.load(Readable.from([Buffer.alloc(2048, 'x')])),
      'ENGINE_FAILED',
    ],
  ])('%s', async (_, work, code) => {
    expect((await failure(work())).code).toBe(code);
  });

  test('the right password', async () => {
    await engine.checkCredential(registry.host, credential());
  });
});
