import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../../src/base/index.ts';
import {
  type ConsistencyOptions,
  type ConsistencyResult,
  consistency,
  type Finding,
  reportConsistency,
} from '../../../../src/jobs/torture/consistency/index.ts';
import { buildManifest, type Digest, digestOf, MEDIA_TYPES } from '../../../../src/oci/index.ts';
import {
  bytesSource,
  deleteManifest,
  pushBlob,
  putManifest as putThrough,
  type RegistryClient,
} from '../../../../src/registry/index.ts';
import type { RequestLine, Testbed } from '../../../../src/testbed/index.ts';
import {
  call,
  type Image,
  indexOf,
  OCI_INDEX,
  openTestbed,
  prepareImage,
  pushImage,
  putManifest,
  unknownDigest,
} from '../../../support/testbed-client.ts';
import { connect, contextFor } from './support.ts';

const OPTIONS: Omit<ConsistencyOptions, 'registry'> = {
  api: 'auto',
  maxRepositories: 1000,
  deep: false,
  once: true,
  intervalMs: 1,
  durationMs: 1,
  slowMs: 60_000,
  confirmMs: 5,
};

async function check(
  testbed: Testbed,
  options: Partial<ConsistencyOptions> = {},
  signal?: AbortSignal,
): Promise<ConsistencyResult> {
  const client = await connect(testbed.url);
  const { result, error } = await consistency(
    { ...OPTIONS, registry: 'it', ...options },
    contextFor(client, signal),
  );
  if (error) throw error;
  return result;
}

function shown(result: ConsistencyResult): string[] {
  return result.findings.map(({ severity, kind, repository, reference }) =>
    [severity, kind, repository, reference].filter((part) => part !== null).join(' '),
  );
}

interface Sample {
  readonly testbed: Testbed;
  readonly app: Image;
  readonly other: Image;
  readonly child: Image;
}

/** Two repositories: two plain images under three tags, and an index with one child. */
async function sample(): Promise<Sample> {
  const testbed = await openTestbed();
  const app = await pushImage(testbed, 'team/app', 'v1');
  await putManifest(testbed, 'team/app', 'v1-again', app.text);
  const other = await pushImage(testbed, 'team/app', 'v2');
  const child = await prepareImage(testbed, 'team/multi');
  await putManifest(testbed, 'team/multi', child.digest, child.text);
  await putManifest(testbed, 'team/multi', 'latest', indexOf([child], { mediaType: OCI_INDEX }));
  return { testbed, app, other, child };
}

describe('a registry that is well', () => {
  test.each(['auto', 'oci'] as const)('has no findings (%s)', async (api) => {
    const { testbed } = await sample();
    const result = await check(testbed, { api, deep: true });
    expect(result.findings).toEqual([]);
    expect(result).toMatchObject({
      api: api === 'auto' ? 'nscr' : 'oci',
      passes: 1,
      partial: false,
      interrupted: false,
      operations: 6,
      errors: 0,
      checked: { repositories: 2, tags: 4, manifests: 5, blobs: 6 },
    });
    expect(reportConsistency(result).checks?.every(({ status }) => status === 'pass')).toBe(true);
  });

  test('an empty one is well too', async () => {
    const result = await check(await openTestbed());
    expect(result).toMatchObject({ findings: [], passes: 1, operations: 0, errors: 0 });
  });

  test('each blob is read once per pass', async () => {
    const lines: RequestLine[] = [];
    const testbed = await openTestbed({ onRequest: (line) => void lines.push(line) });
    const image = await pushImage(testbed, 'a', 'v1');
    const bytes = (await call(testbed, 'GET', `/v2/a/blobs/${image.layer}`)).body;
    await call(testbed, 'POST', `/v2/b/blobs/uploads/?mount=${image.layer}&from=a`);
    await call(testbed, 'POST', `/v2/b/blobs/uploads/?mount=${image.config}&from=a`);
    await putManifest(testbed, 'b', 'v1', image.text);
    lines.length = 0;
    const result = await check(testbed, { deep: true, api: 'oci' });
    const reads = lines.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    expect(reads).toHaveLength(2);
    expect(result.checked.readBytes).toBeGreaterThan(bytes.length);
    expect(result.findings).toEqual([]);
  });

  test('only the repositories that are wanted are looked at', async () => {
    const { testbed } = await sample();
    testbed.faults.add('missing blobs repository=team/multi');
    const result = await check(testbed, { repository: /app$/ });
    expect(result.findings).toEqual([]);
    expect(result.checked.repositories).toBe(1);
    const bounded = await check(testbed, { maxRepositories: 1, repository: /^team/ });
    expect(bounded).toMatchObject({ truncated: true, checked: { repositories: 1 } });
  });
});

