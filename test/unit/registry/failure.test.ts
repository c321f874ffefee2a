import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseComplaint } from '../../../src/registry/failure.ts';
import { getManifest, missingBlobsOf, ping, registryCodeOf, statusOf } from '../../../src/registry/index.ts';
import { testClock } from '../../support/http-clock.ts';
import { type Reply, startServer } from '../../support/http-server.ts';
import { clientOf, errorOf } from './support.ts';
import { errors } from './upload-script.ts';

// What becomes of an answer that is not the one asked for.

const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl';

/** The error of a pull that is answered so. */
async function pullAnswered(reply: Reply, retries = 0) {
  const server = await startServer([{ expect: { path: /manifests/ }, reply, times: retries + 1 }]);
  const clock = testClock();
  const client = await clientOf(server.origin.href, { retries, clock });
  return { error: await errorOf(getManifest(client, 'team/app', '1.0')), clock, server };
}

describe('a status is never hidden', () => {
  test.each([
    [400, 'REQUEST_REFUSED', 'protocol'],
    [401, 'AUTHENTICATION_FAILED', 'denied'],
    [403, 'PERMISSION_DENIED', 'denied'],
    [404, 'MANIFEST_NOT_FOUND', 'missing'],
    [405, 'UNSUPPORTED_BY_SERVER', 'protocol'],
    [408, 'TIMED_OUT', 'temporary'],
    [410, 'REQUEST_REFUSED', 'protocol'],
    [413, 'UPLOAD_REJECTED', 'protocol'],
    [418, 'REQUEST_REFUSED', 'protocol'],
    [429, 'RATE_LIMITED', 'temporary'],
    [500, 'SERVER_ERROR', 'unreachable'],
    [501, 'UNSUPPORTED_BY_SERVER', 'protocol'],
    [502, 'SERVER_ERROR', 'unreachable'],
    [503, 'SERVER_ERROR', 'unreachable'],
    [504, 'TIMED_OUT', 'temporary'],
    [522, 'SERVER_ERROR', 'unreachable'],
    [204, 'PROTOCOL_VIOLATION', 'protocol'],
    [302, 'PROTOCOL_VIOLATION', 'protocol'],
  ])('%i: %s', async (status, code, kind) => {
    const headers: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="r"' } : {};
    const { error, server } = await pullAnswered({ status, headers });
    expect(error).toMatchObject({ code, kind });
    expect(statusOf(error)).toBe(status);
    expect(error.message).toBe(
      `pull of ${server.origin.host}/team/app:1.0: ${server.origin.host} answered ${status}`,
    );
  });

  test('413 leads to chunks, unless those were refused', async () => {
    const hintsOf = async (chunksRefused: boolean) => {
      const server = await startServer([{ expect: { path: /manifests/ }, reply: { status: 413 } }]);
      const client = await clientOf(server.origin.href);
      client.traits.chunksRefused = chunksRefused;
      return (await errorOf(getManifest(client, 'team/app', '1.0'))).hints.join();
    };
    expect(await hintsOf(false)).toContain('--chunk-size');
    expect(await hintsOf(true)).toMatch(/^(?!.*--chunk-size).*limit/);
  });

  test.each([
    [
      'HTML (Docker Hub, abuse)',
      '<html><body><h1>Too Many\nRequests</h1></body></html>',
      'Too Many Requests',
    ],
    ['plain text', 'You have reached your pull rate limit.', 'You have reached your pull rate limit.'],
    ['half of a document', '{"errors":[{"code":"TOOMANY', '{"errors":[{"code":"TOOMANY'],
    ['a JSON text', '"slow down"', 'slow down'],
    ['another JSON', '{"details":"slow down"}', 'slow down'],
    ['an empty list', '{"errors":[]}', ''],
    ['nothing', '', ''],
    ['null', 'null', ''],
    ['a list of nothing', '{"errors":[null]}', ''],
  ])('429 with %s', async (_what, body, said) => {
    const { error } = await pullAnswered({ status: 429, body });
    expect(error.code).toBe('RATE_LIMITED');
    expect(statusOf(error)).toBe(429);
    expect(error.message).toContain(said);
  });

  test('429 with Retry-After: waited for, and told when it does not end', async () => {
    const { error, clock } = await pullAnswered(
      { status: 429, headers: { 'retry-after': '30' }, body: 'x' },
      2,
    );
    expect(clock.slept).toEqual([30_000, 30_000]);
    expect(error.hints.join()).toContain('Retry-After 30');
  });

  test('a body that breaks off', async () => {
    const { error } = await pullAnswered({ status: 500, body: errors('UNKNOWN'), fault: 'cut-body' });
    expect(error).toMatchObject({ code: 'SERVER_ERROR', details: { status: 500 } });
  });

  test('an interrupt while the words are read is an interrupt', async () => {
    const server = await startServer([
      {
        expect: { path: /manifests/ },
        reply: { status: 404, body: errors('MANIFEST_UNKNOWN'), fault: 'stall-body' },
      },
    ]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const abort = new AbortController();
    const work = errorOf(getManifest(client, 'team/app', '1.0', abort.signal));
    await expect.poll(() => server.requests.length).toBe(1);
    setTimeout(() => abort.abort(), 100);
    expect(await work).toMatchObject({ code: 'INTERRUPTED' });
  });

  test('a body beyond all measure is not read', async () => {
    const { error, server } = await pullAnswered({
      status: 500,
      body: 'x'.repeat(3_000_000),
      fault: 'stall-body',
    });
    expect(error).toMatchObject({ code: 'SERVER_ERROR', details: { status: 500 } });
    expect(error.message.length).toBeLessThan(400);
    await expect.poll(() => server.connections).toBe(0);
  });
});

describe('what the registry said', () => {
  test('its code and words, for people and for scripts', async () => {
    const { error } = await pullAnswered({
      status: 404,
      body: JSON.stringify({
        errors: [
          { code: 'MANIFEST_UNKNOWN', message: 'manifest unknown', detail: { Tag: '1.0' } },
          { code: 'OTHER' },
        ],
      }),
    });
    expect(error.message).toMatch(/answered 404 \(MANIFEST_UNKNOWN manifest unknown: \{"Tag":"1.0"\}\)$/);
    expect(registryCodeOf(error)).toBe('MANIFEST_UNKNOWN');
  });

  test.each([
    ['NAME_UNKNOWN', 404, 'REPOSITORY_NOT_FOUND'],
    ['UNSUPPORTED', 400, 'UNSUPPORTED_BY_SERVER'],
    ['MANIFEST_UNKNOWN', 404, 'MANIFEST_NOT_FOUND'],
  ])('%s with %i is %s', async (code, status, ours) => {
    expect((await pullAnswered({ status, body: errors(code) })).error.code).toBe(ours);
  });

  test.each([
    ['a bearer token', `Authorization: Bearer abc.def-ghi_jkl`, 'abc.def-ghi_jkl'],
    ['a JSON web token', `invalid token ${JWT}`, JWT],
    ['a password', 'password=hunter2-S3cr3t was wrong', 'hunter2-S3cr3t'],
    [
      'a token inside details',
      JSON.stringify({ errors: [{ code: 'DENIED', detail: { token: 's3cr3t-t0ken' } }] }),
      's3cr3t-t0ken',
    ],
    ['a URL with credentials', 'upstream https://anna:hunter2@mirror.example/ failed', 'anna:hunter2'],
    ['a signed URL', 'GET https://s3.example/x?X-Amz-Signature=0123456789abcdef failed', '0123456789abcdef'],
  ])('without %s in it', async (_what, body, secret) => {
    const { error } = await pullAnswered({ status: 403, body });
    expect(JSON.stringify([error.message, error.hints, error.details])).not.toContain(secret);
    expect(error.message).toContain('REDACTED');
  });

  test('without anything a terminal would obey', async () => {
    const evil = '\u001b[2J\u001b]0;owned\u0007 \u202egnp.exe \u009b31m\r\nsecond line';
    for (const body of [
      evil,
      JSON.stringify({ errors: [{ code: 'DENIED', message: evil, detail: evil }] }),
    ]) {
      const { error } = await pullAnswered({ status: 403, body });
      expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
      expect(error.message).toContain('\\x1b[2J');
    }
  });

  test.each(['not a code', 'A'.repeat(65), '\u001b[31m', '', 5])('no code but a code: %j', (code) => {
    expect(parseComplaint(JSON.stringify({ errors: [{ code, message: 'm' }] }))).toEqual({ message: 'm' });
  });

  test('in a few hundred characters at most, on one line, whatever it is', () => {
    const body = fc.oneof(
      fc.string({ maxLength: 2000 }),
      fc.json(),
      fc
        .record({
          errors: fc.array(fc.record({ code: fc.anything(), message: fc.anything(), detail: fc.anything() })),
        })
        .map((value) => {
          try {
            return JSON.stringify(value) ?? '';
          } catch {
            return '';
          }
        }),
    );
    fc.assert(
      fc.property(body, (text) => {
        const { code, message } = parseComplaint(text);
        expect(message.length).toBeLessThanOrEqual(301);
        expect(message).not.toMatch(/[\n\r\u001b]/);
        if (code !== undefined) expect(code).toMatch(/^[A-Z0-9_]{1,64}$/);
      }),
      { numRuns: 500 },
    );
  });

  test.each(['<', '<a', '{"errors":[', '[', '\u001b', 'password='])(
    '64 KiB of %j take no time to speak of',
    (part) => {
      // A pattern that starts a walk at each of them would need minutes: the test's own time limit tells.
      for (let run = 0; run < 20; run++) {
        expect(parseComplaint(part.repeat(65_536 / part.length)).message.length).toBeLessThanOrEqual(301);
      }
    },
  );
});

describe('hints', () => {
  test('401 tells how to log in, 403 that the repository may not exist', async () => {
    const { error, server } = await pullAnswered({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="r"' },
    });
    expect(error.hints).toContain(`Log in with: regops login ${server.origin.host}`);
    expect((await pullAnswered({ status: 403 })).error.hints.join()).toContain('may not exist');
  });
});

describe('ping', () => {
  const answered = async (reply: Reply) => {
    const server = await startServer([{ expect: { path: '/v2/' }, reply }]);
    return clientOf(server.origin.href, { retries: 0 });
  };

  test('200 is a registry', async () => {
    await ping(await answered({ body: '{}' }));
  });

  test.each([
    [404, 'UNSUPPORTED_BY_SERVER', 'no registry'],
    [401, 'AUTHENTICATION_FAILED', 'answered 401'],
    [403, 'PERMISSION_DENIED', 'answered 403'],
    [503, 'SERVER_ERROR', 'answered 503'],
    [301, 'PROTOCOL_VIOLATION', 'answered 301'],
  ])('%i is not', async (status, code, says) => {
    const headers: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="r"' } : {};
    const error = await errorOf(ping(await answered({ status, headers })));
    expect(error.code).toBe(code);
    expect(error.message).toContain(says);
  });
});

describe('blobs that a registry misses below a manifest', () => {
  const [one, two] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`);

  test.each<[string, object, readonly (string | undefined)[] | undefined]>([
    ['the detail (distribution)', { code: 'MANIFEST_BLOB_UNKNOWN', detail: one }, [one]],
    ['an object', { code: 'MANIFEST_BLOB_UNKNOWN', detail: { digest: one } }, [one]],
    ['the message', { code: 'BLOB_UNKNOWN', message: `blob ${one} not found` }, [one]],
    ['nothing', { code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown' }, []],
    ['no digest of ours', { code: 'MANIFEST_BLOB_UNKNOWN', detail: 'sha256:123' }, []],
    ['another complaint', { code: 'MANIFEST_INVALID', detail: one }, undefined],
  ])('are read from %s', async (_what, complaint, missing) => {
    const body = JSON.stringify({ errors: [complaint] });
    const { error } = await pullAnswered({ status: 400, body });
    expect(missingBlobsOf(error)).toEqual(missing && new Set(missing));
  });

  test('are all of those that are named', async () => {
    const complaints = [one, two, one].map((detail) => ({ code: 'MANIFEST_BLOB_UNKNOWN', detail }));
    const { error } = await pullAnswered({ status: 404, body: JSON.stringify({ errors: complaints }) });
    expect(missingBlobsOf(error)).toEqual(new Set([one, two]));
  });
});
