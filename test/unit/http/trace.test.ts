import { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import { createAgent, discardBody, setHeaders, trace } from '../../../src/http/index.ts';
import { testClock } from '../../support/http-clock.ts';
import { startServer } from '../../support/http-server.ts';

describe('trace', () => {
  test('one line per request, written when its body has ended', async () => {
    const server = await startServer([
      { expect: { path: '/v2/a/tags/list?n=5' }, reply: { body: 'x'.repeat(2048) } },
      { expect: { method: 'HEAD', path: '/v2/a/blobs/x' }, reply: { status: 404 } },
      { expect: { method: 'PUT', path: '/up' }, reply: { status: 201 } },
    ]);
    const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000 });
    onTestFinished(() => agent.close());
    const clock = testClock();
    const lines: string[] = [];
    const send = trace(
      { trace: (line) => lines.push(line) },
      clock,
    )(async (request) => {
      clock.advance(12);
      return agent.send(request);
    });
    const { origin } = server.origin;
    const listed = await send({ method: 'GET', url: server.url('/v2/a/tags/list?n=5') });
    expect(lines).toEqual([]);
    await discardBody(listed);
    expect(lines).toEqual([`GET ${origin}/v2/a/tags/list?n=5 200 12 ms 2 KiB`]);
    await send({ method: 'HEAD', url: server.url('/v2/a/blobs/x') });
    expect(lines.at(-1)).toBe(`HEAD ${origin}/v2/a/blobs/x 404 12 ms 0 B`);
    await send({ method: 'PUT', url: server.url('/up'), body: Buffer.alloc(1536) });
    expect(lines.at(-1)).toBe(`PUT ${origin}/up 201 12 ms 0 B, sent 1.5 KiB`);
  });

  test('a cut body and a failure have their line too', async () => {
    const lines: string[] = [];
    const url = new URL('https://registry.example.com/x');
    const body = Readable.from([Buffer.from('abc')]);
    const traced = trace({ trace: (line) => lines.push(line) }, testClock());
    const response = await traced(async () => ({ status: 200, headers: {}, url, body }))({
      method: 'GET',
      url,
    });
    response.body.destroy();
    await expect.poll(() => lines).toEqual(['GET https://registry.example.com/x 200 (cut) 0 ms 0 B']);
    const failing = traced(async () => {
      throw new RegopsError('TIMED_OUT', 'no');
    });
    await expect(failing({ method: 'GET', url })).rejects.toThrow('no');
    expect(lines.at(-1)).toBe('GET https://registry.example.com/x TIMED_OUT 0 ms 0 B');
  });

  test('GHSA-5jhf-2qmf-m8c5: tokens, signed URLs, cookies and bodies are not in it', async () => {
    const server = await startServer([
      {
        expect: { method: 'POST', path: /.*/ },
        reply: {
          headers: {
            'set-cookie': 'sid=SECRET',
            location: '/up?_state=SECRET',
            'www-authenticate': 'Bearer realm="SECRET"',
          },
          body: '{"token":"SECRET"}',
        },
      },
    ]);
    const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000 });
    onTestFinished(() => agent.close());
    const lines: string[] = [];
    const send = trace({ trace: (line) => lines.push(line) })(agent.send);
    const url = server.url(
      '/token?X-Amz-Signature=SECRET&sig=SECRET&_state=SECRET&scope=repository:a:pull#SECRET',
    );
    url.username = 'SECRET';
    url.password = 'SECRET';
    const headers = { authorization: 'Bearer SECRET', cookie: 'a=SECRET' };
    await discardBody(
      await send({ method: 'POST', url, headers, body: Buffer.from('refresh_token=SECRET') }),
    );
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('scope=repository:a:pull');
    expect(lines[0]).not.toContain('SECRET');
  });
});

describe('GHSA-whvf-jp7m-59f3: setHeaders', () => {
  test('the user agent goes everywhere, the users headers to the bound origin only', async () => {
    const origin = new URL('https://registry.example.com');
    const seen: unknown[] = [];
    const send = setHeaders({ origin, userAgent: 'regops/1', headers: { 'X-Own': 'yes' } })(
      async (request) => {
        seen.push(request.headers);
        return { status: 200, headers: {}, url: request.url, body: Readable.from([]) };
      },
    );
    const url = new URL('/v2/', origin);
    await send({ method: 'GET', url });
    await send({ method: 'GET', url, headers: { 'x-own': 'mine', accept: 'a' } });
    await send({ method: 'GET', url, foreign: true });
    await send({ method: 'GET', url: new URL('https://registry.example.com:444/') });
    await send({ method: 'GET', url: new URL('http://registry.example.com/') });
    expect(seen).toEqual([
      { 'user-agent': 'regops/1', 'x-own': 'yes' },
      { 'user-agent': 'regops/1', 'x-own': 'mine', accept: 'a' },
      { 'user-agent': 'regops/1' },
      { 'user-agent': 'regops/1' },
      { 'user-agent': 'regops/1' },
    ]);
  });
});
