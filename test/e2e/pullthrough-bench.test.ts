import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  parseFaults,
  parseSynthetic,
  startTestbed,
  type Testbed,
  type TestbedOptions,
} from '../../src/testbed/index.ts';
import { freePort } from '../support/free-port.ts';
import { interrupt, interruptedAnswer } from '../support/interrupt.ts';
import { pidsIn, stillAtWork } from '../support/process-state.ts';
import { type Ended, runCli } from '../support/run-cli.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { upstreamOf } from '../support/testbed-upstream.ts';

const folder = useTempFolder();

const SPEC = 'images=40,layers=2,sizes=4KiB,batches=4';
const LONG = ['--patterns=-0001,-0002', '--iteration-seconds=60', '--tally-seconds=1', '--json'];

async function openTestbed(options: TestbedOptions): Promise<Testbed> {
  const testbed = await startTestbed(options);
  onTestFinished(() => testbed.close());
  return testbed;
}

/** Interrupts the program as soon as something is so. */
function interruptWhen(
  argv: readonly string[],
  cache: Testbed,
  isSo: () => boolean | Promise<boolean>,
  act: (child: ChildProcess) => void = interrupt,
): Promise<Ended> {
  const watch = async (child: ChildProcess): Promise<void> => {
    while (!(await isSo()) && child.exitCode === null) await sleep(20);
    act(child);
  };
  return runCli(['pullthrough-bench', '--pullthrough-url', cache.url, ...argv], {
    started(child) {
      onTestFinished(() => void child.kill('SIGKILL'));
      void watch(child);
    },
  });
}

/** Interrupts the program when it has pulled so much through the cache. */
function interruptAfter(argv: readonly string[], cache: Testbed, pulls: number): Promise<Ended> {
  return interruptWhen(argv, cache, () => cache.traffic().manifestGets >= pulls);
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into the result
function resultOf(run: Ended): any {
  const { result } = interruptedAnswer(run);
  expect(result).toMatchObject({ interrupted: true });
  return result;
}

async function openRig(): Promise<{ upstream: Testbed; cache: Testbed }> {
  const upstream = await openTestbed({ synthetic: parseSynthetic(SPEC) });
  return { upstream, cache: await openTestbed({ upstream: upstreamOf(upstream) }) };
}

test.each([
  ['the ramp', []],
  ['the ramp, with threads and prunes', ['--threads=2', '--prune']],
  ['cold pulls', ['--scenario=cold-vs-warm', '--cold-dir-hook=true']],
])('%s, interrupted, gives what there is', async (_what, more) => {
  const { upstream, cache } = await openRig();
  // Each pull takes a while, or few images would be done before anybody can interrupt.
  for (const fault of parseFaults('GET manifests delay=50ms')) cache.faults.add(fault);
  const metrics = folder('metrics.tsv');
  const argv = ['--registry-url', upstream.url, `--metrics-file=${metrics}`, ...LONG, ...more];
  const result = resultOf(await interruptAfter(argv, cache, 30));
  expect(result.totals).toMatchObject({ failed: 0 });
  expect(result.totals.images).toBeGreaterThan(10);
  const told = result.tallies.reduce((sum: number, { images }: { images: number }) => sum + images, 0);
  expect(told).toBe(result.totals.images);
  expect(result.tallies.at(-1).partial).toBe(true);
  const lines = (await readFile(metrics, 'utf8')).split('\n');
  expect(lines).toHaveLength(result.tallies.length + 1);
});

test('of a cache that answers no more', async () => {
  const { upstream, cache } = await openRig();
  for (const fault of parseFaults('GET blobs delay=10m')) cache.faults.add(fault);
  const result = resultOf(await interruptAfter(['--registry-url', upstream.url, ...LONG], cache, 1));
  expect(result).toMatchObject({ totals: { images: 0 }, unfinished: 1 });
});

test('while its own upstream serves a herd', async () => {
  const port = await freePort();
  const cache = await openTestbed({ upstream: upstreamOf({ host: '127.0.0.1', port }) });
  const argv = ['--upstream', `synthetic:${SPEC}`, '--upstream-port', String(port), ...LONG];
  const herd = ['--scenario=herd', '--clients=5', '--herd-images=10000'];
  for (const fault of parseFaults('GET manifests delay=50ms')) cache.faults.add(fault);
  const result = resultOf(await interruptAfter([...argv, ...herd], cache, 12));
  expect(result.herd.length).toBeGreaterThan(0);
  for (const { failed } of result.herd) expect(failed).toBe(0);
});

describe('while the command that clears the cache hangs, which ends with the program', () => {
  /** A shell and two programs it has started; none of them minds being asked to end. */
  const HANG = `trap '' TERM; sleep 60 & echo $! >> "$PIDS"; echo $$ >> "$PIDS"; sh -c 'echo $$ >> "$PIDS"; exec sleep 60'`;

  async function hanging(act?: (child: ChildProcess) => void): Promise<Ended> {
    const { upstream, cache } = await openRig();
    const file = folder('pids');
    const hook = HANG.replaceAll('$PIDS', file);
    const argv = ['--registry-url', upstream.url, ...LONG, '--cold-dir-hook', hook];
    let pids: number[] = [];
    const areThere = async (): Promise<boolean> => {
      pids = await pidsIn(file);
      return pids.length >= 3;
    };
    const run = await interruptWhen(argv, cache, areThere, act);
    expect(pids).toHaveLength(3);
    const left = await stillAtWork(pids);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    expect(left).toEqual([]);
    return run;
  }

  test('interrupted, with what there is', async () => {
    const run = await hanging();
    expect(resultOf(run).totals.images).toBe(10);
    expect(run.stderr).not.toContain('the command that clears the cache failed');
  });

  test('interrupted twice, at once', async () => {
    const run = await hanging((child) => {
      interrupt(child);
      // Sooner it would be the same press of the keys.
      setTimeout(() => child.kill('SIGINT'), 300);
    });
    expect(run.exitCode).toBe(130);
  });
});
