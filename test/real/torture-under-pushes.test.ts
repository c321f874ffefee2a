import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { makeImage, makeIndex, makeLayer, treeOf, writeOciLayout } from '../support/image-archives.ts';
import { readAnswer } from '../support/json-answer.ts';
import { type Ended, runCli } from '../support/run-cli.ts';
import { type DockerRegistry, startDockerRegistry } from '../support/servers/docker-registry.ts';
import { type ProgramFailure, temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo, type Skopeo } from '../support/servers/skopeo.ts';

// The promise of torture on a registry in use: what pushes do to it for a moment is no finding, what is
// really wrong is one. distribution 2.8 writes the link files of tags, revisions and layers in place: whoever
// asks while one is empty is answered 500, whoever asks before it is there 404.
const describeReal = requireServers('docker-registry', 'skopeo');

/** A minute shows more; a run of CI cannot spare it. */
const SECONDS = Number(process.env['REGOPS_TORTURE_SECONDS'] ?? 20);
const REPOSITORIES = ['team/app', 'team/web', 'base/os', 'tools/ci/runner'];
const IMAGES = 24;
/** The tests share their machine with registry and pushers, and time is not what they are about. */
const PATIENT = ['--slow-reply', '60s'];

const access = { verifyTls: false };
let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

interface Bench {
  readonly registry: DockerRegistry;
  readonly skopeo: Skopeo;
  /** An OCI layout with {@link IMAGES} images under the tags `0`, `1` …, and one under `broken`. */
  readonly layout: string;
  /** The layer that only the image `broken` has. */
  readonly ownLayer: string;
}

async function openBench(): Promise<Bench> {
  const registry = await startDockerRegistry();
  cleanup.defer(registry.close);
  const skopeo = await openSkopeo();
  cleanup.defer(skopeo.close);
  const folder = await temporaryFolder('pushes');
  cleanup.defer(folder.remove);
  const layout = join(folder.path, 'layout');
  const bases = [await makeLayer('base-0', { size: 200_000 }), await makeLayer('base-1', { size: 50_000 })];
  const image = (at: number, names: readonly string[]) =>
    makeImage({
      seed: `image-${at}`,
      names,
      // Every third has nothing of its own but its configuration.
      layers: [...bases.slice(at % 2), ...(at % 3 === 0 ? [] : [{ size: 1000 * (at + 1) }])],
    });
  const images = [];
  for (let at = 0; at < IMAGES; at++) {
    const names = [`x:${at}`];
    const one = await image(at, at % 6 === 5 ? [] : names);
    images.push(at % 6 === 5 ? makeIndex({ names, images: [one, await image(at + 100, [])] }) : one);
  }
  const broken = await makeImage({ seed: 'broken', names: ['x:broken'] });
  const [layer] = (await treeOf(broken)).blobs.keys();
  await writeOciLayout(layout, [...images, broken], { naming: 'tag' });
  return { registry, skopeo, layout, ownLayer: String(layer) };
}

interface Pushed {
  /** Pushes that went through. */
  readonly done: number;
  /** What skopeo said of those that did not: distribution's answers trouble it too. */
  readonly failed: readonly string[];
}

/**
 * Pushes into every repository at once, one image after the other: each to `latest` and to a `build-N` of its
 * own at the same time. Gives, once stopped, how many.
 */
function pushInto({ registry, skopeo, layout }: Bench): { stop(): Promise<Pushed> } {
  const stopping = new AbortController();
  let done = 0;
  const failed: string[] = [];
  const push = async (at: number, repository: string, tag: string): Promise<void> => {
    const to = `docker://${registry.host}/${repository}:${tag}`;
    try {
      await skopeo.copy(`oci:${layout}:${at}`, to, {
        destination: access,
        args: ['--all', '--format', at % 4 === 0 ? 'v2s2' : 'oci'],
      });
      done++;
    } catch (error) {
      failed.push((error as ProgramFailure).stderr);
    }
  };
  const running = REPOSITORIES.map(async (repository, offset) => {
    for (let build = 0; !stopping.signal.aborted; build++) {
      const at = (offset * 7 + build) % IMAGES;
      await Promise.all([push(at, repository, 'latest'), push(at, repository, `build-${build}`)]);
    }
  });
  const stop = async (): Promise<Pushed> => {
    stopping.abort();
    await Promise.all(running);
    return { done, failed };
  };
  // A test that fails must not leave them pushing at a registry that is gone.
  cleanup.defer(async () => void (await stop()));
  return { stop };
}

