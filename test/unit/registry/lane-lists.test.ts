import { expect, onTestFinished, test } from 'vitest';
import type { Credential } from '../../../src/auth/index.ts';
import { systemClock } from '../../../src/base/index.ts';
import { openRegistryLane, pullScope, TagLister } from '../../../src/registry/index.ts';
import { parseFaults, parseSynthetic, type TestbedOptions } from '../../../src/testbed/index.ts';
import { type Front, openFront } from '../../support/http-front.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { openTestbed } from '../../support/testbed-client.ts';
import { clientOf } from './support.ts';

// Many lists by a lane; whatever is not plain is the client's.

const MANY = parseSynthetic('images=2500,layers=1,sizes=2KiB,repositories=2');
const [ONE, TWO] = ['synthetic/image000001-0001', 'synthetic/image000002-0002'];

async function openLister(options: TestbedOptions & { take?: Parameters<typeof openFront>[1] }) {
  const { take = () => false, ...more } = options;
  const testbed = await openTestbed({ synthetic: MANY, ...more });
  const front: Front = await openFront(testbed, take);
  const log = { ...recordingLog(), lines: [] as string[] };
  log.trace = (line) => void log.lines.push(line);
  const credential: Credential | undefined = options.auth;
  const client = await clientOf(front.url, { retries: 1, log, ...(credential ? { credential } : {}) });
  const lane = await openRegistryLane(await client.connection(), { connections: 2, log, clock: systemClock });
  onTestFinished(() => lane.close());
  await lane.learn(`/v2/${ONE}/tags/list`, [pullScope(ONE)]);
  const lists = (): number => front.seen.filter((line) => line.includes(TWO)).length;
  return { lister: new TagLister(client, lane), lists, log, testbed };
}

test('a plain list takes one request, and a line of the log', async () => {
  const { lister, lists, log } = await openLister({
    synthetic: parseSynthetic('images=5,layers=1,sizes=2KiB'),
  });
  expect(await lister.all(TWO)).toEqual(['latest']);
  expect(lists()).toBe(1);
  expect(log.lines.at(-1)).toMatch(
    /^GET http:\/\/127\.0\.0\.1:\d+\/v2\/synthetic\/image000002-0002\/tags\/list\?n=1000 200 \d+ ms \d+ B$/,
  );
});

test('the first page is enough for the first tags, and all come page by page', async () => {
  const { lister, lists } = await openLister({});
  expect((await lister.first(TWO)).slice(0, 2)).toEqual(['v000001', 'v000002']);
  expect(lists()).toBe(1);
  expect(await lister.all(TWO)).toHaveLength(1250);
});

test.each<[string, TestbedOptions]>([
  ['a password', { auth: { username: 'anna', password: 'hunter2-S3cr3t' } }],
  ['tokens', { auth: { username: 'anna', password: 'hunter2-S3cr3t' }, tokenAuth: true }],
])('%s: as it was learned from the first', async (_what, options) => {
  const { lister, lists } = await openLister(options);
  expect(await lister.first(TWO)).toHaveLength(1000);
  expect(lists()).toBe(1);
});

test('what the lane is refused the client asks again', async () => {
  const { lister, lists, testbed } = await openLister({});
  for (const fault of parseFaults(`repository=${TWO} status=503 first=1`)) testbed.faults.add(fault);
  expect(await lister.first(TWO)).toHaveLength(1000);
  expect(lists()).toBe(2);
  await expect(lister.first('synthetic/none')).rejects.toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
});

test.each([
  ['no list', '<html>'],
  ['only what is no tag', '{"tags":["../etc",null]}'],
])('%s: the client says what it is', async (_what, body) => {
  const { lister } = await openLister({
    take({ url = '' }, response) {
      if (!url.includes(TWO)) return false;
      response.end(body);
      return true;
    },
  });
  if (body.startsWith('{')) expect(await lister.all(TWO)).toEqual([]);
  else await expect(lister.all(TWO)).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
});

test('a registry that never answers plainly is asked by the client alone in the end', async () => {
  let refused = 0;
  const { lister, lists } = await openLister({
    take({ url = '' }, response) {
      // The client has been let in; the lane never is.
      if (!url.includes(TWO) || refused++ % 2 === 1) return false;
      response.writeHead(400).end();
      return true;
    },
  });
  for (let turn = 0; turn < 50; turn++) expect(await lister.first(TWO)).toHaveLength(1000);
  expect(lists()).toBe(100);
  refused = 1;
  await lister.first(TWO);
  expect(lists()).toBe(101);
});
