import { readFile, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { openArchive } from '../../../src/archive/index.ts';
import { isRegopsError } from '../../../src/base/index.ts';
import {
  makeImage,
  type TestImage,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
} from '../../support/image-archives.ts';
import { rawHeader, type TarEntry, tarOf } from '../../support/tar-writer.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { bytesOf, failure, sha256, useArchives } from './support.ts';

const temp = useTempFolder();
const open = useArchives();

let image: TestImage;

beforeAll(async () => {
  image = await makeImage({ seed: 'hostile', names: ['app:1'], layers: [{ size: 2000 }] });
});

type Entries = readonly (TarEntry & { readonly content?: Buffer | string })[];

async function write(entries: Entries): Promise<string> {
  await writeFile(temp('a.tar'), tarOf(entries));
  return temp('a.tar');
}

/** A docker-archive with this manifest.json and these members beside a sound configuration and layer. */
async function docker(manifest: unknown, more: Entries = []): Promise<string> {
  const layer = await bytesOf(image.layers[0]?.open() as Readable);
  return write([
    { name: 'config.json', content: image.config },
    { name: 'layer.tar', content: layer },
    ...more,
    { name: 'manifest.json', content: typeof manifest === 'string' ? manifest : JSON.stringify(manifest) },
  ]);
}

async function layout(index: unknown, more: Entries = []): Promise<string> {
  return write([
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: typeof index === 'string' ? index : JSON.stringify(index) },
    ...more,
  ]);
}

const sound = { Config: 'config.json', RepoTags: ['app:1'], Layers: ['layer.tar'] };

describe('a docker-archive', () => {
  it('is sound to begin with', async () => {
    expect((await open(await docker([sound]))).images).toHaveLength(1);
  });

  it.each<[string, unknown, string]>([
    ['that is no JSON', '[{', 'not JSON'],
    ['that is no list', sound, 'expected array'],
    ['that is an OCI manifest', { schemaVersion: 2, config: {}, layers: [] }, 'expected array'],
    ['with a number for a name', [{ ...sound, Config: 7 }], '0.Config'],
    ['with an empty name', [{ ...sound, Config: '' }], '0.Config'],
    ['with text for layers', [{ ...sound, Layers: 'layer.tar' }], '0.Layers'],
    ['with an object for tags', [{ ...sound, RepoTags: { a: 1 } }], '0.RepoTags'],
    ['nested a hundred thousand deep', '['.repeat(100_000) + ']'.repeat(100_000), 'manifest.json'],
    ['of no images', [], 'no image'],
    ['with too few layers', [{ ...sound, Layers: [] }], '0 layers, but its configuration lists 1'],
    ['with too many layers', [{ ...sound, Layers: ['layer.tar', 'layer.tar'] }], '2 layers'],
    ['with a layer that is not there', [{ ...sound, Layers: ['gone.tar'] }], "'gone.tar' of image @0"],
    [
      'with a configuration that is not there',
      [{ ...sound, Config: 'gone.json' }],
      "'gone.json' of image @0",
    ],
    ['with a layer outside', [{ ...sound, Layers: ['../../etc/passwd'] }], 'not in the archive'],
    ['with a configuration by absolute path', [{ ...sound, Config: '/etc/passwd' }], 'not in the archive'],
  ])('is refused with a manifest.json %s', async (_, manifest, says) => {
    await expect(openArchive(await docker(manifest))).rejects.toThrow(
      failure('ARCHIVE_INVALID', says, temp('a.tar')),
    );
  });

  it('is refused when manifest.json is larger than 4 MiB, or claims to be', async () => {
    const padded = `${JSON.stringify([sound])}${' '.repeat(4 * 1024 ** 2)}`;
    await expect(openArchive(await docker(padded))).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'manifest.json', 'refused'),
    );
    const claims = rawHeader({ name: 'manifest.json', size: 8 ** 11 - 1 });
    await writeFile(temp('b.tar'), claims);
    await expect(openArchive(temp('b.tar'))).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'cut short', 'manifest.json'),
    );
  });

  it.each<[string, string | Buffer, 'MANIFEST_INVALID' | 'ARCHIVE_INVALID', string]>([
    ['no JSON', '{', 'MANIFEST_INVALID', 'not JSON'],
    ['no rootfs', '{}', 'MANIFEST_INVALID', 'rootfs'],
    [
      'broken diffIDs',
      JSON.stringify({ rootfs: { type: 'layers', diff_ids: ['sha256:../../x'] } }),
      'MANIFEST_INVALID',
      'diff_ids',
    ],
    ['a list for everything', '[]', 'MANIFEST_INVALID', 'expected object'],
    ['more than 8 MiB', Buffer.alloc(8 * 1024 ** 2 + 1, ' '), 'ARCHIVE_INVALID', 'refused'],
  ])('is refused with a configuration of %s', async (_, content, code, says) => {
    const path = await docker([{ ...sound, Config: 'bad.json' }], [{ name: 'bad.json', content }]);
    await expect(openArchive(path)).rejects.toThrow(failure(code, says, 'bad.json'));
  });

  it('is refused when a configuration is not what its blob name promises', async () => {
    const name = `blobs/sha256/${'0'.repeat(64)}`;
    const path = await docker([{ ...sound, Config: name }], [{ name, content: image.config }]);
    await expect(openArchive(path)).rejects.toThrow(failure('DIGEST_MISMATCH', sha256(image.config)));
  });

  it('is refused when a layer is packed in a way nobody pushes', async () => {
    const content = Buffer.concat([Buffer.from('fd377a585a000004', 'hex'), Buffer.alloc(100)]);
    const path = await docker([{ ...sound, Layers: ['layer.xz'] }], [{ name: 'layer.xz', content }]);
    await expect(openArchive(path)).rejects.toThrow(failure('ARCHIVE_UNSUPPORTED', 'layer.xz', 'xz'));
  });

  it.each([
    ['links in a circle', '2', 'layer.link', 'circle'],
    ['a symlink out of the archive', '2', '/etc/passwd', 'out of the archive'],
    ['a hard link out of the archive', '1', '../../etc/passwd', 'out of the archive'],
    ['a link to nothing', '2', 'nothing', 'not in the archive'],
    ['a link to a folder', '2', 'folder', 'not in the archive'],
  ])('is refused when a layer is %s', async (_, type, linkName, says) => {
    const links = [
      { name: 'layer.link', type, linkName },
      { name: 'folder/', type: '5' },
    ];
    const path = await docker([{ ...sound, Layers: ['layer.link'] }], links);
    await expect(openArchive(path)).rejects.toThrow(failure('ARCHIVE_INVALID', says));
  });

  it('reads one configuration once, however many images claim it', async () => {
    const history = Array.from({ length: 5000 }, () => ({ created_by: 'x'.repeat(1000) }));
    const config = JSON.stringify({ ...JSON.parse(image.config.toString()), history });
    const images = Array.from({ length: 5000 }, () => ({ ...sound, Config: 'large.json' }));
    const archive = await open(await docker(images, [{ name: 'large.json', content: config }]));
    expect(archive.images).toHaveLength(5000);
  });
});

