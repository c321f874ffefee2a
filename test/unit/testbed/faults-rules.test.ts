import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import { parseDelay } from '../../../src/testbed/faults/amounts.ts';
import { EFFECT_KEYS, KINDS, MATCH_KEYS, METHODS } from '../../../src/testbed/faults/model.ts';
import { parsePattern } from '../../../src/testbed/faults/patterns.ts';
import { parseFaults } from '../../../src/testbed/index.ts';
import { call, openTestbed } from '../../support/testbed-client.ts';

/** Which of the requests for `/v2/` fail. */
async function pattern(spec: string, count: number, faultSeed = 0): Promise<string> {
  const testbed = await openTestbed({ faultSeed, faults: parseFaults(spec) });
  let failed = '';
  for (let at = 0; at < count; at++) {
    failed += (await call(testbed, 'GET', '/v2/')).status === 500 ? 'x' : '.';
  }
  return failed;
}

describe('which requests a fault hits', () => {
  it.each([
    ['status=500', 'xxxxxx'],
    ['nth=2,5 status=500', '.x..x.'],
    ['every=3 status=500', '..x..x'],
    ['first=2 status=500', 'xx....'],
    ['every=2 first=4 status=500', '.x.x..'],
    ['probability=0 status=500', '......'],
    ['probability=1 status=500', 'xxxxxx'],
    ['POST status=500', '......'],
    ['GET,POST base status=500', 'xxxxxx'],
    ['catalog status=500', '......'],
    ['/v2/ status=500', 'xxxxxx'],
    ['/v2/* repository=app status=500', '......'],
    ['~^/v2/$ status=500', 'xxxxxx'],
  ])('%s', async (spec, expected) => {
    expect(await pattern(spec, 6)).toBe(expected);
  });

  it('by chance: the same for a seed, whatever else goes wrong', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 32 - 1 }), async (seed) => {
        const spec = 'status=500 probability=0.5 name=coin';
        const once = await pattern(spec, 24, seed);
        expect(await pattern(`delay=0ms..1ms probability=0.5 name=other; ${spec}`, 24, seed)).toBe(once);
        expect(await pattern(spec, 24, seed + 1)).not.toBe(once);
      }),
      { numRuns: 4 },
    );
  });

  it('by chance: about as often as asked', async () => {
    const failed = await pattern('status=500 probability=0.25', 200, 42);
    const share = failed.replaceAll('.', '').length / 200;
    expect(share).toBeGreaterThan(0.15);
    expect(share).toBeLessThan(0.35);
  });

  it('in its time', async () => {
    let now = 0;
    const testbed = await openTestbed({
      clock: { now: () => now, sleep: async () => {} },
      faults: parseFaults('status=500 after=10s for=5s'),
    });
    const statuses: number[] = [];
    for (now of [0, 9999, 10_000, 14_999, 15_000]) statuses.push((await call(testbed, 'GET', '/v2/')).status);
    expect(statuses).toEqual([200, 200, 500, 500, 200]);
  });

  it('by repository, reference and kind', async () => {
    const testbed = await openTestbed({
      faults: parseFaults(`manifests repository=team/* reference=v? status=418
        blobs status=419 # also uploads`),
    });
    const status = async (method: string, path: string) => (await call(testbed, method, path)).status;
    expect(await status('GET', '/v2/team/app/manifests/v1')).toBe(418);
    expect(await status('GET', '/v2/team/app/deep/manifests/v1')).toBe(404);
    expect(await status('GET', '/v2/team/app/manifests/v10')).toBe(404);
    expect(await status('GET', '/v2/team/app/tags/list')).toBe(404);
    expect(await status('POST', '/v2/app/blobs/uploads/')).toBe(419);
    expect(await status('PUT', '/v2/app/blobs/uploads/x?digest=y')).toBe(419);
    expect(await status('GET', '/v2/app/blobs/uploads/x')).toBe(404);
    expect(await status('GET', '/nowhere')).toBe(404);
  });
});

describe('adding and removing', () => {
  it('takes all or nothing, and no two of a name', async () => {
    const testbed = await openTestbed();
    expect(testbed.faults.add('status=500 name=a; status=501')).toEqual(['a', 'fault-2']);
    expect(() => testbed.faults.add('status=502; status=503 name=a')).toThrow('two faults are called a');
    expect(() => testbed.faults.add({ effect: {} })).toThrow(/nothing/);
    expect(testbed.faults.counts()).toHaveLength(2);
    expect([testbed.faults.remove('a'), testbed.faults.remove('a')]).toEqual([true, false]);
    expect((await call(testbed, 'GET', '/v2/')).status).toBe(501);
    testbed.faults.clear();
    expect((await call(testbed, 'GET', '/v2/')).status).toBe(200);
  });

  it('a bad fault keeps the testbed from starting', async () => {
    await expect(
      openTestbed({ faults: [{ match: { kind: 'catalog' }, effect: { missing: true } }] }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('effect.missing'),
    });
  });
});