function regops(bench: Bench, argv: readonly string[]): Promise<Ended> {
  return runCli(['torture', ...argv, '--registry-url', bench.registry.url, '--json']);
}

interface Noted {
  readonly severity: string;
  readonly kind: string;
  readonly repository: string | null;
  readonly reference: string | null;
}

function worseThanNotes(noted: readonly Noted[]): readonly Noted[] {
  return noted.filter(({ severity }) => severity !== 'note');
}

function tally(noted: readonly Noted[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { severity, kind } of noted) {
    counts[`${severity} ${kind}`] = (counts[`${severity} ${kind}`] ?? 0) + 1;
  }
  return counts;
}

/** For who runs it by hand, for longer. */
function say(what: string, figures: Readonly<Record<string, number>>): void {
  process.stderr.write(`${what}: ${JSON.stringify(figures)}\n`);
}

describeReal('while skopeo pushes', () => {
  test(
    'consistency and monitor see nothing wrong',
    async () => {
      const bench = await openBench();
      const pushes = pushInto(bench);
      const duration = ['--duration', `${SECONDS}s`];
      const [deep, plain, watched] = await Promise.all([
        regops(bench, ['consistency', '--deep', '--interval', '2', ...PATIENT, ...duration]),
        regops(bench, ['consistency', ...PATIENT, ...duration]),
        regops(bench, ['monitor', '--state-interval', '1', '--slow-probe', '60s', ...duration]),
      ]);
      const { done, failed } = await pushes.stop();
      const [deeply, plainly] = [deep, plain].map((run) => readAnswer(run.stdout).result);
      const monitored = readAnswer(watched.stdout).result;
      if (process.env['REGOPS_TORTURE_SECONDS'] !== undefined) {
        say('pushes', { done, failed: failed.length });
        say('consistency --deep', { passes: deeply.passes, ...deeply.checked, ...tally(deeply.findings) });
        say('consistency', { passes: plainly.passes, ...plainly.checked, ...tally(plainly.findings) });
        say('monitor', { states: monitored.snapshots, ...tally(monitored.alerts) });
      }

      expect(worseThanNotes([...deeply.findings, ...plainly.findings, ...monitored.alerts])).toEqual([]);
      expect([deep, plain, watched].map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
      // That nothing was found says something only when much was pushed, and looked at.
      expect(done).toBeGreaterThan(SECONDS);
      expect(failed.length).toBeLessThan(done / 4);
      expect(deeply.passes).toBeGreaterThan(1);
      expect(deeply.checked.repositories).toBeGreaterThanOrEqual(REPOSITORIES.length * deeply.passes);
      expect(deeply.checked.tags).toBeGreaterThan(2 * SECONDS);
      expect(deeply.checked.blobs).toBeGreaterThan(0);
      expect(plainly.checked.tags).toBeGreaterThan(SECONDS);
      expect(monitored.snapshots).toBeGreaterThan(SECONDS / 4);
      expect(monitored.changes.manifests).toBeGreaterThan(0);
    },
    (SECONDS + 90) * 1000,
  );

  test('consistency finds the one blob that is gone, and nothing else', async () => {
    const bench = await openBench();
    const { registry, skopeo, layout, ownLayer } = bench;
    const to = `docker://${registry.host}/team/app:broken`;
    await skopeo.copy(`oci:${layout}:broken`, to, { destination: access });
    const hex = ownLayer.slice('sha256:'.length);
    const stored = join(registry.dir, 'storage/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex);
    expect(await readdir(stored)).toEqual(['data']);
    await rm(join(stored, 'data'));
    const pushes = pushInto(bench);
    await wait(2000);
    const runs = await Promise.all([
      regops(bench, ['consistency', '--once', ...PATIENT]),
      regops(bench, ['consistency', '--once', '--deep', ...PATIENT]),
    ]);
    const { done } = await pushes.stop();
    for (const run of runs) {
      const { exitCode, result } = readAnswer(run.stdout);
      expect(worseThanNotes(result.findings)).toMatchObject([
        { severity: 'error', kind: 'missing-blob', repository: 'team/app', reference: ownLayer },
      ]);
      expect(exitCode).toBe(1);
      expect(result.checked.tags).toBeGreaterThan(REPOSITORIES.length);
    }
    expect(done).toBeGreaterThan(10);
  });
});
