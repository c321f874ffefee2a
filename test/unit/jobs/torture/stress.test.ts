import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { reportStress, type StressResult, stress } from '../../../../src/jobs/torture/stress/index.ts';
import { parseThreshold } from '../../../../src/load/index.ts';
import { digestOf } from '../../../../src/oci/index.ts';
import type { Testbed, TestbedOptions } from '../../../../src/testbed/index.ts';
import {
  call,
  indexOf,
  OCI_CONFIG,
  OCI_LAYER,
  OCI_MANIFEST,
  pushImage,
  putManifest,
} from '../../../support/testbed-client.ts';
import { clientOf, contextOf, countKinds, loggedTestbed, optionsFor } from './stress-support.ts';

const QUICK = { kind: 'closed', concurrentRequests: 3, thinkMs: [0, 1] } as const;
/** What the job itself asks, beside the load. */
const OWN = ['base', 'catalog', 'tags', 'headManifest', 'headBlob'];

function without(counts: Record<string, number>, kinds: readonly string[]): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([kind]) => !kinds.includes(kind)));
}

async function tagsOf(testbed: Testbed): Promise<string[]> {
  const { repositories } = (await call(testbed, 'GET', '/v2/_catalog')).json as { repositories: string[] };
  const all: string[] = [];
  for (const name of repositories) {
    const { tags } = (await call(testbed, 'GET', `/v2/${name}/tags/list`)).json as { tags: string[] | null };
    all.push(...(tags ?? []).map((tag) => `${name}:${tag}`));
  }
  return all;
}

function ended(
  result: StressResult,
): Record<string, [count: number, errors: Readonly<Record<string, number>>]> {
  return Object.fromEntries(result.operations.map(({ kind, count, errors }) => [kind, [count, errors]]));
}

describe('admin', () => {
  test.each([0, 2])("NSCR's four reads, as the access log has them (%d threads)", async (threads) => {
    const { testbed, lines } = await loggedTestbed();
    await pushImage(testbed, 'team/app', '1');
    await pushImage(testbed, 'team/web', '1');
    const client = await clientOf(testbed);
    lines.length = 0;
    const result = await stress(
      optionsFor(client, { workload: 'admin', api: 'nscr', model: QUICK, count: 80, threads }),
      contextOf(client),
    );
    expect(result.totals).toMatchObject({ count: 80, failed: 0 });
    expect(result.operations.map(({ kind }) => kind)).toEqual([
      'get_health',
      'get_repository_details',
      'get_sessions',
      'get_state',
    ]);
    const counts = countKinds(lines);
    for (const kind of ['state', 'health', 'sessions', 'repository'] as const) {
      expect([kind, counts[kind]]).toEqual([kind, result.requests[kind]]);
    }
    const { get_state, get_repository_details } = ended(result);
    expect(result.requests.state).toBe((get_state?.[0] ?? 0) + (get_repository_details?.[0] ?? 0));
    expect(result.requests.repository).toBe(get_repository_details?.[0]);
    expect(result.api).toBe('nscr');
  });

  test.each(['nscr', 'oci'] as const)('an empty registry is no error (%s)', async (api) => {
    const { testbed } = await loggedTestbed();
    const client = await clientOf(testbed);
    const result = await stress(
      optionsFor(client, { workload: 'admin', api, model: QUICK }),
      contextOf(client),
    );
    expect(result.totals).toMatchObject({ count: 30, failed: 0 });
    expect(result.requests.repository ?? result.requests.tags ?? 0).toBe(0);
  });

  test('a registry without the admin API is read by /v2/', async () => {
    const { testbed, lines } = await loggedTestbed();
    await pushImage(testbed, 'team/app', '1');
    const client = await clientOf(testbed);
    const result = await stress(
      optionsFor(client, { workload: 'admin', api: 'oci', model: QUICK }),
      contextOf(client),
    );
    expect(Object.keys(ended(result))).toEqual(['get_health', 'get_repository_details', 'get_state']);
    expect(result.totals.failed).toBe(0);
    expect(countKinds(lines)['tags']).toBe(result.requests.tags);
  });

  test("a portal's page is no answer", async () => {
    const url = await listening(
      createServer((_, response) => {
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>log in</html>');
      }),
    );
    const client = await clientOf({ url });
    const result = await stress(
      optionsFor(client, { workload: 'admin', api: 'oci', model: QUICK }),
      contextOf(client),
    );
    expect(result.totals).toMatchObject({ count: 30, failed: 30, errors: { 'not-json': 30 } });
  });
});

