import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Testbed } from '../../../src/testbed/index.ts';
import { compareNames, SortedNames } from '../../../src/testbed/names.ts';
import { call, openTestbed, pushBlob, pushImage, putManifest } from '../../support/testbed-client.ts';

/** Follows Link to the end. */
async function listAll(testbed: Testbed, path: string, field: 'tags' | 'repositories') {
  const names: string[] = [];
  let pages = 0;
  for (let next: string | undefined = path; next !== undefined; pages++) {
    const answer = await call(testbed, 'GET', next);
    expect(answer.status).toBe(200);
    names.push(...(answer.json[field] as string[]));
    next = /^<([^>]+)>; rel="next"$/.exec((answer.headers['link'] as string | undefined) ?? '')?.[1];
  }
  return { names, pages };
}

describe('paging', () => {
  it('lists 500 repositories, in pages and at once', async () => {
    const testbed = await openTestbed();
    const expected = Array.from({ length: 500 }, (_, number) => `group-${number % 7}/app-${number}`);
    for (const name of expected) await pushBlob(testbed, name, 'shared');
    const paged = await listAll(testbed, '/v2/_catalog?n=33', 'repositories');
    expect(paged.names).toEqual(expected.toSorted());
    expect(paged.pages).toBe(16);
    expect(await listAll(testbed, '/v2/_catalog', 'repositories')).toEqual({ names: paged.names, pages: 1 });
  });

  it('lists 500 tags, in pages and at once', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'V0');
    const expected = Array.from({ length: 500 }, (_, number) => `${number % 2 ? 'v' : 'V'}${number}`);
    for (const tag of expected) await putManifest(testbed, 'app', tag, image.text);
    const paged = await listAll(testbed, '/v2/app/tags/list?n=100', 'tags');
    expect(paged.names).toEqual(expected.toSorted(compareNames));
    expect(paged.pages).toBe(5);
    expect(await listAll(testbed, '/v2/app/tags/list', 'tags')).toEqual({ names: paged.names, pages: 1 });
  });

  it('keeps its place when names come and go between two pages', async () => {
    const testbed = await openTestbed();
    for (const name of ['a', 'c', 'e']) await pushBlob(testbed, name, 'x');
    const first = await call(testbed, 'GET', '/v2/_catalog?n=2');
    expect(first.json.repositories).toEqual(['a', 'c']);
    for (const name of ['b', 'd']) await pushBlob(testbed, name, 'x');
    const rest = await call(testbed, 'GET', '/v2/_catalog?n=5&last=c');
    expect(rest.json.repositories).toEqual(['d', 'e']);
  });
});

describe('SortedNames', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,6}$/);

  it('is a sorted set, and pages cover it once and in order', () => {
    fc.assert(
      fc.property(fc.array(name), fc.array(name), fc.integer({ min: 1, max: 5 }), (added, removed, limit) => {
        const sorted = new SortedNames();
        for (const one of added) sorted.add(one);
        for (const one of removed) sorted.delete(one);
        const gone = new Set(removed);
        const expected = [...new Set(added)].filter((one) => !gone.has(one)).sort(compareNames);
        const seen: string[] = [];
        let page = sorted.page({ limit, after: undefined });
        seen.push(...page.names);
        while (page.more) {
          page = sorted.page({ limit, after: seen.at(-1) });
          seen.push(...page.names);
        }
        expect(seen).toEqual(expected);
      }),
    );
  });
});
