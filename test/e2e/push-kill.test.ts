import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { randomStream } from '../../src/load/index.ts';
import { MEDIA_TYPES } from '../../src/oci/index.ts';
import { startTestbed } from '../../src/testbed/index.ts';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import { readAnswer } from '../support/json-answer.ts';
import { type Ended, runCli } from '../support/run-cli.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo } from '../support/servers/skopeo.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, digestOf } from '../support/testbed-client.ts';

// push-tar, killed in the middle of its work without a chance to say anything: nothing that is seen is broken, and
// the next run completes it.

/** Draws the moments; another seed is another test. */
const SEED = 7;
const MIB = 1024 * 1024;
const TAGS = [
  ['team/app', '1.0'],
  ['team/app', 'latest'],
  ['tool', '2'],
] as const;
const MANIFESTS = { accept: `${MEDIA_TYPES.dockerManifest}, ${MEDIA_TYPES.ociManifest}` };

const describeReal = requireServers('docker-registry', 'skopeo');
const folder = useTempFolder();
let archives: string;

beforeAll(async () => {
  archives = await mkdtemp(join(tmpdir(), 'regops-test-'));
  const app = await makeImage({
    seed: 'app',
    names: ['localhost:5000/team/app:1.0', 'localhost:5000/team/app:latest'],
    layers: [
      // Large enough to be worth resuming.
      { size: 6 * MIB, compressible: 0 },
      { size: 100_000, compressible: 0 },
    ],
  });
  const layers = [...app.layers.slice(0, 1), { size: 30_000, compressible: 0 }];
  const tool = await makeImage({ seed: 'tool', names: ['tool:2'], layers });
  await writeDockerArchive(join(archives, 'a.tar'), [app, tool]);
});
afterAll(() => rm(archives, { recursive: true, force: true }));

/** A registry that is closed with the test. */
interface Server {
  readonly url: string;
  close(): Promise<void>;
}

interface Rig {
  /** The registry as the tests know it. */
  readonly registry: Server;
  /** The registry as the program knows it. */
  readonly url: string;
  /** Bytes that the program has sent, and requests that were answered. */
  readonly sent: { bytes: number; requests: number };
  /** Called whenever something has been sent. */
  onMove: () => void;
  /** After so many bytes nothing more is let through. */
  holdAt: number;
  /** Ends every connection, as the machine does for a program that is no more. */
  cut(): void;
}