describe('each fault is found and named, and nothing else is', () => {
  /** A fault, what finds it, and how it is named. */
  const faults: readonly [
    what: string,
    fault: (sample: Sample) => string,
    finds: (sample: Sample) => readonly string[],
    options?: Partial<ConsistencyOptions>,
  ][] = [
    [
      'a missing layer',
      ({ other }) => `missing blobs reference=${other.layer}`,
      ({ other }) => [`error missing-blob team/app ${other.layer}`],
    ],
    [
      'a missing child manifest',
      ({ child }) => `missing manifests reference=${child.digest}`,
      ({ child }) => [`error missing-manifest team/multi ${child.digest}`],
    ],
    [
      'a manifest that cannot be read by its digest',
      ({ other }) => `missing manifests reference=${other.digest}`,
      () => ['error unreadable-by-digest team/app v2'],
      { api: 'oci' },
    ],
    [
      'a wrong digest header',
      () => 'GET manifests reference=v2 digest=wrong',
      () => ['error wrong-digest team/app v2'],
    ],
    [
      'a wrong digest header at HEAD alone',
      () => 'HEAD manifests reference=v2 digest=wrong',
      () => ['error head-get-disagree team/app v2'],
    ],
    ['a missing digest header', () => 'GET,HEAD manifests digest=missing', () => ['note no-digest-header']],
    [
      'corrupt bytes of a manifest',
      () => 'GET manifests reference=v2 corrupt=3',
      () => ['error wrong-digest team/app v2'],
    ],
    [
      'corrupt bytes of a blob',
      ({ other }) => `GET blobs reference=${other.layer} corrupt`,
      ({ other }) => [`error wrong-digest team/app ${other.layer}`],
      { deep: true },
    ],
    [
      'a blob of another size',
      ({ other }) => `GET,HEAD blobs reference=${other.layer} shorten=50%`,
      ({ other }) => [`error wrong-size team/app ${other.layer}`],
    ],
    [
      'a blob that breaks off',
      ({ other }) => `GET blobs reference=${other.layer} truncate=50%`,
      ({ other }) => [`error truncated-reply team/app ${other.layer}`],
      { deep: true },
    ],
    [
      'a HEAD with another length',
      () => 'HEAD manifests reference=v2 length=+10',
      () => ['error head-get-disagree team/app v2'],
    ],
    [
      'a HEAD that says no',
      () => 'HEAD manifests reference=v2 status=404',
      () => ['error head-get-disagree team/app v2'],
    ],
    [
      'a blob by HEAD that GET does not have',
      ({ other }) => `GET blobs reference=${other.layer} status=404`,
      ({ other }) => [`error head-get-disagree team/app ${other.layer}`],
      { deep: true },
    ],
    ['a lost tag', () => 'lost=v2', () => ['error lost-tag team/app v2'], { api: 'oci' }],
    ['a ghost repository', () => 'ghost=gone/away', () => ['warning ghost-repository gone/away']],
    [
      'a tag count that drifts',
      () => 'drift=tags+1 repository=team/app',
      () => ['error count-drift team/app'],
    ],
    [
      'a tag that its list forgot',
      () => 'tags repository=team/app forget=v2',
      () => ['error unlisted-tag team/app v2'],
      { api: 'auto' },
    ],
    [
      'a tag whose GET fails',
      () => 'GET manifests reference=v2 status=500',
      () => ['error server-error team/app v2'],
    ],
    [
      'a burst of 5xx',
      () => 'GET manifests reference=v2 status=503 first=1',
      () => ['warning server-error team/app v2'],
    ],
    [
      'a 500 that passes where nobody pushes',
      () => 'GET manifests reference=v2 status=500 first=1',
      () => ['warning server-error team/app v2'],
    ],
    [
      'a blob whose HEAD fails once',
      ({ other }) => `HEAD blobs reference=${other.layer} status=500 first=1`,
      ({ other }) => [`warning server-error team/app ${other.layer}`],
    ],
    [
      'a burst of 5xx at the catalog',
      () => 'catalog status=502 first=1',
      () => ['warning server-error repositories'],
      { api: 'oci' },
    ],
    [
      'a connection that is reset',
      () => 'HEAD manifests reference=v2 reset=before',
      () => ['error no-reply team/app v2'],
    ],
    [
      'slow replies',
      () => 'GET manifests reference=v2 delay=400ms',
      () => ['warning slow manifests'],
      { slowMs: 350 },
    ],
    [
      'too many requests',
      () => 'GET manifests reference=v2 retry-after=1 first=1',
      () => ['note rate-limited team/app v2'],
    ],
    [
      'a repository that may not be read',
      () => 'tags repository=team/multi status=403',
      () => ['note denied team/multi'],
      { api: 'oci' },
    ],
  ];

  test.each(faults)('%s', async (_, fault, finds, options = {}) => {
    const all = await sample();
    all.testbed.faults.add(fault(all));
    const result = await check(all.testbed, options);
    expect(shown(result)).toEqual(finds(all));
    expect(all.testbed.faults.counts()[0]?.fired).toBeGreaterThan(0);
    const [finding] = result.findings as [Finding];
    expect(finding.passes).toBe(1);
    if (finding.reference !== 'repositories') expect(finding.evidence[0]?.request).toMatch(/^(GET|HEAD) \//);
    const said = reportConsistency(result).checks?.filter(({ status }) => status !== 'pass');
    expect(said?.map(({ status }) => status)).toEqual(
      { error: ['fail'], warning: ['warn'], note: [] }[finding.severity],
    );
  });

  test('a manifest under another media type', async () => {
    const { testbed } = await sample();
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.dockerManifest,
      config: { mediaType: 'a/b', digest: unknownDigest(), size: 1 },
      layers: [],
    });
    testbed.faults.add({
      match: { method: 'GET', kind: 'manifests', reference: 'v2' },
      effect: { status: 200, body },
    });
    const kinds = new Set((await check(testbed)).findings.map(({ kind }) => kind));
    expect(kinds).toContain('wrong-media-type');
  });

  test('a list that is not JSON', async () => {
    const { testbed } = await sample();
    testbed.faults.add({
      match: { kind: 'tags', repository: 'team/multi' },
      effect: { status: 200, body: '<html>' },
    });
    expect(shown(await check(testbed, { api: 'oci' }))).toEqual(['error server-error team/multi']);
  });

  test('a list out of order, with one tag twice', async () => {
    const { testbed } = await sample();
    const body = JSON.stringify({ name: 'team/app', tags: ['v2', 'v1', 'v1-again', 'v1'] });
    testbed.faults.add({ match: { kind: 'tags', repository: 'team/app' }, effect: { status: 200, body } });
    expect(shown(await check(testbed))).toEqual(['error duplicate-tag team/app v1', 'note unsorted-tags']);
  });

  test('pages that lack what the whole list has', async () => {
    const { testbed } = await sample();
    const page = (tags: string[]): string => JSON.stringify({ name: 'team/app', tags });
    const match = { kind: 'tags' as const, repository: 'team/app' };
    // Every second reading is the one in small pages.
    const whole = page(['v1', 'v1-again', 'v2']);
    testbed.faults.add({ match: { ...match, every: 3 }, effect: { status: 200, body: whole } });
    testbed.faults.add({ match: { ...match, every: 3 }, effect: { delay: '1ms' } });
    const cut = page(['v1', 'v2']);
    testbed.faults.add({
      match: { ...match, nth: [2, 5, 8, 11, 14] },
      effect: { status: 200, body: cut },
    });
    const result = await check(testbed, { api: 'oci' });
    expect(shown(result)).toEqual(['error paging-disagree team/app']);
  });

  test('sessions and health are the monitor’s to judge', async () => {
    const { testbed } = await sample();
    testbed.faults.add('degraded; session=10m');
    expect((await check(testbed)).findings).toEqual([]);
  });
});

