import { expect, test } from 'vitest';
import type { ArtifactSubject } from '../../src/jobs/inspect/index.ts';
import type { PushTarResult } from '../../src/jobs/push-tar/index.ts';
import { PERSONA_NAMES, PERSONAS, type Persona, type PersonaName } from '../../src/testbed/index.ts';
import {
  makeImage,
  makeIndex,
  type TestImage,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
} from '../support/image-archives.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, digestOf, OCI_CONFIG, OCI_MANIFEST, putManifest } from '../support/testbed-client.ts';
import { ended, openRegistry, type Registry } from './support.ts';

// Every row of the table of quirks (src/testbed/personas/table.ts), through the commands.

const folder = useTempFolder();
const ACCOUNT = { username: 'ci', password: 'geheim-genug' };
const BASIC = { authorization: `Basic ${Buffer.from('ci:geheim-genug').toString('base64')}` };
const CHUNK_BYTES = 5 * 1024 * 1024;

interface Played extends Registry {
  readonly persona: Persona;
  /** Runs a command as the account; `argv` without the registry. */
  run(words: string, argv: readonly string[], code?: number): Promise<RunResult>;
  /** What inspect tells of an image. */
  artifact(argv: readonly string[]): Promise<ArtifactSubject>;
  /** A header for the tests' own client. */
  headers(...scopes: string[]): Promise<Record<string, string>>;
}

async function play(name: PersonaName): Promise<Played> {
  const persona: Persona = PERSONAS[name];
  const registry = await openRegistry({
    persona: name,
    auth: ACCOUNT,
    tokenAuth: persona.tokenService !== false,
    repositories: ['team/app', 'team/other'],
  });
  const env = { REGOPS_PASSWORD: ACCOUNT.password, XDG_CACHE_HOME: folder('cache') };
  const run: Played['run'] = async (words, argv, code = 0) => {
    const flags = ['--registry-url', registry.url, '--username', ACCOUNT.username, '--retries', '1'];
    return ended(code, await runCommand(words, [...argv, ...flags], { env }));
  };
  return {
    ...registry,
    persona,
    run,
    async artifact(argv) {
      return (await run('inspect', [...argv, '--json'])).json().result.subjects[0];
    },
    async headers(...scopes) {
      if (persona.tokenService === false) return BASIC;
      const query = new URLSearchParams(scopes.map((scope): [string, string] => ['scope', scope]));
      const answer = await call(registry, 'GET', `/token?service=regops-testbed&${query}`, {
        headers: BASIC,
      });
      return { authorization: `Bearer ${answer.json.token}` };
    },
  };
}

async function push(registry: Played, argv: readonly string[]): Promise<PushTarResult> {
  return (await registry.run('push-tar', [...argv, '--json'])).json().result;
}

/** Reads an image back, every byte of it. */
async function check(registry: Played, reference: string, blobs = 3): Promise<void> {
  const subject = await registry.artifact([reference, '--check', '--deep']);
  expect(subject.check).toMatchObject({ blobs, problems: [] });
}

/** Two layers; of the large one the first is longer than a chunk. */
async function makeApp(size = 50_000): Promise<TestImage> {
  return makeImage({
    seed: 'persona',
    names: ['team/app:1', 'team/app:2'],
    layers: [{ size, compressible: 0 }, { size: 5000 }],
  });
}

/** The repository with its one image, pushed from stored blobs. */
async function pushApp(registry: Played): Promise<PushTarResult> {
  await writeOciArchive(folder('a.tar'), [await makeApp()]);
  return push(registry, [folder('a.tar')]);
}

test('the command offers every persona', async () => {
  const { default: command } = await import('../../commands/testbed.ts');
  expect(command.flags.persona.options).toEqual(PERSONA_NAMES);
});

test.each(PERSONA_NAMES)(
  '%s: an image is compressed on its way, pushed, and not sent again',
  async (name) => {
    const registry = await play(name);
    await writeDockerArchive(folder('a.tar'), [await makeApp()]);
    const first = await push(registry, [folder('a.tar')]);
    expect(first.totals).toMatchObject({ tags: 2, blobs: 3, uploaded: 3 });
    await check(registry, 'team/app:1');
    const before = registry.bytesIn();
    const again = await push(registry, [folder('a.tar')]);
    expect(again.totals).toMatchObject({ sentBytes: 0, uploaded: 0, existing: 3 });
    expect(registry.bytesIn()).toBe(before);
    expect(registry.openUploads()).toBe(0);
  },
);

