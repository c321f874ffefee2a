import { appendFile, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BlobFacts, LayerCache, packedKey, storedKey } from '../../../src/archive/index.ts';
import { digestOf } from '../../../src/oci/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();

const key = (name: string) =>
  packedKey({ diffId: digestOf(name), compression: 'gzip', level: 1, packer: 'p1' });
const HOUR_MS = 60 * 60 * 1000;
const DIGEST = digestOf('blob');
const facts = (name: string): BlobFacts => ({ digest: digestOf(`packed ${name}`), size: name.length });

/** A cache with a clock that is moved by hand, and what it warned of. */
async function openCache(folder: string | undefined, options: { now?: number; maxRecords?: number } = {}) {
  const warnings: string[] = [];
  const time = { now: options.now ?? 1000 };
  const cache = await LayerCache.open(folder, {
    log: { warn: (message) => warnings.push(message), info() {}, trace() {} },
    clock: { now: () => time.now, sleep: async () => {} },
    ...(options.maxRecords === undefined ? {} : { maxRecords: options.maxRecords }),
  });
  return { cache, warnings, time };
}

describe('remembering', () => {
  it('lasts from one process to the next', async () => {
    const first = await openCache(temp('cache'));
    expect(first.cache.get(key('a'))).toBeUndefined();
    first.cache.set(key('a'), facts('a'));
    first.cache.set(storedKey('1:2:3', facts('d').digest), facts('b'));
    expect(first.cache.get(key('a'))).toEqual(facts('a'));
    await first.cache.save();

    const { cache, warnings } = await openCache(temp('cache'));
    expect(cache.get(key('a'))).toEqual(facts('a'));
    expect(cache.get(storedKey('1:2:3', facts('d').digest))).toEqual(facts('b'));
    expect(cache.get(storedKey('1:2:4', facts('d').digest))).toBeUndefined();
    expect(cache.get(storedKey('1:2:3', facts('e').digest))).toBeUndefined();
    expect(cache.get(undefined)).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  it('writes one private file, and none when nothing is new', async () => {
    const { cache } = await openCache(temp('cache'));
    await cache.save();
    expect(await readdir(temp())).toEqual([]);
    cache.set(key('a'), facts('a'));
    await cache.save();
    expect(await readdir(temp('cache'))).toEqual(['layers.jsonl']);
    expect((await stat(temp('cache', 'layers.jsonl'))).mode & 0o777).toBe(0o600);
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
    const { cache, time } = await openCache(temp('cache'), { maxRecords: 3 });
    for (const name of ['a', 'b', 'c', 'd']) {
      time.now += HOUR_MS;
      cache.set(key(name), facts(name));
    }
    time.now += HOUR_MS;
    cache.get(key('b'));
    time.now += HOUR_MS;
    cache.set(key('e'), facts('e'));
    await cache.save();
    for (const one of [cache, (await openCache(temp('cache'))).cache]) {
      expect(['a', 'b', 'c', 'd', 'e'].filter((name) => one.get(key(name)))).toEqual(['b', 'd', 'e']);
    }
  });

  it('writes nothing when all was known and used lately, and the use when it was not', async () => {
    const first = await openCache(temp('cache'));
    first.cache.set(key('a'), facts('a'));
    first.cache.addHolder('r.example', 'team/app', DIGEST);
    await first.cache.save();
    const size = async () => (await stat(temp('cache', 'layers.jsonl'))).size;
    const before = await size();
    for (const [now, grows] of [
      [1000 + HOUR_MS - 1, false],
      [1000 + HOUR_MS, true],
    ] as const) {
      const { cache } = await openCache(temp('cache'), { now });
      cache.get(key('a'));
      cache.addHolder('r.example', 'team/app', DIGEST);
      await cache.save();
      expect((await size()) > before).toBe(grows);
    }
  });

  it('does not keep a key of any length', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.set(storedKey('x'.repeat(1000), facts('d').digest), facts('a'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    const later = await openCache(temp('cache'));
    expect(later.warnings).toEqual([]);
    expect(later.cache.get(key('a'))).toEqual(facts('a'));
  });
});

describe('what turned out wrong', () => {
  it('is forgotten, for good', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.set(key('a'), facts('a'));
    cache.set(key('b'), facts('b'));
    await cache.save();
    cache.forget(key('a'));
    cache.forget(key('never there'));
    expect(cache.get(key('a'))).toBeUndefined();
    await cache.save();
    const later = (await openCache(temp('cache'))).cache;
    expect(later.get(key('a'))).toBeUndefined();
    expect(later.get(key('b'))).toEqual(facts('b'));
    later.set(key('a'), facts('new'));
    await later.save();
    expect((await openCache(temp('cache'))).cache.get(key('a'))).toEqual(facts('new'));
  });
});

describe('where blobs were seen', () => {
  it('is told per registry and blob, the last one seen first', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.addHolder('r.example', 'team/one', DIGEST);
    cache.addHolder('r.example', 'team/two', DIGEST);
    cache.addHolder('r.example', 'team/other', digestOf('other'));
    cache.addHolder('r.example:5000', 'team/else', DIGEST);
    cache.addHolder('r.example', 'team/two', DIGEST);
    await cache.save();
    for (const one of [cache, (await openCache(temp('cache'))).cache]) {
      expect(one.holders('r.example', DIGEST)).toEqual(['team/two', 'team/one']);
      expect(one.holders('r.example:5000', DIGEST)).toEqual(['team/else']);
      expect(one.holders('elsewhere.example', DIGEST)).toEqual([]);
    }
  });

  it('is taken back when it is not there any more', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.addHolder('r.example', 'team/one', DIGEST);
    cache.addHolder('r.example', 'team/two', DIGEST);
    await cache.save();
    cache.removeHolder('r.example', 'team/two', DIGEST);
    cache.removeHolder('r.example', 'team/never', DIGEST);
    expect(cache.holders('r.example', DIGEST)).toEqual(['team/one']);
    await cache.save();
    expect((await openCache(temp('cache'))).cache.holders('r.example', DIGEST)).toEqual(['team/one']);
  });

  it('is no repository that could mean something else in a URL or a scope', async () => {
    await mkdir(temp('cache'));
    const names = ['../x', 'a:pull,push', 'A', '', 'x'.repeat(300), 'team/app'];
    const lines = names.map((repository) => ({
      registry: 'r.example',
      repository,
      digest: DIGEST,
      usedMs: 1,
    }));
    await writeFile(temp('cache', 'layers.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
    const { cache, warnings } = await openCache(temp('cache'));
    expect(cache.holders('r.example', DIGEST)).toEqual(['team/app']);
    expect(warnings).toEqual([expect.stringContaining('5 lines')]);
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

  it('keeps what all wrote, whoever was first', async () => {
    const caches = await Promise.all(Array.from({ length: 10 }, () => openCache(temp('cache'))));
    await Promise.all(
      caches.map(({ cache }, at) => {
        cache.set(key(`${at}`), facts(`${at}`));
        return cache.save();
      }),
    );
    const { cache, warnings } = await openCache(temp('cache'));
    expect(warnings).toEqual([]);
    for (let at = 0; at < caches.length; at++) expect(cache.get(key(`${at}`))).toEqual(facts(`${at}`));
    expect(await readdir(temp('cache'))).toEqual(['layers.jsonl']);
  });

  it('keeps what processes write that are killed, but for a line that was torn', async () => {
    const { cache } = await openCache(temp('cache'));
    cache.set(key('before'), facts('before'));
    await cache.save();
    await appendFile(temp('cache', 'layers.jsonl'), '\n{"key":"torn","dig');
    cache.set(key('after'), facts('after'));
    await cache.save();
    const found = await openCache(temp('cache'));
    expect(found.warnings).toEqual([expect.stringContaining('1 line cannot')]);
    for (const name of ['before', 'after']) expect(found.cache.get(key(name))).toEqual(facts(name));
    await found.cache.save();
    const healed = await openCache(temp('cache'));
    expect(healed.warnings).toEqual([]);
    for (const name of ['before', 'after']) expect(healed.cache.get(key(name))).toEqual(facts(name));
  });
});

describe('a file that cannot be used', () => {
  const entry = { key: 'k', digest: digestOf('x'), size: 1, usedMs: 1 };

  it.each([
    ['no JSON', '{"key"'],
    ['not ours', '{"name":"regops"}'],
    ['no object', 'null'],
    ['a digest that climbs', JSON.stringify({ ...entry, digest: 'sha256:../../x' })],
    ['a negative size', JSON.stringify({ ...entry, size: -1 })],
    ['a size that is no number', JSON.stringify({ ...entry, size: '1' })],
    ['a key of any length', JSON.stringify({ ...entry, key: 'x'.repeat(1000) })],
    ['larger than any of ours', ' '.repeat(33 * 1024 ** 2)],
  ])('is ignored with a warning and replaced: %s', async (_, content) => {
    await mkdir(temp('cache'));
    await writeFile(temp('cache', 'layers.jsonl'), content);
    const { cache, warnings } = await openCache(temp('cache'));
    expect(warnings).toEqual([expect.stringContaining(temp('cache', 'layers.jsonl'))]);
    expect(warnings[0]?.length).toBeLessThan(500);
    cache.set(key('a'), facts('a'));
    await cache.save();
    const later = await openCache(temp('cache'));
    expect(later.warnings).toEqual([]);
    expect(later.cache.get(key('a'))).toEqual(facts('a'));
    expect((await stat(temp('cache', 'layers.jsonl'))).size).toBeLessThan(1000);
  });

  it('is rewritten without what is outdated when it has grown large', async () => {
    await mkdir(temp('cache'));
    const line = JSON.stringify(entry);
    await writeFile(
      temp('cache', 'layers.jsonl'),
      `${line}\n`.repeat(Math.ceil((8 * 1024 ** 2) / line.length)),
    );
    const { cache, warnings } = await openCache(temp('cache'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    expect(warnings).toEqual([]);
    expect((await stat(temp('cache', 'layers.jsonl'))).size).toBeLessThan(1000);
    const later = (await openCache(temp('cache'))).cache;
    expect(later.get('k' as never)).toEqual({ digest: entry.digest, size: 1 });
    expect(later.get(key('a'))).toEqual(facts('a'));
  });

  it('may hold keys that objects have of themselves', async () => {
    await mkdir(temp('cache'));
    const keys = ['__proto__', 'constructor'];
    const lines = keys.map((name) => JSON.stringify({ ...entry, key: name }));
    await writeFile(temp('cache', 'layers.jsonl'), lines.join('\n'));
    const { cache, warnings } = await openCache(temp('cache'));
    expect(warnings).toEqual([]);
    expect(cache.get('toString' as never)).toBeUndefined();
    expect(cache.get('__proto__' as never)).toEqual({ digest: entry.digest, size: 1 });
  });

  it('is a warning, not a failure, when it can neither be read nor written', async () => {
    await mkdir(temp('cache', 'layers.jsonl'), { recursive: true });
    const { cache, warnings } = await openCache(temp('cache'));
    cache.set(key('a'), facts('a'));
    await cache.save();
    expect(warnings).toHaveLength(2);
    expect(cache.get(key('a'))).toEqual(facts('a'));
    expect(await readdir(temp('cache'))).toEqual(['layers.jsonl']);
  });

  it('may be a link to nowhere', async () => {
    await mkdir(temp('cache'));
    await symlink('nowhere', temp('cache', 'layers.jsonl'));
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
    const sound = await readFile(temp('cache', 'layers.jsonl'));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(sound.length - 1),
        fc.nat(255),
        fc.nat(sound.length),
        async (at, value, cut) => {
          const bytes = Buffer.from(sound);
          bytes[at] = value;
          await writeFile(temp('cache', 'layers.jsonl'), bytes.subarray(0, cut % 2 ? cut : sound.length));
          const found = (await openCache(temp('cache'))).cache.get(key('a'));
          if (found) expect(found.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
        },
      ),
      { numRuns: 60 },
    );
  });
});
