import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  HistoryDecoder,
  HistoryEncoder,
  type HistoryEntry,
  OPERATION_KINDS,
  OPERATION_LIMITS,
  type Operation,
  OUTCOMES,
  readHistory,
} from '../../../src/history/index.ts';
import { digest, operation } from './histories.ts';

const header = { startedAt: '2026-01-31T12:00:00.000Z', registry: 'http://127.0.0.1:5000', seed: 7 };

async function read(
  bytes: Uint8Array,
  size = 7,
): Promise<{ entries: HistoryEntry[]; torn: boolean; decoder: HistoryDecoder }> {
  const decoder = new HistoryDecoder('run.history');
  const entries: HistoryEntry[] = [];
  let torn = false;
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
  for await (const some of readHistory(chunks, decoder, () => {
    torn = true;
  })) {
    entries.push(...some);
  }
  return { entries, torn, decoder };
}

const digests = fc.nat(30).map((at) => digest(at));
const tags = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
const repositories = fc.stringMatching(/^[a-z0-9]{1,8}(\/[a-z0-9]{1,8}){0,2}$/);
const texts = fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme' });

const operations: fc.Arbitrary<Operation> = fc
  .record({
    kind: fc.constantFrom(...OPERATION_KINDS),
    client: fc.nat(),
    process: fc.nat(),
    callUs: fc.nat({ max: 2 ** 50 }),
    tookUs: fc.nat({ max: 2 ** 40 }),
    repository: repositories,
    tag: tags,
    digest: digests,
    byDigest: fc.boolean(),
    outcome: fc.constantFrom(...OUTCOMES),
    status: fc.nat(599),
    value: fc.option(digests),
    names: fc.array(digests, { maxLength: 5 }),
    more: fc.record(
      {
        announced: texts,
        size: fc.nat(),
        mediaType: texts,
        subject: digests,
        requestId: texts,
        remote: texts,
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ tookUs, tag, digest: one, byDigest, names, value, more, ...base }): Operation => {
    const { kind } = base;
    const writes = kind === 'put-manifest' || kind === 'put-blob';
    const listed =
      kind === 'list-tags'
        ? names.map((name) => name.slice(7, 20))
        : kind === 'list-repositories'
          ? [base.repository]
          : names;
    const reference = kind.endsWith('manifest')
      ? byDigest
        ? one
        : tag
      : kind.endsWith('blob') || kind === 'list-referrers'
        ? one
        : kind.endsWith('upload')
          ? tag
          : '';
    return {
      ...base,
      ...more,
      repository: kind === 'list-repositories' ? '' : base.repository,
      reference,
      returnUs: base.callUs + tookUs,
      value: writes ? one : kind.startsWith('get') || kind.startsWith('head') ? value : null,
      ...(kind.startsWith('list') || kind === 'put-manifest' ? { names: listed } : {}),
    };
  });

describe('a history file', () => {
  test('gives back what was written, however it is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operations, { maxLength: 20 }),
        fc.integer({ min: 1, max: 200 }),
        async (all, size) => {
          const encoder = new HistoryEncoder();
          const text = encoder.header(header) + all.map((each) => encoder.operation(each)).join('');
          const { entries, torn, decoder } = await read(Buffer.from(text), size);
          expect(entries).toEqual(all.map((each) => ({ type: 'operation', operation: each })));
          expect(torn).toBe(false);
          expect(decoder.header).toEqual(header);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('that was cut off anywhere gives all but its last line', async () => {
    const all = Array.from({ length: 5 }, (_, at) =>
      operation(at * 10, at * 10 + 5, { kind: 'put-manifest', value: digest(at), requestId: `ü${at}` }),
    );
    const encoder = new HistoryEncoder();
    const head = Buffer.from(encoder.header(header));
    const ends: number[] = [];
    const parts = all.map((each) => Buffer.from(encoder.operation(each)));
    for (const part of parts) ends.push((ends.at(-1) ?? head.length) + part.length);
    const bytes = Buffer.concat([head, ...parts]);
    for (let length = head.length; length <= bytes.length; length++) {
      const { entries } = await read(bytes.subarray(0, length), 64);
      // Whole but for its newline is whole.
      expect(entries).toHaveLength(ends.filter((end) => end - 1 <= length).length);
    }
    expect((await read(bytes.subarray(0, bytes.length - 3))).torn).toBe(true);
  });

  test('keeps marks and ends', async () => {
    const encoder = new HistoryEncoder();
    const text = [
      encoder.header({}),
      encoder.mark(5),
      encoder.operation(operation(5, 9)),
      encoder.end('team/app'),
    ].join('');
    expect((await read(Buffer.from(text))).entries).toEqual([
      { type: 'mark', knownUs: 5 },
      { type: 'operation', operation: operation(5, 9) },
      { type: 'end', repository: 'team/app' },
    ]);
  });

  test('starts its numbers again before there are too many', async () => {
    const encoder = new HistoryEncoder();
    const all = Array.from({ length: 100_050 }, (_, at) => operation(at, at + 1, { reference: `t${at}` }));
    const text = encoder.header({}) + all.map((each) => encoder.operation(each)).join('');
    expect(text).toContain('\n["r"]\n');
    const { entries } = await read(Buffer.from(text), 65_536);
    expect(entries.length).toBe(all.length);
    expect(entries.at(-1)).toEqual({ type: 'operation', operation: all.at(-1) });
  });

  test('names every name and digest once', () => {
    const encoder = new HistoryEncoder();
    const first = encoder.operation(operation(0, 1, { value: digest(1) }));
    expect(first.split('\n')).toHaveLength(5);
    expect(encoder.operation(operation(2, 3, { value: digest(1) }))).toBe('[1,0,0,2,1,0,1,0,200,2]\n');
  });
});

describe('a history that nobody wrote is refused with its line', () => {
  const good = [
    '{"format":"regops-history","version":1}',
    '["s","team/app"]',
    '["s","latest"]',
    `["s","${digest(1)}"]`,
  ];
  test.each<[string, string, string]>([
    ['another format', '{"format":"other","version":1}', 'no history of regops'],
    ['a later version', '{"format":"regops-history","version":2}', 'version 2 is not known'],
  ])('%s', async (_, line, why) => {
    await expect(read(Buffer.from(`${line}\n`))).rejects.toThrow(
      `run.history: line 1: ${line.includes('other') ? 'this is ' : ''}${why}`,
    );
  });

  test('an empty file', async () => {
    await expect(read(Buffer.from(''))).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });

  test.each<[string, string, string]>([
    ['no JSON', '[1,', 'no JSON'],
    ['no list', '{}', 'no list'],
    ['an unknown line', '["z"]', 'not known'],
    ['a text that was not given', '[1,0,0,0,1,0,9,0,404,-1]', 'was not given'],
    ['a fraction of a text', '[1,0,0,0,1,0.5,1,0,404,-1]', 'was not given'],
    ['a prototype as a text', '[1,0,0,0,1,"constructor",1,0,404,-1]', 'was not given'],
    ['an unknown kind', '[99,0,0,0,1,0,1,0,404,-1]', 'no kind'],
    ['an unknown outcome', '[1,0,0,0,1,0,1,3,404,-1]', 'no kind or outcome'],
    ['a negative duration', '[1,0,0,5,-1,0,1,0,404,-1]', 'returned before it was called'],
    ['a time that is none', '[1,0,0,1e300,1,0,1,0,404,-1]', 'no times'],
    ['a negative client', '[1,-1,0,0,1,0,1,0,404,-1]', 'client'],
    ['a process that is none', '[1,0,"0",0,1,0,1,0,404,-1]', 'process'],
    ['a status that is none', '[1,0,0,0,1,0,1,0,4040,-1]', 'status'],
    ['a digest for a repository', '[1,0,0,0,1,2,1,0,404,-1]', 'repository'],
    ['a tag with a slash', '[1,0,0,0,1,0,0,0,404,-1]', 'reference'],
    ['a tag for a value', '[1,0,0,0,1,0,1,0,200,1]', 'value'],
    ['a push of nothing', '[0,0,0,0,1,0,1,0,201,-1]', 'value'],
    ['a delete with a value', '[3,0,0,0,1,0,1,0,202,2]', 'value'],
    ['a list without names', '[8,0,0,0,1,0,-1,0,200,-1]', 'names are missing'],
    ['names of a read', '[1,0,0,0,1,0,1,0,200,2,{"n":[1]}]', 'not for this kind'],
    ['a list of no tags', '[8,0,0,0,1,0,-1,0,200,-1,{"n":[0]}]', 'a name is none'],
    ['names that are none', '[8,0,0,0,1,0,-1,0,200,-1,{"n":5}]', 'no names'],
    ['a size that is none', '[1,0,0,0,1,0,1,0,200,2,{"z":-1}]', 'size'],
    ['a subject that is none', '[0,0,0,0,1,0,1,0,201,2,{"j":1}]', 'subject'],
    ['a request id that is none', '[1,0,0,0,1,0,1,0,200,2,{"q":{}}]', 'no text'],
    [
      'a long request id',
      `[1,0,0,0,1,0,1,0,200,2,{"q":"${'x'.repeat(OPERATION_LIMITS.text + 1)}"}]`,
      'too long',
    ],
    ['fields that are none', '[1,0,0,0,1,0,1,0,200,2,[]]', 'no fields'],
    ['an operation that is too short', '[1,0,0]', 'another length'],
    ['a long text', `["s","${'x'.repeat(513)}"]`, 'too long'],
    ['a mark that is none', '["m",-1]', 'goes back'],
    ['the end of no repository', '["e",2]', 'no repository'],
  ])('%s', async (_, line, why) => {
    const text = [...good, line, ''].join('\n');
    await expect(read(Buffer.from(text), 4096)).rejects.toThrow(new RegExp(`^run.history: line 5: .*${why}`));
  });

  test.each<[string, readonly string[], string]>([
    ['no JSON', ['["s","a"]', 'oops', '["s","b"]'], 'line 3: no JSON: oops'],
    ['half a line', ['["s","a"]', '["s"', '"b"]'], 'line 3: no JSON'],
    ['two lines in one', ['["s","a"],["s","b"]', '["s","c"]'], 'line 2: no JSON'],
    ['a line that is too long', ['["s","a"]', `["s","${'x'.repeat(1024 * 1024)}"]`], 'line 3: longer than'],
    [
      'an operation from before a mark',
      ['["m",5]', '[14,0,0,1,1,-1,-1,0,0,-1]'],
      'line 3: an operation from before',
    ],
  ])('%s among lines that come together', (_, lines, why) => {
    const decoder = new HistoryDecoder('run.history');
    expect(decoder.lines([good[0] as string])).toEqual([]);
    expect(() => decoder.lines(lines)).toThrow(`run.history: ${why}`);
  });

  test('a mark that goes back, and an operation from before one', async () => {
    const text = (line: string): Buffer => Buffer.from([...good, '["m",10]', line, ''].join('\n'));
    await expect(read(text('["m",9]'))).rejects.toThrow('line 6: a mark that goes back');
    await expect(read(text('[1,0,0,9,5,0,1,0,404,-1]'))).rejects.toThrow(
      'line 6: an operation from before the last mark',
    );
  });

  test('a line that never ends', async () => {
    const line = Buffer.from(`["s","${'x'.repeat(1024 * 1024)}`);
    await expect(read(Buffer.concat([Buffer.from(`${good[0]}\n`), line]), 65_536)).rejects.toThrow(
      'longer than 1048576',
    );
  });

  test('any bytes at all: an error of ours or a reading', async () => {
    const lines = fc.array(
      fc.oneof(fc.json(), fc.string(), fc.constantFrom(...good, '["r"]', '[1,0,0,0,1,0,1,0,200,2]')),
    );
    await fc.assert(
      fc.asyncProperty(lines, async (given) => {
        const outcome = await read(Buffer.from([good[0], ...given].join('\n')), 50).then(
          () => 'read',
          (error: { code?: string }) => error.code,
        );
        expect(['read', 'INPUT_INVALID']).toContain(outcome);
      }),
      { numRuns: 300 },
    );
  });
});
