import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import { formatSynthetic, parseSynthetic } from '../../../src/testbed/index.ts';

const KiB = 1024;
const DEFAULT_SIZES = [
  { bytes: 50 * KiB, weight: 3 },
  { bytes: 5 * KiB * KiB, weight: 1 },
];

describe('a specification of synthetic images', () => {
  it.each([
    [
      'images=100000,layers=5,sizes=50KiB:3,5MiB:1,seed=7',
      { images: 100_000, layers: 5, sizes: DEFAULT_SIZES, seed: 7, batches: 10, repositories: 100_000 },
    ],
    ['images=10', { images: 10, layers: 5, sizes: DEFAULT_SIZES, seed: 0, batches: 10, repositories: 10 }],
    ['images=3', { batches: 3, repositories: 3, index: false }],
    ['images=9,repositories=2', { batches: 2, repositories: 2 }],
    [
      ' sizes=4096 , 1MiB:2, 8KiB:9 ,images=4',
      {
        images: 4,
        sizes: [
          { bytes: 4096, weight: 1 },
          { bytes: KiB * KiB, weight: 2 },
          { bytes: 8192, weight: 9 },
        ],
      },
    ],
    ['images=4,index', { index: true }],
    ['index=true,images=4', { index: true }],
    ['images=4,index=false', { index: false }],
    ['images=1,sizes=1', { sizes: [{ bytes: 2048, weight: 1 }] }],
    ['images=1,sizes=5000', { sizes: [{ bytes: 5120, weight: 1 }] }],
  ])('%s', (text, expected) => {
    expect(parseSynthetic(text)).toMatchObject(expected);
  });

  it.each([
    ['', "'' is none of its words"],
    ['images', 'images has no value'],
    ['images=', 'images must be a whole number'],
    ['images=0', 'images must be from 1 to 10000000'],
    ['images=-1', 'images must be a whole number'],
    ['images=1e3', 'images must be a whole number'],
    ['images=99999999999', 'images must be from 1'],
    ['images=1,images=2', 'images is there twice'],
    ['pictures=1', "'pictures=1' is none of its words"],
    ['images=1,5MiB:1', "'5MiB:1' is none of its words"],
    ['images=1,,layers=1', "'' is none of its words"],
    ['layers=0', 'layers must be from 1 to 128'],
    ['layers=129', 'layers must be from 1 to 128'],
    ['sizes=', "'' is not SIZE:WEIGHT"],
    ['sizes=5MiB:x', "'5MiB:x' is not SIZE:WEIGHT"],
    ['sizes=5MiB:0', 'the weight of a size must be from 1'],
    ['sizes=0', 'a size in bytes must be from 1'],
    ['sizes=2GiB', 'a size in bytes must be from 1 to 1073741824'],
    ['sizes=big', "invalid size 'big'"],
    [`sizes=${Array(17).fill('1KiB').join(',')}`, 'the number of sizes must be from 1 to 16'],
    ['seed=4294967296', 'seed must be from 0'],
    ['images=10,batches=11', 'batches must be from 1 to 10'],
    ['images=10,repositories=11', 'repositories must be from 1 to 10'],
    ['images=10,repositories=2,batches=3', 'batches must be from 1 to 2'],
    ['images=20000,batches=10000', 'batches must be from 1 to 9999'],
    ['index=maybe', 'index is true or false'],
    ['images=10000000,layers=10', 'more than 100000000 blobs'],
    ['x'.repeat(1001), 'longer than 1000 characters'],
  ])('refuses %j', (text, message) => {
    const refused = (): unknown => parseSynthetic(text);
    expect(refused).toThrow(message);
    try {
      refused();
    } catch (error) {
      expect(isRegopsError(error, 'USAGE')).toBe(true);
      expect((error as Error).message.length).toBeLessThan(300);
    }
  });

  it('is read back as it was written', () => {
    const specs = fc
      .record({
        images: fc.integer({ min: 1, max: 100_000 }),
        layers: fc.integer({ min: 1, max: 128 }),
        sizes: fc.array(
          fc.record({
            bytes: fc.integer({ min: 4, max: 2 ** 21 }).map((blocks) => blocks * 512),
            weight: fc.integer({ min: 1, max: 1000 }),
          }),
          { minLength: 1, maxLength: 16 },
        ),
        seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        index: fc.boolean(),
      })
      .chain((spec) =>
        fc.record({ ...constants(spec), repositories: fc.integer({ min: 1, max: spec.images }) }),
      )
      .chain((spec) =>
        fc.record({
          ...constants(spec),
          batches: fc.integer({ min: 1, max: Math.min(9999, spec.repositories) }),
        }),
      );
    fc.assert(
      fc.property(specs, (spec) => {
        expect(parseSynthetic(formatSynthetic(spec))).toEqual(spec);
      }),
    );
  });
});

function constants<T extends object>(value: T): { [K in keyof T]: fc.Arbitrary<T[K]> } {
  const entries = Object.entries(value).map(([key, one]) => [key, fc.constant(one)]);
  return Object.fromEntries(entries) as { [K in keyof T]: fc.Arbitrary<T[K]> };
}
