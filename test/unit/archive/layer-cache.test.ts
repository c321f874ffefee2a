import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BlobFacts, LayerCache, packedKey, storedKey } from '../../../src/archive/index.ts';
import { digestOf } from '../../../src/oci/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();

const key = (name: string) =>
  packedKey({ diffId: digestOf(name), compression: 'gzip', level: 1, packer: 'p1' });
const facts = (name: string): BlobFacts => ({ digest: digestOf(`packed ${name}`), size: name.length });

/** A cache with a clock that is moved by hand, and what it warned of. */
async function openCache(folder: string | undefined, options: { now?: number; maxEntries?: number } = {}) {
  const warnings: string[] = [];
  const time = { now: options.now ?? 1000 };
  const cache = await LayerCache.open(folder, {
    log: { warn: (message) => warnings.push(message), info() {}, trace() {} },
    clock: { now: () => time.now, sleep: async () => {} },
    ...(options.maxEntries === undefined ? {} : { maxEntries: options.maxEntries }),
  });
  return { cache, warnings, time };
}

describe('remembering', () => {
  it('lasts from one process to the next', async () => {
    const first = await openCache(temp('cache'));
    expect(first.cache.get(key('a'))).toBeUndefined();
    first.cache.set(key('a'), facts('a'));
    first.cache.set(storedKey('1:2:3'), facts('b'));
    expect(first.cache.get(key('a'))).toEqual(facts('a'));
    await first.cache.save();

    const { cache, warnings } = await openCache(temp('cache'));
    expect(cache.get(key('a'))).toEqual(facts('a'));
    expect(cache.get(storedKey('1:2:3'))).toEqual(facts('b'));
    expect(cache.get(storedKey('1:2:4'))).toBeUndefined();
    expect(cache.get(undefined)).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  it('writes one private file, and none when nothing is new', async () => {
    const { cache } = await openCache(temp('cache'));
    await cache.save();
    expect(await readdir(temp())).toEqual([]);
    cache.set(key('a'), facts('a'));
    await cache.save();
    expect(await readdir(temp('cache'))).toEqual(['layers.json']);
    expect((await stat(temp('cache', 'layers.json'))).mode & 0o777).toBe(0o600);
  });

  it('ends with the object when there is no folder', async () => {
    const { cache } = await openCache(undefined);
    cache.set(key('a'), facts('a'));
    expect(cache.get(key('a'))).toEqual(facts('a'));
    await cache.save();
    expect(await readdir(temp())).toEqual([]);
  });

  it('takes the newer of two facts', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.set(key('a'), facts('old'));
    cache.set(key('a'), facts('new'));
    await cache.save();
    expect((await openCache(temp('cache'))).cache.get(key('a'))).toEqual(facts('new'));
  });

  it('drops what has not been used for longest', async () => {
    const { cache, time } = await openCache(temp('cache'), { maxEntries: 3 });
    for (const name of ['a', 'b', 'c', 'd']) {
      time.now++;
      cache.set(key(name), facts(name));
    }
    time.now++;
    cache.get(key('b'));
    time.now++;
    cache.set(key('e'), facts('e'));
    await cache.save();
    const later = (await openCache(temp('cache'))).cache;
    const kept = ['a', 'b', 'c', 'd', 'e'].filter((name) => later.get(key(name)));
    expect(kept).toEqual(['b', 'd', 'e']);
  });

  it('does not keep a key of any length', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.set(storedKey('x'.repeat(1000)), facts('a'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    const later = await openCache(temp('cache'));
    expect(later.warnings).toEqual([]);
    expect(later.cache.get(key('a'))).toEqual(facts('a'));
  });
});

describe('several at once', () => {
  it('keeps what another process wrote meanwhile', async () => {
    const one = await openCache(temp('cache'), { now: 1 });
    const two = await openCache(temp('cache'), { now: 2 });
    one.cache.set(key('one'), facts('one'));
    one.cache.set(key('both'), facts('first'));
    two.cache.set(key('two'), facts('two'));
    two.cache.set(key('both'), facts('second'));
    await one.cache.save();
    await two.cache.save();
    const { cache } = await openCache(temp('cache'));
    expect(cache.get(key('one'))).toEqual(facts('one'));
    expect(cache.get(key('two'))).toEqual(facts('two'));
    expect(cache.get(key('both'))).toEqual(facts('second'));
  });

  it('keeps what is set while it saves', async () => {
    const { cache } = await openCache(temp('cache'));
    const saves: Promise<void>[] = [];
    for (let at = 0; at < 20; at++) {
      cache.set(key(`${at}`), facts(`${at}`));
      saves.push(cache.save());
    }
    await Promise.all(saves);
    const later = (await openCache(temp('cache'))).cache;
    for (let at = 0; at < 20; at++) expect(later.get(key(`${at}`))).toEqual(facts(`${at}`));
  });

  it('never leaves a broken file, whoever wins', async () => {
    const caches = await Promise.all(Array.from({ length: 10 }, () => openCache(temp('cache'))));
    await Promise.all(
      caches.map(({ cache }, at) => {
        cache.set(key(`${at}`), facts(`${at}`));
        return cache.save();
      }),
    );
    const { cache, warnings } = await openCache(temp('cache'));
    expect(warnings).toEqual([]);
    expect(caches.some((_, at) => cache.get(key(`${at}`)) !== undefined)).toBe(true);
    expect(await readdir(temp('cache'))).toEqual(['layers.json']);
  });
});

describe('a file that cannot be used', () => {
  const entry = { key: 'k', digest: digestOf('x'), size: 1, usedMs: 1 };
  const file = (entries: unknown, schema = 'regops.layers/1') => JSON.stringify({ schema, entries });

  it.each([
    ['no JSON', '{"schema"'],
    ['empty', ''],
    ['another schema', file([], 'regops.layers/99')],
    ['not ours', '{"name":"regops"}'],
    ['a digest that climbs', file([{ ...entry, digest: 'sha256:../../x' }])],
    ['a negative size', file([{ ...entry, size: -1 }])],
    ['a size that is no number', file([{ ...entry, size: '1' }])],
    ['too many entries', file(Array.from({ length: 10_001 }, () => entry))],
    ['larger than any of ours', `${file([])}${' '.repeat(8 * 1024 ** 2)}`],
  ])('is ignored with a warning and replaced: %s', async (_, content) => {
    await mkdir(temp('cache'));
    await writeFile(temp('cache', 'layers.json'), content);
    const { cache, warnings } = await openCache(temp('cache'));
    expect(warnings).toEqual([expect.stringContaining(temp('cache', 'layers.json'))]);
    expect(warnings[0]?.length).toBeLessThan(500);
    cache.set(key('a'), facts('a'));
    await cache.save();
    const later = await openCache(temp('cache'));
    expect(later.warnings).toEqual([]);
    expect(later.cache.get(key('a'))).toEqual(facts('a'));
  });

  it('may hold keys that objects have of themselves', async () => {
    await mkdir(temp('cache'));
    const keys = ['__proto__', 'constructor'];
    await writeFile(temp('cache', 'layers.json'), file(keys.map((name) => ({ ...entry, key: name }))));
    const { cache, warnings } = await openCache(temp('cache'));
    expect(warnings).toEqual([]);
    expect(cache.get('toString' as never)).toBeUndefined();
    expect(cache.get('__proto__' as never)).toEqual({ digest: entry.digest, size: 1 });
  });

  it('is a warning, not a failure, when it can neither be read nor written', async () => {
    await mkdir(temp('cache', 'layers.json'), { recursive: true });
    const { cache, warnings } = await openCache(temp('cache'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    expect(warnings).toHaveLength(2);
    expect(cache.get(key('a'))).toEqual(facts('a'));
    expect(await readdir(temp('cache'))).toEqual(['layers.json']);
  });

  it('may be a link to nowhere', async () => {
    await mkdir(temp('cache'));
    await symlink('nowhere', temp('cache', 'layers.json'));
    const { cache, warnings } = await openCache(temp('cache'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    expect(warnings).toEqual([]);
    expect((await openCache(temp('cache'))).cache.get(key('a'))).toEqual(facts('a'));
  });

  it('is never the end of anything, whatever is in it', async () => {
    await mkdir(temp('cache'));
    const { cache } = await openCache(temp('cache'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    const sound = await readFile(temp('cache', 'layers.json'));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(sound.length - 1),
        fc.nat(255),
        fc.nat(sound.length),
        async (at, value, cut) => {
          const bytes = Buffer.from(sound);
          bytes[at] = value;
          await writeFile(temp('cache', 'layers.json'), bytes.subarray(0, cut % 2 ? cut : sound.length));
          const found = (await openCache(temp('cache'))).cache.get(key('a'));
          if (found) expect(found.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
        },
      ),
      { numRuns: 60 },
    );
  });
});
