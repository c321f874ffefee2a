import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseContentRange, parseRange } from '../../../src/testbed/ranges.ts';
import { call, openTestbedOn, pushBlob, STORAGE_KINDS } from '../../support/testbed-client.ts';

/** What RFC 9110 section 14.1.2 says of a range, byte by byte. */
function bytesNamed(first: number | undefined, last: number | undefined, bytes: Buffer): Buffer {
  return Buffer.from(
    bytes.filter((_, position) =>
      first === undefined
        ? position >= bytes.length - (last ?? 0)
        : position >= first && (last === undefined || position <= last),
    ),
  );
}

const position = fc.option(fc.nat(250_000), { nil: undefined });

describe.each(STORAGE_KINDS)('ranges of a blob (%s)', (kind) => {
  it('gives exactly the bytes a range names, or says that there are none', async () => {
    const testbed = await openTestbedOn(kind);
    const bytes = Buffer.from(
      Array.from({ length: 200_000 }, (_, index) => (index * 7 + (index >> 8)) & 255),
    );
    const digest = await pushBlob(testbed, 'app', bytes);
    await fc.assert(
      fc.asyncProperty(position, position, async (first, last) => {
        fc.pre(first !== undefined || last !== undefined);
        const answer = await call(testbed, 'GET', `/v2/app/blobs/${digest}`, {
          headers: { range: `bytes=${first ?? ''}-${last ?? ''}` },
        });
        if (first !== undefined && last !== undefined && last < first) {
          expect(answer.status).toBe(200);
          expect(answer.body.equals(bytes)).toBe(true);
          return;
        }
        const expected = bytesNamed(first, last, bytes);
        expect(answer.status).toBe(expected.length === 0 ? 416 : 206);
        expect(answer.body.equals(expected)).toBe(true);
        if (answer.status === 206) {
          const [, from, to, size] =
            /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers['content-range'] ?? '') ?? [];
          expect(Number(to) - Number(from) + 1).toBe(expected.length);
          expect(bytes.subarray(Number(from), Number(to) + 1).equals(expected)).toBe(true);
          expect(Number(size)).toBe(bytes.length);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('parseRange', () => {
  it('stays within the representation', () => {
    fc.assert(
      fc.property(fc.nat(), position, position, (size, first, last) => {
        const range = parseRange(`bytes=${first ?? ''}-${last ?? ''}`, size);
        if (range === undefined || range === 'unsatisfiable') return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.start).toBeLessThanOrEqual(range.end);
        expect(range.end).toBeLessThan(size);
      }),
    );
  });

  it('ignores what it does not understand', () => {
    for (const header of [
      undefined,
      '',
      'bytes',
      'bytes=',
      'bytes=-',
      'bytes=a-b',
      'lines=1-2',
      'bytes=3-1',
    ]) {
      expect(parseRange(header, 10)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (text) => parseRange(text, 10) === undefined || text.includes('=')));
  });

  it('finds nothing satisfiable in nothing', () => {
    expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable');
    expect(parseRange('bytes=-1', 0)).toBe('unsatisfiable');
    expect(parseRange('bytes=-0', 10)).toBe('unsatisfiable');
  });
});

describe('parseContentRange', () => {
  it('reads what it writes, and nothing that runs backwards or beyond what can be counted', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (start, length) => {
        expect(parseContentRange(`${start}-${start + length}`)).toEqual({ start, end: start + length });
      }),
    );
    expect(parseContentRange('5-4')).toBeUndefined();
    expect(parseContentRange('0-99999999999999999999')).toBeUndefined();
  });
});