describe('over time', () => {
  test('a finding of several passes is one, and a tag that vanished from the list is missed', async () => {
    const { testbed } = await sample();
    const client = await connect(testbed.url);
    const found: string[] = [];
    let sleeps = 0;
    const { result } = await consistency(
      { ...OPTIONS, registry: 'it', api: 'oci', once: false, durationMs: 100_000, intervalMs: 1_000 },
      {
        ...contextFor(client),
        clock: {
          now: () => Date.now() + sleeps * 30_000,
          async sleep(ms, signal) {
            if (ms < 500) return systemClock.sleep(1, signal);
            if (++sleeps === 1) testbed.faults.add('tags repository=team/app forget=v2');
          },
        },
        onFinding: ({ kind }) => void found.push(kind),
      },
    );
    expect(result.passes).toBeGreaterThanOrEqual(3);
    expect(shown(result)).toContain('error unlisted-tag team/app v2');
    expect(found).toEqual(['unlisted-tag']);
  });

  test('the passes in which something was seen are counted', async () => {
    const { testbed, other } = await sample();
    testbed.faults.add(`missing blobs reference=${other.layer}`);
    const result = await check(testbed, { once: false, durationMs: 2000, intervalMs: 1 });
    expect(result.findings).toHaveLength(1);
    // The last pass may have ended before it came there.
    expect([result.passes, result.passes + (result.partial ? 1 : 0)]).toContain(result.findings[0]?.passes);
    expect(result.passes).toBeGreaterThan(1);
  });

  test('what was there at one look only is no finding', async () => {
    const { testbed, other } = await sample();
    testbed.faults.add(`missing blobs reference=${other.layer} first=2`);
    expect((await check(testbed)).findings).toEqual([]);
  });

  test('bytes that were wrong once are told, as a warning', async () => {
    const { testbed } = await sample();
    testbed.faults.add('GET manifests reference=v2 corrupt=3 first=1');
    expect(shown(await check(testbed))).toEqual(['warning wrong-digest team/app v2']);
  });
});

