import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import { collect, listRepositories, listTags, putManifest } from '../../../src/registry/index.ts';
import { nextPage } from '../../../src/registry/paging.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { type Exchange, type Reply, startServer } from '../../support/http-server.ts';
import { clientOf, errorOf, imageOf, recordingLog, store, testbedClient } from './support.ts';
import { errors } from './upload-script.ts';

// Tags and repositories, page by page; the next page is a URL that the other side chose.

const LIST = '/v2/team/app/tags/list';

const page = (path: string | RegExp, tags: unknown, link?: string | string[]): Exchange => ({
  expect: { path },
  reply: {
    headers: link === undefined ? {} : { link },
    body: JSON.stringify({ name: 'team/app', tags }),
  },
});
const first = `${LIST}?n=1000`;
const next = (target: string): string => `<${target}>; rel="next"`;

async function tagsFrom(script: readonly Exchange[] | ((origin: string) => readonly Exchange[])) {
  const log = recordingLog();
  const server = await startServer(script);
  const client = await clientOf(server.origin.href, { retries: 0, log });
  return { tags: collect(listTags(client, 'team/app')), server, log };
}

describe('a testbed', () => {
  test('with 1,203 tags lists them all, in pages', async () => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ path }) => requests.push(path) });
    const names = Array.from({ length: 1203 }, (_, at) => `v${String(at).padStart(4, '0')}`);
    await store(client, 'team/app', imageOf('one'), ...names);
    requests.length = 0;
    const pages: (readonly string[])[] = [];
    for await (const tags of listTags(client, 'team/app')) pages.push(tags);
    expect(pages.flat()).toEqual(names);
    expect(pages.map(({ length }) => length)).toEqual([1000, 203]);
    expect(requests).toEqual([LIST, LIST]);
  });

  test('with 510 repositories lists them all', async () => {
    const { client } = await testbedClient();
    const names = Array.from({ length: 510 }, (_, at) => `team/app-${String(at).padStart(3, '0')}`);
    for (const name of names) await store(client, name, imageOf('one'), 'latest');
    expect(await collect(listRepositories(client))).toEqual(names);
  });

  test('with nothing lists nothing; without the repository, says so', async () => {
    const { client } = await testbedClient();
    expect(await collect(listRepositories(client))).toEqual([]);
    expect(await errorOf(collect(listTags(client, 'team/app')))).toMatchObject({
      code: 'REPOSITORY_NOT_FOUND',
    });
  });

  test('can be left in the middle', async () => {
    const { client } = await testbedClient();
    await store(client, 'team/app', imageOf('one'), '1', '2');
    for await (const tags of listTags(client, 'team/app')) {
      expect(tags).toEqual(['1', '2']);
      break;
    }
    await putManifest(client, 'team/app', '3', imageOf('one'));
    expect(await collect(listTags(client, 'team/app'))).toEqual(['1', '2', '3']);
  });

  test('is asked for the catalog with its own scope', async () => {
    const auth = { username: 'anna', password: 'hunter2-S3cr3t' };
    const { client } = await testbedClient({ auth, tokenAuth: true }, { credential: auth });
    await store(client, 'team/app', imageOf('one'), '1');
    expect(await collect(listRepositories(client))).toEqual(['team/app']);
  });
});

