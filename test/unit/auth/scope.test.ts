import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatScopes, mergeScopes, parseScopes } from '../../../src/auth/index.ts';
import { covers, firstResource, repositoryOf, scopeKey } from '../../../src/auth/scope.ts';

describe('scopes', () => {
  test.each<[string[], string[]]>([
    [[], []],
    [['  '], []],
    [['repository:a/b:pull'], ['repository:a/b:pull']],
    [['repository:a:push,pull'], ['repository:a:pull,push']],
    [['repository:a:pull', 'repository:a:push'], ['repository:a:pull,push']],
    [['repository:a:pull repository:b:pull'], ['repository:a:pull', 'repository:b:pull']],
    [['repository:a:pull,*,push'], ['repository:a:*']],
    [['repository:a:pull,,pull'], ['repository:a:pull']],
    [['registry:catalog:*'], ['registry:catalog:*']],
    [['repository:host:5000/a:pull'], ['repository:host:5000/a:pull']],
    [['repository(plugin):a:pull'], ['repository(plugin):a:pull']],
    [
      ['openid', 'offline_access', 'openid'],
      ['openid', 'offline_access'],
    ],
    [['repository:a'], ['repository:a']],
  ])('%j is %j', (texts, expected) => {
    expect(formatScopes(parseScopes(texts))).toEqual(expected);
  });

  test('the first stays first: some registries read no further', () => {
    const merged = mergeScopes(
      parseScopes(['repository:z:pull,push']),
      parseScopes(['repository:a:pull', 'repository:z:pull']),
    );
    expect(formatScopes(merged)).toEqual(['repository:z:pull,push', 'repository:a:pull']);
    expect(formatScopes(firstResource(merged))).toEqual(['repository:z:pull,push']);
  });

  test('covers', () => {
    const owned = parseScopes(['repository:a:pull,push', 'repository:b:*', 'openid']);
    const wants = (...texts: string[]): boolean => covers(owned, parseScopes(texts));
    expect(wants()).toBe(true);
    expect(wants('repository:a:pull')).toBe(true);
    expect(wants('repository:a:push,pull', 'repository:b:delete', 'openid')).toBe(true);
    expect(wants('repository:a:delete')).toBe(false);
    expect(wants('repository:a:*')).toBe(false);
    expect(wants('repository:c:pull')).toBe(false);
    expect(wants('repository:a/b:pull')).toBe(false);
    expect(wants('profile')).toBe(false);
  });

  test('repositoryOf is the first repository', () => {
    expect(
      repositoryOf(parseScopes(['registry:catalog:*', 'repository:team/app:pull', 'repository:b:pull'])),
    ).toBe('team/app');
    expect(repositoryOf(parseScopes(['registry:catalog:*']))).toBeUndefined();
  });

  const scope = fc
    .tuple(
      fc.constantFrom('a', 'b', 'team/app'),
      fc.subarray(['pull', 'push', 'delete', '*'], { minLength: 1 }),
    )
    .map(([name, actions]) => `repository:${name}:${actions.join(',')}`);
  const scopes = fc.array(scope, { maxLength: 6 });

  test('merging is a union: order does not matter to the key, and each part is covered', () => {
    fc.assert(
      fc.property(scopes, scopes, (one, two) => {
        const [a, b] = [parseScopes(one), parseScopes(two)];
        const merged = mergeScopes(a, b);
        expect(scopeKey(merged)).toBe(scopeKey(mergeScopes(b, a)));
        expect(scopeKey(mergeScopes(merged, a))).toBe(scopeKey(merged));
        expect(covers(merged, a) && covers(merged, b)).toBe(true);
        expect(scopeKey(parseScopes(formatScopes(merged)))).toBe(scopeKey(merged));
      }),
    );
  });
});
