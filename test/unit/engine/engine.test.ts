import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ErrorCode, isRegopsError, type Log, type RegopsError } from '../../../src/base/index.ts';
import {
  type Engine,
  openEngine,
  type RegistryCredential,
  repoDigest,
  type TransferEvent,
} from '../../../src/engine/index.ts';
import { mayTalkPlainly } from '../../../src/engine/plain-registries.ts';
import { registryAuthHeader } from '../../../src/engine/registry-auth.ts';
import { digestOf, parseReference } from '../../../src/oci/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { frame, json, lines, type ScriptedEngine, startScriptedEngine } from './scripted-engine.ts';

const REFERENCE = parseReference('registry.example.com:5000/team/app:1');
const DIGEST = digestOf('manifest');
const CREDENTIAL: RegistryCredential = { username: 'anna', password: 'GEHEIM-?>~ü' };
const PUSH = 'POST /images/registry.example.com:5000/team/app/push';

let scripted: ScriptedEngine;
let engine: Engine;
const said: string[] = [];
const log: Log = { warn: (line) => said.push(line), info() {}, trace: (line) => said.push(line) };

beforeEach(async () => {
  said.length = 0;
  scripted = await startScriptedEngine();
  engine = await scripted.open({ log });
});

async function failure(work: Promise<unknown>): Promise<RegopsError> {
  const error = await work.then(
    (value) => {
      throw new Error(`it succeeded: ${JSON.stringify(value)}`);
    },
    (thrown: unknown) => thrown,
  );
  if (!isRegopsError(error)) throw error;
  return error;
}

