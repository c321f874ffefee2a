import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openArchive, readManifest } from '../../../src/archive/index.ts';
import { isRegopsError } from '../../../src/base/index.ts';
import { parseDigest } from '../../../src/oci/index.ts';
import { anyDamage } from '../../support/archive-damage.ts';
import {
  dockerMembers,
  endlessMembers,
  layoutMembers,
  soundParts,
  tarFrom,
} from '../../support/hostile-archives.ts';
import { makeImage, writeOciArchive } from '../../support/image-archives.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { failure, useArchives } from './support.ts';

const temp = useTempFolder();
const open = useArchives();

describe('a tar of millions of members', () => {
  it('that comes through a pipe is refused in bounded memory', async () => {
    const stream = Readable.from(endlessMembers([], Number.POSITIVE_INFINITY), { objectMode: false });
    const before = process.memoryUsage().heapUsed;
    await expect(openArchive('-', { stdin: stream, tempDir: temp() })).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'more than 1000000 members'),
    );
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1024 ** 3);
    expect(stream.destroyed).toBe(true);
  });

  it('as many as allowed do not hide the image among them', async () => {
    const stream = Readable.from(endlessMembers(dockerMembers(await soundParts()), 50_000), {
      objectMode: false,
    });
    expect((await open('-', { stdin: stream, tempDir: temp() })).images).toHaveLength(1);
  });
});

describe('a stream without end', () => {
  const MIB = Buffer.alloc(1024 ** 2);

  /** Opens what begins so and never ends; gives the MiB that were asked for behind that beginning. */
  async function refusedAfter(head: Buffer, then: Buffer, ...words: string[]): Promise<number> {
    let taken = 0;
    function* endless(): Generator<Buffer> {
      yield head;
      for (;;) {
        taken++;
        yield then;
      }
    }
    const stdin = Readable.from(endless(), { objectMode: false });
    await expect(openArchive('-', { stdin, tempDir: temp() })).rejects.toThrow(
      failure('ARCHIVE_INVALID', ...words),
    );
    expect(stdin.destroyed).toBe(true);
    return taken;
  }

  it('of zeros behind the end of a tar is refused', async () => {
    const whole = tarFrom(dockerMembers(await soundParts()));
    expect(await refusedAfter(whole, MIB, 'follow the end of the tar')).toBeLessThan(80);
  });

  it('of nothing but zeros is refused', async () => {
    expect(await refusedAfter(MIB, MIB, 'follow the end of the tar')).toBeLessThan(80);
  });

  it('of noise, also behind a sound member, is refused at once', async () => {
    const noise = randomBytes(1024 ** 2);
    expect(await refusedAfter(noise, noise, 'not a tar archive')).toBeLessThan(5);
    const member = tarFrom([{ name: 'first', content: 'x' }], false);
    expect(await refusedAfter(member, noise, 'broken header')).toBeLessThan(5);
  });

  it('in a packing is refused as well', async () => {
    const [head, zeros] = [tarFrom(dockerMembers(await soundParts())), Buffer.alloc(16 * 1024 ** 2)];
    for (const pack of [gzipSync, zstdCompressSync]) {
      const taken = await refusedAfter(pack(head), pack(zeros), 'follow the end of the tar');
      expect(taken * pack(zeros).length).toBeLessThan(1024 ** 2);
    }
  });

  it('is not what a tar becomes that fills up its last record, or more', async () => {
    const padded = Buffer.concat([tarFrom(dockerMembers(await soundParts())), MIB, MIB]);
    for (const bytes of [padded, gzipSync(padded), zstdCompressSync(padded)]) {
      const stdin = Readable.from([bytes], { objectMode: false });
      expect((await open('-', { stdin, tempDir: temp() })).images).toHaveLength(1);
    }
  });
});

describe('packed archives larger than one chunk', () => {
  it.each(['gzip', 'zstd'] as const)('are read to their end (%s)', async (outer) => {
    const image = await makeImage({ seed: 'large', layers: [{ size: 2_000_000, compressible: 0 }] });
    await writeOciArchive(temp('a.tar'), [image], { outer });
    expect((await open(temp('a.tar'))).images).toHaveLength(1);
  });
});

it('an archive’s manifests are not read without end', async () => {
  const parts = await soundParts();
  await writeFile(temp('a.tar'), tarFrom(layoutMembers(parts)));
  const archive = await open(temp('a.tar'));
  const root = { ...parts.root, digest: parseDigest(parts.root.digest) };
  const reading = async (): Promise<void> => {
    for (;;) await readManifest(archive, root);
  };
  await expect(reading()).rejects.toThrow(failure('ARCHIVE_INVALID', 'manifests'));
});

describe('any damage to the structure', () => {
  it.each([
    ['docker-archive', dockerMembers],
    ['oci-archive', layoutMembers],
  ] as const)('of a %s, plain or packed, is read or refused', async (_, members) => {
    const whole = tarFrom(members(await soundParts()));
    const packings = [(bytes: Buffer) => bytes, gzipSync, zstdCompressSync];
    await fc.assert(
      fc.asyncProperty(anyDamage(), fc.constantFrom(...packings), async (damage, pack) => {
        await writeFile(temp('damaged'), pack(damage(whole)));
        try {
          const archive = await openArchive(temp('damaged'), { tempDir: temp() });
          await archive.close();
        } catch (error) {
          if (!isRegopsError(error)) throw error;
          expect(['data', 'missing']).toContain(error.kind);
        }
      }),
      { numRuns: Number(process.env['HOSTILE_RUNS'] ?? 200), seed: Number(process.env['HOSTILE_SEED'] ?? 7) },
    );
  });
});