test.each(PERSONA_NAMES)('%s: stored blobs go in one piece, and keep their digests', async (name) => {
  const registry = await play(name);
  const { images } = await pushApp(registry);
  expect(images[0]?.digest).toBe((await treeOf(await makeApp())).root.digest);
  await check(registry, 'team/app:1');
  expect(registry.openUploads()).toBe(0);
  expect(registry.foreignRequests.filter(({ hadCredentials }) => hadCredentials)).toEqual([]);
});

test.each(PERSONA_NAMES)('%s: in chunks', async (name) => {
  const registry = await play(name);
  await writeOciArchive(folder('a.tar'), [await makeApp(CHUNK_BYTES + 1000)]);
  const argv = [folder('a.tar'), '--chunk-size', String(CHUNK_BYTES)];
  const { warnings } = (await registry.run('push-tar', [...argv, '--json'])).json();
  await check(registry, 'team/app:1');
  expect(registry.openUploads()).toBe(0);
  const most = Math.max(...registry.requests.map(({ bytesIn }) => bytesIn));
  if (registry.persona.chunks === 'refused') {
    expect(warnings).toEqual([expect.stringMatching(/takes no uploads in chunks.*--chunk-size/)]);
    expect(most).toBeGreaterThan(CHUNK_BYTES);
  } else {
    expect(warnings).toEqual([]);
    expect(most).toBeLessThanOrEqual(registry.persona.mostChunkBytes ?? CHUNK_BYTES);
  }
});

test.each(PERSONA_NAMES)('%s: an index of two platforms, to two repositories', async (name) => {
  const registry = await play(name);
  const arm = { os: 'linux', architecture: 'arm64' };
  const images = [await makeImage({ seed: 'amd64' }), await makeImage({ seed: 'arm64', platform: arm })];
  await writeOciArchive(folder('a.tar'), [makeIndex({ images, names: ['app:1'], attestations: true })]);
  const targets = ['team/app:1', 'team/other:1'].flatMap((target) => ['--to', `${registry.name}/${target}`]);
  await push(registry, [folder('a.tar'), ...targets]);
  for (const target of ['team/app:1', 'team/other:1']) await check(registry, target, 10);
  // Where a mount only opened a session, and nobody may cancel it, it stays.
  if (!registry.persona.cancel) expect(registry.openUploads()).toBe(0);
});

test.each(PERSONA_NAMES)('%s: a tag is deleted, another of the same image stays', async (name) => {
  const registry = await play(name);
  await pushApp(registry);
  await registry.run('delete', ['team/app:1']);
  await registry.run('inspect', ['team/app:1'], 66);
  await check(registry, 'team/app:2');
});

test.each(PERSONA_NAMES)('%s: tags and repositories are listed, as far as it lists them', async (name) => {
  const registry = await play(name);
  await pushApp(registry);
  const tags = await registry.run('inspect', ['--repository', 'team/app']);
  expect(tags.stdout.split('\n')).toEqual(expect.arrayContaining(['1', '2']));
  expect(tags.stdout).not.toMatch(/null|sha256/);
  const catalog = await registry.run('inspect', [], registry.persona.catalog ? 77 : 0);
  expect(catalog.stdout).toBe(registry.persona.catalog ? '' : 'team/app\n');
});

test.each(PERSONA_NAMES)('%s: what refers to an image', async (name) => {
  const registry = await play(name);
  const [pushed] = (await pushApp(registry)).images;
  const root = pushed?.manifests.find(({ digest }) => digest === pushed.digest);
  const headers = await registry.headers('repository:team/app:pull,push');
  const config = `/v2/team/app/blobs/uploads/?digest=${digestOf('{}')}`;
  expect((await call(registry, 'POST', config, { headers, body: '{}' })).status).toBe(201);
  const signature = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: digestOf('{}'), size: 2 },
    layers: [],
    subject: { mediaType: root?.mediaType, digest: root?.digest, size: root?.sizeBytes },
  });
  await putManifest(registry, 'team/app', digestOf(signature), signature, { headers });
  const { referrers } = await registry.artifact(['team/app:1', '--referrers']);
  expect(referrers?.map(({ digest }) => digest)).toEqual(
    registry.persona.referrers ? [] : [digestOf(signature)],
  );
});