/** A registry behind a relay that sees every byte go by. */
async function openRig(start: () => Promise<Server>): Promise<Rig> {
  const registry = await start();
  const sent = { bytes: 0, requests: 0 };
  const port = Number(new URL(registry.url).port);
  const clients = new Set<Socket>();
  const relay = createServer((client) => {
    clients.add(client);
    const server = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
    client.on('data', (chunk) => {
      sent.bytes += chunk.length;
      if (sent.bytes > rig.holdAt) client.pause();
      rig.onMove();
    });
    server.on('data', (chunk) => {
      // Nobody sends a request before the answer to the last one has come.
      if (chunk.subarray(0, 5).toString() === 'HTTP/') sent.requests++;
      rig.onMove();
    });
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    for (const client of clients) client.destroy();
    await registry.close();
    await new Promise((resolve) => relay.close(resolve));
  });
  const url = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`;
  const rig: Rig = {
    registry,
    url,
    sent,
    onMove() {},
    holdAt: Number.POSITIVE_INFINITY,
    cut() {
      for (const client of clients) client.destroy();
    },
  };
  return rig;
}

/** Runs the program over the archive, with its cache and its journal where they stay from run to run. */
async function push(rig: Rig, started?: (child: ChildProcess) => void): Promise<Ended> {
  return runCli(
    ['push-tar', join(archives, 'a.tar'), '--registry-url', rig.url, '--concurrency', '2', '--json', '-v'],
    {
      env: { XDG_STATE_HOME: folder('state'), XDG_CACHE_HOME: folder('cache') },
      started(child) {
        onTestFinished(() => void child.kill('SIGKILL'));
        started?.(child);
      },
    },
  );
}

/** Pushes until the moment has come, and is killed. */
async function killedPush(rig: Rig, isMoment: () => boolean): Promise<void> {
  const killed = await push(rig, (child) => {
    rig.onMove = () => {
      if (isMoment()) child.kill('SIGKILL');
    };
  });
  rig.onMove = () => {};
  expect(killed.signal).toBe('SIGKILL');
}

/** True once the program has written how to go on. */
function isNoted(): boolean {
  const notes = folder('state', 'regops', 'uploads');
  return existsSync(notes) && readdirSync(notes).some((name) => name.endsWith('.json'));
}

/** What a tag of the registry points at; everything below it must be there and be what it is called. */
async function wholeImageAt(registry: Server, repository: string, tag: string): Promise<string | undefined> {
  const path = `/v2/${repository}/manifests/${tag}`;
  const manifest = await call(registry, 'GET', path, { headers: MANIFESTS });
  if (manifest.status === 404) return undefined;
  expect(manifest.status).toBe(200);
  for (const { digest } of [manifest.json.config, ...manifest.json.layers]) {
    const blob = await call(registry, 'GET', `/v2/${repository}/blobs/${digest}`);
    expect([blob.status, digestOf(blob.body)], `${repository}:${tag}`).toEqual([200, digest]);
  }
  return digestOf(manifest.body);
}

async function tagsOf({ registry }: Rig): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (const [repository, tag] of TAGS) found.push(await wholeImageAt(registry, repository, tag));
  return found;
}

/** What the tags have to be in the end; gives their digests. */
async function expectComplete(rig: Rig, run: Ended): Promise<(string | undefined)[]> {
  expect(run, run.stderr).toMatchObject({ exitCode: 0, signal: null });
  const { result } = readAnswer(run.stdout);
  const pushed = result.images.flatMap((image: { digest: string; tags: unknown[] }) =>
    image.tags.map(() => image.digest),
  );
  const found = await tagsOf(rig);
  expect(found).toEqual(pushed);
  expect(found[0]).toBe(found[1]);
  return found;
}

const draw = randomStream(SEED, 'worker', 0);
const MOMENTS = Array.from({ length: 20 }, (_, at) => ({
  at,
  share: draw(),
  of: at % 2 ? ('requests' as const) : ('bytes' as const),
}));

/** @param proven looks at what is in the registry in the end, with other eyes than ours */
function killedAt(
  moments: typeof MOMENTS,
  start: () => Promise<Server>,
  proven: (registry: Server, digests: readonly (string | undefined)[]) => Promise<void>,
): void {
  /** How much a push sends that nobody disturbs. */
  let whole: Rig['sent'];

  test('undisturbed, for the measure', async () => {
    const rig = await openRig(start);
    const run = await push(rig);
    whole = { ...rig.sent };
    await proven(rig.registry, await expectComplete(rig, run));
    expect(whole.bytes).toBeGreaterThan(6 * MIB);
  });

  test.each(moments)('at moment $at: $share of its $of', async ({ share, of }) => {
    const rig = await openRig(start);
    const moment = Math.floor(share * whole[of]);
    await killedPush(rig, () => rig.sent[of] >= moment);
    await tagsOf(rig);
    await proven(rig.registry, await expectComplete(rig, await push(rig)));
  });
}

describe('push-tar, killed', () => {
  killedAt(MOMENTS, startTestbed, async () => {});

  test('in the middle of a large blob: the next run sends only the rest of it', async () => {
    const rig = await openRig(startTestbed);
    rig.holdAt = 5 * MIB;
    const killed = await push(rig, (child) => {
      const look = setInterval(() => {
        if (isNoted()) child.kill('SIGKILL');
      }, 20);
      child.once('exit', () => clearInterval(look));
    });
    expect(killed.signal).toBe('SIGKILL');
    // What is held is read by nobody, and so does not end by itself.
    rig.cut();
    rig.holdAt = Number.POSITIVE_INFINITY;
    rig.sent.bytes = 0;
    const run = await push(rig);
    await expectComplete(rig, run);
    expect(run.stderr).toMatch(/goes on after \d+ bytes of an earlier run/);
    expect(rig.sent.bytes).toBeLessThan(3 * MIB);
  });
});

describeReal('push-tar to docker-registry, killed', () => {
  const part = MOMENTS.filter(({ at }) => at % 10 > 7);
  killedAt(part, startDockerRegistry, async ({ url }, digests) => {
    const skopeo = await openSkopeo();
    onTestFinished(() => skopeo.close());
    for (const [at, [repository, tag]] of TAGS.entries()) {
      const image = `docker://${new URL(url).host}/${repository}:${tag}`;
      const seen = await skopeo.inspect(image, { verifyTls: false });
      expect(seen['Digest']).toBe(digests[at]);
    }
  });
});