describe('pull', () => {
  test('whole images: manifest, the platform of an index, every blob once, all of it checked', async () => {
    const { testbed, lines } = await loggedTestbed();
    const arm = await pushImage(testbed, 'app', 'arm');
    const amd = await pushImage(testbed, 'app', 'amd');
    const descriptors = [arm, amd].map((image, index) => ({
      mediaType: OCI_MANIFEST,
      digest: image.digest,
      size: image.text.length,
      platform: { os: 'linux', architecture: index === 0 ? 'arm64' : 'amd64' },
    }));
    await putManifest(testbed, 'index', 'x', { ...indexOf([]), manifests: [] });
    await putManifest(testbed, 'app', 'all', { ...indexOf([]), manifests: descriptors });
    const client = await clientOf(testbed);
    lines.length = 0;
    const result = await stress(optionsFor(client, { count: 40, repository: /^app$/ }), contextOf(client));
    expect(ended(result)).toEqual({ pull: [40, {}] });
    const counts = countKinds(lines);
    expect(without(counts, OWN)).toEqual({
      getManifest: result.requests.getManifest,
      getBlob: result.requests.getBlob,
    });
    // Two blobs an image; an index costs one manifest more and leads to the right image.
    expect(counts['getBlob']).toBe(80);
    const asked = lines.filter(({ path }) => path.includes('/manifests/sha256:'));
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.every(({ path }) => path.endsWith(amd.digest))).toBe(true);
    expect(counts['getManifest']).toBe(40 + asked.length);
    const bytes = lines
      .filter(({ path, method }) => method === 'GET' && /\/(manifests|blobs)\//.test(path))
      .reduce((sum, line) => sum + line.bytesOut, 0);
    expect(result.totals.bytes).toBe(bytes);
  });

  test('nothing to pull is said at once', async () => {
    const { testbed } = await loggedTestbed();
    const client = await clientOf(testbed);
    await expect(stress(optionsFor(client), contextOf(client))).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
  });

  test.each([
    [
      'a changed layer',
      'digest',
      (path: string, body: Buffer) => (path.includes('/blobs/') ? flipped(body) : body),
    ],
    [
      'a longer layer',
      'too-large',
      (path: string, body: Buffer) => (path.includes('/blobs/') ? Buffer.concat([body, body]) : body),
    ],
    [
      'a shorter layer',
      'size',
      (path: string, body: Buffer) => (path.includes('/blobs/') ? body.subarray(1) : body),
    ],
    [
      'a changed manifest',
      'digest',
      (path: string, body: Buffer) =>
        path.includes('/manifests/') ? Buffer.concat([body, Buffer.from('\n')]) : body,
    ],
  ] as const)('%s is the error %s', async (_, error, change) => {
    const url = await lyingRegistry(change);
    const client = await clientOf({ url });
    const result = await stress(optionsFor(client, { count: 5 }), contextOf(client));
    expect(ended(result)).toEqual({ pull: [5, { [error]: 5 }] });
  });

  test('statuses are classes, and a blob kept elsewhere is not fetched', async () => {
    let target = '';
    const url = await lyingRegistry(
      (_, body) => body,
      (path) =>
        path.includes('/blobs/')
          ? { status: 307, headers: { location: target } }
          : path.endsWith('/2')
            ? { status: 503 }
            : undefined,
    );
    const elsewhere = createServer((_, response) => response.writeHead(500).end());
    let visits = 0;
    elsewhere.on('connection', () => visits++);
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void elsewhere.close());
    target = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/secret`;
    const client = await clientOf({ url });
    const result = await stress(optionsFor(client, { count: 40 }), contextOf(client));
    expect(Object.keys(ended(result))).toEqual(['pull', 'pull_redirected']);
    expect(ended(result)['pull']?.[1]).toEqual({ 'status-503': ended(result)['pull']?.[0] });
    expect(ended(result)['pull_redirected']?.[1]).toEqual({});
    expect(visits).toBe(0);
  });

  test('redirects within the registry are followed', async () => {
    const url = await lyingRegistry(
      (_, body) => body,
      (path) =>
        path.includes('/blobs/') && !path.includes('?')
          ? { status: 307, headers: { location: `${path}?there` } }
          : undefined,
    );
    const client = await clientOf({ url });
    const result = await stress(optionsFor(client, { count: 5 }), contextOf(client));
    expect(ended(result)).toEqual({ pull: [5, {}] });
    expect(result.requests.getBlob).toBe(40);
  });
});

describe('writing workloads', () => {
  test('need leave', async () => {
    const { testbed, lines } = await loggedTestbed();
    const client = await clientOf(testbed);
    for (const workload of ['push', 'mixed', 'delete'] as const) {
      await expect(
        stress(optionsFor(client, { workload, yesWrite: false }), contextOf(client)),
      ).rejects.toMatchObject({ code: 'USAGE' });
    }
    expect(lines).toEqual([]);
  });

  test('a prefix must be a repository', async () => {
    const { testbed } = await loggedTestbed();
    const client = await clientOf(testbed);
    await expect(
      stress(optionsFor(client, { workload: 'push', writePrefix: '../x' }), contextOf(client)),
    ).rejects.toMatchObject({ code: 'USAGE' });
  });

  test.each([
    ['push', 'monolithic', 0],
    ['push', 'chunked', 0],
    ['push', 'both', 2],
    ['mixed', 'both', 0],
    ['delete', 'monolithic', 0],
    ['delete', 'both', 2],
  ] as const)(
    '%s (%s, %d threads): the log agrees, and nothing is left behind',
    async (workload, upload, threads) => {
      const { testbed, lines } = await loggedTestbed();
      const before = await pushImage(testbed, 'team/app', '1');
      const client = await clientOf(testbed);
      lines.length = 0;
      const context = contextOf(client);
      const result = await stress(optionsFor(client, { workload, upload, threads, count: 60 }), context);
      expect(result.totals).toMatchObject({ count: 60, failed: 0 });
      const counts = countKinds(lines);
      const used = Math.max(1, threads);
      // Each thread's config is pushed by the client, and the clean-up deletes.
      const {
        startUpload = 0,
        putUpload = 0,
        patchUpload = 0,
        getManifest = 0,
        getBlob = 0,
        putManifest = 0,
      } = result.requests;
      expect(counts).toMatchObject({ startUpload: startUpload + used, putUpload: putUpload + used });
      expect(counts['patchUpload'] ?? 0).toBe(patchUpload);
      expect(counts['putManifest'] ?? 0).toBe(putManifest);
      expect(counts['getBlob'] ?? 0).toBe(getBlob);
      expect(counts['getManifest'] ?? 0).toBe(getManifest);
      expect(lines.every(({ status }) => status < 400 || status === 404)).toBe(true);
      if (upload !== 'monolithic') expect(patchUpload).toBeGreaterThan(0);

      const { cleanup } = result;
      expect(cleanup).toMatchObject({
        manifestsPushed: putManifest,
        left: [],
        manifestsLeft: 0,
        complete: true,
      });
      expect((cleanup?.manifestsDeleted ?? 0) + (cleanup?.manifestsRemoved ?? 0)).toBe(putManifest);
      if (workload === 'delete') expect(cleanup?.manifestsDeleted).toBeGreaterThan(0);
      expect(cleanup?.writePrefix).toMatch(/^regops-torture\/[a-z0-9]+$/);
      const touched = lines.filter(({ method }) => method !== 'GET' && method !== 'HEAD');
      expect(touched.every(({ path }) => path.startsWith(`/v2/${cleanup?.writePrefix}/w`))).toBe(true);
      expect(await tagsOf(testbed)).toEqual(['team/app:1']);
      for (const digest of await pushedDigests(lines)) {
        expect((await call(testbed, 'HEAD', digest)).status).toBe(404);
      }
      expect((await call(testbed, 'GET', `/v2/team/app/manifests/${before.digest}`)).status).toBe(200);
      expect(context.log.warnings).toEqual([]);
    },
  );

  test('blobs are unique and of the sizes that were asked for', async () => {
    const { testbed, lines } = await loggedTestbed();
    const client = await clientOf(testbed);
    const sizes = [
      { bytes: 1, weight: 1 },
      { bytes: 64, weight: 1 },
      { bytes: 3 * 1024 * 1024 + 5, weight: 1 },
    ];
    const result = await stress(
      optionsFor(client, {
        workload: 'push',
        upload: 'both',
        blobSizes: sizes,
        count: 30,
        chunkBytes: 1_500_000,
      }),
      contextOf(client),
    );
    // A digest that were not the bytes' own would be refused.
    expect(result.totals.failed).toBe(0);
    const sent = lines.filter(({ path, method }) => method !== 'POST' && path.includes('/uploads/'));
    expect(new Set(sent.map(({ bytesIn }) => bytesIn))).toEqual(
      new Set([2, 1, 64, 3 * 1024 * 1024 + 5, 0, 1_500_000, 3 * 1024 * 1024 + 5 - 3_000_000]),
    );
  });

  test.each([0, 2])('an interrupted run gives what it has and cleans up (%d threads)', async (threads) => {
    const { testbed } = await loggedTestbed();
    const client = await clientOf(testbed);
    const stop = new AbortController();
    const result = await stress(
      optionsFor(client, {
        workload: 'mixed',
        threads,
        count: undefined,
        upload: 'both',
        durationMs: 60_000,
      }),
      contextOf(client, {
        signal: stop.signal,
        onSample: () => stop.abort(),
      }),
    );
    expect(result.interrupted).toBe(true);
    expect(result.totals.count).toBeGreaterThan(0);
    expect(result.cleanup).toMatchObject({ left: [], complete: true });
    expect(await tagsOf(testbed)).toEqual([]);
  });

  test('what cannot be removed is said plainly', async () => {
    const { testbed } = await loggedTestbed();
    const url = await frontOf(testbed, (method) => (method === 'DELETE' ? 403 : undefined));
    const client = await clientOf({ url });
    const context = contextOf(client);
    const result = await stress(optionsFor(client, { workload: 'push', count: 4 }), context);
    expect(result.cleanup).toMatchObject({
      manifestsPushed: 4,
      manifestsRemoved: 0,
      manifestsLeft: 4,
      complete: true,
    });
    expect(result.cleanup?.left[0]?.reason).toContain('403');
    expect(context.log.warnings.join()).toContain('4 manifests below');
    const check = reportStress(result).checks?.find(({ name }) => name === 'clean-up');
    expect(check).toMatchObject({ status: 'warn', message: '4 manifests' });
  });

  test('of a registry that goes away no more is said to be left than was sent', async () => {
    const { testbed } = await loggedTestbed();
    let manifests = 0;
    const url = await frontOf(testbed, (method, path) => {
      if (manifests >= 4) return 503;
      if (method === 'PUT' && path.includes('/manifests/')) manifests++;
      return undefined;
    });
    const client = await clientOf({ url });
    const result = await stress(optionsFor(client, { workload: 'push', count: 100 }), contextOf(client));
    const { putManifest = 0 } = result.requests;
    expect(result.cleanup?.manifestsPushed).toBe(4);
    expect(putManifest).toBeLessThan(50);
    expect(result.cleanup?.manifestsLeft).toBe(putManifest);
  });

  test('a registry that only deletes by digest is cleaned up, and its deletes are no errors', async () => {
    const { testbed } = await loggedTestbed();
    const url = await frontOf(testbed, (method, path) =>
      method === 'DELETE' && !path.includes('sha256:') ? 405 : undefined,
    );
    const client = await clientOf({ url });
    const result = await stress(optionsFor(client, { workload: 'delete', count: 30 }), contextOf(client));
    expect(result.totals.failed).toBe(0);
    expect(result.cleanup).toMatchObject({ manifestsLeft: 0, complete: true });
    expect(await tagsOf(testbed)).toEqual([]);
  });
});

describe('who asks', () => {
  const auth = { username: 'ann', password: 'secret' };

  test.each([
    ['basic', { auth }],
    ['token', { auth, tokenAuth: true }],
    ['anonymous token', { tokenAuth: true }],
    ['TLS', { tls: true }],
    ['client certificates and token', { tls: true, clientCertificates: true, auth, tokenAuth: true }],
  ] as [string, TestbedOptions][])('%s', async (_, options) => {
    const { testbed, lines } = await loggedTestbed(options);
    const client = await clientOf(testbed, options.auth);
    for (const [workload, threads] of [
      ['mixed', 0],
      ['delete', 1],
    ] as const) {
      const result = await stress(optionsFor(client, { workload, threads }), contextOf(client));
      expect(result.totals).toMatchObject({ count: 30, failed: 0 });
      expect(result.cleanup).toMatchObject({ manifestsLeft: 0, complete: true });
    }
    const reads = await stress(
      optionsFor(client, { workload: 'admin', api: 'oci', model: QUICK }),
      contextOf(client),
    );
    expect(reads.totals.failed).toBe(0);
    // A refusal teaches what is wanted; the load itself meets none.
    expect(lines.filter(({ status }) => status === 401).length).toBeLessThan(20);
  });

  test('a wrong password is said before anything is measured', async () => {
    const { testbed } = await loggedTestbed({ auth });
    const client = await clientOf(testbed, { username: 'ann', password: 'wrong' });
    await expect(
      stress(optionsFor(client, { workload: 'push', threads: 1 }), contextOf(client)),
    ).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });
});

describe('the result', () => {
  test('thresholds, rate and series of an open model', async () => {
    const { testbed } = await loggedTestbed();
    await pushImage(testbed, 'app', '1');
    const client = await clientOf(testbed);
    const samples: number[] = [];
    const result = await stress(
      optionsFor(client, {
        model: {
          kind: 'open',
          stages: [{ ratePerSecond: 40, durationMs: 1500 }],
          arrival: 'constant',
          maxInFlight: 100,
        },
        count: undefined,
        thresholds: ['errors<1%', 'p99{pull}<1ms', 'rate>100000/s'].map(parseThreshold),
      }),
      contextOf(client, { onSample: (sample) => samples.push(sample.count) }),
    );
    expect(result.totals).toMatchObject({ count: 60, failed: 0 });
    expect(samples.reduce((sum, count) => sum + count, 0)).toBe(60);
    expect(result.thresholds.map(({ ok }) => ok)).toEqual([true, expect.any(Boolean), false]);

    const report = reportStress(result);
    expect(report.sections?.[0]?.text).toContain(
      '=== Torture Test Summary ===\nTotal operations: 60\nErrors: 0\nSuccess rate: 100.00%',
    );
    expect(report.checks?.find(({ name }) => name === 'rate>100000/s')?.status).toBe('fail');
    expect(report.series?.map(({ plot, name }) => `${plot} ${name}`)).toEqual([
      'Rate operations',
      'Rate errors',
      'Latency p50',
      'Latency p99',
    ]);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    expect(JSON.stringify(result)).not.toContain('secret');
  });
});

function flipped(body: Buffer): Buffer {
  const copy = Buffer.from(body);
  copy[0] = (copy[0] ?? 0) ^ 1;
  return copy;
}

/** Manifests by digest that a log shows being deleted, as paths. */
async function pushedDigests(lines: readonly { method: string; path: string }[]): Promise<string[]> {
  return lines
    .filter(({ method, path }) => method === 'DELETE' && path.includes('/manifests/sha256:'))
    .map(({ path }) => path);
}

/** A registry of one image under three tags whose bodies are changed on their way out. */
async function lyingRegistry(
  change: (path: string, body: Buffer) => Buffer,
  instead: (path: string) => { status: number; headers?: Record<string, string> } | undefined = () =>
    undefined,
): Promise<string> {
  const blobs = new Map(
    ['{}', 'a', 'bb', 'ccc'].map((text) => [digestOf(text) as string, Buffer.from(text)] as const),
  );
  const [config, ...layers] = [...blobs].map(([digest, { length }], index) => ({
    mediaType: index === 0 ? OCI_CONFIG : OCI_LAYER,
    digest,
    size: length,
  }));
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }));
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const answer = instead(path);
    if (answer) {
      response.writeHead(answer.status, { 'content-length': 0, ...answer.headers }).end();
      return;
    }
    const blob = blobs.get(/\/blobs\/([^?]+)/.exec(path)?.[1] ?? '');
    const isManifest = path.includes('/manifests/');
    const body = path.startsWith('/v2/_catalog')
      ? Buffer.from('{"repositories":["app"]}')
      : path.includes('/tags/list')
        ? Buffer.from('{"name":"app","tags":["1","2","3"]}')
        : (blob ?? (isManifest ? manifest : Buffer.from('{}')));
    response.writeHead(
      200,
      isManifest ? { 'content-type': OCI_MANIFEST, 'docker-content-digest': digestOf(manifest) } : {},
    );
    response.end(change(path, body));
  });
  return listening(server);
}

/** A testbed behind a front that answers some requests itself. */
async function frontOf(
  testbed: Testbed,
  refuse: (method: string, path: string) => number | undefined,
): Promise<string> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const status = refuse(request.method ?? '', request.url ?? '');
    if (status !== undefined) {
      response.writeHead(status, { 'content-length': 0 }).end();
      return;
    }
    const { host: _, connection: __, ...headers } = request.headers;
    const answer = await call(testbed, request.method ?? '', request.url ?? '', {
      headers: headers as Record<string, string>,
      body: Buffer.concat(chunks),
    });
    const { connection: ___, 'keep-alive': ____, ...own } = answer.headers;
    response.writeHead(answer.status, own).end(answer.body);
  });
  return listening(server);
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
