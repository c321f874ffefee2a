import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { anyDamage, ofBytes } from '../support/archive-damage.ts';
import {
  blobName,
  blockOffsets,
  DOCKER_ENTRY,
  dockerMembers,
  type HostileMember,
  indexRing,
  indexTower,
  layoutIndex,
  layoutMembers,
  lyingLayers,
  type SoundParts,
  sha256,
  soundParts,
  sparseLayers,
  tarFrom,
} from '../support/hostile-archives.ts';
import { treeOf, writeDockerArchive, writeOciArchive } from '../support/image-archives.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { TAR_END } from '../support/tar-writer.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, digestOf } from '../support/testbed-client.ts';
import { expectWhole } from '../support/whole-image.ts';
import { openRegistry, type Registry } from './support.ts';

// Whatever an archive holds, push-tar ends with an error of its own (65 or 66): nothing gets a manifest or a tag,
// nothing stays in the folder for temporary files, and no promise is forgotten.

const folder = useTempFolder();
let parts: SoundParts;

beforeAll(async () => {
  parts = await soundParts();
});

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', note));
afterEach(() => {
  process.off('unhandledRejection', note);
  expect(unhandled.splice(0)).toEqual([]);
});

/** Pushes what lies there, or comes through stdin; says what was left behind for temporary. */
async function push(registry: Registry, archive: string | Buffer): Promise<RunResult> {
  const tmp = folder('tmp');
  await mkdir(tmp, { recursive: true });
  const stdin = typeof archive === 'string' ? {} : { stdin: archive };
  const path = typeof archive === 'string' ? archive : '-';
  const argv = [path, '--registry-url', registry.url, '--retries', '0', '--json'];
  const run = await runCommand('push-tar', argv, { ...stdin, env: { TMPDIR: tmp } });
  expect(await readdir(tmp), 'left behind').toEqual([]);
  return run;
}

function manifestPuts(registry: Registry): number {
  return registry.requests.filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/'))
    .length;
}

interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** The error of a push that must be refused for what the archive is. */
async function refused(archive: string | Buffer): Promise<Refusal> {
  const registry = await openRegistry();
  const run = await push(registry, archive);
  expect([65, 66], run.stderr + run.stdout).toContain(run.exitCode);
  expect(manifestPuts(registry), 'manifests pushed').toBe(0);
  const { error } = run.json();
  expect(error.message.length + error.hints.join('').length).toBeLessThan(4000);
  return error;
}

async function refusedMembers(members: readonly HostileMember[]): Promise<Refusal> {
  await writeFile(folder('a.tar'), tarFrom(members));
  return refused(folder('a.tar'));
}

describe('sound archives, from which the others differ in one thing', () => {
  test.each(['docker', 'oci'] as const)('%s', async (kind) => {
    const registry = await openRegistry();
    const members = kind === 'docker' ? dockerMembers(parts) : layoutMembers(parts);
    await writeFile(folder('a.tar'), tarFrom(members));
    expect((await push(registry, folder('a.tar'))).exitCode).toBe(0);
    expect(manifestPuts(registry)).toBeGreaterThan(0);
  });
});

