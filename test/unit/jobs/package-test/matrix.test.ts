import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../../src/base/index.ts';
import {
  expandBlocks,
  MOST_TESTS,
  parseCsv,
  parseMatrix,
} from '../../../../src/jobs/package-test/matrix/index.ts';

const OPTIONS = { unchecked: false, fromFile: true };
const debian = { name: 'debian', version: '12' };

/** What was thrown, as `CODE: message`. */
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isRegopsError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('parseCsv', () => {
  test('reads names from the first line, whatever the quotes and line ends', () => {
    const text = '\uFEFFPackage,Version,Repository\r\ncurl,7.88,"a ""b"", c"\n\n# a remark\njq,,"two\nlines"';
    expect(parseCsv(text)).toEqual([
      { package: 'curl', version: '7.88', repository: 'a "b", c' },
      { package: 'jq', repository: 'two\nlines' },
    ]);
  });

  test.each([
    ['', 'INPUT_INVALID: CSV, line 1: it is empty'],
    ['a,b\n1,2,3\n', 'INPUT_INVALID: CSV, line 2: it has more fields than the first line has names'],
    ['a\n\n"x', 'INPUT_INVALID: CSV, line 3: a quote is in the wrong place or not closed'],
    ['a\nx"y\n', 'INPUT_INVALID: CSV, line 2: a quote is in the wrong place or not closed'],
    ['a\n"x\ny"\n1,2', 'INPUT_INVALID: CSV, line 4: it has more fields than the first line has names'],
  ])('refuses %j', (text, message) => {
    expect(refusal(() => parseCsv(text))).toBe(message);
  });

  test('gives back any fields that were written with quotes', () => {
    const field = fc.string({ minLength: 1 }).filter((text) => text.trim() === text && text !== '');
    fc.assert(
      fc.property(fc.array(fc.tuple(field, field), { minLength: 1 }), (rows) => {
        const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const text = ['a,b', ...rows.map((row) => row.map(quoted).join(','))].join('\r\n');
        expect(parseCsv(text)).toEqual(rows.map(([a, b]) => ({ a, b })));
      }),
    );
  });
});

describe('parseMatrix', () => {
  test('takes variables for tests as names and values, as a list, and from a field of CSV', () => {
    const testEnvironment = { A: '1', B: 'true', C: 'x=y;z' };
    expect(parseMatrix({ testEnvironment: { A: 1, B: true, C: 'x=y;z' }, callback: '/done' })).toEqual([
      { testEnvironment, callback: '/done' },
    ]);
    expect(parseMatrix({ 'test-env': ['A=1', 'B=x=y'] })).toEqual([
      { testEnvironment: { A: '1', B: 'x=y' } },
    ]);
    expect(
      parseMatrix(parseCsv('package,test-env,callback\ncurl,A=1; B=2,https://bs.example.com/done')),
    ).toEqual([
      {
        packages: [{ name: 'curl' }],
        testEnvironment: { A: '1', B: '2' },
        callback: 'https://bs.example.com/done',
      },
    ]);
    for (const bad of [{ 'A B': '1' }, { A: 1.5 }, { A: null }, { A: ['x'] }, 'A', ['=1']]) {
      expect(refusal(() => parseMatrix({ testEnvironment: bad }))).toContain(
        'INPUT_INVALID: matrix: testEnvironment',
      );
    }
  });

  test('takes one block, a list, and a list under tests; lists and single values; flags’ names', () => {
    const block = { packages: ['curl', 'jq=1.6'], dist: 'debian:12; ubuntu:22.04', arch: ['amd64'] };
    const read = {
      packages: [{ name: 'curl' }, { name: 'jq', version: '1.6' }],
      distributions: [debian, { name: 'ubuntu', version: '22.04' }],
      architectures: ['amd64'],
    };
    expect(parseMatrix(block)).toEqual([read]);
    expect(parseMatrix([block, block])).toEqual([read, read]);
    expect(parseMatrix({ tests: [block] })).toEqual([read]);
  });

  test('takes repositories as text, and as ALTS writes them', () => {
    const repositories = [
      'mine=https://packages.example.com/el9/',
      { name: 'other', url: 'https://packages.example.com/o/' },
      { baseurl: 'https://packages.example.com/b/' },
    ];
    expect(parseMatrix({ repositories })).toEqual([
      {
        repositories: [
          { name: 'mine', url: 'https://packages.example.com/el9/' },
          { name: 'other', url: 'https://packages.example.com/o/' },
          { url: 'https://packages.example.com/b/' },
        ],
      },
    ]);
  });

  test('takes a version beside its one package, as in a table', () => {
    expect(parseMatrix([{ package: 'curl', version: '7.88', module: 'a:b:c', channel: 'beta' }])).toEqual([
      {
        packages: [{ name: 'curl', version: '7.88' }],
        module: { name: 'a', stream: 'b', version: 'c' },
        channel: 'beta',
      },
    ]);
  });

  test.each([
    [[], 'matrix: it holds no tests'],
    ['text', 'matrix: it is no set of fields'],
    [[{}, 1], 'matrix: block 2: it is no set of fields'],
    [{ pakages: [] }, "matrix: there is no field 'pakages'"],
    [{ dist: 'debian:12', dists: ['debian:11'] }, 'matrix: dist and dists are the same'],
    [{ dists: [22.1] }, 'matrix: dists: a text is wanted: write it in quotes'],
    [{ packages: [true] }, 'matrix: packages: a text is wanted'],
    [{ packages: ['a b'] }, "matrix: packages: invalid package 'a b'"],
    [{ runner: ['any', 'docker'] }, 'matrix: runner: one value is wanted'],
    [{ version: '1' }, 'matrix: version: it belongs to one package without a version'],
    [{ package: 'a=1', version: '1' }, 'matrix: version: it belongs to one package without a version'],
    [
      { repositories: [{ url: 'https://a.example/', key: 1 }] },
      'matrix: repositories: a repository has a url (or baseurl), and may have a name',
    ],
    [{ '\u001b[31m': 1 }, "matrix: there is no field '\\x1b[31m'"],
  ])('refuses %j', (document, message) => {
    expect(refusal(() => parseMatrix(document))).toBe(`INPUT_INVALID: ${message}`);
  });

  test('never throws anything else, and no user info', () => {
    fc.assert(
      fc.property(fc.anything(), (document) => {
        try {
          parseMatrix(document);
        } catch (error) {
          expect(isRegopsError(error, 'INPUT_INVALID')).toBe(true);
        }
      }),
    );
    const repositories = ['mine=nonsense://user:hidden-word@packages.example.com/'];
    expect(refusal(() => parseMatrix({ repositories }))).not.toContain('hidden-word');
  });
});

