import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LayerCache } from '../../../../src/archive/index.ts';
import { silentLog, systemClock } from '../../../../src/base/index.ts';
import { heldLayers } from '../../../../src/jobs/snapshot/held-layers.ts';
import { pullSnapshot, type SnapshotContext } from '../../../../src/jobs/snapshot/index.ts';
import type { Digest } from '../../../../src/oci/index.ts';
import { silentProgress } from '../../../../src/progress/index.ts';
import { connectRegistry, parseTarget } from '../../../../src/registry/index.ts';
import {
  digestOf,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  openTestbed,
  pushBlob,
  putManifest,
  textOf,
} from '../../../support/testbed-client.ts';
import { json, lines, type ScriptedEngine, startScriptedEngine } from '../../engine/scripted-engine.ts';

const LAYERS = ['lowest', 'middle', 'top'];
const DIFF_IDS = LAYERS.map((text) => digestOf(text)) as Digest[];

/** An engine with images of these layers. */
async function engineWith(...images: (readonly string[])[]): Promise<ScriptedEngine> {
  const script = await startScriptedEngine();
  script.on('GET /info', json(200, { Driver: 'overlay2' }));
  const ids = images.map((layers) => digestOf(`image of ${layers}`));
  script.on(
    'GET /images/json',
    json(
      200,
      [...ids, digestOf('gone')].map((Id) => ({ Id })),
    ),
  );
  for (const [at, Layers] of images.entries()) {
    script.on(`GET /images/${ids[at]}/json`, json(200, { Id: ids[at], RootFS: { Layers } }));
  }
  return script;
}

const held = async (script: ScriptedEngine): Promise<number> =>
  heldLayers(await script.open(), DIFF_IDS, new AbortController().signal);

test('layers count from the lowest on, in any one image', async () => {
  const [lowest = '', middle = '', top = ''] = DIFF_IDS;
  expect(await held(await engineWith())).toBe(0);
  expect(await held(await engineWith([middle, top]))).toBe(0);
  expect(await held(await engineWith([lowest, top]))).toBe(1);
  expect(await held(await engineWith([lowest], [lowest, middle, digestOf('other')]))).toBe(2);
  expect(await held(await engineWith([lowest, middle, top, digestOf('other')]))).toBe(3);
});