describe('names and links', () => {
  const link = (type: string, linkName: string, name = 'layer.tar'): HostileMember => ({
    name,
    type,
    linkName,
  });
  const layersNamed = (name: string): object[] => [{ ...DOCKER_ENTRY, Layers: [name] }];

  test.each<[string, () => HostileMember[]]>([
    [
      'a layer by a climbing name, which the archive has',
      () =>
        dockerMembers(parts, {
          manifest: layersNamed('../layer.tar'),
          layer: { name: '../layer.tar', content: parts.layer },
        }),
    ],
    [
      'a layer by an absolute name, which the archive has',
      () =>
        dockerMembers(parts, {
          manifest: layersNamed('/layer.tar'),
          layer: { name: '/layer.tar', content: parts.layer },
        }),
    ],
    [
      'a layer of this machine',
      () => dockerMembers(parts, { manifest: layersNamed('../../../../etc/passwd') }),
    ],
    [
      'a configuration of this machine',
      () => dockerMembers(parts, { manifest: [{ ...DOCKER_ENTRY, Config: '/etc/passwd' }] }),
    ],
    [
      'a layer with a NUL in its name',
      () => dockerMembers(parts, { manifest: layersNamed('layer.tar\0.txt') }),
    ],
    ['a symlink to this machine', () => dockerMembers(parts, { layer: link('2', '/etc/passwd') })],
    ['a symlink that climbs', () => dockerMembers(parts, { layer: link('2', '../../../etc/passwd') })],
    ['a hard link to this machine', () => dockerMembers(parts, { layer: link('1', '/etc/passwd') })],
    ['a hard link that climbs', () => dockerMembers(parts, { layer: link('1', '../etc/passwd') })],
    ['a symlink to itself', () => dockerMembers(parts, { layer: link('2', 'layer.tar') })],
    ['a hard link to itself', () => dockerMembers(parts, { layer: link('1', 'layer.tar') })],
    [
      'symlink and hard link in a circle',
      () => dockerMembers(parts, { layer: link('2', 'b'), last: [link('1', 'layer.tar', 'b')] }),
    ],
    [
      'a chain of a thousand links',
      () =>
        dockerMembers(parts, {
          layer: link('2', 'l0'),
          last: Array.from({ length: 1000 }, (_, at) => link('2', `l${at + 1}`, `l${at}`)),
        }),
    ],
    [
      'a manifest.json that is a link out',
      () => [...dockerMembers(parts), link('2', '../manifest.json', 'manifest.json')],
    ],
    [
      'an index.json that is a link in a circle',
      () => [...layoutMembers(parts), link('2', 'index.json', 'index.json')],
    ],
    ['a device for a layer', () => dockerMembers(parts, { layer: { name: 'layer.tar', type: '3' } })],
    ['a folder for a layer', () => dockerMembers(parts, { layer: { name: 'layer.tar/', type: '5' } })],
  ])('%s', async (_, members) => {
    expect((await refusedMembers(members())).code).toBe('ARCHIVE_INVALID');
  });

  test('a folder by symlink for a blob', async () => {
    const digest = parts.root.digest;
    const members = layoutMembers(parts, {
      omit: [digest],
      more: [link('2', '../../../../etc/passwd', blobName(digest))],
    });
    expect((await refusedMembers(members)).code).toBe('ARCHIVE_INVALID');
  });
});

describe('headers that lie', () => {
  test.each(Object.keys(lyingLayers(Buffer.alloc(2048))))('%s', async (what) => {
    const layer = lyingLayers(parts.layer)[what] as HostileMember;
    const { code } = await refusedMembers(dockerMembers(parts, { layer }));
    expect(code).toBe('ARCHIVE_INVALID');
  });

  test.each(Object.keys(sparseLayers(Buffer.alloc(2048))))('a sparse member: %s', async (what) => {
    const layer = sparseLayers(parts.layer)[what] as HostileMember;
    expect((await refusedMembers(dockerMembers(parts, { layer }))).code).toBe('ARCHIVE_UNSUPPORTED');
  });
});

describe('members twice', () => {
  test('of two manifest.json the last counts, as tar extracts them', async () => {
    const second = JSON.stringify([{ ...DOCKER_ENTRY, Layers: ['gone.tar'] }]);
    const error = await refusedMembers([
      ...dockerMembers(parts),
      { name: './manifest.json', content: second },
    ]);
    expect(error).toMatchObject({ code: 'ARCHIVE_INVALID', message: expect.stringContaining('gone.tar') });
  });

  test('of two layers the last counts, and must be what the configuration says', async () => {
    const error = await refusedMembers([
      ...dockerMembers(parts),
      { name: 'layer.tar', content: Buffer.alloc(1024, 'x') },
    ]);
    expect(error.code).toBe('DIGEST_MISMATCH');
  });

  test('of two blobs the last counts, and must have its digest', async () => {
    const members = [
      ...layoutMembers(parts),
      { name: blobName(parts.root.digest), content: Buffer.alloc(parts.root.size, 'x') },
    ];
    expect((await refusedMembers(members)).code).toBe('DIGEST_MISMATCH');
  });
});

