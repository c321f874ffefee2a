import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { digestOf, OCI_CONFIG, OCI_MANIFEST, pushBlob, putManifest } from '../support/testbed-client.ts';
import {
  type Answer,
  json,
  lines,
  type ScriptedEngine,
  startScriptedEngine,
} from '../unit/engine/scripted-engine.ts';
import { ended, openRegistry } from './support.ts';

// What a command says and leaves with when the engine or the registry does something odd; how it works on real
// ones is in test/real/snapshot.test.ts.

const folder = useTempFolder();
const ID = 'c'.repeat(64);
const IMAGE = `sha256:${'a'.repeat(64)}`;

/** An engine with one container, that can be committed. */
async function engineWithContainer(): Promise<ScriptedEngine> {
  const engine = await startScriptedEngine();
  engine.on(
    'GET /info',
    json(200, { Name: 'host-1', RegistryConfig: { InsecureRegistryCIDRs: ['127.0.0.0/8'] } }),
  );
  engine.on(
    'GET /containers/app/json',
    json(200, {
      ...{ Id: ID, Name: '/app', Image: IMAGE, State: { Status: 'running', Running: true } },
      Config: { Image: 'base:1', Env: ['A=1'], Hostname: ID.slice(0, 12) },
      HostConfig: {},
      Mounts: [{ Type: 'volume', Name: 'data', Destination: '/data' }],
    }),
  );
  engine.on('GET /images/*', json(200, { Id: IMAGE, RepoTags: [], Size: 1000, RootFS: { Layers: [IMAGE] } }));
  engine.on('POST /commit', json(201, { Id: IMAGE }));
  engine.on('POST /images/*', json(201, {}));
  engine.on('DELETE /images/*', json(200, []));
  return engine;
}

describe('a push that fails after the commit keeps the snapshot, and says how to push it later', () => {
  const cut: Answer = (reply) => {
    reply.writeHead(200);
    reply.write('{"status":"Preparing","id":"aaaaaaaaaaaa"}\r\n');
    setTimeout(() => reply.destroy(), 50);
  };
  test.each<[string, Answer, number]>([
    [
      'an error event under status 200',
      lines({ errorDetail: { message: 'denied: requested access to the resource is denied' } }),
      77,
    ],
    ['a registry that went away', lines({ error: 'dial tcp 127.0.0.1:1: connect: connection refused' }), 69],
    ['a full disk', json(500, { message: 'write /var/lib/docker/tmp/x: no space left on device' }), 74],
    ['a line that is no JSON', lines({ status: 'Preparing' }, '<html>bad gateway</html>'), 76],
    ['a stream that ends before the digest', lines({ status: 'Preparing', id: 'aaaaaaaaaaaa' }), 76],
    ['a stream that is cut', cut, 69],
    [
      'a digest that the registry does not know',
      lines({ aux: { Tag: 'app-x', Digest: IMAGE, Size: 5 } }),
      76,
    ],
  ])('%s', async (_, answer, exitCode) => {
    const [engine, registry] = [await engineWithContainer(), await openRegistry()];
    engine.on(`POST /images/${registry.name}/team/app/push`, answer);
    const run = ended(
      exitCode,
      await runCommand(
        'snapshot push',
        ['app', '--snapshot-id', 'x', '--registry-url', registry.url, '--repository', 'team/app', '--json'],
        { env: { DOCKER_HOST: engine.host } },
      ),
    );
    const { result, error, warnings } = run.json();
    expect(result.local.reference).toBe('regops-snapshots:app-x');
    expect(result.destinations).toEqual([expect.objectContaining({ status: 'failed' })]);
    expect(error.hints.join()).toContain(
      `snapshot push --from-image regops-snapshots:app-x --registry-url ${registry.url} --repository team/app`,
    );
    expect(warnings.join()).toContain('/data (volume data)');
    // The engine's own pause is the only one.
    expect(engine.seen.filter(({ path }) => /pause/.test(path))).toEqual([]);
    const commit = engine.seen.find(({ path }) => path === '/commit');
    expect(commit?.query.get('pause')).toBe('true');
    expect(JSON.parse(String(commit?.body)).Labels).toMatchObject({
      'regops.snapshot.id': 'x',
      'regops.snapshot.host': 'host-1',
    });
  });
});

