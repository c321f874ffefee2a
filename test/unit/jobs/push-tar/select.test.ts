import { describe, expect, test } from 'vitest';
import { selectImages, storedNames } from '../../../../src/jobs/push-tar/select.ts';
import { archiveOf } from '../support.ts';

const only = (names: readonly string[]) => storedNames(archiveOf('a.tar', names).images[0] as never);
const references = (names: readonly string[]): string[] =>
  only(names).map((name) => {
    if (name.kind === 'tag') return `tag ${name.tag}`;
    const { domain, repository, tag } = name.reference;
    return `${domain}/${repository}:${tag}`;
  });

describe('stored names', () => {
  test.each([
    [['alpine:3'], ['docker.io/library/alpine:3']],
    [['localhost:5000/team/app:1'], ['localhost:5000/team/app:1']],
    [['alpine:3', 'docker.io/library/alpine:3'], ['docker.io/library/alpine:3']],
    [['registry.example.com/team/app'], ['registry.example.com/team/app:latest']],
    [['latest'], ['tag latest']],
    [
      ['latest', '1.0'],
      ['tag latest', 'tag 1.0'],
    ],
    [[], []],
  ])('%o mean %o', (names, expected) => {
    expect(references(names)).toEqual(expected);
  });

  test('a bare tag beside a full name says nothing new', () => {
    expect(references(['1.0', 'team/app:1.0'])).toEqual(['docker.io/team/app:1.0']);
  });

  test('what no registry would take is left out', () => {
    expect(references(['Team/App:1', 'team/app:', '-bad', 'https://x/y:1', 'team/app:1'])).toEqual([
      'docker.io/team/app:1',
    ]);
  });
});

describe('selection', () => {
  const archive = archiveOf('a.tar', ['app:1', 'app:latest'], ['registry.example.com/tool:2'], []);
  const indexes = (...wanted: string[]): number[] =>
    selectImages([archive], wanted).map(({ image }) => image.index);

  test('nothing asked is everything, in order', () => {
    expect(indexes()).toEqual([0, 1, 2]);
  });

  test('by stored name, by what it means, by place', () => {
    expect(indexes('app:1')).toEqual([0]);
    expect(indexes('docker.io/library/app:latest')).toEqual([0]);
    expect(indexes('registry.example.com/tool:2')).toEqual([1]);
    expect(indexes('@2')).toEqual([2]);
  });

  test('keeps the order of the archive, and an image asked for twice is one', () => {
    expect(indexes('@2', 'app:latest', 'app:1')).toEqual([0, 2]);
  });

  test('a name without a tag means latest', () => {
    expect(indexes('app')).toEqual([0]);
    expect(() => indexes('registry.example.com/tool')).toThrow(
      expect.objectContaining({ code: 'IMAGE_NOT_FOUND' }),
    );
  });

  test.each(['@3', '@-1', '@', '@00', 'app:2', 'tool:2', 'not a name', ''])('%o is not there', (wanted) => {
    expect(() => indexes(wanted)).toThrow(
      expect.objectContaining({
        code: 'IMAGE_NOT_FOUND',
        message: `no image '${wanted}' in the archive`,
        hints: ['It holds: @0 app:1, app:latest; @1 registry.example.com/tool:2; @2 (no name).'],
      }),
    );
  });

  test('says of a large archive only the beginning', () => {
    const many = archiveOf('many.tar', ...Array.from({ length: 40 }, (_, at) => [`app:${at}`]));
    expect(() => selectImages([many], ['none:1'])).toThrow(
      expect.objectContaining({ hints: [expect.stringMatching(/@9 app:9; and 30 more\.$/)] }),
    );
  });

  test('reaches into every archive', () => {
    const other = archiveOf('b.tar', ['app:1']);
    expect(selectImages([archive, other], ['app:1']).map((one) => one.archive.path)).toEqual([
      'a.tar',
      'b.tar',
    ]);
  });
});