describe('an OCI layout', () => {
  const index = { schemaVersion: 2, manifests: [] };

  it.each<[string, unknown, 'MANIFEST_INVALID' | 'ARCHIVE_INVALID', string]>([
    ['is no JSON', '{', 'MANIFEST_INVALID', 'not JSON'],
    [
      'is an image',
      { schemaVersion: 2, config: descriptor(), layers: [] },
      'ARCHIVE_INVALID',
      'not an index',
    ],
    ['is both an index and an image', { ...index, layers: [] }, 'MANIFEST_INVALID', 'layers'],
    ['has no manifests', { schemaVersion: 2, manifests: null }, 'MANIFEST_INVALID', 'manifests'],
    [
      'has a digest that climbs',
      { ...index, manifests: [descriptor('sha256:../../../etc/passwd')] },
      'MANIFEST_INVALID',
      'digest',
    ],
    [
      'has a digest of an unknown kind',
      { ...index, manifests: [descriptor(`md5:${'0'.repeat(32)}`)] },
      'MANIFEST_INVALID',
      'digest',
    ],
    [
      'has a negative size',
      { ...index, manifests: [{ ...descriptor(), size: -1 }] },
      'MANIFEST_INVALID',
      'size',
    ],
    ['has no images', index, 'ARCHIVE_INVALID', 'no image'],
    ['is larger than 4 MiB', JSON.stringify(index) + ' '.repeat(4 * 1024 ** 2), 'ARCHIVE_INVALID', 'refused'],
  ])('is refused when index.json %s', async (_, content, code, says) => {
    await expect(openArchive(await layout(content))).rejects.toThrow(failure(code, says, temp('a.tar')));
  });

  it.each<[string, string, 'ARCHIVE_UNSUPPORTED' | 'ARCHIVE_INVALID', string]>([
    ['another version', '{"imageLayoutVersion":"2.0.0"}', 'ARCHIVE_UNSUPPORTED', '2.0.0'],
    ['no version', '{}', 'ARCHIVE_INVALID', 'imageLayoutVersion'],
    ['no JSON', 'layout', 'ARCHIVE_INVALID', 'not JSON'],
  ])('is refused when oci-layout has %s', async (_, content, code, says) => {
    const path = await write([
      { name: 'oci-layout', content },
      { name: 'index.json', content: JSON.stringify({ ...index, manifests: [descriptor()] }) },
    ]);
    await expect(openArchive(path)).rejects.toThrow(failure(code, says));
  });

  it('opens when an index holds itself, or indexes without end', async () => {
    const type = 'application/vnd.oci.image.index.v1+json';
    const blobs: { name: string; content: string }[] = [];
    let child = descriptor(`sha256:${'0'.repeat(64)}`, type);
    for (let depth = 0; depth < 20; depth++) {
      const content = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: [child, child] });
      child = { ...descriptor(sha256(Buffer.from(content)), type), size: content.length };
      blobs.push({ name: `blobs/${child.digest.replace(':', '/')}`, content });
    }
    const manifest = [{ Config: `${'0'.repeat(64)}.json`, RepoTags: ['never:1'], Layers: null }];
    const more = [...blobs, { name: 'manifest.json', content: JSON.stringify(manifest) }];
    const archive = await open(await layout({ ...index, manifests: [child] }, more));
    expect(archive.images.map(({ names }) => names)).toEqual([[]]);
  });

  it('opens when a manifest in it is broken: whoever reads that will hear', async () => {
    const { root } = await treeOf(image);
    const broken = { name: `blobs/${root.digest.replace(':', '/')}`, content: 'x'.repeat(root.size) };
    const manifest = [{ Config: `${'0'.repeat(64)}.json`, RepoTags: ['never:1'], Layers: null }];
    const more = [broken, { name: 'manifest.json', content: JSON.stringify(manifest) }];
    expect((await open(await layout({ ...index, manifests: [root] }, more))).images).toHaveLength(1);
  });

  function descriptor(
    digest = `sha256:${'a'.repeat(64)}`,
    mediaType = 'application/vnd.oci.image.manifest.v1+json',
  ) {
    return { mediaType, digest, size: 100 };
  }
});

