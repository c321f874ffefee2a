import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readJsonLines } from '../../../src/engine/json-lines.ts';
import { Demultiplexer } from '../../../src/engine/multiplexed.ts';
import { OutputCollector } from '../../../src/engine/output.ts';
import { frame } from './scripted-engine.ts';

/** Bytes cut at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

async function linesOf(chunks: readonly Buffer[], limits?: { line: number; total: number }) {
  const got: unknown[] = [];
  for await (const line of readJsonLines(each(chunks), 'cannot test', limits)) got.push(line);
  return got;
}

const places = fc.array(fc.nat(), { maxLength: 30 });

describe('lines of JSON', () => {
  test('come out whole however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue())),
        places,
        fc.constantFrom('\n', '\r\n', '\n\n'),
        fc.boolean(),
        async (objects, at, end, last) => {
          const values = objects.map((value) => JSON.parse(JSON.stringify(value)));
          const text = values.map((value) => JSON.stringify(value)).join(end) + (last ? end : '');
          expect(await linesOf(cut(Buffer.from(text), at))).toEqual(values);
        },
      ),
    );
  });

  test.each(['<html>', '{"status":', 'null', '[]', '"text"', '7'])('%s is none', async (line) => {
    await expect(linesOf([Buffer.from(`{"a":1}\n${line}`)])).rejects.toMatchObject({
      code: 'PROTOCOL_VIOLATION',
      message: expect.stringContaining(line),
    });
  });

  test('what is foreign in it is escaped', async () => {
    await expect(linesOf([Buffer.from('\u001b[2J')])).rejects.toThrow('\\x1b[2J');
  });

  test('a line, and all lines, have a bound', async () => {
    const line = Buffer.from(`{"a":"${'x'.repeat(100)}"}\n`);
    expect(await linesOf([line, line], { line: 200, total: 1000 })).toHaveLength(2);
    const tooLarge = { code: 'RESPONSE_TOO_LARGE' };
    await expect(linesOf([line], { line: 50, total: 1000 })).rejects.toMatchObject(tooLarge);
    await expect(linesOf([Buffer.alloc(60, 'x')], { line: 50, total: 1000 })).rejects.toMatchObject(tooLarge);
    await expect(linesOf([line, line], { line: 200, total: 150 })).rejects.toMatchObject(tooLarge);
  });
});

describe('the output of a process', () => {
  test('is taken apart however the stream is cut', () => {
    const part = fc.record({ type: fc.constantFrom(1, 2), bytes: fc.uint8Array({ maxLength: 40 }) });
    fc.assert(
      fc.property(fc.array(part), places, (parts, at) => {
        const frames = new Demultiplexer();
        const got = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
        const whole = Buffer.concat(parts.map(({ type, bytes }) => frame(type, Buffer.from(bytes))));
        for (const chunk of cut(whole, at)) {
          for (const { stream, bytes } of frames.feed(chunk)) got[stream].push(bytes);
        }
        expect(frames.whole).toBe(true);
        for (const [stream, type] of [
          ['stdout', 1],
          ['stderr', 2],
        ] as const) {
          const expected = parts.filter((one) => one.type === type).map(({ bytes }) => Buffer.from(bytes));
          expect(Buffer.concat(got[stream]).equals(Buffer.concat(expected))).toBe(true);
        }
      }),
    );
  });

  test('a frame is given before it is whole, and its end is missed', () => {
    const frames = new Demultiplexer();
    const large = frame(1, Buffer.alloc(1000));
    expect([...frames.feed(large.subarray(0, 500))][0]?.bytes.length).toBe(492);
    expect(frames.whole).toBe(false);
    expect([...frames.feed(large.subarray(500))][0]?.bytes.length).toBe(508);
    expect(frames.whole).toBe(true);
  });

  test('an error of the engine itself counts as stderr', () => {
    expect([...new Demultiplexer().feed(frame(3, 'no'))]).toEqual([
      { stream: 'stderr', bytes: Buffer.from('no') },
    ]);
  });

  test.each([Buffer.from('plain text of a terminal'), Buffer.from([4, 0, 0, 0, 0, 0, 0, 1, 65])])(
    'what is no such stream is a violation: %s',
    (bytes) => {
      expect(() => [...new Demultiplexer().feed(bytes)]).toThrow(
        expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }),
      );
    },
  );

  test('is told in lines, kept from its beginning, and bounded', () => {
    const told: string[] = [];
    const output = new OutputCollector((stream, line) => told.push(`${stream} ${line}`), {
      line: 5,
      kept: 12,
      told: 1000,
    });
    const add = (stream: 'stdout' | 'stderr', text: string): void =>
      output.add({ stream, bytes: Buffer.from(text) });
    add('stdout', 'on');
    add('stderr', 'err\n');
    add('stdout', 'e\r\n\ntoo long a line\nlast');
    expect(output.end()).toEqual({ stdout: 'one\r\n\ntoo lo', stderr: 'err\n', cut: true });
    expect(told).toEqual(['stderr err', 'stdout one', 'stdout ', 'stdout too l', 'stdout last']);
  });

  test('lines beyond the bound of all lines are no longer told', () => {
    const told: string[] = [];
    const output = new OutputCollector((_, line) => told.push(line), { told: 10 });
    for (let line = 0; line < 10; line++) output.add({ stream: 'stdout', bytes: Buffer.from('1234\n') });
    expect(output.end().cut).toBe(true);
    expect(told).toHaveLength(2);
  });

  test('characters cut between chunks are joined, and nothing of it is lost', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), places, (text, at) => {
        const told: string[] = [];
        const output = new OutputCollector((_, line) => told.push(line));
        for (const bytes of cut(Buffer.from(text), at)) output.add({ stream: 'stdout', bytes });
        expect(output.end()).toMatchObject({ stdout: Buffer.from(text).toString(), cut: false });
        expect(told.join('\n')).toBe(
          Buffer.from(text).toString().replace(/\n$/, '').replaceAll('\r\n', '\n').replace(/\r$/, ''),
        );
      }),
    );
  });
});