describe('documents', () => {
  const deep = (depth: number, inside = ''): string => `${'['.repeat(depth)}${inside}${']'.repeat(depth)}`;

  test.each<[string, () => HostileMember[], string]>([
    [
      'a manifest.json of 5 MiB',
      () => dockerMembers(parts, { manifest: JSON.stringify([DOCKER_ENTRY]).padEnd(5 * 2 ** 20) }),
      'ARCHIVE_INVALID',
    ],
    [
      'a manifest.json two million deep',
      () => dockerMembers(parts, { manifest: deep(2_000_000) }),
      'ARCHIVE_INVALID',
    ],
    [
      'a manifest.json of 20,000 images',
      () => dockerMembers(parts, { manifest: Array.from({ length: 20_000 }, () => DOCKER_ENTRY) }),
      'ARCHIVE_INVALID',
    ],
    [
      'a manifest.json of 20,000 layers',
      () =>
        dockerMembers(parts, { manifest: [{ ...DOCKER_ENTRY, Layers: Array(20_000).fill('layer.tar') }] }),
      'ARCHIVE_INVALID',
    ],
    [
      'a manifest.json with __proto__',
      () => dockerMembers(parts, { manifest: `[{"__proto__":${JSON.stringify(DOCKER_ENTRY)}}]` }),
      'ARCHIVE_INVALID',
    ],
    [
      'a manifest.json with the other Config last',
      () =>
        dockerMembers(parts, {
          manifest: `[{"Config":"config.json","Config":"gone.json","Layers":["layer.tar"]}]`,
        }),
      'ARCHIVE_INVALID',
    ],
    [
      'a configuration of 9 MiB',
      () => dockerMembers(parts, { config: parts.config.toString().padEnd(9 * 2 ** 20) }),
      'ARCHIVE_INVALID',
    ],
    [
      'a configuration four million deep',
      () => dockerMembers(parts, { config: deep(4_000_000) }),
      'MANIFEST_INVALID',
    ],
    [
      'a configuration that is deep where nobody looks',
      () => dockerMembers(parts, { config: `{"x":${deep(3_000_000)},"rootfs":{}}` }),
      'MANIFEST_INVALID',
    ],
    [
      'a configuration with __proto__ for a rootfs',
      () => dockerMembers(parts, { config: `{"__proto__":${parts.config}}` }),
      'MANIFEST_INVALID',
    ],
    [
      'an index.json of 5 MiB',
      () => layoutMembers(parts, { index: JSON.stringify(layoutIndex([parts.root])).padEnd(5 * 2 ** 20) }),
      'ARCHIVE_INVALID',
    ],
    [
      'an index.json two million deep',
      () => layoutMembers(parts, { index: deep(2_000_000) }),
      'MANIFEST_INVALID',
    ],
    [
      'an index.json of 20,000 images',
      () => layoutMembers(parts, { index: layoutIndex(Array(20_000).fill(parts.root)) }),
      'MANIFEST_INVALID',
    ],
    [
      'an index.json that is an image too',
      () => layoutMembers(parts, { index: { ...layoutIndex([parts.root]), layers: [] } }),
      'MANIFEST_INVALID',
    ],
    [
      'an index.json that is an image for Go',
      () => layoutMembers(parts, { index: { ...layoutIndex([parts.root]), Layers: [] } }),
      'MANIFEST_INVALID',
    ],
    [
      'an oci-layout of 5 MiB',
      () => layoutMembers(parts, { layout: '{"imageLayoutVersion":"1.0.0"}'.padEnd(5 * 2 ** 20) }),
      'ARCHIVE_INVALID',
    ],
    [
      'an oci-layout two million deep',
      () => layoutMembers(parts, { layout: deep(2_000_000) }),
      'ARCHIVE_INVALID',
    ],
    [
      'a negative size',
      () => layoutMembers(parts, { index: layoutIndex([{ ...parts.root, size: -1 }]) }),
      'MANIFEST_INVALID',
    ],
    [
      'a size beyond counting',
      () => layoutMembers(parts, { index: layoutIndex([{ ...parts.root, size: 2 ** 60 }]) }),
      'MANIFEST_INVALID',
    ],
    [
      'a digest that climbs',
      () =>
        layoutMembers(parts, {
          index: layoutIndex([{ ...parts.root, digest: 'sha256:../../../../etc/passwd' }]),
        }),
      'MANIFEST_INVALID',
    ],
    [
      'a digest named after a prototype',
      () =>
        layoutMembers(parts, {
          index: layoutIndex([{ ...parts.root, digest: `constructor:${'0'.repeat(64)}` }]),
        }),
      'MANIFEST_INVALID',
    ],
  ])('%s', async (_, members, code) => {
    expect((await refusedMembers(members())).code).toBe(code);
  });
});

