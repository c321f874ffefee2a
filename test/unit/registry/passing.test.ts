import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { silentLog, systemClock } from '../../../src/base/index.ts';
import type { Digest } from '../../../src/oci/index.ts';
import {
  connectRegistry,
  hasPassed,
  type PassingBlob,
  parseTarget,
  uploadBlob,
} from '../../../src/registry/index.ts';
import { openFront, refuse } from '../../support/http-front.ts';
import { call, openTestbed } from '../../support/testbed-client.ts';

const MIB = 1024 * 1024;

/** A blob of so many MiB whose bytes are there once, and how many were taken of it. */
function passing(mebibytes: number) {
  const blocks = Array.from({ length: mebibytes }, (_, at) => Buffer.alloc(MIB, at + 1));
  const hash = createHash('sha256');
  for (const block of blocks) hash.update(block);
  const facts = { digest: `sha256:${hash.digest('hex')}` as Digest, size: mebibytes * MIB };
  const seen = { opened: 0, given: 0, kept: 0 };
  async function* bytes(): AsyncGenerator<Buffer> {
    seen.opened++;
    for (const block of blocks) {
      seen.given += block.length;
      yield block;
    }
  }
  const blob: PassingBlob = {
    kind: 'passing',
    open: () => ({ stream: Readable.from(bytes(), { objectMode: false }), result: () => facts }),
    async keep(all) {
      seen.kept++;
      const content = await buffer(all);
      return { kind: 'known', ...facts, open: () => Readable.from([content], { objectMode: false }) };
    },
  };
  return { blob, facts, seen };
}

async function clientOf(url: string, retries = 2) {
  const client = await connectRegistry({
    target: parseTarget(url),
    ...{ credentials: async () => undefined, timeoutMs: 5000, retries, userAgent: 'test' },
    ...{ log: silentLog, clock: { ...systemClock, sleep: async () => {} } },
  });
  onTestFinished(() => client.close());
  return client;
}

test('no more is taken of what passes than a chunk that is sent and one that is read ahead', async () => {
  const { blob, facts, seen } = passing(64);
  let stored = 0;
  let most = 0;
  const registry = await openTestbed({
    onRequest: ({ method, bytesIn }) => {
      if (method !== 'PATCH') return;
      most = Math.max(most, seen.given - stored);
      stored += bytesIn;
    },
  });
  const uploaded = await uploadBlob(await clientOf(registry.url), 'team/app', blob);
  expect(uploaded).toEqual(facts);
  expect(seen).toEqual({ opened: 1, given: 64 * MIB, kept: 0 });
  expect(stored).toBe(64 * MIB);
  // Both, what streams hold between them, and a chunk of which the testbed tells after its answer.
  expect(most).toBeLessThan(28 * MIB);
  expect(registry.openUploads()).toBe(0);
});

test('what is no more than a chunk goes in one request, and again when that fails', async () => {
  const { blob, facts, seen } = passing(8);
  const registry = await openTestbed();
  let puts = 0;
  const front = await openFront(registry, ({ method }, response) =>
    method === 'PUT' && ++puts === 1 ? refuse(response, 500, 'UNKNOWN') : false,
  );
  expect(await uploadBlob(await clientOf(front.url), 'team/app', blob)).toEqual(facts);
  expect(seen).toEqual({ opened: 1, given: 8 * MIB, kept: 0 });
  expect(front.seen.filter((line) => line.startsWith('PATCH'))).toEqual([]);
});

test('for a registry that takes no chunks it is kept, and sent whole', async () => {
  const { blob, facts, seen } = passing(9);
  const registry = await openTestbed({ persona: 'artifact-registry' });
  const client = await clientOf(registry.url);
  expect(await uploadBlob(client, 'team/app', blob)).toEqual(facts);
  expect(seen).toEqual({ opened: 1, given: 9 * MIB, kept: 1 });
  expect((await call(registry, 'HEAD', `/v2/team/app/blobs/${facts.digest}`)).status).toBe(200);
  // The next one is not tried in chunks any more.
  const next = passing(10);
  expect(await uploadBlob(client, 'team/app', next.blob)).toEqual(next.facts);
  expect(next.seen.kept).toBe(1);
  expect(registry.openUploads()).toBe(0);
});

test('a commit without an answer is made again in the same session', async () => {
  const { blob, facts, seen } = passing(20);
  const registry = await openTestbed();
  let puts = 0;
  const front = await openFront(registry, (request) => {
    if (request.method !== 'PUT' || ++puts > 1) return false;
    request.socket.destroy();
    return true;
  });
  expect(await uploadBlob(await clientOf(front.url), 'team/app', blob)).toEqual(facts);
  expect(seen.opened).toBe(1);
  expect(front.seen.filter((line) => line.startsWith('POST'))).toHaveLength(1);
});

test.each<[string, number, string]>([
  ['a session that is gone', 404, 'BLOB_UPLOAD_UNKNOWN'],
  ['a digest that the registry does not agree with', 400, 'DIGEST_INVALID'],
])('%s ends it when the first chunk has passed, and says so', async (_, status, code) => {
  const { blob, seen } = passing(20);
  const registry = await openTestbed();
  const front = await openFront(registry, ({ method, url = '' }, response) =>
    method === 'PUT' && url.includes('digest=') ? refuse(response, status, code) : false,
  );
  const failed: unknown = await uploadBlob(await clientOf(front.url), 'team/app', blob).catch(
    (error) => error,
  );
  expect(failed).toMatchObject({ message: expect.stringContaining(code) });
  expect(hasPassed(failed)).toBe(true);
  expect(seen.opened).toBe(1);
  expect(registry.openUploads()).toBe(0);
});

test('a blob that breaks ends its upload, which is cancelled', async () => {
  const registry = await openTestbed();
  const client = await clientOf(registry.url);
  for (const length of [1, 9, 17]) {
    const { blob } = passing(20);
    async function* cut(): AsyncGenerator<Buffer> {
      for (let at = 0; at < length; at++) yield Buffer.alloc(MIB);
      throw new Error('cut short');
    }
    const broken: PassingBlob = {
      ...blob,
      open: () => ({ ...blob.open(), stream: Readable.from(cut(), { objectMode: false }) }),
    };
    await expect(uploadBlob(client, 'team/app', broken)).rejects.toThrow('cut short');
    expect(registry.openUploads()).toBe(0);
  }
});
