import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../../src/base/index.ts';
import { parseBlobSizes, parseStages, parseWeights } from '../../../../src/jobs/torture/stress/index.ts';
import { BlobSource } from '../../../../src/jobs/torture/workloads/blobs.ts';
import { imagePlace, Ledger } from '../../../../src/jobs/torture/workloads/ledger.ts';
import { digestOf } from '../../../../src/oci/index.ts';

describe('what users write', () => {
  test('stages', () => {
    expect(parseStages('10/s:30s, ..100/s:1m,30/m:5')).toEqual([
      { ratePerSecond: 10, durationMs: 30_000 },
      { ratePerSecond: 100, durationMs: 60_000, ramp: true },
      { ratePerSecond: 0.5, durationMs: 5000 },
    ]);
  });

  test('blob sizes', () => {
    expect(parseBlobSizes('64KiB:8,1MiB:2,5MB')).toEqual([
      { bytes: 65_536, weight: 8 },
      { bytes: 1_048_576, weight: 2 },
      { bytes: 5_000_000, weight: 1 },
    ]);
  });

  test('weights', () => {
    expect(parseWeights('pull:3,push:1')).toEqual({ pull: 3, push: 1, delete: 0 });
    expect(parseWeights('delete:0.5')).toEqual({ pull: 0, push: 0, delete: 0.5 });
  });

  test.each([
    ['stages', () => parseStages('10/s')],
    ['stages', () => parseStages('')],
    ['stages', () => parseStages('10/s:30s,')],
    ['stages', () => parseStages('fast:30s')],
    ['sizes', () => parseBlobSizes('0')],
    ['sizes', () => parseBlobSizes('1MiB:0')],
    ['sizes', () => parseBlobSizes('1MiB:1:1')],
    ['sizes', () => parseBlobSizes('17GiB')],
    ['weights', () => parseWeights('mount:1')],
    ['weights', () => parseWeights('toString:1')],
    ['weights', () => parseWeights('pull:-1')],
    ['weights', () => parseWeights('pull')],
  ])('bad %s are a usage error', (_, parse) => {
    expect(parse).toThrow(RegopsError);
    expect(parse).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('blobs', () => {
  test('have the digest of their bytes, whatever their size and however they are cut', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1_048_000, max: 3_200_000 }));
    fc.assert(
      fc.property(size, fc.array(fc.nat(3_200_000), { maxLength: 4 }), (bytes, at) => {
        const blob = new BlobSource([{ bytes, weight: 1 }]).make(bytes, 'one');
        const cuts = [0, ...at.map((cut) => cut % bytes), bytes].sort((a, b) => a - b);
        const parts = cuts.slice(1).flatMap((end, index) => {
          const range = blob.range(cuts[index] as number, end);
          return range instanceof Uint8Array ? [range] : [...range];
        });
        const whole = Buffer.concat(parts);
        expect(whole.length).toBe(bytes);
        expect(digestOf(whole)).toBe(blob.digest);
      }),
      { numRuns: 60 },
    );
  });

  test('differ by name, also when their buffers are used again, and do not compress', async () => {
    const { gzipSync } = await import('node:zlib');
    const source = new BlobSource([{ bytes: 10_000, weight: 1 }]);
    const digests = new Set<string>();
    for (let i = 0; i < 50; i++) {
      const blob = source.make(10_000, `name ${i}`);
      const bytes = blob.range(0, 10_000) as Uint8Array;
      expect(digestOf(bytes)).toBe(blob.digest);
      expect(gzipSync(bytes).length).toBeGreaterThan(9_900);
      digests.add(blob.digest);
      if (i % 2 === 0) blob.release();
    }
    expect(digests.size).toBe(50);
  });

  test('sizes come by their weights', () => {
    const source = new BlobSource([
      { bytes: 10, weight: 3 },
      { bytes: 20, weight: 1 },
    ]);
    const sizes = Array.from({ length: 1000 }, (_, index) => source.sizeAt(index / 1000));
    expect(sizes.filter((size) => size === 10)).toHaveLength(750);
  });
});

describe('the ledger', () => {
  test('adds up what threads count in the same memory', () => {
    const ledger = Ledger.forThreads(2);
    const other = Ledger.over(ledger.memory);
    expect([ledger.add(0, 'begun'), other.add(0, 'begun'), other.add(1, 'begun')]).toEqual([0, 1, 0]);
    other.add(1, 'getBlob');
    expect(ledger.total('begun')).toBe(3);
    expect(ledger.count(0, 'begun')).toBe(2);
    expect(ledger.requests()).toEqual({ getBlob: 1 });
  });

  test('a tag is recognised only if the run gave it', () => {
    const place = imagePlace({ writePrefix: 'torture/x', runId: 'abc' }, 3);
    expect(place.repository).toBe('torture/x/w3');
    expect(place.sequenceOf(place.tagOf(41))).toBe(41);
    for (const tag of ['latest', 'abc-', 'abc-x', 'abcd-1', 'abc-1-2', 'abc--1']) {
      expect(place.sequenceOf(tag)).toBe(-1);
    }
  });
});