describe('indexes in indexes', () => {
  test('one that names itself', async () => {
    expect((await refusedMembers(indexRing(parts))).code).toBe('DIGEST_MISMATCH');
  });

  test('deeper than anyone builds', async () => {
    const error = await refusedMembers(indexTower(parts, { width: 1, depth: 20 }));
    expect(error.code).toMatch(/^(ARCHIVE|MANIFEST)_INVALID$/);
  });

  test('a tree of 27 million images out of three small indexes', async () => {
    const error = await refusedMembers(indexTower(parts, { width: 300, depth: 3 }));
    expect(error).toMatchObject({ code: 'ARCHIVE_INVALID', message: expect.stringContaining('manifests') });
  });
});

describe('content that is not what it is called', () => {
  const flipped = (bytes: Buffer): Buffer =>
    Buffer.from(bytes.map((byte, at) => (at === 700 % bytes.length ? byte ^ 1 : byte)));

  test('a plain layer with another diffID', async () => {
    const error = await refusedMembers(
      dockerMembers(parts, { layer: { name: 'layer.tar', content: flipped(parts.layer) } }),
    );
    expect(error.code).toBe('DIGEST_MISMATCH');
  });

  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)('a packed layer with another diffID (%s)', async (_, packed) => {
    const content = packed(flipped(parts.layer));
    const members = dockerMembers(parts, { layer: { name: 'layer.tar', content } });
    expect((await refusedMembers(members)).code).toBe('DIGEST_MISMATCH');
  });

  test('a packed layer that one image names by its diffID, and the next by another', async () => {
    const config = Buffer.from(parts.config.toString().replace(sha256(parts.layer), sha256('another')));
    const manifest = [DOCKER_ENTRY, { ...DOCKER_ENTRY, Config: 'other.json', RepoTags: ['app:2'] }];
    const members = dockerMembers(parts, {
      manifest,
      layer: { name: 'layer.tar', content: gzipSync(parts.layer) },
      last: [{ name: 'other.json', content: config }],
    });
    expect((await refusedMembers(members)).code).toBe('DIGEST_MISMATCH');
  });

  test.each(['layer', 'config', 'manifest'])('a %s blob with another digest, or none', async (which) => {
    const digests = { manifest: parts.root.digest, config: sha256(parts.config), layer: '' };
    const known = Object.values(digests);
    digests.layer = [...parts.blobs.keys()].find((digest) => !known.includes(digest)) as string;
    const digest = digests[which as keyof typeof digests];
    const replace = new Map([[digest, flipped(parts.blobs.get(digest) as Buffer)]]);
    expect((await refusedMembers(layoutMembers(parts, { replace }))).code).toBe('DIGEST_MISMATCH');
    const longer = new Map([[digest, Buffer.concat([parts.blobs.get(digest) as Buffer, Buffer.from(' ')])]]);
    expect((await refusedMembers(layoutMembers(parts, { replace: longer }))).code).toMatch(
      /^(SIZE|DIGEST)_MISMATCH$/,
    );
    expect((await refusedMembers(layoutMembers(parts, { omit: [digest] }))).code).toMatch(
      /^(ARCHIVE_INVALID|BLOB_NOT_FOUND)$/,
    );
  });

  test('a docker 25 configuration under another’s digest', async () => {
    const name = blobName(sha256('another'));
    const manifest = [{ ...DOCKER_ENTRY, Config: name }];
    const error = await refusedMembers(
      dockerMembers(parts, { manifest, last: [{ name, content: parts.config }] }),
    );
    expect(error.code).toBe('DIGEST_MISMATCH');
  });

  test('a manifest.json that contradicts the index: the index counts, its names are not given to another image', async () => {
    const registry = await openRegistry();
    const other = Buffer.from(parts.config.toString().replace('amd64', 'arm64'));
    const manifest = [{ Config: blobName(sha256(other)), RepoTags: ['evil:1'], Layers: ['layer.tar'] }];
    const more = [
      { name: blobName(sha256(other)), content: other },
      { name: 'layer.tar', content: parts.layer },
      { name: 'manifest.json', content: JSON.stringify(manifest) },
    ];
    await writeFile(folder('a.tar'), tarFrom(layoutMembers(parts, { more })));
    const run = await push(registry, folder('a.tar'));
    expect(run.exitCode, run.stdout).toBe(0);
    const { repositories } = (await call(registry, 'GET', '/v2/_catalog')).json;
    expect(repositories).toEqual(['app']);
    const pushed = await call(registry, 'GET', '/v2/app/manifests/1');
    expect(digestOf(pushed.body)).toBe(parts.root.digest);
    expect(run.json().warnings.join()).toContain('evil:1');
  });
});

