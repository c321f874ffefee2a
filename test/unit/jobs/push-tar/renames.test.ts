import { describe, expect, test } from 'vitest';
import { parseRename, Renamer } from '../../../../src/jobs/push-tar/renames.ts';
import { parseReference } from '../../../../src/oci/index.ts';

/** Where a stored name goes with these maps. */
function mapped(name: string, ...maps: string[]): string {
  return new Renamer(maps.map(parseRename)).repositoryOf(parseReference(name));
}

describe('--map', () => {
  test.each([
    ['team/old=team/new', 'r.example.com/team/old/app:1', 'team/new/app'],
    ['team/old=team/new', 'r.example.com/team/old:1', 'team/new'],
    ['team/old=team/new', 'r.example.com/team/older/app:1', 'team/older/app'],
    ['/team/=shop/', 'r.example.com/team/app', 'shop/app'],
    ['r.example.com=mirror', 'r.example.com/team/app', 'mirror/team/app'],
    ['r.example.com/team=mirror', 'r.example.com/team/app', 'mirror/app'],
    ['localhost:5000/team=shop', 'localhost:5000/team/app', 'shop/app'],
    ['localhost:5000=', 'localhost:5000/team/app', 'team/app'],
    ['localhost=shop', 'localhost:5000/team/app', 'team/app'],
    ['team=', 'r.example.com/team/app', 'app'],
    ['=mirror', 'alpine:3', 'mirror/alpine'],
    ['=mirror', 'r.example.com/team/app', 'mirror/team/app'],
    ['docker.io/library=mirror', 'alpine:3', 'mirror/alpine'],
    ['library=mirror', 'alpine:3', 'mirror/alpine'],
    ['alpine=base/alpine', 'docker.io/library/alpine:3', 'base/alpine'],
    ['docker.io=hub', 'grafana/grafana', 'hub/grafana/grafana'],
  ])('%s makes of %s %s', (map, name, repository) => {
    expect(mapped(name, map)).toBe(repository);
  });

  test('of several the longest beginning counts, in whatever order', () => {
    const maps = ['team=a', 'team/app=b', '=c'];
    for (const order of [maps, maps.toReversed()]) {
      expect(mapped('r.example.com/team/app/web', ...order)).toBe('b/web');
      expect(mapped('r.example.com/team/tool', ...order)).toBe('a/tool');
      expect(mapped('r.example.com/other', ...order)).toBe('c/other');
    }
  });

  test('one that meets no name is a slip of the pen', () => {
    const renamer = new Renamer([parseRename('taem=shop')]);
    renamer.repositoryOf(parseReference('r.example.com/team/app'));
    expect(() => renamer.refuseUnused(['r.example.com/team/app:1'])).toThrow(
      'no stored name begins like that',
    );
  });

  test('that leaves nothing of a name is refused', () => {
    expect(() => mapped('r.example.com/team/app', 'team/app=')).toThrow('leaves nothing');
  });

  test.each(['team', '=', 'a=b=c', 'a=B', 'a=b//c', 'a=b:1', ''])('%j is no map', (text) => {
    expect(() => parseRename(text)).toThrow();
  });
});