test('nothing is committed when the registry refuses', async () => {
  const engine = await engineWithContainer();
  const registry = await openRegistry({ auth: { username: 'anna', password: 'right' } });
  const run = ended(
    77,
    await runCommand(
      'snapshot push',
      [
        'app',
        '--registry-url',
        registry.url,
        '--repository',
        'team/app',
        '--username',
        'anna',
        '--password-stdin',
      ],
      { env: { DOCKER_HOST: engine.host }, stdin: 'wrong' },
    ),
  );
  expect(run.stderr).not.toContain('wrong');
  expect(engine.seen.some(({ method }) => method !== 'GET')).toBe(false);
});

test("a file's credentials go to the file's registry and to no other", async () => {
  const registry = await openRegistry({ auth: { username: 'anna', password: 'right' } });
  const file = folder('config.yaml');
  const env = { DOCKER_HOST: 'unix:///nowhere.sock', SECRET: 'right' };
  const block = (url: string) =>
    `snapshot_registry: { url: "${url}", repository: team/app, username: anna, password: "\${SECRET}", insecure: true }\n`;
  await writeFile(file, block(registry.name));
  const list = ended(0, await runCommand('snapshot list', ['--config', file, '--json'], { env }));
  expect(list.json().result).toMatchObject({
    repository: `${registry.name}/team/app`,
    local: false,
    snapshots: [],
  });
  expect(list.json().warnings.join()).toContain('only the registry was asked');

  await writeFile(file, block('registry.example.com'));
  ended(77, await runCommand('snapshot list', ['--config', file, '--registry-url', registry.url], { env }));
  const variables = {
    ...env,
    REGOPS_SNAPSHOT_REGISTRY_URL: registry.url,
    REGOPS_SNAPSHOT_REPOSITORY: 'team/app',
    REGOPS_SNAPSHOT_USERNAME: 'anna',
    REGOPS_SNAPSHOT_PASSWORD: 'right',
  };
  ended(0, await runCommand('snapshot list', [], { env: variables }));
});

describe('a commit that is interrupted', () => {
  const LATE = `sha256:${'b'.repeat(64)}`;
  const NAME = '/images/docker.io/library/regops-snapshots:app-x';

  /** Pushes, and interrupts the commit, which the engine finishes all the same. @param before the image of that name */
  async function interrupted(before: string | undefined): Promise<ScriptedEngine> {
    const engine = await engineWithContainer();
    let now = before;
    engine.on(`GET ${NAME}/json`, (reply, request) =>
      now === undefined
        ? json(404, { message: 'No such image' })(reply, request)
        : json(200, { Id: now })(reply, request),
    );
    const committing = Promise.withResolvers<void>();
    engine.on('POST /commit', () => committing.resolve());
    const run = ended(
      130,
      await runCommand('snapshot push', ['app', '--snapshot-id', 'x'], {
        env: { DOCKER_HOST: engine.host },
        async whileRunning(signal) {
          await committing.promise;
          signal('SIGINT');
          now = LATE;
        },
      }),
    );
    expect(run.stderr).not.toContain('may still be making');
    return engine;
  }

  const changes = (engine: ScriptedEngine): string[] =>
    engine.seen
      .filter(({ method, path }) => method !== 'GET' && path !== '/commit')
      .map(({ method, path }) => `${method} ${path}`);

  test('leaves no image behind', async () => {
    expect(changes(await interrupted(undefined))).toEqual([`DELETE ${NAME}`]);
  });

  test('gives the name back to the image that had it', async () => {
    expect(changes(await interrupted(IMAGE))).toEqual([
      `POST /images/${IMAGE}/tag`,
      `DELETE /images/${LATE}`,
    ]);
  });
});

/** What a snapshot's labels say. */
function labels(id: string, source: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries({
      ...{ id, source, tag: `${source}-${id}`, 'source-id': `${source}0123` },
      ...{ created: '2026-01-31T12:00:00.000Z', expires: '2026-02-14T12:00:00.000Z' },
    }).map(([name, value]) => [`regops.snapshot.${name}`, value]),
  );
}

test('an ID that several containers have is a snapshot of each', async () => {
  const [engine, registry] = [await startScriptedEngine(), await openRegistry()];
  const config = JSON.stringify({ rootfs: { type: 'layers' }, config: { Labels: labels('nightly', 'web') } });
  await pushBlob(registry, 'team/app', config);
  await putManifest(registry, 'team/app', 'web-nightly', {
    ...{ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] },
    config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
  });
  const local = (source: string) => ({
    ...{ Id: digestOf(source), RepoTags: [`regops-snapshots:${source}-nightly`] },
    Labels: labels('nightly', source),
  });
  engine.on('GET /images/json', json(200, [local('web'), local('db')]));
  const run = await runCommand(
    'snapshot list',
    ['--registry-url', registry.url, '--repository', 'team/app', '--json'],
    { env: { DOCKER_HOST: engine.host } },
  );
  const { snapshots } = ended(0, run).json().result;
  expect(
    snapshots.map(({ source, where, references }: Record<string, unknown>) => [source, where, references]),
  ).toEqual(
    expect.arrayContaining([
      ['web', 'both', [`${registry.name}/team/app:web-nightly`, 'regops-snapshots:web-nightly']],
      ['db', 'local', ['regops-snapshots:db-nightly']],
    ]),
  );
  expect(snapshots).toHaveLength(2);
});