describe('bombs', () => {
  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)('%s of zeros, of noise, of itself, and cut off', async (_, packed) => {
    for (const archive of [
      packed(Buffer.alloc(32 * 2 ** 20)),
      packed(Buffer.from('no tar')),
      packed(packed(tarFrom(dockerMembers(parts)))),
      packed(tarFrom(dockerMembers(parts))).subarray(0, -30),
    ]) {
      await writeFile(folder('a'), archive);
      expect((await refused(folder('a'))).code).toBe('ARCHIVE_INVALID');
      expect((await refused(archive)).code).toBe('ARCHIVE_INVALID');
    }
  });
});

describe('cut off at every block', () => {
  const image = () => [parts.image];

  /** Pushes an archive that lacks nothing of its image. */
  async function pushedAsIs(archive: string): Promise<void> {
    const registry = await openRegistry();
    const run = await push(registry, archive);
    expect(run.exitCode, run.stderr + run.stdout).toBe(0);
    const pushed = await call(registry, 'GET', '/v2/app/manifests/1');
    expect(digestOf(pushed.body)).toBe((await treeOf(parts.image, 'none')).root.digest);
  }

  test.each<[string, (path: string) => Promise<void>]>([
    ['docker save, old', (path) => writeDockerArchive(path, image())],
    ['docker save, new', (path) => writeDockerArchive(path, image(), { layout: 'docker25' })],
    ['oci-archive', (path) => writeOciArchive(path, image())],
    ['docker save, old, gzip', (path) => writeDockerArchive(path, image(), { outer: 'gzip' })],
    ['oci-archive, gzip', (path) => writeOciArchive(path, image(), { outer: 'gzip' })],
    ['oci-archive, zstd', (path) => writeOciArchive(path, image(), { outer: 'zstd' })],
  ])('%s', async (what, write) => {
    await write(folder('whole.tar'));
    const whole = await readFile(folder('whole.tar'));
    // A plain tar is whole without the zeros at its end; packed, it is not.
    const enough = /gzip|zstd/.test(what) ? whole.length : whole.length - TAR_END.length;
    // The new one is an OCI layout, whole before the manifest.json that comes last.
    const asLayout = /new/.test(what) ? whole.indexOf('manifest.json\0', 0, 'latin1') : undefined;
    const cuts = blockOffsets(whole).filter((cut) => cut < enough);
    expect(cuts.length).toBeGreaterThan(3);
    for (const cut of cuts) {
      await writeFile(folder('cut.tar'), whole.subarray(0, cut));
      if (cut === asLayout) await pushedAsIs(folder('cut.tar'));
      else await refused(folder('cut.tar'));
    }
  });
});

describe('any damage: refused, or the image that arrives is whole', () => {
  const RUNS = Number(process.env['HOSTILE_RUNS'] ?? 60);
  const SEED = Number(process.env['HOSTILE_SEED'] ?? 7);

  test.each<[string, (path: string) => Promise<void>, boolean]>([
    ['docker save, old', (path) => writeDockerArchive(path, [parts.image]), true],
    ['docker save, new', (path) => writeDockerArchive(path, [parts.image], { layout: 'docker25' }), true],
    ['oci-archive', (path) => writeOciArchive(path, [parts.image]), true],
    ['oci-archive, gzip', (path) => writeOciArchive(path, [parts.image], { outer: 'gzip' }), false],
    ['docker save, old, zstd', (path) => writeDockerArchive(path, [parts.image], { outer: 'zstd' }), false],
  ])('%s', async (_, write, isPlain) => {
    await write(folder('whole.tar'));
    const whole = await readFile(folder('whole.tar'));
    const registry = await openRegistry();
    await fc.assert(
      fc.asyncProperty(isPlain ? anyDamage() : ofBytes(), fc.boolean(), async (damage, piped) => {
        const bytes = damage(whole);
        await writeFile(folder('damaged.tar'), bytes);
        const before = manifestPuts(registry);
        const run = await push(registry, piped ? bytes : folder('damaged.tar'));
        if (run.exitCode !== 0) {
          // 64 is for an archive whose images lost the names they would be pushed by.
          expect([64, 65, 66], run.stderr + run.stdout).toContain(run.exitCode);
          expect(manifestPuts(registry)).toBe(before);
        } else {
          for (const image of run.json().result.images) {
            for (const tag of image.tags) await expectWhole(registry, tag.reference);
          }
        }
      }),
      { numRuns: RUNS, seed: SEED, endOnFailure: false },
    );
  });
});
