import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { parseThreshold } from '../../../../src/load/index.ts';
import { openFront, refuse } from '../../../support/http-front.ts';
import { pushImage } from '../../../support/testbed-client.ts';
import { bench, namesFor, openRig } from './support.ts';

/** An address at which nobody listens. */
async function nowhere(): Promise<{ readonly url: string }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { url: `http://127.0.0.1:${port}` };
}

describe('nothing is pulled when', () => {
  test.each([
    [{ patterns: ['*'] }, /pattern '\*': a star repeats/],
    [{ patterns: ['-0001,('] }, /pattern '\(': /],
    [{ patterns: ['a,,b'] }, /pattern '': it is empty/],
    [{ patterns: [] }, /there is no pattern/],
    [{ patterns: ['(?i)a'] }, /flag stands alone/],
    [{ filter: '[' }, /filter '\['/],
    [{ tags: '+' }, /expression for tags '\+'/],
    [{ iterationMs: 50 }, /an iteration cannot last 0.05 s/],
    [{ tallyMs: 0 }, /tally interval/],
    [{ pullersPerPattern: 0 }, /0 pullers/],
    [{ ratePerSecond: 5, cold: 'prune' }, /a rate does not go with pruning/],
    [{ ratePerSecond: 5, scenario: 'herd' }, /a rate does not go with the scenario herd/],
    [{ cold: 'hook' }, /no command/],
    [{ thresholds: [parseThreshold('dropped<1%')] }, /only dropped at a given rate/],
    [{ thresholds: [parseThreshold('dropped<1')], scenario: 'herd' }, /only dropped at a given rate/],
    [{ thresholds: [parseThreshold('p99{warm}<1s')] }, /ramp has no pulls 'warm'/],
    [{ thresholds: [parseThreshold('p99{pull}<1s')], scenario: 'cold-vs-warm' }, /has no pulls 'pull'/],
    [{ thresholds: [parseThreshold('errors{cold}<1')], scenario: 'herd' }, /herd has no pulls 'cold'/],
  ] as const)('options make no sense: %j', async (more, message) => {
    const dead = { url: 'http://127.0.0.1:1' };
    await expect(bench({ cache: dead, upstream: dead }, more)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message),
    });
  });

  test('the upstream cannot be reached', async () => {
    const rig = await openRig(namesFor(['0001'], 1));
    await expect(bench({ ...rig, upstream: await nowhere() })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/^the upstream: /),
    });
    expect(rig.lines).toEqual([]);
  });

  test('the cache cannot be reached', async () => {
    const rig = await openRig(namesFor(['0001'], 1));
    await expect(bench({ ...rig, cache: await nowhere() })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/^the cache: /),
    });
    expect(rig.upstream.traffic().manifestGets).toBe(0);
  });

  test('the upstream does not let us in', async () => {
    const auth = { username: 'u', password: 'secret' };
    const rig = await openRig([], { upstream: { auth } });
    await expect(bench(rig)).rejects.toMatchObject({
      code: 'AUTHENTICATION_FAILED',
      message: expect.stringMatching(/^the upstream: /),
    });
  });

  test('the cache does not let us in, at the door or in the repository', async () => {
    const auth = { username: 'u', password: 'secret' };
    const rig = await openRig(namesFor(['0001'], 1), { cache: { auth } });
    await expect(bench(rig)).rejects.toMatchObject({
      code: 'AUTHENTICATION_FAILED',
      message: expect.stringMatching(/^the cache: /),
    });
    const open = await openRig(namesFor(['0001'], 1));
    const front = await openFront(open.cache, ({ url = '' }, response) =>
      url.includes('/tags/list') ? refuse(response, 403, 'DENIED') : false,
    );
    await expect(bench({ ...open, cache: front })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(open.upstream.traffic().manifestGets).toBe(0);
  });

  test.each([
    [{ patterns: ['nothing'] }, /matches a pattern \('nothing'\)/],
    [{ filter: 'nothing' }, /matches the filter 'nothing'/],
    [{ tags: 'nothing' }, /no tag of .* is wanted/],
  ])('nothing matches: %j', async (more, message) => {
    const rig = await openRig(namesFor(['0001'], 2));
    await expect(bench(rig, more)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: expect.stringMatching(message),
    });
    expect(rig.lines.filter(({ path }) => path !== '/v2/')).toEqual([]);
  });

  test('there is nothing', async () => {
    const rig = await openRig([]);
    await expect(bench(rig)).rejects.toMatchObject({ message: expect.stringMatching(/has no images/) });
  });
});

test('a pattern without images gets no puller, overlapping ones are named, empty repositories passed over', async () => {
  const rig = await openRig(namesFor(['0001', '0002'], 2));
  await pushImage(rig.upstream, 'team/empty', 'v1');
  const front = await openFront(rig.upstream, ({ url = '' }, response) => {
    if (!url.startsWith('/v2/team/empty/tags/list')) return false;
    response.setHeader('content-type', 'application/json');
    response.end('{"name":"team/empty","tags":null}');
    return true;
  });
  const { result, warnings } = await bench(
    { ...rig, upstream: front },
    { patterns: ['-0001,-0009', '-000[12]'], maxPulls: 4, upstreamName: rig.upstreamName },
  );
  expect(result.plan).toMatchObject({ repositories: 5, emptyRepositories: 1, images: 4, pullers: 2 });
  expect(result.plan.groups).toEqual([
    { pattern: '-0001', images: 2, pullers: 1 },
    { pattern: '-0009', images: 0, pullers: 0 },
    { pattern: '-000[12]', images: 4, pullers: 1 },
  ]);
  expect(result.plan.steps).toHaveLength(3);
  expect(warnings).toEqual([
    expect.stringMatching(/1 pattern matched no image and gets no puller: '-0009'/),
    expect.stringMatching(/patterns overlap: 2 images .*'-0001' and '-000\[12\]'/),
  ]);
});

test('credentials open both, by Basic and by tokens', async () => {
  const auth = { username: 'u', password: 'secret' };
  const credential = auth;
  for (const tokenAuth of [false, true]) {
    const rig = await openRig(namesFor(['0001'], 3), { cache: { auth, tokenAuth } });
    const { result } = await bench(
      rig,
      { patterns: ['.*'], pathStyle: 'mirror', maxPulls: 9 },
      { credential },
    );
    expect(result.totals).toMatchObject({ images: 9, failed: 0 });
  }
});