test('prune leaves what has another name: an image that was built from a snapshot has its labels', async () => {
  const [engine, registry] = [await startScriptedEngine(), await openRegistry()];
  const names = [
    ['regops-snapshots:web-1', 'registry.example.com/team/app:web-1'],
    ['myapp:1'],
    [`registry.example.com/team/app:sha256-${'d'.repeat(64)}`],
    [],
  ];
  const images = names.map((RepoTags) => ({
    ...{ Id: digestOf(RepoTags.join()), RepoTags },
    Labels: labels('1', 'web'),
  }));
  engine.on('GET /images/json', json(200, images));
  engine.on('GET /containers/json', json(200, []));
  engine.on('DELETE /images/*', json(200, []));
  for (const { Id } of images) engine.on(`GET /images/${Id}/json`, json(200, { Id, RepoTags: [] }));
  for (const tag of ['web-1', 'golden']) {
    const config = JSON.stringify({ rootfs: { type: tag }, config: { Labels: labels('1', 'web') } });
    await pushBlob(registry, 'team/app', config);
    await putManifest(registry, 'team/app', tag, {
      ...{ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] },
      config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
    });
  }
  const env = { DOCKER_HOST: engine.host };
  const here = ended(0, await runCommand('snapshot prune', ['--local', '--expired', '--json'], { env }));
  expect(here.json().result).toMatchObject({
    totals: { deleted: 3, failed: 0, kept: 1 },
    snapshots: [
      { references: ['myapp:1'], status: 'shared', message: 'named myapp:1, which is not its own name' },
      ...[{ status: 'deleted' }, { status: 'deleted' }, { status: 'deleted' }],
    ],
  });
  // With a name gone an image may stay, known by a digest.
  const [tagged, derived, unnamed, nameless] = images.map(({ Id }) => `/images/${Id}`);
  const deleted = engine.seen.flatMap(({ method, path }) => (method === 'DELETE' ? [path] : []));
  expect(deleted).toEqual(expect.arrayContaining([tagged, unnamed, nameless]));
  expect(deleted).not.toContain(derived);
  const at = ['--registry-url', registry.url, '--repository', 'team/app'];
  engine.on('GET /images/json', json(200, []));
  const there = ended(0, await runCommand('snapshot prune', [...at, '--expired', '--json'], { env }));
  expect(there.json().result.snapshots).toMatchObject([
    { references: [`${registry.name}/team/app:golden`], status: 'shared' },
    { references: [`${registry.name}/team/app:web-1`], status: 'deleted' },
  ]);
});

test.each([
  ['push', [], 'push what?'],
  ['push', ['app', '--from-image', 'x'], 'excludes'],
  ['push', ['app', '--registry-url', 'localhost:1'], '--repository'],
  ['push', ['app', '--repository', 'team/app'], '--registry-url'],
  ['push', ['app', '--also', 'nowhere'], 'not a registry'],
  ['push', ['app', '--label', 'regops.snapshot.id=x'], "regops' own"],
  ['push', ['app', '--snapshot-id', '../x'], "cannot be a snapshot's ID"],
  ['push', ['app', '--tag', '-x'], 'not a tag'],
  ['push', ['app', '--ttl', '99999999d'], 'beyond the year 9999'],
  ['push', ['a/b'], 'not the name or ID'],
  ['pull', ['registry.example.com/x:1', '--name', 'x'], '--start'],
  ['pull', ['registry.example.com/UPPER:1'], 'lowercase'],
  ['prune', [], 'No rule'],
  ['prune', ['--keep', '0', '--local'], '--keep'],
])('snapshot %s %j is a mistake', async (words, argv, why) => {
  const engine = await engineWithContainer();
  const run = ended(64, await runCommand(`snapshot ${words}`, argv, { env: { DOCKER_HOST: engine.host } }));
  expect(run.stderr).toContain(why);
  expect(engine.seen.some(({ method }) => method !== 'GET')).toBe(false);
});