describe('what a page holds', () => {
  test.each<[string, string, string[]]>([
    ['null entries (Nexus)', '{"tags":["a",null,"b"]}', ['a', 'b']],
    ['null for no tags (distribution 2.8)', '{"name":"team/app","tags":null}', []],
    ['no field', '{"name":"team/app"}', []],
    ['an empty list', '{"tags":[]}', []],
    ['entries that are no tags', '{"tags":["a","../etc","-x","",7,{},"a b","\\u001b[2J","b"]}', ['a', 'b']],
    ['a tag twice', '{"tags":["a","b","a"]}', ['a', 'b']],
    [
      'digest-like tags (Artifactory)',
      `{"tags":["sha256__${'0'.repeat(64)}"]}`,
      [`sha256__${'0'.repeat(64)}`],
    ],
    [
      'names of every object',
      '{"tags":["constructor","__proto__","toString"]}',
      ['constructor', '__proto__', 'toString'],
    ],
  ])('%s', async (_what, body, expected) => {
    const { tags } = await tagsFrom([{ expect: { path: first }, reply: { body } }]);
    expect(await tags).toEqual(expected);
  });

  test.each([
    ['HTML', '<html>It works!</html>', 'is not JSON'],
    ['nothing', '', 'is not JSON'],
    ['half a document', '{"tags":["a"', 'is not JSON'],
    ['an object for a list', '{"tags":{"a":1}}', "no array 'tags'"],
    ['a text for a list', '{"tags":"a"}', "no array 'tags'"],
    ['null', 'null', 'no JSON object'],
    ['a text', '"tags"', 'no JSON object'],
  ])('%s is a broken protocol', async (_what, body, says) => {
    const error = await errorOf((await tagsFrom([{ expect: { path: first }, reply: { body } }])).tags);
    expect(error.code).toBe('PROTOCOL_VIOLATION');
    expect(error.message).toContain(says);
    expect(error.message).toContain('/team/app');
  });

  test('more than 8 MiB are not read', async () => {
    const body = JSON.stringify({ tags: ['x'.repeat(9 * 1024 * 1024)] });
    const { tags } = await tagsFrom([{ expect: { path: first }, reply: { body } }]);
    expect(await errorOf(tags)).toMatchObject({ code: 'RESPONSE_TOO_LARGE' });
  });

  test('repositories that are none are left out', async () => {
    const body = JSON.stringify({
      repositories: ['team/app', 'Team/App', '../x', null, 'a//b', 'library/alpine'],
    });
    const server = await startServer([{ expect: { path: '/v2/_catalog?n=1000' }, reply: { body } }]);
    const client = await clientOf(server.origin.href);
    expect(await collect(listRepositories(client))).toEqual(['team/app', 'library/alpine']);
  });
});