describe('a 500 that passes is a note when a push was seen that explains it, else a warning', () => {
  /** What is pushed, what fails once in the second of two passes, and what is said of it. */
  const cases: Readonly<
    Record<
      string,
      {
        readonly pushed: (sample: Sample) => Promise<unknown>;
        /** Before the second pass; else between the failure and the next try. */
        readonly early?: true;
        readonly fails: (sample: Sample) => string;
        readonly finds: (sample: Sample) => readonly string[];
        readonly status?: string;
      }
    >
  > = {
    'the tag moved': {
      pushed: ({ testbed, app }) => putManifest(testbed, 'team/app', 'v2', app.text),
      fails: () => 'GET manifests reference=v2',
      finds: () => ['note server-error team/app v2'],
    },
    'the tag moved long before': {
      pushed: ({ testbed, app }) => putManifest(testbed, 'team/app', 'v2', app.text),
      early: true,
      fails: () => 'GET manifests reference=v2',
      finds: () => ['note server-error team/app v2'],
    },
    'the tag is new': {
      pushed: ({ testbed }) => pushImage(testbed, 'team/app', 'v3'),
      early: true,
      fails: () => 'GET manifests reference=v3',
      finds: () => ['note server-error team/app v3'],
    },
    'the repository is new': {
      pushed: ({ testbed }) => pushImage(testbed, 'team/late', 'v1'),
      early: true,
      fails: () => 'GET manifests repository=team/late reference=v1',
      finds: () => ['note server-error team/late v1'],
    },
    'the same manifest was pushed to another tag': {
      pushed: ({ testbed, other }) => putManifest(testbed, 'team/app', 'v3', other.text),
      fails: () => 'GET manifests reference=v2',
      finds: () => ['note server-error team/app v2'],
    },
    'the manifest was pushed again, asked for by digest': {
      pushed: ({ testbed, other }) => putManifest(testbed, 'team/app', 'v3', other.text),
      fails: ({ other }) => `GET manifests reference=${other.digest}`,
      finds: ({ other }) => [`note server-error team/app ${other.digest}`],
    },
    'the blob is part of what was pushed': {
      pushed: ({ testbed, other }) => putManifest(testbed, 'team/app', 'v3', other.text),
      fails: ({ other }) => `HEAD blobs reference=${other.layer}`,
      finds: ({ other }) => [`note server-error team/app ${other.layer}`],
    },
    'the manifest was pushed again before, asked for by digest: a warning': {
      pushed: ({ testbed, other }) => putManifest(testbed, 'team/app', 'v3', other.text),
      early: true,
      fails: ({ other }) => `GET manifests reference=${other.digest}`,
      finds: ({ other }) => [`warning server-error team/app ${other.digest}`],
    },
    'the manifest is a child of what was pushed': {
      pushed: ({ testbed, child }) =>
        putManifest(testbed, 'team/multi', 'v2', indexOf([child], { mediaType: OCI_INDEX })),
      fails: ({ child }) => `GET manifests repository=team/multi reference=${child.digest}`,
      finds: ({ child }) => [`note server-error team/multi ${child.digest}`],
    },
    'another tag moved: a warning': {
      pushed: ({ testbed }) => pushImage(testbed, 'team/app', 'v1'),
      fails: () => 'GET manifests reference=v2',
      finds: () => ['warning server-error team/app v2'],
    },
    'a blob of another image was pushed: a warning': {
      pushed: ({ testbed }) => pushImage(testbed, 'team/app', 'v3'),
      fails: ({ other }) => `HEAD blobs reference=${other.layer}`,
      finds: ({ other }) => [`warning server-error team/app ${other.layer}`],
    },
    'the tag of another repository moved: a warning': {
      pushed: ({ testbed }) => pushImage(testbed, 'team/multi', 'v2'),
      fails: () => 'GET manifests repository=team/app reference=v2',
      finds: () => ['warning server-error team/app v2'],
    },
    'the tag moved, but a gateway failed: a warning': {
      pushed: ({ testbed, app }) => putManifest(testbed, 'team/app', 'v2', app.text),
      fails: () => 'GET manifests reference=v2',
      finds: () => ['warning server-error team/app v2'],
      status: 'status=502 first=1',
    },
    'the tag moved, but it stays: an error': {
      pushed: ({ testbed, app }) => putManifest(testbed, 'team/app', 'v2', app.text),
      fails: () => 'GET manifests reference=v2',
      finds: () => ['error server-error team/app v2'],
      status: 'status=500',
    },
  };

  test.each(Object.entries(cases))('%s', async (_, { pushed, early, fails, finds, status }) => {
    const all = await sample();
    const stop = new AbortController();
    let pushing: Promise<unknown> | undefined;
    const push = (): Promise<unknown> => {
      pushing ??= pushed(all);
      return pushing;
    };
    let pauses = 0;
    const client = {
      ...(await connect(all.testbed.url)),
      clock: {
        now: systemClock.now,
        async sleep() {
          await push();
        },
      },
    };
    const { result } = await consistency(
      { ...OPTIONS, registry: 'it', api: 'oci', once: false, durationMs: 60_000, intervalMs: 10_000 },
      {
        ...contextFor(client, stop.signal),
        clock: {
          now: systemClock.now,
          async sleep(ms, signal) {
            if (ms < 1000) return systemClock.sleep(ms, signal);
            if (++pauses > 1) return stop.abort();
            if (early) await push();
            all.testbed.faults.add(`${fails(all)} ${status ?? 'status=500 first=1'}`);
          },
        },
      },
    );
    expect(result.passes).toBe(2);
    expect(shown(result)).toEqual(finds(all));
    expect(all.testbed.faults.counts()[0]?.fired).toBeGreaterThan(0);
    const [finding] = result.findings as [Finding];
    expect(finding.evidence[0]?.status).toBeGreaterThanOrEqual(500);
    // A note shows the push as well.
    if (finding.severity === 'note') expect(finding.evidence.at(-1)?.status).toBe(200);
    const replies = reportConsistency(result).checks?.find(({ name }) => name === 'replies');
    expect(replies?.status).toBe({ note: 'pass', warning: 'warn', error: 'fail' }[finding.severity]);
  });

  test('an interrupt tells of it all the same', async () => {
    const { testbed } = await sample();
    testbed.faults.add('GET manifests reference=v2 status=500 first=1');
    const abort = new AbortController();
    const client = {
      ...(await connect(testbed.url)),
      clock: {
        now: systemClock.now,
        sleep: (ms: number, signal?: AbortSignal) => {
          abort.abort();
          return systemClock.sleep(ms, signal);
        },
      },
    };
    const running = consistency({ ...OPTIONS, registry: 'it' }, contextFor(client, abort.signal));
    expect(shown((await running).result)).toEqual(['warning server-error team/app v2']);
  });
});

