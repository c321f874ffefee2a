import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLog, systemClock } from '../../../../../src/base/index.ts';
import { checkOperation, HistoryEncoder, type Operation } from '../../../../../src/history/index.ts';
import { Client, type Equipment } from '../../../../../src/jobs/torture/verdict/client.ts';
import { Recorder } from '../../../../../src/jobs/torture/verdict/record.ts';
import { emptyInventory, type Site } from '../../../../../src/jobs/torture/verdict/site.ts';
import { BlobSource } from '../../../../../src/jobs/torture/workloads/blobs.ts';
import { CONFIG } from '../../../../../src/jobs/torture/workloads/push.ts';
import { randomStream } from '../../../../../src/load/index.ts';
import { digestOf } from '../../../../../src/oci/index.ts';
import { bytesSource, openRegistryLane, uploadBlob } from '../../../../../src/registry/index.ts';
import { parseFaults, type RequestLine, startTestbed } from '../../../../../src/testbed/index.ts';
import { connect } from '../support.ts';

const REPOSITORY = 'run/w0';

/** A client at a testbed with these faults, and what the registry was asked. */
async function open(faults = '', timeoutMs = 5000) {
  const lines: RequestLine[] = [];
  const testbed = await startTestbed({ onRequest: (line) => void lines.push(line) });
  onTestFinished(() => testbed.close());
  const registry = await connect(testbed.url);
  await uploadBlob(registry, REPOSITORY, bytesSource(CONFIG, digestOf(CONFIG)), {});
  const connection = { ...(await registry.connection()), timeoutMs };
  const lanes = [0, 1].map(() =>
    openRegistryLane(connection, { connections: 2, log: silentLog, clock: systemClock }),
  );
  const equipment: Equipment = {
    recorder: new Recorder({}),
    lanes: await Promise.all(lanes),
    catalogGrants: [],
    blobs: new BlobSource([{ bytes: 3000, weight: 1 }]),
    clock: systemClock,
    signal: new AbortController().signal,
    runId: 'test',
    writePrefix: 'run',
  };
  onTestFinished(async () => {
    equipment.recorder.stop();
    await Promise.all(equipment.lanes.map((lane) => lane.close()));
  });
  const grants = await Promise.all(equipment.lanes.map((lane) => lane.grant([])));
  const site: Site = { repository: REPOSITORY, grants, inventory: emptyInventory(), operations: 0 };
  const player = { id: 3, random: randomStream(1, 'workload', 0), count: { written: 0 } };
  const client = new Client({ ...equipment, catalogGrants: grants }, player, site);
  for (const fault of faults === '' ? [] : parseFaults(faults)) testbed.faults.add(fault);
  lines.length = 0;
  return { client, site, lines, testbed, equipment };
}

/** An operation as a history takes it. */
function sound(operation: Operation): Operation {
  checkOperation(operation);
  new HistoryEncoder().operation(operation);
  return operation;
}

describe('an honest registry', () => {
  test('has every operation done, with who answered', async () => {
    const { client, testbed, site } = await open();
    const blob = client.freshBlob();
    const manifest = client.freshManifest([blob]);
    const { digest } = manifest;
    const size = manifest.body.length;
    const ok = {
      client: 3,
      process: 0,
      repository: REPOSITORY,
      outcome: 'ok',
      remote: new URL(testbed.url).host,
    };
    expect(sound(await client.putBlob(blob))).toMatchObject({
      ...ok,
      status: 201,
      value: blob.digest,
      size: 3000,
    });
    expect(sound(await client.headBlob(blob.digest))).toMatchObject({
      ...ok,
      value: blob.digest,
      size: 3000,
    });
    expect(sound(await client.getBlob(blob.digest))).toMatchObject({ ...ok, value: blob.digest, size: 3000 });
    expect(sound(await client.putManifest('v1', manifest))).toMatchObject({
      ...ok,
      reference: 'v1',
      value: digest,
      size,
      names: [blob.digest],
    });
    const read = {
      ...ok,
      status: 200,
      value: digest,
      size,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
    };
    for (const reference of ['v1', digest]) {
      expect(sound(await client.getManifest(reference))).toMatchObject(read);
      expect(sound(await client.headManifest(reference))).toMatchObject(read);
    }
    const referrer = client.freshManifest([], { digest, size });
    expect(sound(await client.putManifest(referrer.digest, referrer))).toMatchObject({
      ...ok,
      subject: digest,
    });
    expect(sound(await client.listReferrers(digest))).toMatchObject({ ...ok, names: [referrer.digest] });
    expect(sound(await client.listTags())).toMatchObject({ ...ok, names: ['v1'] });
    expect(sound(await client.listRepositories())).toMatchObject({
      ...ok,
      repository: '',
      names: [REPOSITORY],
    });
    expect(sound(await client.deleteManifest(digest))).toMatchObject({ ...ok, status: 202, value: null });
    for (const gone of [client.getManifest(digest), client.headManifest('v1')]) {
      expect(sound(await gone)).toMatchObject({ outcome: 'ok', status: 404, value: null });
    }
    expect(site.inventory).toEqual({
      tags: new Set(['v1']),
      manifests: new Set([digest, referrer.digest]),
      blobs: new Set([blob.digest]),
      subjects: new Set([digest]),
    });
  });

  test('sees the steps of an upload on connections of their own', async () => {
    const { client, lines } = await open();
    const blob = client.freshBlob();
    const upload = await client.openUpload();
    if (!upload) throw new Error('no upload');
    const half = sound(await client.by(1).extendUpload(upload, blob, 1000));
    expect(half).toMatchObject({ outcome: 'ok', reference: upload.name });
    expect(sound(await client.by(0).endUpload(upload, blob))).toMatchObject({
      outcome: 'ok',
      value: blob.digest,
      upload: upload.name,
    });
    expect(lines.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'PUT']);
    const other = await client.openUpload();
    if (!other) throw new Error('no upload');
    expect(sound(await client.cancelUpload(other))).toMatchObject({ outcome: 'ok' });
    expect(sound(await client.extendUpload(other, blob, 10))).toMatchObject({ outcome: 'fail', status: 404 });
  });

  test('gives a list of many pages as one operation', async () => {
    const { client, lines } = await open();
    const tags = Array.from({ length: 205 }, (_, at) => `t${String(at).padStart(3, '0')}`);
    const manifest = client.freshManifest();
    for (const tag of tags) await client.putManifest(tag, manifest);
    lines.length = 0;
    expect(sound(await client.listTags()).names).toEqual(tags);
    expect(lines).toHaveLength(3);
  });
});