describe('the next page', () => {
  test.each<[string, (origin: string) => string | string[]]>([
    ['relative to the root', () => next(`${LIST}?n=2&last=b`)],
    ['relative to the page', () => next('list?n=2&last=b')],
    ['a query alone', () => next('?n=2&last=b')],
    ['absolute, here', (origin) => next(`${origin}${LIST}?n=2&last=b`)],
    ['rel without quotes', () => `<${LIST}?n=2&last=b>; rel=next`],
    ['in capitals, with other parameters', () => `<${LIST}?n=2&last=b>; title="x"; REL="Next"`],
    ['among several relations', () => `<${LIST}?n=2&last=b>; rel="last next"`],
    ['after another link', () => `</>; rel="first", <${LIST}?n=2&last=b>; rel="next"`],
    ['in a second header', () => ['</>; rel="first"', next(`${LIST}?n=2&last=b`)]],
  ])('%s', async (_what, link) => {
    const { tags } = await tagsFrom((origin) => [
      page(first, ['a', 'b'], link(origin)),
      page(`${LIST}?n=2&last=b`, ['c']),
    ]);
    expect(await tags).toEqual(['a', 'b', 'c']);
  });

  test.each([
    ['another relation', `<${LIST}?last=b>; rel="prev"`],
    ['no relation', `<${LIST}?last=b>`],
    ['no brackets', `${LIST}?last=b; rel="next"`],
    ['nothing', ''],
  ])('%s: there is none', async (_what, link) => {
    const { tags } = await tagsFrom([page(first, ['a', 'b'], link)]);
    expect(await tags).toEqual(['a', 'b']);
  });

  test.each([
    'http://169.254.169.254/latest/meta-data/',
    'https://evil.example/v2/team/app/tags/list',
    '//evil.example/x',
    'http://127.0.0.1:1/v2/',
    'http://localhost:1/v2/',
    'file:///etc/passwd',
    'javascript:alert(1)',
  ])('%s is refused (CVE-2026-85732)', async (target) => {
    const error = await errorOf((await tagsFrom([page(first, ['a'], next(target))])).tags);
    expect(error.code).toBe('REDIRECT_REFUSED');
  });

  test('that is no URL is a broken protocol', async () => {
    const error = await errorOf((await tagsFrom([page(first, ['a'], next('http://[::1'))])).tags);
    expect(error.code).toBe('PROTOCOL_VIOLATION');
  });

  test('that a redirect led elsewhere may not go on there', async () => {
    const other = await startServer([page('/elsewhere', ['a'], next('/more'))]);
    const { tags } = await tagsFrom([
      {
        expect: { path: first },
        reply: { status: 307, headers: { location: `${other.origin.origin}/elsewhere` } },
      },
    ]);
    expect(await errorOf(tags)).toMatchObject({ code: 'REDIRECT_REFUSED' });
  });

  test('behind a proxy that ends TLS is written with http, and asked for by https', async () => {
    const authority = await makeAuthority();
    const server = await startServer(
      (origin) => [
        page(first, ['a'], next(`${origin.replace('https:', 'http:')}${LIST}?last=a`)),
        page(`${LIST}?last=a`, ['b']),
      ],
      { tls: await authority.issue(['127.0.0.1']) },
    );
    const client = await clientOf(server.origin.href, { tls: { ca: [authority.cert] } });
    expect(await collect(listTags(client, 'team/app'))).toEqual(['a', 'b']);
  });

  test('is taken from any header at all, or refused by a RegopsError; it never leaves the registry', () => {
    const origin = new URL('https://registry.example.com');
    const target = fc.oneof(
      fc.string(),
      fc.webUrl({ withQueryParameters: true }),
      fc.webPath(),
      fc.constant('//x'),
    );
    const link = fc.oneof(
      fc.string(),
      target.map((url) => `<${url}>; rel="next"`),
      fc.tuple(target, fc.string(), fc.string()).map(([url, a, b]) => `${a}<${url}>;rel=next${b}`),
    );
    fc.assert(
      fc.property(fc.oneof(link, fc.array(link, { maxLength: 4 })), (header) => {
        try {
          const url = nextPage({ headers: { link: header }, url: new URL(LIST, origin) }, origin, 'tags');
          if (url) expect(url.origin).toBe(origin.origin);
        } catch (error) {
          expect(isRegopsError(error)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('in a header of 30 KiB of anything takes no time to speak of', () => {
    const origin = new URL('https://registry.example.com');
    for (const part of ['<', '<>', '<a>;', ';rel=', ' ', '<x>; rel="', '; rel =']) {
      const link = part.repeat(30_000 / part.length);
      for (let run = 0; run < 20; run++) nextPage({ headers: { link }, url: origin }, origin, 'tags');
    }
  });
});

describe('a list that does not get on', () => {
  test('ends where it comes round', async () => {
    const { tags } = await tagsFrom([
      page(first, ['a'], next(`${LIST}?last=a`)),
      page(`${LIST}?last=a`, ['b'], next(`${LIST}?last=b`)),
      page(`${LIST}?last=b`, ['c'], next(`${LIST}?last=a`)),
    ]);
    expect(await tags).toEqual(['a', 'b', 'c']);
  });

  test('ends when it leads to itself (GHCR, n=0)', async () => {
    const { tags } = await tagsFrom([
      page(first, ['a', 'b'], next(`${LIST}?last=b&n=0`)),
      page(`${LIST}?last=b&n=0`, [], next(`${LIST}?last=b&n=0`)),
    ]);
    expect(await tags).toEqual(['a', 'b']);
  });

  test('ends, with a warning, when every page is another and brings nothing new', async () => {
    let asked = 0;
    const { tags, server, log } = await tagsFrom([
      page(first, ['a', 'b'], next(`${LIST}?last=0&n=0`)),
      ...Array.from({ length: 100 }, (): Exchange => {
        asked++;
        return page(`${LIST}?last=${asked - 1}&n=0`, ['b', 'a'], next(`${LIST}?last=${asked}&n=0`));
      }),
    ]);
    expect(await tags).toEqual(['a', 'b']);
    expect(server.requests).toHaveLength(101);
    expect(log.warnings).toHaveLength(1);
  });

  test('goes on over empty pages: a list filtered by rights has them', async () => {
    const { tags } = await tagsFrom([
      page(first, [], next(`${LIST}?last=k`)),
      page(`${LIST}?last=k`, [null], next(`${LIST}?last=p`)),
      page(`${LIST}?last=p`, ['q']),
    ]);
    expect(await tags).toEqual(['q']);
  });
});

describe('a list that is refused', () => {
  test('distribution: an n above its maximum (400) is left out', async () => {
    const server = await startServer([
      {
        expect: { path: '/v2/_catalog?n=1000' },
        reply: { status: 400, body: errors('PAGINATION_NUMBER_INVALID') },
      },
      {
        expect: { path: '/v2/_catalog' },
        reply: { headers: { link: next('/v2/_catalog?last=a&n=1') }, body: '{"repositories":["a"]}' },
      },
      { expect: { path: '/v2/_catalog?last=a&n=1' }, reply: { body: '{"repositories":["b"]}' } },
    ]);
    expect(await collect(listRepositories(await clientOf(server.origin.href)))).toEqual(['a', 'b']);
  });

  test('400 without n too is an error', async () => {
    const { tags } = await tagsFrom([
      { expect: { path: first }, reply: { status: 400 } },
      { expect: { path: LIST }, reply: { status: 400, body: errors('NAME_INVALID') } },
    ]);
    expect(await errorOf(tags)).toMatchObject({ code: 'REQUEST_REFUSED' });
  });

  test.each<[number, string, string]>([
    [404, '', 'REPOSITORY_NOT_FOUND'],
    [404, errors('NAME_UNKNOWN'), 'REPOSITORY_NOT_FOUND'],
    [403, '', 'PERMISSION_DENIED'],
    [405, '', 'UNSUPPORTED_BY_SERVER'],
    [429, '<html>', 'RATE_LIMITED'],
    [204, '', 'PROTOCOL_VIOLATION'],
  ])('tags: %i %s', async (status, body, code) => {
    const { tags } = await tagsFrom([{ expect: { path: first }, reply: { status, body } }]);
    expect(await errorOf(tags)).toMatchObject({ code });
  });

  test('a later page that is missing is an error, not an end', async () => {
    const { tags } = await tagsFrom([
      page(first, ['a'], next(`${LIST}?last=a`)),
      { expect: { path: `${LIST}?last=a` }, reply: { status: 500 } },
    ]);
    expect(await errorOf(tags)).toMatchObject({ code: 'SERVER_ERROR' });
  });

  test.each<[number, Reply, string]>([
    [404, { body: '404 page not found' }, 'UNSUPPORTED_BY_SERVER'],
    [404, { body: errors('NAME_UNKNOWN') }, 'UNSUPPORTED_BY_SERVER'],
    [405, {}, 'UNSUPPORTED_BY_SERVER'],
    [400, { body: errors('UNSUPPORTED') }, 'UNSUPPORTED_BY_SERVER'],
    [401, { headers: { 'www-authenticate': 'Basic realm="r"' } }, 'AUTHENTICATION_FAILED'],
    [403, { body: errors('DENIED') }, 'PERMISSION_DENIED'],
  ])('repositories: %i %o', async (status, reply, code) => {
    const server = await startServer([
      { expect: { path: /^\/v2\/_catalog/ }, reply: { ...reply, status }, times: status === 400 ? 2 : 1 },
    ]);
    const error = await errorOf(collect(listRepositories(await clientOf(server.origin.href))));
    expect(error).toMatchObject({ code, details: { status } });
    if (code === 'UNSUPPORTED_BY_SERVER') expect(error.hints.join()).toContain('--repository');
  });
});