test('a tag list whose next page is elsewhere is not followed, and that is found', async () => {
  const server = createServer(({ url = '' }, response) => {
    const body = url.startsWith('/v2/_catalog') ? { repositories: ['a'] } : { name: 'a', tags: ['v1'] };
    if (url.includes('/tags/list')) response.setHeader('link', '<http://127.0.0.1:1/v2/x>; rel="next"');
    response.end(JSON.stringify(body));
  });
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = await connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const { result } = await consistency({ ...OPTIONS, registry: 'it', api: 'oci' }, contextFor(client));
  expect(shown(result)).toEqual(['error server-error a']);
  expect(result.findings[0]?.message).toContain('leaves the registry');
});

describe('the end', () => {
  test('an interrupt gives what was confirmed so far', async () => {
    const { testbed } = await sample();
    const client = await connect(testbed.url);
    const abort = new AbortController();
    testbed.faults.add('HEAD manifests stall for=20s');
    const running = consistency({ ...OPTIONS, registry: 'it' }, contextFor(client, abort.signal));
    setTimeout(() => abort.abort(), 100);
    const { result, error } = await running;
    expect(error).toMatchObject({ code: 'INTERRUPTED' });
    expect(result).toMatchObject({ interrupted: true, partial: true, passes: 0, findings: [] });
    expect(reportConsistency(result).checks?.[0]?.status).toBe('unknown');
  });

  test('nobody there is an error, not a finding', async () => {
    const testbed = await openTestbed();
    const client = await connect(testbed.url);
    await testbed.close();
    const { result, error } = await consistency({ ...OPTIONS, registry: 'it' }, contextFor(client));
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(result).toMatchObject({ api: null, findings: [], passes: 0 });
  });
});

