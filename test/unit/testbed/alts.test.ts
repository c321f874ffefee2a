import { createHmac } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startTestbed, type Testbed, type TestbedOptions } from '../../../src/testbed/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { type Answer, call } from '../../support/testbed-client.ts';

const SECRET = 'secret-of-the-scheduler';
const folder = useTempFolder();

async function open(options: TestbedOptions = {}): Promise<Testbed> {
  const testbed = await startTestbed({ ...options, alts: { taskMs: 0, ...options.alts } });
  onTestFinished(() => testbed.close());
  return testbed;
}

const PAYLOAD = { dist_name: 'debian', dist_version: 12, dist_arch: 'amd64', package_name: 'curl' };

function schedule(testbed: Testbed, payload: unknown = PAYLOAD, token?: string): Promise<Answer> {
  return call(testbed, 'POST', '/tasks/schedule', {
    body: typeof payload === 'string' ? payload : JSON.stringify(payload),
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
}

async function queued(testbed: Testbed, more: object = {}): Promise<string> {
  const { status, json } = await schedule(testbed, { ...PAYLOAD, ...more });
  expect([status, json]).toEqual([
    201,
    { success: true, task_id: expect.stringMatching(/^[0-9a-f-]{36}$/), api_version: '20210512' },
  ]);
  return json.task_id;
}

const stateOf = async (testbed: Testbed, id: string) =>
  (await call(testbed, 'GET', `/tasks/${id}/result`)).json;

/** Asks until a task is in this state. */
async function reached(testbed: Testbed, id: string, state: string) {
  return vi.waitFor(async () => {
    const answer = await stateOf(testbed, id);
    expect(answer.state).toBe(state);
    return answer;
  }, 60_000);
}

function sign(header: object, claims: object, secret = SECRET, hash = 'sha256'): string {
  const signed = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`;
}

test('is no scheduler unless it is asked to be', async () => {
  const testbed = await startTestbed();
  onTestFinished(() => testbed.close());
  expect((await schedule(testbed)).status).toBe(404);
  expect((await call(testbed, 'GET', '/openapi.json')).status).toBe(404);
});

test('queues a test and answers for it: PENDING, STARTED, SUCCESS with its stages', async () => {
  const testbed = await open({ alts: { taskMs: 2000, workers: 1 } });
  const first = await queued(testbed, {
    repositories: [{ baseurl: 'https://a.example/', url: 'x' }],
    more: 1,
  });
  const second = await queued(testbed);
  expect(await stateOf(testbed, second)).toEqual({ state: 'PENDING', api_version: '20210512' });
  expect(await stateOf(testbed, first)).toEqual({ state: 'STARTED', api_version: '20210512' });
  const { result } = await reached(testbed, second, 'SUCCESS');
  expect(result).toMatchObject({
    install_package: { success: true },
    tests: { package_integrity_tests: { success: true } },
  });
  expect(await stateOf(testbed, 'unknown')).toEqual({ state: 'PENDING', api_version: '20210512' });
});

test('runs for real what follows no script, and fails without a word when that throws', async () => {
  const runTask = vi.fn(async ({ package_name }: { package_name: string }) => {
    if (package_name === 'broken') throw new Error('the engine went away');
    return { install_package: { success: true } };
  });
  const testbed = await open({ alts: { runTask } });
  expect((await reached(testbed, await queued(testbed), 'SUCCESS')).result).toEqual({
    install_package: { success: true },
  });
  const failed = await reached(testbed, await queued(testbed, { package_name: 'broken' }), 'FAILURE');
  expect(failed).not.toHaveProperty('result');
  await reached(testbed, await queued(testbed, { package_name: 'x-dies' }), 'FAILURE');
  expect(runTask).toHaveBeenCalledTimes(2);
});

test('refuses what pydantic would refuse, field by field', async () => {
  const testbed = await open();
  const { dist_arch: _, ...lacking } = {
    ...PAYLOAD,
    repositories: [{ name: 'x', url: 'https://a.example/' }],
  };
  const refused = await schedule(testbed, lacking);
  expect([refused.status, refused.json]).toEqual([
    422,
    {
      detail: [
        { loc: ['body', 'dist_arch'], msg: 'field required', type: 'value_error.missing' },
        { loc: ['body', 'repositories', 0, 'baseurl'], msg: 'field required', type: 'value_error.missing' },
      ],
    },
  ]);
  expect((await schedule(testbed, '{')).json.detail[0].loc).toEqual(['body']);
  expect((await schedule(testbed, { ...PAYLOAD, package_channel: 'odd' })).status).toBe(422);
  const asForm = { body: JSON.stringify(PAYLOAD), headers: { 'content-type': 'text/plain' } };
  expect((await call(testbed, 'POST', '/tasks/schedule', asForm)).status).toBe(422);
});

test.each([{ dist_name: 'plan9' }, { dist_arch: 'vax' }, { runner_type: 'cloud' }])(
  'fails on %j without a reason',
  async (odd) => {
    const { status, body } = await schedule(await open(), { ...PAYLOAD, ...odd });
    expect([status, String(body)]).toEqual([500, 'Internal Server Error']);
  },
);

test('asks for tokens that its secret has signed', async () => {
  const testbed = await open({ alts: { secret: SECRET } });
  const hs256 = { alg: 'HS256', typ: 'JWT' };
  const email = 'me@example.com';
  const past = Math.floor(Date.now() / 1000) - 60;
  for (const good of [sign(hs256, { email }), sign(hs256, { email, exp: past + 3600 })]) {
    expect((await schedule(testbed, PAYLOAD, good)).status).toBe(201);
  }
  for (const [alg, hash] of [
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ]) {
    expect((await schedule(testbed, PAYLOAD, sign({ alg }, { email }, SECRET, hash))).status).toBe(201);
    expect((await schedule(testbed, PAYLOAD, sign({ alg }, { email }, 'another', hash))).status).toBe(401);
    expect((await schedule(testbed, PAYLOAD, sign({ alg }, { email, exp: past }, SECRET, hash))).status).toBe(
      401,
    );
  }
  const none = sign({ alg: 'none' }, { email }).replace(/[^.]*$/, '');
  for (const bad of [
    sign(hs256, { email }, 'another'),
    sign(hs256, { email, exp: past }),
    sign({ alg: 'HS512' }, { email }),
    sign({ alg: 'RS256' }, { email }),
    sign({ alg: 'hs256' }, { email }),
    sign({}, { email }),
    sign(hs256, { sub: email }),
    `${sign(hs256, { email })}.more`,
    none,
    'nonsense',
  ]) {
    const { status, json } = await schedule(testbed, PAYLOAD, bad);
    expect([status, json]).toEqual([401, { detail: 'Could not validate credentials' }]);
  }
  const nobody = await schedule(testbed);
  expect([nobody.status, nobody.json]).toEqual([403, { detail: 'Not authenticated' }]);
  expect((await call(testbed, 'GET', '/tasks/x/result')).status).toBe(403);
  expect((await call(testbed, 'GET', '/openapi.json')).status).toBe(200);
});

test("does not ask for the registry's credentials, nor let them count", async () => {
  const testbed = await open({ auth: { username: 'u', password: 'p' }, tokenAuth: true });
  expect((await schedule(testbed)).status).toBe(201);
  expect((await call(testbed, 'GET', '/v2/')).status).toBe(401);
});

test('documents what it has, as ALTS before and after November 2023', async () => {
  const [early, late] = [await open(), await open({ alts: { submissions: false } })];
  expect(Object.keys((await call(early, 'GET', '/openapi.json')).json.paths)).toEqual([
    '/tasks/schedule',
    '/tasks/{task_id}/result',
  ]);
  expect(Object.keys((await call(late, 'GET', '/openapi.json')).json.paths)).toEqual([
    '/tasks/{task_id}/result',
  ]);
  const gone = await schedule(late);
  expect([gone.status, gone.json]).toEqual([404, { detail: 'Not Found' }]);
  expect(String((await call(early, 'GET', '/docs')).body)).toContain('-fails-install: ');
  expect((await call(early, 'GET', '/tasks/schedule')).status).toBe(405);
});

test('faults on its paths answer as FastAPI does, or as they are told', async () => {
  const testbed = await open();
  const [name = ''] = testbed.faults.add('POST /tasks/schedule status=400');
  expect((await schedule(testbed)).json).toMatchObject({
    success: false,
    error_description: expect.any(String),
  });
  testbed.faults.remove(name);
  testbed.faults.add('POST /tasks/schedule status=503 retry-after=7');
  const busy = await schedule(testbed);
  expect([busy.status, String(busy.body), busy.headers['retry-after']]).toEqual([
    503,
    'Service Unavailable',
    '7',
  ]);
  testbed.faults.add('GET /tasks/*/result status=200 body="{\\"state\\":\\"RETRY\\"}"');
  expect(await stateOf(testbed, 'x')).toEqual({ state: 'RETRY' });
});

test.each([
  ['unrecorded', 400, { success: false, task_id: expect.any(String) }],
  ['fails-install', 201, { success: true }],
])('a package named x-%s is answered with %i', async (ending, status, json) => {
  const answer = await schedule(await open(), { ...PAYLOAD, package_name: `x-${ending}` });
  expect(answer.status).toBe(status);
  expect(answer.json).toMatchObject(json);
});

test('forgets results after an hour, and what its broker lost', async () => {
  let now = Date.UTC(2030, 0, 1);
  const clock = { now: () => now, sleep: async () => {} };
  const testbed = await open({ clock });
  const id = await queued(testbed);
  await reached(testbed, id, 'SUCCESS');
  now += 3_599_999;
  expect((await stateOf(testbed, id)).state).toBe('SUCCESS');
  now += 1;
  expect((await stateOf(testbed, id)).state).toBe('PENDING');
  const lost = await queued(testbed, { package_name: 'x-forgotten' });
  await reached(testbed, lost, 'PENDING');
});

test('goes on with its tasks in a folder, after a restart', async () => {
  const dir = folder('kept');
  const first = await open({ dir, alts: { workers: 2, taskMs: 0 } });
  const done = await queued(first);
  await reached(first, done, 'SUCCESS');
  const hanging = await queued(first, { package_name: 'x-hangs' });
  await reached(first, hanging, 'STARTED');
  await first.close();

  const slow = await open({ dir, alts: { workers: 1, taskMs: 60_000 } });
  const [begun, waiting] = [await queued(slow), await queued(slow)];
  await reached(slow, begun, 'STARTED');
  expect((await stateOf(slow, hanging)).state).toBe('STARTED');
  await slow.close();

  const second = await open({ dir, alts: { workers: 1, taskMs: 0 } });
  for (const id of [done, begun, waiting]) await reached(second, id, 'SUCCESS');
  await second.close();

  const path = folder('kept', 'alts.ndjson');
  const text = await readFile(path, 'utf8');
  await writeFile(path, `nonsense\n${text}`);
  await expect(startTestbed({ dir, alts: {} })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
});