test('engines that want every layer in the archive hold none', async () => {
  const containerd = await engineWith(DIFF_IDS);
  containerd.on(
    'GET /info',
    json(200, { Driver: 'overlayfs', DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']] }),
  );
  expect(await held(containerd)).toBe(0);
  const podman = await engineWith(DIFF_IDS);
  podman.on('GET /version', json(200, { Version: '4.3.1', Components: [{ Name: 'Podman Engine' }] }));
  expect(await held(podman)).toBe(0);
});

test('an engine that has lost the layers meanwhile gets all of them', async () => {
  const registry = await openTestbed();
  const config = JSON.stringify({ os: 'linux', rootfs: { type: 'layers', diff_ids: DIFF_IDS } });
  for (const blob of [...LAYERS, config]) await pushBlob(registry, 'team/app', blob);
  await putManifest(registry, 'team/app', '1', {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
    layers: LAYERS.map((text) => ({ mediaType: OCI_LAYER, digest: digestOf(text), size: text.length })),
  });
  const script = await engineWith(DIFF_IDS.slice(0, 2));
  const { host } = new URL(registry.url);
  let loads = 0;
  script.on('POST /images/load', (reply, request) => {
    loads++;
    const refused = { errorDetail: { message: 'open layer.tar: no such file or directory' } };
    const taken = { stream: `Loaded image: ${host}/team/app:1\n` };
    if (loads === 2) {
      const loaded = { Id: digestOf(config), RootFS: { Layers: DIFF_IDS } };
      script.on(`GET /images/${host}/team/app:1/json`, json(200, loaded));
      script.on('POST /images/*', json(201, null));
    }
    return lines(loads === 1 ? refused : taken)(reply, request);
  });
  const { status } = await pullSnapshot(
    {
      reference: { domain: host, repository: 'team/app', tag: '1' },
      ...{ start: false, transport: 'direct' },
    },
    await contextOf(registry.url, script),
  );
  expect(status).toBe('pulled');
  const archives = script.seen.filter(({ path }) => path === '/images/load').map(({ body }) => namesIn(body));
  const all = ['manifest.json', ...[config, ...LAYERS].map((text) => digestOf(text).slice(7))];
  const named = (await Promise.all(archives)).map((names) =>
    names.map((name) => name.replace(/(?<=^[0-9a-f]{64})\..*/, '')),
  );
  expect(named).toEqual([[...all.slice(0, 2), all[4]], all]);
});

describe('--platform', () => {
  /** Pulls `team/app:TAG` of a registry with an index (`both`) and a plain image (`amd64`) into an empty engine. */
  async function pullFor(tag: 'both' | 'amd64', architecture: string) {
    const registry = await openTestbed();
    const { host } = new URL(registry.url);
    const entries = [];
    for (const one of ['amd64', 'arm64']) {
      const platform = { os: 'linux', architecture: one };
      const config = JSON.stringify({ ...platform, rootfs: { type: 'layers', diff_ids: [] } });
      await pushBlob(registry, 'team/app', config);
      const manifest = textOf({
        ...{ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] },
        config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
      });
      await putManifest(registry, 'team/app', one, manifest);
      entries.push({ mediaType: OCI_MANIFEST, digest: digestOf(manifest), size: manifest.length, platform });
    }
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries };
    await putManifest(registry, 'team/app', 'both', index);
    const script = await engineWith();
    script.on('POST /images/load', (reply, request) => {
      script.on('GET /images/*', json(200, { Id: digestOf('loaded'), Os: 'linux', Architecture: 'arm64' }));
      script.on('POST /images/*', json(201, null));
      lines({ stream: `Loaded image: ${host}/team/app:${tag}\n` })(reply, request);
    });
    const pulled = pullSnapshot(
      {
        reference: { domain: host, repository: 'team/app', tag },
        ...{ start: false, transport: 'direct', platform: { os: 'linux', architecture } },
      },
      await contextOf(registry.url, script),
    );
    return { pulled, script };
  }

  test('chooses among the images of an index', async () => {
    const { pulled, script } = await pullFor('both', 'arm64');
    expect((await pulled).status).toBe('pulled');
    const [load] = script.seen.filter(({ path }) => path === '/images/load');
    const arm64 = JSON.stringify({
      ...{ os: 'linux', architecture: 'arm64', rootfs: { type: 'layers', diff_ids: [] } },
    });
    expect(await namesIn(load?.body as Buffer)).toContain(`${digestOf(arm64).slice(7)}.json`);
  });

  test.each(['both', 'amd64'] as const)(
    'that %s does not have is told before anything is fetched',
    async (tag) => {
      const { pulled, script } = await pullFor(tag, tag === 'both' ? 's390x' : 'arm64');
      await expect(pulled).rejects.toMatchObject({ code: 'PLATFORM_NOT_FOUND' });
      expect(script.seen.some(({ method }) => method === 'POST')).toBe(false);
    },
  );
});

/** All that a pull needs, of this registry and this engine. */
async function contextOf(url: string, script: ScriptedEngine): Promise<SnapshotContext> {
  const client = await connectRegistry({
    target: parseTarget(url),
    ...{ credentials: async () => undefined, timeoutMs: 5000, retries: 0, userAgent: 'test' },
    ...{ log: silentLog, clock: systemClock },
  });
  onTestFinished(() => client.close());
  const engine = await script.open();
  return {
    ...{ signal: new AbortController().signal, progress: silentProgress, log: silentLog },
    ...{ clock: systemClock, registry: async () => client, engine: async () => engine },
    packing: { compression: 'gzip', cache: () => LayerCache.open(undefined) },
    ...{ credential: async () => undefined, pushArchive: () => Promise.reject(new Error('not asked')) },
  };
}

async function namesIn(tar: Buffer): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Readable.from([tar]).pipe(extract())) {
    names.push(entry.header.name);
    entry.resume();
  }
  return names;
}
