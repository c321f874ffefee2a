import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../../src/base/index.ts';
import { type Delivery, planDeliveries } from '../../../../src/jobs/push-tar/destinations.ts';
import type { Destinations } from '../../../../src/jobs/push-tar/options.ts';
import { selectImages } from '../../../../src/jobs/push-tar/select.ts';
import { digestOf, parseReference } from '../../../../src/oci/index.ts';
import { archiveOf } from '../support.ts';

const DOMAIN = 'registry.example.com';

function plan(images: readonly (readonly string[])[], destinations: Destinations): Delivery[] {
  return planDeliveries(selectImages([archiveOf('a.tar', ...images)], []), destinations);
}

function registry(rule: { repository?: string; tags?: readonly string[] } = {}): Destinations {
  return { kind: 'registry', domain: DOMAIN, tags: [], ...rule };
}

function references(...texts: string[]): Destinations {
  return { kind: 'references', references: texts.map(parseReference) };
}

/** `@0 domain/repository: tag, tag`. */
function shown(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(
    ({ selected, domain, repository, tags, digest }) =>
      `@${selected.image.index} ${domain}/${repository}${digest ? `@${digest}` : ''}: ${tags.join(', ')}`,
  );
}

function refused(code: string, ...says: string[]) {
  return expect.toSatisfy((error: unknown) => {
    expect(error).toMatchObject({ code });
    const { message, hints } = error as { message: string; hints: readonly string[] };
    for (const part of says) expect([message, ...hints].join('\n')).toContain(part);
    return true;
  });
}

describe('to a registry', () => {
  test('every stored name keeps its repository and tag; its host is dropped', () => {
    expect(plan([['localhost:5000/team/app:1', 'ghcr.io/team/app:2'], ['alpine:3']], registry())).toEqual([
      expect.objectContaining({ domain: DOMAIN, repository: 'team/app', tags: ['1', '2'] }),
      expect.objectContaining({ domain: DOMAIN, repository: 'alpine', tags: ['3'] }),
    ]);
  });

  test('the same repository and tag from two stored hosts are one', () => {
    expect(shown(plan([['a.example.com/app:1', 'b.example.com/app:1']], registry()))).toEqual([
      `@0 ${DOMAIN}/app: 1`,
    ]);
  });

  test('an image in two repositories becomes two deliveries', () => {
    expect(shown(plan([['team/app:1', 'team/tool:1', 'team/app:2']], registry()))).toEqual([
      `@0 ${DOMAIN}/team/app: 1, 2`,
      `@0 ${DOMAIN}/team/tool: 1`,
    ]);
  });

  test('library/ is kept where it was not docker.io that added it', () => {
    expect(shown(plan([['ghcr.io/library/app:1'], ['docker.io/library/tool:1']], registry()))).toEqual([
      `@0 ${DOMAIN}/library/app: 1`,
      `@1 ${DOMAIN}/tool: 1`,
    ]);
  });

  test('a repository of the user takes the place of the stored ones, tags stay', () => {
    const rule = registry({ repository: 'shop/app' });
    expect(shown(plan([['team/app:1', 'other:2']], rule))).toEqual([`@0 ${DOMAIN}/shop/app: 1, 2`]);
    expect(shown(plan([['1.0', 'stable']], rule))).toEqual([`@0 ${DOMAIN}/shop/app: 1.0, stable`]);
    expect(shown(plan([[]], rule))).toEqual([`@0 ${DOMAIN}/shop/app: latest`]);
  });

  test('tags of the user take the place of the stored ones, repositories stay', () => {
    const rule = registry({ tags: ['v1', 'v1.0'] });
    expect(shown(plan([['team/app:1', 'team/app:2']], rule))).toEqual([`@0 ${DOMAIN}/team/app: v1, v1.0`]);
  });

  test('an image without a repository needs one from the user', () => {
    for (const names of [[], ['latest']]) {
      expect(() => plan([names], registry())).toThrow(
        refused('USAGE', 'image @0 of a.tar has no stored repository name', '--repository', '--to REF'),
      );
    }
  });

  test.each([
    [[['app:1'], ['ghcr.io/app:1']], registry(), 'app:1'],
    [[['one:1'], ['two:1']], registry({ repository: 'app' }), 'app:1'],
    [[['app:1'], ['app:2']], registry({ tags: ['v'] }), 'app:v'],
    [[[], []], registry({ repository: 'app' }), 'app:latest'],
  ])('%o may not become one: %o', (images, destinations, name) => {
    expect(() => plan(images, destinations)).toThrow(
      refused('USAGE', `image @0 of a.tar and image @1 of a.tar would both become ${DOMAIN}/${name}`),
    );
  });
});

