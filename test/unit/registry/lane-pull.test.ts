import { expect, onTestFinished, test } from 'vitest';
import { silentLog, systemClock } from '../../../src/base/index.ts';
import {
  connectRegistry,
  LaneExchanger,
  openRegistryLane,
  type PulledRequest,
  Puller,
  type PullRequestKind,
  type PullResult,
  parseTarget,
  pullScope,
} from '../../../src/registry/index.ts';
import { parseFaults } from '../../../src/testbed/index.ts';
import { openFront } from '../../support/http-front.ts';
import { descriptorOf, indexOf, openTestbed, pushImage, putManifest } from '../../support/testbed-client.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

/** Pulls `app:REFERENCE` from a registry; gives what was told of it. */
async function pulled(url: string, reference: string, query?: string) {
  const client = await connectRegistry({
    target: parseTarget(url),
    credentials: async () => undefined,
    timeoutMs: 60_000,
    retries: 0,
    userAgent: 'regops-test',
    log: silentLog,
    clock: systemClock,
  });
  const lane = await openRegistryLane(await client.connection(), {
    connections: 3,
    log: silentLog,
    clock: systemClock,
  });
  onTestFinished(async () => {
    await Promise.all([lane.close(), client.close()]);
  });
  const sent: PullRequestKind[] = [];
  const requests: PulledRequest[] = [];
  const puller = new Puller(new LaneExchanger(lane, (kind) => sent.push(kind)), {
    platform: PLATFORM,
    layerConcurrency: 3,
  });
  const grant = await lane.grant([pullScope('app')]);
  const result = await new Promise<PullResult>((resolve) => {
    const onRequest = (request: PulledRequest): void => void requests.push(request);
    puller.pull({ repository: 'app', reference, query, grant, onRequest }, resolve);
  });
  return { result, requests, sent };
}

test('every request of a pull is told, and what it brought', async () => {
  const testbed = await openTestbed();
  const image = await pushImage(testbed, 'app', '1');
  const index = { ...indexOf([]), manifests: [{ ...descriptorOf(image), platform: PLATFORM }] };
  await putManifest(testbed, 'app', 'all', index);
  const { result, requests, sent } = await pulled(testbed.url, 'all');
  expect(sent).toEqual(['getManifest', 'getManifest', 'getBlob', 'getBlob']);
  expect(requests.map(({ kind, digest, error }) => [kind, digest, error])).toEqual([
    ['getManifest', undefined, undefined],
    ['getManifest', image.digest, undefined],
    ...requests.slice(2).map(({ digest }) => ['getBlob', digest, undefined]),
  ]);
  expect(new Set(requests.slice(2).map(({ digest }) => digest))).toEqual(
    new Set([image.config, image.layer]),
  );
  expect(result).toMatchObject({ error: undefined, redirected: false, blobs: 2 });
  expect(result.bytes).toBe(requests.reduce((sum, { bytes }) => sum + bytes, 0));
  // Of what was asked for: the index.
  expect(result.digest).not.toBe(image.digest);
  expect(result.digest).toMatch(/^sha256:/);
});

test('the first failure is the pull’s, and no more is fetched', async () => {
  const testbed = await openTestbed({ faults: parseFaults('GET blobs corrupt') });
  await pushImage(testbed, 'app', '1');
  const { result, requests } = await pulled(testbed.url, '1');
  expect(result).toMatchObject({ error: 'digest', blobs: 0 });
  expect(requests.map(({ error }) => error)).toEqual([undefined, 'digest', 'digest']);
});

test('a blob that is kept elsewhere is not fetched, and the pull says so', async () => {
  const testbed = await openTestbed();
  const image = await pushImage(testbed, 'app', '1');
  const front = await openFront(testbed, ({ url = '' }, response) => {
    if (!url.includes(image.layer)) return false;
    response.writeHead(307, { location: 'http://storage.example.com/blob' }).end();
    return true;
  });
  const { result, requests } = await pulled(front.url, '1');
  expect(result).toMatchObject({ error: undefined, redirected: true, blobs: 1 });
  expect(requests.filter(({ redirected }) => redirected)).toMatchObject([
    { digest: image.layer, error: undefined },
  ]);
});

test('a query goes with every request', async () => {
  const testbed = await openTestbed();
  await pushImage(testbed, 'app', '1');
  const queries: string[] = [];
  const front = await openFront(testbed, ({ url = '' }) => {
    if (/manifests|blobs/.test(url)) queries.push(url.replace(/^[^?]*/, ''));
    return false;
  });
  const { result } = await pulled(front.url, '1', 'ns=reg%3A5000');
  expect(result.error).toBeUndefined();
  expect(queries).toEqual(Array(3).fill('?ns=reg%3A5000'));
});
