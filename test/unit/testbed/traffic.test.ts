import { describe, expect, it } from 'vitest';
import { parseSynthetic, type Testbed } from '../../../src/testbed/index.ts';
import { call, openTestbed, pushBlob, pushImage } from '../../support/testbed-client.ts';
import { upstreamOf } from '../../support/testbed-upstream.ts';

const NOTHING = { manifestGets: 0, blobGets: 0, distinctBlobs: 0, maxGetsOfOneBlob: 0, blobBytes: 0 };

/** Told over HTTP, and the same in this process. */
async function trafficOf(testbed: Testbed) {
  const answer = await call(testbed, 'GET', '/api/regops/traffic');
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
  expect(testbed.traffic()).toEqual(answer.json);
  return answer.json;
}

describe('traffic', () => {
  it('counts GETs that were answered: manifests, blobs, each blob', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'team/app', '1');
    const other = await pushBlob(testbed, 'other', '0123456789');
    expect(await trafficOf(testbed)).toEqual(NOTHING);
    const get = (path: string, headers = {}) => call(testbed, 'GET', `/v2/${path}`, { headers });
    await get('team/app/manifests/1');
    await get(`team/app/manifests/${image.digest}`);
    await get('team/app/manifests/2');
    await call(testbed, 'HEAD', '/v2/team/app/manifests/1');
    await call(testbed, 'HEAD', `/v2/team/app/blobs/${image.layer}`);
    for (let turn = 0; turn < 3; turn++) await get(`team/app/blobs/${image.layer}`);
    await get(`other/blobs/${other}`, { range: 'bytes=2-4' });
    await get(`other/blobs/${other}`, { range: 'bytes=20-' });
    await get(`other/blobs/${other}`, { 'if-none-match': `"${other}"` });
    await get(`other/blobs/${image.layer}`);
    expect(await trafficOf(testbed)).toEqual({
      manifestGets: 2,
      blobGets: 4,
      distinctBlobs: 2,
      maxGetsOfOneBlob: 3,
      blobBytes: 3003,
    });
  });

  it('begins anew after DELETE and after resetTraffic', async () => {
    const testbed = await openTestbed();
    const digest = await pushBlob(testbed, 'app', '0123456789');
    const once = { ...NOTHING, blobGets: 1, distinctBlobs: 1, maxGetsOfOneBlob: 1, blobBytes: 10 };
    for (const reset of [
      async () => expect((await call(testbed, 'DELETE', '/api/regops/traffic')).status).toBe(204),
      async () => testbed.resetTraffic(),
    ]) {
      await call(testbed, 'GET', `/v2/app/blobs/${digest}`);
      expect(await trafficOf(testbed)).toEqual(once);
      await reset();
      expect(await trafficOf(testbed)).toEqual(NOTHING);
    }
    expect((await call(testbed, 'POST', '/api/regops/traffic')).status).toBe(405);
  });

  it('is also counted from any moment on, whatever was before and is set back meanwhile', async () => {
    const testbed = await openTestbed();
    const [one, two] = [await pushBlob(testbed, 'app', '0123456789'), await pushBlob(testbed, 'app', 'abc')];
    const get = (digest: string) => call(testbed, 'GET', `/v2/app/blobs/${digest}`);
    await get(one);
    await get(one);
    const whole = testbed.watchTraffic();
    expect(whole.traffic()).toEqual(NOTHING);
    await get(one);
    const part = testbed.watchTraffic();
    testbed.resetTraffic();
    await get(two);
    await get(one);
    part.end();
    await get(two);
    expect(part.traffic()).toEqual({
      ...NOTHING,
      ...{ blobGets: 2, distinctBlobs: 2, maxGetsOfOneBlob: 1, blobBytes: 13 },
    });
    expect(whole.traffic()).toEqual({
      ...NOTHING,
      ...{ blobGets: 4, distinctBlobs: 2, maxGetsOfOneBlob: 2, blobBytes: 26 },
    });
    expect(testbed.traffic()).toMatchObject({ blobGets: 3, maxGetsOfOneBlob: 2 });
  });

  it('of synthetic images', async () => {
    const testbed = await openTestbed({ synthetic: parseSynthetic('images=50,layers=2,sizes=2KiB,seed=9') });
    const pull = async (number: string): Promise<void> => {
      const repository = `/v2/synthetic/image0000${number}`;
      const { config, layers } = (await call(testbed, 'GET', `${repository}/manifests/latest`)).json;
      for (const { digest } of [config, ...layers])
        await call(testbed, 'GET', `${repository}/blobs/${digest}`);
    };
    for (const number of ['01-0001', '12-0002', '01-0001', '50-0010']) await pull(number);
    expect(await trafficOf(testbed)).toMatchObject({
      manifestGets: 4,
      blobGets: 12,
      distinctBlobs: 9,
      maxGetsOfOneBlob: 2,
    });
    testbed.resetTraffic();
    await pull('12-0002');
    expect(await trafficOf(testbed)).toMatchObject({ blobGets: 3, distinctBlobs: 3, maxGetsOfOneBlob: 1 });
  });

  it('of a pull-through: what was served, and what was fetched for it', async () => {
    const origin = await openTestbed();
    const image = await pushImage(origin, 'team/app', '1');
    const cache = await openTestbed({ upstream: upstreamOf(origin) });
    expect(await trafficOf(cache)).toEqual({
      ...NOTHING,
      upstream: { manifestFetches: 0, blobFetches: 0, blobBytes: 0 },
    });
    for (let turn = 0; turn < 3; turn++) {
      await call(cache, 'GET', '/v2/team/app/manifests/1');
      await Promise.all([1, 2].map(() => call(cache, 'GET', `/v2/team/app/blobs/${image.layer}`)));
    }
    expect(await trafficOf(cache)).toEqual({
      manifestGets: 3,
      blobGets: 6,
      distinctBlobs: 1,
      maxGetsOfOneBlob: 6,
      blobBytes: 6000,
      upstream: { manifestFetches: 1, blobFetches: 1, blobBytes: 1000 },
    });
    expect(await trafficOf(origin)).toMatchObject({ manifestGets: 1, blobGets: 1, blobBytes: 1000 });
  });

  it('a fault that answers instead is no fetch, one that breaks the reply off is; none hits the counts themselves', async () => {
    const testbed = await openTestbed();
    const digest = await pushBlob(testbed, 'app', '0123456789');
    testbed.faults.add('status=503 nth=1; GET blobs nth=2 reset=mid; digest=wrong nth=3');
    const path = `/v2/app/blobs/${digest}`;
    expect((await call(testbed, 'GET', path)).status).toBe(503);
    await expect(call(testbed, 'GET', path)).rejects.toThrow();
    expect((await call(testbed, 'GET', path)).status).toBe(200);
    testbed.faults.add('status=500');
    expect(await trafficOf(testbed)).toMatchObject({ blobGets: 2, distinctBlobs: 1 });
  });

  it('is told to those who may come in', async () => {
    const auth = { username: 'ci', password: 'secret' };
    const authorization = `Basic ${Buffer.from('ci:secret').toString('base64')}`;
    for (const tokenAuth of [false, true]) {
      const testbed = await openTestbed({ auth, tokenAuth });
      expect((await call(testbed, 'GET', '/api/regops/traffic')).status).toBe(401);
      const answer = await call(testbed, 'GET', '/api/regops/traffic', { headers: { authorization } });
      expect(answer.json).toEqual(NOTHING);
    }
  });
});
