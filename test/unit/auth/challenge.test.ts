import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Challenge, parseChallenges } from '../../../src/auth/index.ts';

/** Challenges in a form that is short to write down. */
function plain(header: string | string[] | undefined): unknown[] {
  return parseChallenges(header).map(({ scheme, parameters, token68 }) => [
    scheme,
    ...(token68 === undefined ? [] : [token68]),
    ...(parameters.size > 0 ? [Object.fromEntries(parameters)] : []),
  ]);
}

describe('parseChallenges', () => {
  test.each<[string, unknown[]]>([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:a/b:pull,push',
          },
        ],
      ],
    ],
    ['Basic realm="x"', [['basic', { realm: 'x' }]]],
    ['BASIC Realm=x', [['basic', { realm: 'x' }]]],
    // RFC 9110 11.6.1's own example
    [
      'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
      [
        ['basic', { realm: 'simple' }],
        ['newauth', { realm: 'apps', type: '1', title: 'Login to "apps"' }],
      ],
    ],
    ['Negotiate, Basic realm="x"', [['negotiate'], ['basic', { realm: 'x' }]]],
    [
      'Negotiate YWJj==, Basic realm="x"',
      [
        ['negotiate', 'YWJj=='],
        ['basic', { realm: 'x' }],
      ],
    ],
    [
      'Digest qop=auth,nonce="a,b=c", Bearer realm=r',
      [
        ['digest', { qop: 'auth', nonce: 'a,b=c' }],
        ['bearer', { realm: 'r' }],
      ],
    ],
    ['Bearer  realm = "x" , service\t=\ty', [['bearer', { realm: 'x', service: 'y' }]]],
    [
      ', ,Basic realm="x",,, Bearer realm="y",',
      [
        ['basic', { realm: 'x' }],
        ['bearer', { realm: 'y' }],
      ],
    ],
    ['Bearer realm=""', [['bearer', { realm: '' }]]],
    // what registries write although they may not
    [
      'Bearer realm=https://auth.example.com/token,service=a b',
      [['bearer', { realm: 'https://auth.example.com/token', service: 'a' }], ['b']],
    ],
    ['Bearer realm="x" service="y"', [['bearer', { realm: 'x', service: 'y' }]]],
    ['Bearer realm="x', [['bearer', { realm: 'x' }]]],
    ['Bearer realm="x\\', [['bearer', { realm: 'x' }]]],
    // the first of a repeated parameter counts
    ['Bearer realm="x",REALM="y"', [['bearer', { realm: 'x' }]]],
    ['realm="x"', []],
    ['"Basic realm=x", Bearer realm=y', [['bearer', { realm: 'y' }]]],
    ['@@@, Basic realm=x', [['basic', { realm: 'x' }]]],
    ['', []],
  ])('%s', (header, expected) => {
    expect(plain(header)).toEqual(expected);
  });

  test('takes several headers in their order, and none', () => {
    expect(plain(['Basic realm=a', 'Bearer realm=b, Basic realm=c'])).toEqual([
      ['basic', { realm: 'a' }],
      ['bearer', { realm: 'b' }],
      ['basic', { realm: 'c' }],
    ]);
    expect(plain(undefined)).toEqual([]);
  });

  test('a parameter named __proto__ is just a parameter', () => {
    const [challenge] = parseChallenges('Bearer __proto__=x, realm=y');
    expect(challenge?.parameters.get('__proto__')).toBe('x');
  });

  test('reads back whatever it is written', () => {
    const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
    const value = fc.string({ maxLength: 20 });
    const challenge = fc.record({
      scheme: token,
      parameters: fc.uniqueArray(fc.tuple(token, value), {
        selector: ([name]) => name.toLowerCase(),
        minLength: 1,
        maxLength: 5,
      }),
    });
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 5 }), (challenges) => {
        const header = challenges
          .map(
            ({ scheme, parameters }) =>
              `${scheme} ${parameters.map(([name, text]) => `${name}="${text.replaceAll(/["\\]/g, '\\$&')}"`).join(', ')}`,
          )
          .join(', ');
        expect(parseChallenges(header)).toEqual(
          challenges.map(
            ({ scheme, parameters }): Challenge => ({
              scheme: scheme.toLowerCase(),
              parameters: new Map(parameters.map(([name, text]) => [name.toLowerCase(), text])),
            }),
          ),
        );
      }),
    );
  });

  test('never throws, and gives no more than 16 challenges', () => {
    const junk = fc.string({
      unit: fc.constantFrom('a', '=', '"', '\\', ',', ' ', '\t', '\0', 'é', 'Bearer ', 'realm='),
      maxLength: 100,
    });
    fc.assert(
      fc.property(junk, (header) => {
        expect(parseChallenges(header).length).toBeLessThanOrEqual(16);
      }),
    );
    expect(parseChallenges('a, '.repeat(10_000))).toHaveLength(16);
  });

  test.each([
    'a'.repeat(3e5),
    '='.repeat(3e5),
    `"${'\\'.repeat(3e5)}`,
    'a="'.repeat(1e5),
    `a ${'b= '.repeat(1e5)}`,
    '@'.repeat(3e5),
  ])('hostile headers take no time (%#)', (header) => {
    expect(parseChallenges(header).length).toBeLessThanOrEqual(16);
  });
});