describe('expandBlocks', () => {
  const block = { packages: [{ name: 'curl' }], distributions: [debian], architectures: ['amd64'] };

  test('multiplies packages, distributions and architectures, and gives each test once', () => {
    const blocks = parseMatrix([
      { packages: 'a;b', dist: 'debian:12;ubuntu:22.04', arch: 'amd64;arm64' },
      { packages: 'b', dist: 'ubuntu:22.04', arch: 'arm64;amd64' },
    ]);
    const requests = expandBlocks(blocks, { runner: 'docker' }, OPTIONS);
    expect(
      requests.map(
        ({ package: one, distribution, architecture }) => `${one.name} ${distribution.name} ${architecture}`,
      ),
    ).toEqual(
      ['a', 'b'].flatMap((name) =>
        ['debian', 'ubuntu'].flatMap((dist) => ['amd64', 'arm64'].map((arch) => `${name} ${dist} ${arch}`)),
      ),
    );
    expect(requests.every(({ runner }) => runner === 'docker')).toBe(true);
  });

  test('takes from the command line what a block leaves out', () => {
    const [request] = expandBlocks(parseMatrix({ dist: 'debian:11' }), block, OPTIONS);
    expect(request).toMatchObject({
      package: { name: 'curl' },
      distribution: { name: 'debian', version: '11' },
      architecture: 'amd64',
    });
  });

  test.each([
    ['packages twice', [block], { packages: [{ name: 'x' }] }, 'USAGE: packages are named on the'],
    ['nothing', [{}], {}, 'INPUT_INVALID: a test needs a package and a distribution'],
    ['a second block', [block, { ...block, architectures: [] }], {}, 'INPUT_INVALID: block 2: a test needs'],
    [
      'an unknown word',
      [{ ...block, architectures: ['vax'] }],
      {},
      'INPUT_INVALID: ALTS knows no architecture',
    ],
    [
      'an apt line for rpm',
      parseMatrix({
        package: 'a',
        dist: 'fedora:39',
        arch: 'x86_64',
        repository: 'deb http://a.example b c',
      }),
      {},
      'INPUT_INVALID: invalid repository',
    ],
    [
      'too many',
      [{ ...block, packages: Array.from({ length: MOST_TESTS + 1 }, (_, at) => ({ name: `p${at}` })) }],
      {},
      `INPUT_INVALID: more than ${MOST_TESTS} tests`,
    ],
  ])('refuses %s', (_, blocks, defaults, message) => {
    expect(refusal(() => expandBlocks(blocks, defaults, OPTIONS))).toContain(message);
  });

  test('what came from flags alone is bad usage', () => {
    const options = { unchecked: false, fromFile: false };
    expect(refusal(() => expandBlocks([{}], { ...block, runner: 'x' }, options))).toMatch(/^USAGE: /);
    expect(expandBlocks([{}], { ...block, runner: 'x' }, { ...options, unchecked: true })).toHaveLength(1);
  });
});
