import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { discardBody, excerptOf, type HttpResponse, readBody, readJson } from '../../../src/http/index.ts';

function response(chunks: readonly (string | Buffer)[], headers: HttpResponse['headers'] = {}): HttpResponse {
  return {
    status: 200,
    headers,
    url: new URL('https://registry.example.com/v2/'),
    body: Readable.from(chunks.map((chunk) => Buffer.from(chunk))),
  };
}

describe('readBody', () => {
  test('gives all bytes up to the bound', async () => {
    expect((await readBody(response(['ab', 'cd']), 4, 'it')).toString()).toBe('abcd');
    expect((await readBody(response([]), 0, 'it')).length).toBe(0);
  });

  test('CVE-2020-1702: refuses one byte more, announced or not, and tears the body down', async () => {
    for (const one of [response(['abc', 'de']), response(['abcde'], { 'content-length': '5' })]) {
      await expect(readBody(one, 4, 'token')).rejects.toMatchObject({
        code: 'RESPONSE_TOO_LARGE',
        message: 'token: registry.example.com sent more than 4 bytes',
      });
      expect(one.body.destroyed).toBe(true);
    }
  });

  test('an announced length beyond the bound is refused before a byte is read', async () => {
    let read = false;
    const body = new Readable({
      read() {
        read = true;
        this.push(null);
      },
    });
    await expect(readBody({ ...response([], { 'content-length': '99' }), body }, 4, 'x')).rejects.toThrow();
    expect(read).toBe(false);
  });

  test('a body that trickles on is TIMED_OUT in the end, and torn down', async () => {
    const body = new Readable({
      read() {
        setTimeout(() => this.push('x'), 1);
      },
    });
    await expect(readBody({ ...response([]), body }, 1_000_000, 'token', 30)).rejects.toMatchObject({
      code: 'TIMED_OUT',
      message: 'token: registry.example.com did not send all of it within 0.03 s',
    });
    expect(body.destroyed).toBe(true);
  });
});

describe('readJson', () => {
  const schema = z.object({ tags: z.array(z.string()) });

  test('gives what fits the schema', async () => {
    expect(await readJson(response(['{"tags":', '["a"]}']), schema, 100, 'tags')).toEqual({ tags: ['a'] });
  });

  test.each(['<html>', '', '{"tags":[1]}', '[]', 'null', '{"token":"SECRET"}'])(
    '%j is PROTOCOL_VIOLATION and not quoted',
    async (text) => {
      const error = await readJson(response([text]), schema, 100, 'tags').catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
      expect((error as Error).message).not.toContain('SECRET');
    },
  );
});

describe('discardBody', () => {
  test('reads a small body to its end, so that its connection stays', async () => {
    const one = response(['abc']);
    await discardBody(one);
    expect(one.body.readableEnded).toBe(true);
  });

  test('cuts a large body, announced or not', async () => {
    const endless = (): Readable =>
      new Readable({
        read() {
          this.push(Buffer.alloc(10_000));
        },
      });
    for (const headers of [{}, { 'content-length': '10000000' }]) {
      const one = { ...response([], headers), body: endless() };
      await discardBody(one);
      expect(one.body.destroyed).toBe(true);
    }
  });

  test('cuts a body that does not move', async () => {
    const one = { ...response([]), body: new Readable({ read() {} }) };
    await discardBody(one);
    expect(one.body.destroyed).toBe(true);
  });

  test('never throws: broken, ended and twice discarded bodies are fine', async () => {
    const broken = { ...response([]), body: new Readable({ read() {} }) };
    broken.body.on('error', () => {});
    broken.body.destroy(new Error('cut'));
    await discardBody(broken);
    const ended = response(['x']);
    await discardBody(ended);
    await discardBody(ended);
  });
});

describe('excerptOf', () => {
  test('is one line without markup, escapes and secrets', () => {
    expect(excerptOf('<html><h1>429</h1>\n  Too\tmany \u001b[31mrequests</html>')).toBe(
      '429 Too many \\x1b[31mrequests',
    );
    expect(excerptOf('denied: Bearer abcdefghijk')).toBe('denied: Bearer REDACTED');
    expect(excerptOf('x'.repeat(1000))).toHaveLength(301);
  });

  test('is short and clean for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        const excerpt = excerptOf(text);
        expect(excerpt.length).toBeLessThanOrEqual(301);
        expect(excerpt).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });

  test('takes no time over hostile markup', () => {
    expect(excerptOf('<'.repeat(5_000_000)).length).toBe(301);
  });
});