describe('what went wrong is recorded, and nothing is tried again', () => {
  test.each([
    ['PUT manifests status=400', 'fail', 400],
    ['PUT manifests status=429', 'fail', 429],
    ['PUT manifests status=500', 'unknown', 500],
    ['PUT manifests status=503 handled', 'unknown', 503],
    ['PUT manifests reset=before', 'unknown', 0],
    ['PUT manifests reset=after', 'unknown', 0],
    ['PUT manifests hang=after', 'unknown', 0],
  ])('of a push: %s', async (faults, outcome, status) => {
    const { client, lines } = await open(faults, 300);
    expect(sound(await client.putManifest('v1', client.freshManifest()))).toMatchObject({ outcome, status });
    expect(lines.filter(({ method }) => method === 'PUT').length).toBeLessThanOrEqual(1);
    expect(lines.length).toBeLessThanOrEqual(1);
  });

  test.each([
    ['GET manifests status=500', { outcome: 'unknown', status: 500, value: null }],
    ['GET manifests status=403', { outcome: 'fail', status: 403, value: null }],
    ['GET manifests reset=mid', { outcome: 'unknown', value: null }],
    ['GET manifests truncate=50%', { outcome: 'unknown', value: null }],
  ])('of a read: %s', async (faults, expected) => {
    const { client } = await open(faults);
    await client.putManifest('v1', client.freshManifest());
    expect(sound(await client.getManifest('v1'))).toMatchObject(expected);
  });

  test('bytes that are others have another digest, and the announced one is told', async () => {
    const { client } = await open('GET manifests corrupt');
    const manifest = client.freshManifest();
    await client.putManifest('v1', manifest);
    const read = sound(await client.getManifest('v1'));
    expect(read.outcome).toBe('ok');
    expect(read.value).not.toBe(manifest.digest);
    expect(read.announced).toBe(manifest.digest);
  });

  test('HEAD without a digest says of a tag nothing, of a digest that it is there', async () => {
    const { client } = await open('GET,HEAD manifests digest=missing');
    const manifest = client.freshManifest();
    await client.putManifest('v1', manifest);
    expect(sound(await client.headManifest('v1'))).toMatchObject({ outcome: 'unknown', value: null });
    expect(sound(await client.headManifest(manifest.digest))).toMatchObject({
      outcome: 'ok',
      value: manifest.digest,
    });
    expect(sound(await client.getManifest('v1'))).toMatchObject({ outcome: 'ok', value: manifest.digest });
  });

  test('an upload without a Location did not happen', async () => {
    const { client, lines } = await open('POST uploads location=missing');
    expect(sound(await client.putBlob(client.freshBlob()))).toMatchObject({ outcome: 'fail' });
    expect(await client.openUpload()).toBeUndefined();
    expect(lines.map(({ method }) => method)).toEqual(['POST', 'POST']);
  });

  test('a list that is no list says nothing', async () => {
    const { client } = await open('GET tags status=200 body="<html>"');
    expect(sound(await client.listTags())).toMatchObject({ outcome: 'unknown', status: 200 });
  });
});

test('no two manifests or blobs are the same', async () => {
  const { client } = await open();
  const digests = Array.from({ length: 20 }, () => [
    client.freshManifest().digest,
    client.freshBlob().digest,
  ]);
  expect(new Set(digests.flat()).size).toBe(40);
});