describe('to references', () => {
  test('one image goes to each of them, without a tag to latest', () => {
    const to = references('r.example.com/app', 'r.example.com/app:1', 's.example.com/team/app:1');
    expect(shown(plan([['x:1']], to))).toEqual([
      '@0 r.example.com/app: latest, 1',
      '@0 s.example.com/team/app: 1',
    ]);
  });

  test('a reference by digest asks for that digest', () => {
    const digest = digestOf('wanted');
    expect(plan([['x:1']], references(`r.example.com/app@${digest}`))).toEqual([
      expect.objectContaining({ repository: 'app', tags: [], digest }),
    ]);
    expect(plan([['x:1']], references(`r.example.com/app:1@${digest}`))).toEqual([
      expect.objectContaining({ repository: 'app', tags: ['1'], digest }),
    ]);
  });

  test('two images cannot share a reference', () => {
    expect(() => plan([['x:1'], ['y:1']], references('r.example.com/app:1'))).toThrow(
      refused('USAGE', '--to names one image, but 2 are selected', '--image NAME'),
    );
  });
});

describe('whatever the archive holds', () => {
  const name = fc
    .tuple(
      fc.constantFrom('', 'localhost:5000/', 'ghcr.io/', 'docker.io/', '[::1]:5000/'),
      fc.constantFrom('app', 'team/app', 'library/app', 'a/b/c'),
      fc.constantFrom('', ':1', ':latest', ':2.0'),
    )
    .map((parts) => parts.join(''));
  const images = fc.array(fc.array(name, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });
  const rules = fc.record(
    {
      repository: fc.constantFrom('mine', 'my/app'),
      tags: fc.uniqueArray(fc.constantFrom('v1', 'v2'), { minLength: 1 }),
    },
    { requiredKeys: [] },
  );

  test('no two images get one name, no stored host survives, nothing is there twice or missing', () => {
    fc.assert(
      fc.property(images, rules, (stored, rule) => {
        let deliveries: Delivery[];
        try {
          deliveries = plan(stored, registry(rule));
        } catch (error) {
          expect(isRegopsError(error, 'USAGE')).toBe(true);
          expect(stored.length).toBeGreaterThan(1);
          return;
        }
        const names = deliveries.flatMap(({ repository, tags }) => tags.map((tag) => `${repository}:${tag}`));
        expect(new Set(names).size).toBe(names.length);
        const keys = deliveries.map(({ selected, repository }) => `${selected.image.index} ${repository}`);
        expect(new Set(keys).size).toBe(keys.length);
        for (const delivery of deliveries) {
          expect(delivery.domain).toBe(DOMAIN);
          expect(delivery.repository).not.toMatch(/[:[]|ghcr\.io|localhost|docker\.io/);
          expect(delivery.tags.length).toBeGreaterThan(0);
        }
        for (const [at, own] of stored.entries()) {
          const mine = deliveries.filter(({ selected }) => selected.image.index === at);
          expect(mine.length).toBeGreaterThan(0);
          if (rule.repository === undefined && rule.tags === undefined) {
            const expected = own.map((text) => {
              const { domain, repository, tag = 'latest' } = parseReference(text);
              return `${domain === 'docker.io' ? repository.replace(/^library\//, '') : repository}:${tag}`;
            });
            const got = mine.flatMap(({ repository, tags }) => tags.map((tag) => `${repository}:${tag}`));
            expect(new Set(got)).toEqual(new Set(expected));
          }
        }
      }),
    );
  });
});