describe('pushes and deletes under way', () => {
  /** Pushes, moves and deletes tags as fast as it can until told to stop. */
  async function churn(
    client: RegistryClient,
    repository: string,
    stop: AbortSignal,
    tell: (pushed: number) => void,
  ): Promise<void> {
    let pushed = 0;
    const push = async (bytes: Buffer) => {
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
      const blob = { digest, size: bytes.length };
      await pushBlob(client, repository, blob, bytesSource(bytes, digest));
      return blob;
    };
    while (!stop.aborted) {
      const config = await push(Buffer.from('{}'));
      const layer = await push(randomBytes(300));
      const manifest = buildManifest({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
        layers: [{ mediaType: MEDIA_TYPES.ociLayer, ...layer }],
      });
      await putThrough(client, repository, 'moving', manifest);
      await putThrough(client, repository, `t${pushed % 7}`, manifest);
      if (pushed % 3 === 2) await deleteManifest(client, repository, `t${(pushed - 1) % 7}`).catch(() => {});
      if (pushed % 20 === 19) await deleteManifest(client, repository, manifest.digest).catch(() => {});
      tell(++pushed);
    }
  }

  test.each(['nscr', 'oci'] as const)('raise no false finding (%s)', async (api) => {
    const { testbed } = await sample();
    const stop = new AbortController();
    const pushed = [0, 0];
    const pushing = ['team/app', 'busy/new'].map(async (repository, at) =>
      churn(await connect(testbed.url), repository, stop.signal, (count) => {
        pushed[at] = count;
      }),
    );
    const options = { api, deep: true, once: false, durationMs: 3000, intervalMs: 1, confirmMs: 20 };
    let tags = 0;
    // That nothing is found says something only when much was pushed, and looked at.
    try {
      while (tags <= 5 || Math.min(...pushed) <= 10) {
        const result = await check(testbed, options);
        expect(result.findings).toEqual([]);
        tags += result.checked.tags;
      }
    } finally {
      stop.abort();
      await Promise.all(pushing);
    }
  });
});

test('digests of both algorithms are compared as they are', async () => {
  const testbed = await openTestbed();
  const { text } = await prepareImage(testbed, 'a');
  await putManifest(testbed, 'a', digestOf(text, 'sha512'), text);
  await putManifest(testbed, 'a', 'v1', text);
  expect((await check(testbed, { deep: true })).findings).toEqual([]);
});