describe('parseFaults', () => {
  it('reads the short form', () => {
    expect(
      parseFaults(
        'GET manifests status=500 probability=0.1; PUT blobs nth=3 reset=mid; /api/registry/health degraded',
      ),
    ).toEqual([
      { match: { method: ['GET'], kind: ['manifests'], probability: 0.1 }, effect: { status: 500 } },
      { match: { method: ['PUT'], kind: ['blobs'], nth: [3] }, effect: { reset: 'mid' } },
      { match: { path: '/api/registry/health' }, effect: { health: 'degraded' } },
    ]);
    expect(parseFaults('status=500 body="a; \\"b\\" # c" # comment\n\n* retry-after=1')).toEqual([
      { match: {}, effect: { status: 500, body: 'a; "b" # c' } },
      { match: {}, effect: { retryAfter: 1 } },
    ]);
    expect(parseFaults('')).toEqual([]);
  });

  it('reads JSON, and what it gives is JSON again', () => {
    const faults = [{ name: 'x', match: { kind: 'tags' as const }, effect: { stale: '5s' } }];
    expect(parseFaults(JSON.stringify({ faults }))).toEqual(faults);
    const short = parseFaults('GET tags forget; delay=p50=1ms,p99=2ms; missing share=0.5');
    expect(parseFaults(JSON.stringify(short))).toEqual(short);
  });

  it.each([
    ['GET status=999', 'faults[0] (GET status=999): effect.status'],
    ['status=500; nonsense', "faults[1] (nonsense): unknown word 'nonsense'"],
    ['nth=x status=500', 'match.nth'],
    ['GET', 'says nothing that should go wrong'],
    ['stall', 'effect.stall: needs a match with "for"'],
    ['handled missing', 'effect.handled'],
    ['delay=p50=1s,p20=2s', 'effect.delay'],
    ['delay=1h..1m', 'effect.delay'],
    ['delay=100d', 'effect.delay'],
    ['drift=everything+1', 'effect.drift'],
    ['~( missing', 'match.path'],
    ['status=500 status=501', 'status is given twice'],
    ['body="x', 'a quote is not closed'],
    ['[{"effect": {"status": "500"}}]', 'faults[0]: effect.status'],
    ['[{"efect": {}}]', 'faults[0]'],
    ['{"faults": {}}', 'not a list'],
    ['{', 'invalid faults'],
  ])('%s is refused, with its place', (text, message) => {
    expect(() => parseFaults(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
    );
  });

  it('never throws anything else', () => {
    const word = fc.oneof(
      fc.constantFrom<string>(
        ...METHODS,
        ...KINDS,
        ...MATCH_KEYS,
        ...EFFECT_KEYS,
        ';',
        '"',
        '#',
        '\\',
        '__proto__=1',
        '/v2/**',
        '~a',
      ),
      fc
        .tuple(
          fc.constantFrom(...MATCH_KEYS, ...EFFECT_KEYS, 'retry-after', 'name'),
          fc.oneof(fc.string(), fc.constantFrom('1', '0.5', '5s', '50%', 'mid', 'p50=1s', 'tags+1')),
        )
        .map(([key, value]) => `${key}=${value}`),
      fc.string(),
    );
    const spec = fc.oneof(
      fc.array(word).map((words) => words.join(' ')),
      fc.json(),
      fc.string(),
    );
    fc.assert(
      fc.property(spec, (text) => {
        try {
          for (const { effect } of parseFaults(text)) expect(Object.keys(effect)).not.toHaveLength(0);
        } catch (error) {
          expect(isRegopsError(error, 'CONFIG_INVALID')).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('amounts and patterns', () => {
  it('a distribution has the percentiles it names', () => {
    const delay = parseDelay('p50=100ms,p90=500ms,p99=2s');
    expect([0, 0.5, 0.7, 0.9, 0.99, 0.999].map(delay)).toEqual(
      [0, 100, 300, 500, 2000, 2000].map((ms) => expect.closeTo(ms, 6)),
    );
    const even = parseDelay('50ms..150ms');
    expect([even(0), even(0.5), even(0.999)]).toEqual([50, 100, expect.closeTo(149.9)]);
    expect(parseDelay('p0=10ms,p100=20ms')(0.5)).toBe(15);
  });

  it('a wildcard stops at a slash, two do not, and the rest is itself', () => {
    expect(['a/b', 'a/bc', 'a/b/c'].map(parsePattern('a/*'))).toEqual([true, true, false]);
    expect(['/v2/x/y/manifests/1', '/v2/manifests'].map(parsePattern('/v2/**/manifests/*'))).toEqual([
      true,
      false,
    ]);
    expect(['v1', 'v10', 'v/'].map(parsePattern('v?'))).toEqual([true, false, false]);
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }).filter((text) => !/^~|[*?]/.test(text)),
        (text) => {
          expect(parsePattern(text)(text)).toBe(true);
          expect(parsePattern(text)(`${text}x`)).toBe(false);
        },
      ),
    );
  });
});
