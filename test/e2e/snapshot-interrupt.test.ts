import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { randomStream } from '../../src/load/index.ts';
import { startTestbed, type Testbed } from '../../src/testbed/index.ts';
import { interruptedAnswer, runInterrupted } from '../support/interrupt.ts';
import { readAnswer } from '../support/json-answer.ts';
import { type Ended, runCli } from '../support/run-cli.ts';
import { type Dockerd, startDockerd } from '../support/servers/dockerd.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { call } from '../support/testbed-client.ts';

const describeReal = requireServers('dockerd');

/** Draws the moments; another seed is another test. */
const SEED = 5;
const REPOSITORY = 'team/snapshots';

describeReal('snapshot, interrupted', () => {
  let docker: Dockerd;
  let registry: Testbed;
  let host: string;

  beforeAll(async () => {
    docker = await startDockerd();
    await docker.importShellImage('base:1');
    await docker.run([
      ...['run', '-d', '--name', 'busy', '--network', 'none', '-e', 'API_TOKEN=hunter2'],
      ...['base:1', 'sleep', '10000'],
    ]);
    await docker.run(['exec', 'busy', 'sh', '-c', 'for i in 1 2 3 4 5 6; do cat /usr/bin/*; done > /big']);
  });
  afterAll(async () => {
    // What runs keeps the engine's folder mounted.
    await docker?.run(['rm', '-f', 'busy']).catch(() => '');
    await docker?.close();
  });
  beforeEach(async () => {
    registry = await startTestbed();
    host = new URL(registry.url).host;
  });
  afterEach(() => registry.close());

  function interrupt(argv: readonly string[], moment: Promise<void> | RegExp): Promise<Ended> {
    return runInterrupted(['snapshot', ...argv], moment, { DOCKER_HOST: `unix://${docker.socket}` });
  }

  /** Sets a fault and resolves when a request has met it. */
  async function met(fault: string): Promise<void> {
    registry.faults.add(fault);
    const isMet = (): boolean => registry.faults.counts().some((count) => count.matched > 0);
    for (let tries = 0; !isMet() && tries < 1500; tries++) await sleep(20);
  }

  const images = async (): Promise<string[]> =>
    (await docker.run(['images', '-a', '--format', '{{.Repository}}:{{.Tag}}'])).split('\n').sort();
  const sessions = async (): Promise<number> =>
    (await call(registry, 'GET', '/api/registry/state')).json.activeSessions.count;
  const tags = async (): Promise<unknown> =>
    (await call(registry, 'GET', `/v2/${REPOSITORY}/tags/list`)).json.tags ?? [];

  /** It runs on; the engine lets it go when its own commit is done, which no client can end. */
  async function runsOn(): Promise<void> {
    await expect
      .poll(() => docker.run(['inspect', '--format', '{{.State.Status}}', 'busy']), { timeout: 20_000 })
      .toBe('running');
  }

  describe.each(['daemon', 'direct'])('push by %s', (transport) => {
    const draw = randomStream(SEED, 'worker', transport === 'direct' ? 1 : 0);
    const between = (least: number, most: number): number => Math.floor(least + draw() * (most - least + 1));
    const push = (id: string, ...more: string[]): string[] => [
      ...['push', 'busy', '--snapshot-id', id, '--registry-url', registry.url, '--repository', REPOSITORY],
      ...['--transport', transport, ...more],
    ];

    const ms = [between(0, 400), between(400, 1000), between(1000, 2500)];
    test.each(ms)('%i ms after its start', async (after) => {
      registry.faults.add('PUT blobs delay=10m');
      const run = await interrupt(push(`at-${transport}-${after}`), sleep(after));
      // Before Node has loaded the program the signal itself ends it, which a shell calls 130, too.
      if (run.signal === null) interruptedAnswer(run);
      else expect([run.signal, run.stdout]).toEqual(['SIGINT', '']);
      await runsOn();
      expect(await tags()).toEqual([]);
    });

    test('while it commits, with variables to be emptied', async () => {
      const argv = push(`commit-${transport}`, '--scrub-env', 'TOKEN');
      interruptedAnswer(await interrupt(argv, /committing/));
      await runsOn();
      expect((await images()).join()).not.toContain('unscrubbed');
      expect(await docker.run(['ps', '-a', '--format', '{{.Names}}'])).toBe('busy');
      expect([await sessions(), await tags()]).toEqual([0, []]);
    });

    test('while the registry takes its time: the snapshot is kept, and its name there is not', async () => {
      const id = `slow-${transport}`;
      const answer = interruptedAnswer(await interrupt(push(id), met('PATCH,PUT blobs delay=10m')));
      expect(answer.result.local.reference).toBe(`regops-snapshots:busy-${id}`);
      expect(answer.result.destinations).toMatchObject([{ status: 'failed' }]);
      expect(answer.error.hints.join()).toContain(`--from-image regops-snapshots:busy-${id}`);
      await runsOn();
      const all = await images();
      expect(all).toContain(`regops-snapshots:busy-${id}`);
      expect(all.join()).not.toContain(host);
      expect(await tags()).toEqual([]);
      // Docker never cancels its uploads: they are left to the registry, which forgets them in time.
      if (transport === 'direct') expect(await sessions()).toBe(0);
    });
  });

  test('direct push, while the engine exports', async () => {
    const argv = ['push', 'busy', '--snapshot-id', 'early', '--transport', 'direct'];
    const place = ['--registry-url', registry.url, '--repository', REPOSITORY];
    const { result } = interruptedAnswer(await interrupt([...argv, ...place], /exporting/));
    expect(result.destinations).toMatchObject([{ status: 'failed' }]);
    await runsOn();
    expect([await sessions(), await tags()]).toEqual([0, []]);
  });

  describe.each(['daemon', 'direct'])('pull by %s', (transport) => {
    test.each(['GET blobs rate=64KiB/s', 'GET manifests delay=10m'])('while %s', async (fault) => {
      const place = ['--registry-url', registry.url, '--repository', REPOSITORY];
      // A layer that no other snapshot has.
      await docker.run(['exec', 'busy', 'sh', '-c', `echo ${fault} by ${transport} > /own`]);
      const pushed = await runCli(
        ['snapshot', 'push', 'busy', '--snapshot-id', 'there', '--remove-local', ...place],
        { env: { DOCKER_HOST: `unix://${docker.socket}` } },
      );
      expect(pushed.exitCode, pushed.stderr).toBe(0);
      const before = await images();
      const pull = ['pull', `${host}/${REPOSITORY}:busy-there`, '--start', '--transport', transport];
      interruptedAnswer(await interrupt([...pull, '--plain-http'], met(fault)));
      expect(await images()).toEqual(before);
      expect(await docker.run(['ps', '-a', '--format', '{{.Names}}'])).toBe('busy');
      // What is left of it in the engine is no hindrance.
      registry.faults.clear();
      const again = await runCli(['snapshot', ...pull, '--plain-http', '--json'], {
        env: { DOCKER_HOST: `unix://${docker.socket}` },
      });
      expect(again.exitCode, again.stderr).toBe(0);
      await docker.run(['rm', '-f', readAnswer(again.stdout).result.container.id]);
      await docker.run(['rmi', `${host}/${REPOSITORY}:busy-there`]);
    });
  });
});