describe('openEngine', () => {
  test('speaks the newest version that both know', async () => {
    expect(engine.version).toEqual({
      product: 'docker',
      version: '27.0.0',
      apiVersion: '1.47',
      os: 'linux',
      architecture: 'amd64',
    });
    expect(engine.address).toBe(scripted.host);
  });

  test('podman is known by its components', async () => {
    scripted.on(
      'GET /version',
      json(200, { Version: '4.3.1', Components: [{ Name: 'Podman Engine', Version: '4.3.1' }] }),
    );
    expect((await scripted.open()).version).toMatchObject({ product: 'podman', version: '4.3.1' });
  });

  test.each([
    ['1.52', '1.44', undefined],
    ['1.39', '1.12', 'too old'],
    ['1.60', '1.55', 'too new'],
  ])('an engine of %s that wants %s at least: %s', async (newest, oldest, why) => {
    scripted.on('GET /_ping', (reply) => void reply.writeHead(200, { 'api-version': newest }).end('OK'));
    scripted.on('GET /version', json(200, { MinAPIVersion: oldest }));
    if (why === undefined) {
      expect((await scripted.open()).version.apiVersion).toBe('1.51');
    } else {
      const error = await failure(scripted.open());
      expect(error.code).toBe('UNSUPPORTED_BY_SERVER');
      expect(error.message).toContain(why);
    }
  });

  test('nobody there: what to try', async () => {
    const error = await failure(openEngine({ host: `${scripted.host}.none` }));
    expect(error).toMatchObject({ code: 'ENGINE_UNREACHABLE', details: { errno: 'ENOENT' } });
    expect(error.message).toContain(`${scripted.host}.none`);
    expect(error.hints.join(' ')).toMatch(/systemctl start docker.*DOCKER_HOST.*podman\.socket/);
  });

  test('a refused port, and one that speaks something else', async () => {
    expect(await failure(openEngine({ host: 'tcp://127.0.0.1:1' }))).toMatchObject({
      code: 'ENGINE_UNREACHABLE',
    });
  });

  test.each([
    ['a web server', (reply: ServerResponse) => reply.end('<html>'), 'PROTOCOL_VIOLATION'],
    ['a registry', (reply: ServerResponse) => reply.writeHead(404).end('not found'), 'PROTOCOL_VIOLATION'],
    [
      // docker-modem would follow it in the background, and die of it.
      'one that redirects to nowhere',
      (reply: ServerResponse) => reply.writeHead(301, { location: 'http://127.0.0.1:1/' }).end(),
      'REQUEST_REFUSED',
    ],
  ])('%s is no engine', async (_, answer, code) => {
    const server = createServer((_request, reply) => void answer(reply)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      expect((await failure(openEngine({ host: `tcp://127.0.0.1:${port}` }))).code).toBe(code);
      await wait(50);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('over tcp, below the path of a proxy', async () => {
    const paths: (string | undefined)[] = [];
    const server = createServer((request, reply) => {
      paths.push(request.url);
      reply.setHeader('api-version', '1.44');
      reply.end(request.url?.endsWith('/version') ? '{"Version":"25"}' : '[]');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const remote = await openEngine({ host: `tcp://127.0.0.1:${port}/engines/one/` });
      expect(await remote.images.list(['a=b', 'c'])).toEqual([]);
      expect(paths.map((path) => decodeURIComponent(path ?? ''))).toEqual([
        '/engines/one/_ping',
        '/engines/one/v1.44/version',
        '/engines/one/v1.44/images/json?filters={"label":["a=b","c"]}',
      ]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('TLS: with its authority and a client certificate, and not without', async () => {
    const authority = await makeAuthority();
    const { cert, key } = await authority.issue(['127.0.0.1']);
    const server = createTlsServer({ cert, key, ca: authority.cert, requestCert: true }, (_, reply) => {
      reply.setHeader('api-version', '1.44');
      reply.end('{"Version":"25"}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const host = `tcp://127.0.0.1:${port}`;
      expect((await openEngine({ host, tls: { ca: authority.cert, cert, key } })).version.version).toBe('25');
      const { cert: ca } = await makeAuthority();
      expect(await failure(openEngine({ host, tls: { ca } }))).toMatchObject({ code: 'TLS_FAILED' });
      expect(await failure(openEngine({ host }))).toMatchObject({ code: 'CONNECTION_FAILED' });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  describe('whatever the environment says', () => {
    afterEach(() => vi.unstubAllEnvs());

    test('the address given counts', async () => {
      vi.stubEnv('DOCKER_HOST', 'ssh://nobody@127.0.0.1:1');
      expect((await scripted.open()).version.version).toBe('27.0.0');
    });
  });
});

describe('push', () => {
  test('tells of its layers, and gives the digest that the engine names', async () => {
    scripted.on(
      PUSH,
      lines(
        { status: 'The push refers to repository [x]' },
        { status: 'Preparing', progressDetail: {}, id: 'aaaaaaaaaaaa' },
        { status: 'Pushing', progressDetail: { current: 512, total: 500 }, id: 'aaaaaaaaaaaa' },
        { status: 'Retrying in 5 seconds', id: 'aaaaaaaaaaaa' },
        { status: 'Pushed', progressDetail: {}, id: 'aaaaaaaaaaaa' },
        { status: 'Layer already exists', progressDetail: {}, id: 'bbbbbbbbbbbb' },
        { status: 'Mounted from team/base', progressDetail: {}, id: 'cccccccccccc' },
        { status: `1: digest: ${DIGEST} size: 734` },
        { progressDetail: {}, aux: { Tag: '1', Digest: DIGEST, Size: 734 } },
      ),
    );
    const events: TransferEvent[] = [];
    const pushed = await engine.images.push(REFERENCE, {
      credential: CREDENTIAL,
      onEvent: (event) => events.push(event),
    });
    expect(pushed).toEqual({
      digest: DIGEST,
      manifestBytes: 734,
      layers: { moved: 1, existing: 1, mounted: 1 },
    });
    expect(events.map((event) => (event.kind === 'layer' ? event.phase : event.kind))).toEqual([
      'status',
      ...['preparing', 'pushing', 'retrying', 'pushed', 'exists', 'mounted'],
      'status',
    ]);
    expect(events[2]).toMatchObject({ currentBytes: 500, totalBytes: 500 });
    const request = scripted.seen.at(-1);
    expect(request?.query.get('tag')).toBe('1');
    const header = String(request?.headers['x-registry-auth']);
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      username: 'anna',
      password: 'GEHEIM-?>~ü',
      serveraddress: 'registry.example.com:5000',
    });
    expect(said.join('\n')).not.toContain(header);
  });

  test.each([
    ['the containerd store has no aux', { status: `1: digest: ${DIGEST} size: 734` }],
    ['old podman says no size', { status: `1: digest: ${DIGEST}` }],
    ['only aux', { aux: { Tag: '1', Digest: DIGEST } }],
  ])('%s: the digest is found', async (_, event) => {
    scripted.on(PUSH, lines({ aux: { manifestPushedInsteadOfIndex: true } }, event));
    expect((await engine.images.push(REFERENCE)).digest).toBe(DIGEST);
    expect(
      Buffer.from(String(scripted.seen.at(-1)?.headers['x-registry-auth']), 'base64url').toString(),
    ).toBe('{}');
  });

  test('needs a tag, or every tag would be pushed', async () => {
    const { tag: _, ...without } = REFERENCE;
    expect(await failure(engine.images.push(without))).toMatchObject({ code: 'REFERENCE_INVALID' });
    expect(scripted.seen.some(({ path }) => path.includes('push'))).toBe(false);
  });

  const FAULTS: readonly (readonly [said: string, code: ErrorCode])[] = [
    ['unauthorized: authentication required', 'AUTHENTICATION_FAILED'],
    ['no basic auth credentials', 'AUTHENTICATION_FAILED'],
    ['denied: requested access to the resource is denied', 'PERMISSION_DENIED'],
    ['Get "https://r/v2/": dial tcp 192.0.2.1:443: connect: connection refused', 'CONNECTION_FAILED'],
    ['Get "https://r/v2/": dial tcp: lookup r: no such host', 'NAME_NOT_RESOLVED'],
    ['Get "https://r/v2/": http: server gave HTTP response to HTTPS client', 'TLS_FAILED'],
    ['Get "https://r/v2/": x509: certificate signed by unknown authority', 'TLS_UNTRUSTED'],
    ['write /var/lib/docker/tmp/x: no space left on device', 'IO_FAILED'],
    ['toomanyrequests: You have reached your pull rate limit', 'RATE_LIMITED'],
    ['received unexpected HTTP status: 503 Service Unavailable', 'SERVER_ERROR'],
    ['net/http: request canceled (Client.Timeout exceeded while awaiting headers)', 'TIMED_OUT'],
    ['An image does not exist locally with the tag: r/team/app', 'IMAGE_NOT_FOUND'],
    ['blob upload unknown', 'UPLOAD_REJECTED'],
    ['runc: error setting rlimit type 7: OCI permission denied', 'ENGINE_FAILED'],
    ['something nobody has ever seen', 'ENGINE_FAILED'],
  ];

  test('a container whose program cannot be run is no wrong request, although the engine calls it one', async () => {
    const message =
      'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "x": executable file not found in $PATH: unknown';
    scripted.on('POST /containers/app/start', json(400, { message }));
    expect((await failure(engine.containers.start('app'))).code).toBe('ENGINE_FAILED');
  });

  test.each(FAULTS)('an error under status 200: %s is %s', async (message, code) => {
    scripted.on(
      PUSH,
      lines({ status: `1: digest: ${DIGEST} size: 7` }, { errorDetail: { message }, error: 'deprecated' }),
    );
    const error = await failure(engine.images.push(REFERENCE));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.message).toContain('cannot push registry.example.com:5000/team/app:1');
  });

  test.each([{ error: 'denied: no' }, { errorDetail: { code: 1 } }, { error: {} }])(
    '%o is an error too',
    async (event) => {
      scripted.on(PUSH, lines(event, { aux: { Digest: DIGEST } }));
      await failure(engine.images.push(REFERENCE));
    },
  );

  test('a stream that ends without a digest proves nothing', async () => {
    scripted.on(PUSH, lines({ status: 'Pushed', id: 'aaaaaaaaaaaa' }));
    expect(await failure(engine.images.push(REFERENCE))).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });

  test('a stream that is cut', async () => {
    scripted.on(PUSH, async (reply) => {
      reply.writeHead(200).write('{"status":"Pushing","id":"aaaaaaaaaaaa"}\n');
      await wait(20);
      reply.destroy();
    });
    expect(await failure(engine.images.push(REFERENCE))).toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  test('two digests, and one that is none', async () => {
    scripted.on(PUSH, lines({ aux: { Digest: DIGEST } }, { aux: { Digest: digestOf('other') } }));
    expect(await failure(engine.images.push(REFERENCE))).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    scripted.on(PUSH, lines({ aux: { Digest: 'sha256:no' } }));
    expect(await failure(engine.images.push(REFERENCE))).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });

  test('a line that is no JSON, and one without end', async () => {
    scripted.on(PUSH, lines('<html>502</html>'));
    expect(await failure(engine.images.push(REFERENCE))).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    scripted.on(PUSH, lines(`{"status":"${'x'.repeat(2_000_000)}"}`));
    expect(await failure(engine.images.push(REFERENCE))).toMatchObject({ code: 'RESPONSE_TOO_LARGE' });
  });

  test('silence, and an interruption, end the call in the engine too', async () => {
    const closed: Promise<unknown>[] = [];
    scripted.on(PUSH, (reply) => {
      closed.push(once(reply, 'close'));
      reply.writeHead(200).write('{"status":"Preparing"}\n');
    });
    expect(await failure(engine.images.push(REFERENCE, { timeoutMs: 50 }))).toMatchObject({
      code: 'TIMED_OUT',
    });
    const stop = new AbortController();
    const onEvent = (): void => stop.abort();
    const interrupted = engine.images.push(REFERENCE, { signal: stop.signal, onEvent });
    expect(await failure(interrupted)).toMatchObject({ code: 'INTERRUPTED' });
    await Promise.all(closed);
    expect(closed).toHaveLength(2);
  });
});

describe('pull', () => {
  const PULL = 'POST /images/create';
  const INSPECT = 'GET /images/registry.example.com:5000/team/app*';

  test('gives the image and its digest', async () => {
    scripted.on(
      PULL,
      lines(
        { status: 'Pulling from team/app', id: '1' },
        { status: 'Pull complete', id: 'aaaaaaaaaaaa', progressDetail: {} },
        { status: 'Already exists', id: 'bbbbbbbbbbbb', progressDetail: {} },
        { status: `Digest: ${DIGEST}` },
        { status: 'Status: Image is up to date for x' },
      ),
    );
    scripted.on(
      INSPECT,
      json(200, { Id: 'sha256:1', Config: { Labels: null, Cmd: ['sh'] }, RepoTags: null }),
    );
    const pulled = await engine.images.pull(REFERENCE, {
      credential: { identityToken: 't' },
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    });
    expect(pulled).toMatchObject({
      digest: DIGEST,
      upToDate: true,
      layers: { moved: 1, existing: 1, mounted: 0 },
      image: { id: 'sha256:1', tags: [], run: { command: ['sh'], labels: {} } },
    });
    expect(
      Object.fromEntries(scripted.seen.find(({ path }) => path === '/images/create')?.query ?? []),
    ).toEqual({
      fromImage: 'registry.example.com:5000/team/app',
      tag: '1',
      platform: 'linux/arm/v7',
    });
  });

  test('by digest, another digest is a mismatch', async () => {
    scripted.on(PULL, lines({ status: `Digest: ${digestOf('other')}` }));
    scripted.on(INSPECT, json(200, { Id: 'sha256:1' }));
    const byDigest = { ...REFERENCE, digest: DIGEST };
    expect(await failure(engine.images.pull(byDigest))).toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(scripted.seen.at(-1)?.path).toBe(`/images/registry.example.com:5000/team/app@${DIGEST}/json`);
  });

  test('an engine that claims success without the image', async () => {
    scripted.on(PULL, lines({ status: `Digest: ${DIGEST}` }));
    scripted.on(INSPECT, json(404, { message: 'No such image: x' }));
    expect(await failure(engine.images.pull(REFERENCE))).toMatchObject({ code: 'IMAGE_NOT_FOUND' });
  });

  test.each([
    [500, 'manifest for x not found: manifest unknown: manifest unknown', 'MANIFEST_NOT_FOUND'],
    [404, 'pull access denied for x, repository does not exist', 'PERMISSION_DENIED'],
    [404, 'gone', 'MANIFEST_NOT_FOUND'],
    [500, 'no matching manifest for linux/arm64 in the manifest list entries', 'PLATFORM_NOT_FOUND'],
    [429, 'slow down', 'RATE_LIMITED'],
    [500, 'a secret: Bearer GEHEIMGEHEIM', 'ENGINE_FAILED'],
  ] as const)('%i %s is %s', async (status, message, code) => {
    scripted.on(PULL, json(status, { message }));
    const error = await failure(engine.images.pull(REFERENCE));
    expect(error).toMatchObject({ code, details: { status } });
    expect(error.message).not.toContain('GEHEIM');
  });
});

describe('the digest of an image in a repository', () => {
  test('is that of the very same repository', () => {
    const repoDigests = [
      `registry.example.com:5000/team/app-evil@${digestOf('evil')}`,
      `registry.example.com:5000/team/app@${DIGEST}`,
      `alpine@${digestOf('alpine')}`,
    ];
    expect(repoDigest({ repoDigests }, REFERENCE)).toBe(DIGEST);
    expect(repoDigest({ repoDigests }, parseReference('alpine:3'))).toBe(digestOf('alpine'));
    expect(repoDigest({ repoDigests }, parseReference('registry.example.com/team/app:1'))).toBeUndefined();
  });
});

describe('archives', () => {
  test('what a load brings in', async () => {
    scripted.on(
      'POST /images/load',
      lines({ stream: 'Loaded image: team/app:1\n' }, { stream: `Loaded image ID: ${DIGEST}\n` }),
    );
    expect(await engine.images.load(Readable.from(['tar']))).toEqual({
      names: ['team/app:1'],
      ids: [DIGEST],
    });
    expect(String(scripted.seen.at(-1)?.body)).toBe('tar');
  });

  test.each([
    [lines({ stream: 'nothing' }), 'PROTOCOL_VIOLATION'],
    [lines({ errorDetail: { message: 'write /x: no space left on device' } }), 'IO_FAILED'],
    [json(500, { message: 'invalid tar header' }), 'ENGINE_FAILED'],
  ] as const)('a load that fails (%#): %s', async (answer, code) => {
    scripted.on('POST /images/load', answer);
    const archive = Readable.from([Buffer.alloc(1000)]);
    expect(await failure(engine.images.load(archive))).toMatchObject({ code });
    expect(archive.destroyed).toBe(true);
  });

  test('an archive that cannot be read fails with its own error', async () => {
    scripted.on('POST /images/load', lines());
    const archive = new Readable({
      read: () => void archive.destroy(Object.assign(new Error('broken'), { code: 'EIO' })),
    });
    expect(await failure(engine.images.load(archive))).toMatchObject({
      code: 'IO_FAILED',
      message: expect.stringContaining('broken'),
    });
    const gone = await scripted.open();
    await rm(scripted.host.slice('unix://'.length));
    expect(await failure(gone.images.load(Readable.from(['tar'])))).toMatchObject({
      code: 'ENGINE_UNREACHABLE',
    });
  });

  test('an upload that goes on for longer than silence may is no silence', async () => {
    scripted.on('POST /images/load', lines({ stream: 'Loaded image: a:1' }));
    const slow = Readable.from(
      (async function* () {
        for (let piece = 0; piece < 8; piece++) {
          await wait(400);
          yield Buffer.alloc(10);
        }
      })(),
    );
    expect((await engine.images.load(slow, { timeoutMs: 2500 })).names).toEqual(['a:1']);
    const stuck = new Readable({ read() {} });
    expect(await failure(engine.images.load(stuck, { timeoutMs: 50 }))).toMatchObject({ code: 'TIMED_OUT' });
    expect(stuck.destroyed).toBe(true);
  });

  test('an export arrives whole, and a cut one fails', async () => {
    scripted.on('GET /images/get', (reply) => void reply.end(Buffer.alloc(300_000, 7)));
    expect(await buffer(await engine.images.export([REFERENCE, DIGEST]))).toHaveLength(300_000);
    expect(scripted.seen.at(-1)?.query.getAll('names')).toEqual([
      'registry.example.com:5000/team/app:1',
      DIGEST,
    ]);
    scripted.on('GET /images/get', (reply) => {
      reply.write(Buffer.alloc(1000));
      setImmediate(() => reply.destroy());
    });
    const cut = await engine.images.export([REFERENCE]);
    expect(await failure(buffer(cut))).toMatchObject({ code: 'CONNECTION_FAILED' });
  });
});

describe('containers', () => {
  test('commit sends labels and variables as JSON, and never a name that could fail', async () => {
    scripted.on('POST /commit', json(201, { Id: 'sha256:1' }));
    const labels = { 'a.b': 'quote " and $HOME' };
    const id = await engine.containers.commit('one', {
      name: REFERENCE,
      labels,
      env: { SECRET: '' },
      changes: ['CMD ["a"]', 'USER b'],
    });
    expect(id).toBe('sha256:1');
    const { query, body } = scripted.seen.at(-1) ?? {};
    expect(query?.getAll('changes')).toEqual(['CMD ["a"]', 'USER b']);
    expect(query?.get('pause')).toBe('true');
    expect(query?.get('repo')).toBe('registry.example.com:5000/team/app');
    expect(JSON.parse(String(body))).toEqual({ Labels: labels, Env: ['SECRET='] });
  });

  test('podman gets them as Dockerfile steps', async () => {
    scripted.on('GET /version', json(200, { Components: [{ Name: 'Podman Engine' }] }));
    scripted.on('POST /commit', json(201, { Id: 'sha256:1' }));
    const podman = await scripted.open();
    await podman.containers.commit('one', { name: REFERENCE, labels: { a: 'b "$c"' } });
    const { query, body } = scripted.seen.at(-1) ?? {};
    expect(query?.getAll('changes')).toEqual(['LABEL a="b "$c""']);
    // Without a body it fails: "Decode(): EOF".
    expect(JSON.parse(String(body))).toBeTypeOf('object');
  });

  test.each([
    [404, 'No such container: one', 'CONTAINER_NOT_FOUND'],
    [409, 'is restarting', 'ENGINE_CONFLICT'],
    [500, 'Error processing tar file: no space left on device', 'IO_FAILED'],
    [500, 'max depth exceeded', 'ENGINE_CONFLICT'],
  ] as const)('a commit that fails: %i %s is %s', async (status, message, code) => {
    scripted.on('POST /commit', json(status, { message }));
    expect(await failure(engine.containers.commit('one', { name: REFERENCE }))).toMatchObject({ code });
  });

  test.each(['', '../x', 'a/b', 'a?b', 'ü'])('%s is no container', async (name) => {
    const before = scripted.seen.length;
    expect(await failure((async () => engine.containers.inspect(name))())).toMatchObject({ code: 'USAGE' });
    expect(scripted.seen).toHaveLength(before);
  });

  test('an exec gives what was written, and how it ended', async () => {
    scripted.on('POST /containers/one/exec', json(201, { Id: 'e1' }));
    scripted.on(
      'POST /exec/e1/start',
      (reply) => void reply.end(Buffer.concat([frame(1, 'out\n'), frame(2, 'err')])),
    );
    scripted.on('GET /exec/e1/json', json(200, { Running: false, ExitCode: 3 }));
    const result = await engine.containers.exec('one', ['sh'], { user: 'anna', env: ['A=b'] });
    expect(result).toEqual({ stdout: 'out\n', stderr: 'err', cut: false, exitCode: 3, timedOut: false });
    const created = JSON.parse(String(scripted.seen.find(({ path }) => path.endsWith('/exec'))?.body));
    expect(created).toMatchObject({
      Cmd: ['sh'],
      User: 'anna',
      Env: ['A=b', expect.stringMatching(/^REGOPS_EXEC=/)],
    });
  });

  test('an exec whose output is cut in mid-frame has not succeeded', async () => {
    scripted.on('POST /containers/one/exec', json(201, { Id: 'e1' }));
    scripted.on('POST /exec/e1/start', (reply) => void reply.end(frame(1, 'output').subarray(0, 10)));
    scripted.on('GET /exec/e1/json', json(200, { Running: false, ExitCode: 0 }));
    expect(await failure(engine.containers.exec('one', ['sh']))).toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  test('a container that ends instead of running: its last words', async () => {
    const state = (State: object) => json(200, { Id: '1', State, Config: { Tty: true }, HostConfig: {} });
    scripted.on('GET /containers/one/json', state({ Status: 'exited', ExitCode: 2 }));
    scripted.on('GET /containers/one/logs', (reply) => void reply.end('cannot bind\r\nbye\r\n'));
    const error = await failure(engine.containers.waitUntilRunning('one'));
    expect(error.message).toContain('it ended with 2; it said: cannot bind | bye');
    scripted.on('GET /containers/one/json', state({ Status: 'created' }));
    expect(await failure(engine.containers.waitUntilRunning('one', { timeoutMs: 10 }))).toMatchObject({
      code: 'TIMED_OUT',
    });
  });

  test('calls have their bounds', async () => {
    scripted.on('GET /containers/one/json', () => {});
    expect(await failure(engine.containers.inspect('one', { timeoutMs: 30 }))).toMatchObject({
      code: 'TIMED_OUT',
    });
    expect(await failure(engine.containers.inspect('one', { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'INTERRUPTED',
    });
    scripted.on('GET /containers/one/json', (reply) => void reply.end('x'.repeat(40 * 1024 * 1024)));
    expect(await failure(engine.containers.inspect('one'))).toMatchObject({ code: 'RESPONSE_TOO_LARGE' });
    scripted.on('GET /containers/one/json', json(200, { Id: 7 }));
    expect(await failure(engine.containers.inspect('one'))).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    scripted.on(
      'GET /containers/one/json',
      (reply) => void reply.writeHead(500).end('x'.repeat(1024 * 1024)),
    );
    expect((await failure(engine.containers.inspect('one'))).message.length).toBeLessThan(1000);
  });
});

describe('credentials', () => {
  test.each([
    [204, '', undefined],
    [200, '{"Status":"Login Succeeded"}', undefined],
    [
      500,
      '{"message":"login attempt to http://r/v2/ failed with status: 401 Unauthorized"}',
      'AUTHENTICATION_FAILED',
    ],
    [401, '{"message":"Get \\"https://r/v2/\\": unauthorized"}', 'AUTHENTICATION_FAILED'],
    [500, '{"message":"dial tcp 127.0.0.1:1: connect: connection refused"}', 'CONNECTION_FAILED'],
  ])('sign-in: %i %s', async (status, body, code) => {
    scripted.on('POST /auth', (reply) => void reply.writeHead(status).end(body));
    const work = engine.checkCredential('docker.io', CREDENTIAL);
    if (code === undefined) await work;
    else expect((await failure(work)).code).toBe(code);
    expect(JSON.parse(String(scripted.seen.at(-1)?.body))).toEqual({
      username: 'anna',
      password: 'GEHEIM-?>~ü',
      serveraddress: 'https://index.docker.io/v1/',
    });
  });

  test('the header is base64url with padding', () => {
    const header = registryAuthHeader('r', { username: 'a', password: '???>>>~~' });
    expect(header).toMatch(/^[\w-]+=*$/);
    expect(header.length % 4).toBe(0);
    expect(
      JSON.parse(Buffer.from(registryAuthHeader('r', { bearerToken: 't' }), 'base64url').toString()),
    ).toEqual({
      registrytoken: 't',
      serveraddress: 'r',
    });
  });
});

describe('registries that may be talked to plainly', () => {
  const info = {
    insecureCidrs: ['127.0.0.0/8', '::1/128', '192.0.2.0/24', 'nonsense'],
    registries: {
      'docker.io': { secure: true },
      'named.invalid:5000': { secure: false },
      '192.0.2.9': { secure: true },
    },
  };

  test.each([
    ['127.0.0.1:5000', true],
    ['127.9.9.9', true],
    ['localhost:5000', true],
    ['[::1]:5000', true],
    ['192.0.2.7:443', true],
    ['192.0.2.9', false],
    ['198.51.100.1:5000', false],
    ['named.invalid:5000', true],
    ['named.invalid:5001', false],
    ['docker.io', false],
  ])('%s: %s', async (domain, expected) => {
    expect(await mayTalkPlainly(info, domain)).toBe(expected);
  });
});
