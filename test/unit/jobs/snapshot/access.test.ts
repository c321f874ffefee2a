import { expect, onTestFinished, test } from 'vitest';
import { LayerCache } from '../../../../src/archive/index.ts';
import { isRegopsError, silentLog, systemClock } from '../../../../src/base/index.ts';
import { checkEngineAccess, checkRegistry } from '../../../../src/jobs/snapshot/access.ts';
import type { SnapshotContext } from '../../../../src/jobs/snapshot/options.ts';
import { proveTag } from '../../../../src/jobs/snapshot/proof.ts';
import { digestOf } from '../../../../src/oci/index.ts';
import { silentProgress } from '../../../../src/progress/index.ts';
import { connectRegistry, parseTarget, type RegistryClient } from '../../../../src/registry/index.ts';
import { parseFaults, startTestbed, type TestbedOptions } from '../../../../src/testbed/index.ts';
import { json, startScriptedEngine } from '../../engine/scripted-engine.ts';

const CREDENTIAL = { username: 'anna', password: 'geheim' };

async function registry(
  options: TestbedOptions = {},
): Promise<{ client: RegistryClient; context: SnapshotContext }> {
  const testbed = await startTestbed(options);
  onTestFinished(() => testbed.close());
  const client = await connectRegistry({
    target: parseTarget(testbed.url),
    ...{ credentials: async () => CREDENTIAL, timeoutMs: 5000, retries: 0, userAgent: 'test' },
    ...{ log: silentLog, clock: systemClock },
  });
  onTestFinished(() => client.close());
  const context: SnapshotContext = {
    ...{ signal: new AbortController().signal, progress: silentProgress, log: silentLog },
    clock: { now: () => 0, sleep: async () => {} },
    registry: async () => client,
    engine: () => Promise.reject(new Error('not asked')),
    credential: async () => CREDENTIAL,
    packing: { compression: 'gzip', cache: () => LayerCache.open(undefined) },
    pushArchive: () => Promise.reject(new Error('not asked')),
  };
  return { client, context };
}

async function failure(work: Promise<unknown>) {
  const error = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (!isRegopsError(error)) throw error;
  return error;
}

test('an engine that insists on TLS is told how to use plain http, before anything else is asked of it', async () => {
  const { client, context } = await registry();
  const script = await startScriptedEngine();
  script.on('GET /info', json(200, { RegistryConfig: { InsecureRegistryCIDRs: [], IndexConfigs: {} } }));
  const error = await failure(checkEngineAccess(await script.open(), client, 'team/app', context));
  expect(error.code).toBe('TLS_FAILED');
  expect(error.hints.join()).toContain(`"insecure-registries": ["${client.domain}"]`);
  expect(error.hints.join()).toContain('--transport direct');
  expect(script.seen.some(({ path }) => path === '/auth')).toBe(false);
});

test("an engine whose registry refuses the credential says so in the engine's 500", async () => {
  const { client, context } = await registry();
  const script = await startScriptedEngine();
  script.on('GET /info', json(200, { RegistryConfig: { InsecureRegistryCIDRs: ['127.0.0.0/8'] } }));
  script.on(
    'POST /auth',
    json(500, { message: 'Get "http://x/v2/": unauthorized: authentication required' }),
  );
  const error = await failure(checkEngineAccess(await script.open(), client, 'team/app', context));
  expect(error.code).toBe('AUTHENTICATION_FAILED');
  expect(error.message + error.hints.join()).not.toContain('geheim');
});

test('a right to push that is not there is noticed by opening an upload, which is taken back', async () => {
  const asked: string[] = [];
  const onRequest: TestbedOptions['onRequest'] = ({ method, status }) =>
    void asked.push(`${method} ${status}`);
  const open = await registry({ onRequest });
  await checkRegistry({ domain: open.client.domain, repository: 'team/app' }, open.context);
  expect(asked).toEqual(['GET 200', 'POST 202', 'DELETE 204']);

  const { client, context } = await registry({ faults: parseFaults('POST status=403') });
  const error = await failure(checkRegistry({ domain: client.domain, repository: 'team/app' }, context));
  expect(error.code).toBe('PERMISSION_DENIED');
});

test('a tag that the registry does not know is no proof, nor is another digest', async () => {
  const { client, context } = await registry();
  const reference = { domain: client.domain, repository: 'team/app', tag: 'x' };
  expect((await failure(proveTag(client, reference, digestOf('x'), context))).code).toBe(
    'PROTOCOL_VIOLATION',
  );
});
