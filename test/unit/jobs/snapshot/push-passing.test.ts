import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { expect, onTestFinished, test } from 'vitest';
import { LayerCache } from '../../../../src/archive/index.ts';
import { silentLog, systemClock } from '../../../../src/base/index.ts';
import type { Image } from '../../../../src/engine/index.ts';
import type { SnapshotContext } from '../../../../src/jobs/snapshot/index.ts';
import { pushPassing } from '../../../../src/jobs/snapshot/push-passing.ts';
import { silentProgress } from '../../../../src/progress/index.ts';
import { connectRegistry, parseTarget, UploadJournal } from '../../../../src/registry/index.ts';
import {
  beginUpload,
  call,
  digestOf,
  openTestbed,
  temporaryFolder,
} from '../../../support/testbed-client.ts';

const MIB = 1024 * 1024;
const LAYERS = ['lowest', 'middle', 'top'];
const DIFF_IDS = LAYERS.map((text) => digestOf(text));
const CONFIG = JSON.stringify({ os: 'linux', rootfs: { type: 'layers', diff_ids: DIFF_IDS } });
const IMAGE = { id: digestOf(CONFIG), layers: DIFF_IDS } as unknown as Image;

const nameOf = (content: string): string => `blobs/sha256/${digestOf(content).slice(7)}`;

/** What an engine since 25 saves of an image. */
const whole = (): Map<string, string> =>
  new Map([
    ...[...LAYERS, CONFIG].map((text): [string, string] => [nameOf(text), text]),
    ['manifest.json', '[]'],
  ]);

function tarOf(files: ReadonlyMap<string, string>): Readable {
  const tar = pack();
  for (const [name, content] of files) tar.entry({ name }, content);
  tar.finalize();
  return Readable.from(tar as AsyncIterable<Buffer>);
}

async function setting(compression: 'gzip' | 'zstd' | 'none' = 'none', journal?: UploadJournal) {
  const requests: string[] = [];
  const registry = await openTestbed({
    onRequest: ({ method, path }) => void requests.push(`${method} ${path}`),
  });
  const client = await connectRegistry({
    target: parseTarget(registry.url),
    ...{ credentials: async () => undefined, timeoutMs: 5000, retries: 0, userAgent: 'test' },
    ...{ log: silentLog, clock: systemClock },
  });
  onTestFinished(() => client.close());
  const cache = await LayerCache.open(undefined);
  const context: SnapshotContext = {
    ...{ signal: new AbortController().signal, progress: silentProgress, log: silentLog },
    ...{ clock: systemClock, registry: async () => client, credential: async () => undefined },
    engine: () => Promise.reject(new Error('not asked')),
    packing: { compression, cache: async () => cache, journal: async () => journal },
    pushArchive: () => Promise.reject(new Error('not asked')),
  };
  const push = (tag: string, files: ReadonlyMap<string, string>, image = IMAGE) =>
    pushPassing(image, tarOf(files), { domain: client.domain, repository: 'team/app', tag }, client, context);
  const manifestOf = async (tag: string) => {
    const reply = await fetch(`${registry.url}/v2/team/app/manifests/${tag}`, { headers: { accept: '*/*' } });
    return reply.ok ? await reply.json() : undefined;
  };
  return { push, requests, manifestOf, registry, client };
}

test('layers go as they pass; the second time none is sent', async () => {
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    const { push, requests, manifestOf } = await setting(compression);
    const first = await push('1', whole());
    expect(first?.layers).toEqual({ moved: 3, existing: 0, mounted: 0 });
    const manifest = (await manifestOf('1')) as { mediaType: string; layers: { digest: string }[] };
    expect(manifest.mediaType).toContain(compression === 'zstd' ? 'oci.image' : 'docker.distribution');
    if (compression === 'none') expect(manifest.layers.map(({ digest }) => digest)).toEqual(IMAGE.layers);
    requests.length = 0;
    const second = await push('2', whole());
    expect(second).toMatchObject({ digest: first?.digest, layers: { moved: 0, existing: 3, mounted: 0 } });
    expect(requests.filter((request) => /^(POST|PATCH)/.test(request))).toEqual([]);
    expect(requests.filter((request) => request.startsWith('PUT'))).toEqual(['PUT /v2/team/app/manifests/2']);
  }
});

test('an upload that an earlier run left is gone on with, while the layer passes', async () => {
  const journal = new UploadJournal(await temporaryFolder());
  const { push, registry, client } = await setting('none', journal);
  const large = 'x'.repeat(6 * MIB);
  const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: [digestOf(large)] } });
  const stored = 5 * MIB;
  const sent = await call(registry, 'PATCH', await beginUpload(registry, 'team/app'), {
    headers: { 'content-range': `0-${stored - 1}` },
    body: large.slice(0, stored),
  });
  const location = new URL(String(sent.headers.location), registry.url).href;
  const name = { registry: client.origin, repository: 'team/app', content: digestOf(large) };
  await journal.entry(name).note({ location, chunkMinimum: 0, stored });

  const image = { id: digestOf(config), layers: [digestOf(large)] } as unknown as Image;
  const pushed = await push('1', new Map([large, config].map((text) => [nameOf(text), text])), image);
  expect(pushed?.layers).toEqual({ moved: 1, existing: 0, mounted: 0 });
  expect(pushed?.sentBytes).toBeLessThan(2 * MIB);
  expect(registry.openUploads()).toBe(0);
});

test.each<[string, (files: Map<string, string>) => void]>([
  ['that lacks a layer', (files) => void files.delete(nameOf('middle'))],
  ['that lacks the configuration', (files) => void files.delete(nameOf(CONFIG))],
  ['with another configuration', (files) => void files.set(nameOf(CONFIG), '{}')],
  ['with another layer', (files) => void files.set(nameOf('middle'), 'muddle')],
])('an archive %s is left to another pass, without a tag', async (_, change) => {
  const { push, manifestOf } = await setting('gzip');
  const files = whole();
  change(files);
  expect(await push('1', files)).toBeUndefined();
  expect(await manifestOf('1')).toBeUndefined();
});