describe('a packed archive', () => {
  const expansion = { freeBytes: 1024 ** 2, ratio: 50 };

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)('is refused when it grows too far (%s)', async (_, packed) => {
    const bomb = packed(tarOf([{ name: 'zeros', content: Buffer.alloc(64 * 1024 ** 2) }]));
    await writeFile(temp('bomb'), bomb);
    await expect(openArchive(temp('bomb'), { expansion, tempDir: temp() })).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'decompression bomb', 'decompress it yourself'),
    );
  });

  it('may grow as it likes below the free bytes, and to its ratio above', async () => {
    await writeDockerArchive(temp('a.tar.gz'), [image], { outer: 'gzip' });
    await open(temp('a.tar.gz'), { expansion: { freeBytes: 1024 ** 2, ratio: 0 } });
    await open(temp('a.tar.gz'), { expansion: { freeBytes: 0, ratio: 1000 } });
    await expect(openArchive(temp('a.tar.gz'), { expansion: { freeBytes: 0, ratio: 1 } })).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'bomb'),
    );
  });

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)(
    'is refused when it is cut short, damaged or something else inside (%s)',
    async (packing, packed) => {
      await writeOciArchive(temp('a.tar'), [image]);
      const whole = packed(await readFile(temp('a.tar')));
      await writeFile(temp('cut'), whole.subarray(0, whole.length - 20));
      await expect(openArchive(temp('cut'))).rejects.toThrow(
        failure('ARCHIVE_INVALID', packing, 'cut short'),
      );
      const damaged = Buffer.from(whole);
      damaged.fill(0xff, 1000, 1100);
      await writeFile(temp('damaged'), damaged);
      await expect(openArchive(temp('damaged'))).rejects.toThrow(failure('ARCHIVE_INVALID'));
      await writeFile(temp('twice'), packed(whole));
      await expect(openArchive(temp('twice'))).rejects.toThrow(
        failure('ARCHIVE_INVALID', 'not a tar archive'),
      );
      await writeFile(temp('empty'), packed(Buffer.alloc(0)));
      await expect(openArchive(temp('empty'))).rejects.toThrow(
        failure('ARCHIVE_INVALID', 'not a tar archive'),
      );
      await writeFile(temp('noise'), Buffer.concat([whole, Buffer.alloc(100, 'noise')]));
      await expect(openArchive(temp('noise'))).rejects.toThrow(failure('ARCHIVE_INVALID', packing));
    },
  );
});

describe('any damage', () => {
  it.each(['classic', 'docker25'] as const)(
    'to a docker-archive (%s) is survived or refused',
    async (layout) => {
      await writeDockerArchive(temp('a.tar'), [image], { layout });
      await survives(await readFile(temp('a.tar')));
    },
  );

  it.each(['none', 'gzip', 'zstd'] as const)(
    'to an oci-archive (outside %s) is survived or refused',
    async (outer) => {
      await writeOciArchive(temp('a.tar'), [image], { outer });
      await survives(await readFile(temp('a.tar')));
    },
  );

  async function survives(whole: Buffer): Promise<void> {
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    const changes = fc.array(change, { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(changes, fc.nat(whole.length), fc.boolean(), async (spots, cut, stream) => {
        const bytes = Buffer.from(whole.subarray(0, cut % 2 === 0 ? whole.length : cut));
        for (const [at, value] of spots) if (at < bytes.length) bytes[at] = value;
        await writeFile(temp('damaged'), bytes);
        try {
          const archive = stream
            ? await openArchive('-', { stdin: Readable.from([bytes]), tempDir: temp() })
            : await openArchive(temp('damaged'), { tempDir: temp() });
          await archive.close();
        } catch (error) {
          if (!isRegopsError(error)) throw error;
        }
      }),
      { numRuns: 80 },
    );
  }
});
