import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redactHeaders, redactText, redactUrl } from '../../../src/base/index.ts';

const SECRET = 'hunter2-S3cr3t';
const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl';

describe('redactUrl', () => {
  test.each([
    ['https://r.io/v2/a/tags/list?n=100&last=v1', 'https://r.io/v2/a/tags/list?n=100&last=v1'],
    [`https://anna:${SECRET}@r.io/v2/`, 'https://r.io/v2/'],
    [`https://r.io/up?_state=${SECRET}&digest=sha256:ab`, 'https://r.io/up?_state=REDACTED&digest=sha256:ab'],
    [
      `https://s3.io/b?X-Amz-Signature=${SECRET}&X-Amz-Date=1`,
      'https://s3.io/b?X-Amz-Signature=REDACTED&X-Amz-Date=REDACTED',
    ],
    [`https://r.io/#access_token=${SECRET}`, 'https://r.io/'],
    [`/v2/a/blobs/uploads/1?_state=${SECRET}`, '/v2/a/blobs/uploads/1?REDACTED'],
    [`/v2/#${SECRET}`, '/v2/?REDACTED'],
    [`?${SECRET}`, '?REDACTED'],
    [`http://anna:${SECRET}@r.io:99999/v2/`, 'http://REDACTED@r.io:99999/v2/'],
    ['not a url', 'not a url'],
    ['', ''],
  ])('%s', (url, shown) => {
    expect(redactUrl(url)).toBe(shown);
    if (URL.canParse(url)) expect(redactUrl(new URL(url))).toBe(shown);
  });

  test('does not change the URL it was given', () => {
    const url = new URL('https://anna:pw@r.io/?a=b#c');
    redactUrl(url);
    expect(url.href).toBe('https://anna:pw@r.io/?a=b#c');
  });

  test('user info, fragment and foreign query values never come back', () => {
    fc.assert(
      fc.property(
        fc.webUrl({ withQueryParameters: false }),
        fc.stringMatching(/^x-[a-z]{0,8}$/),
        (base, name) => {
          const url = new URL(base);
          url.username = SECRET;
          url.password = SECRET;
          url.searchParams.append(name, SECRET);
          url.hash = SECRET;
          expect(redactUrl(url)).not.toContain(SECRET);
          expect(redactUrl(url).startsWith(`${url.protocol}//${url.host}${url.pathname}`)).toBe(true);
        },
      ),
    );
  });
});

describe('redactHeaders', () => {
  test.each([
    'Authorization',
    'proxy-authorization',
    'Cookie',
    'SET-COOKIE',
    'X-Registry-Auth',
    'Private-Token',
    'X-Auth-Token',
    'X-Api-Key',
  ])('%s is hidden', (name) => {
    expect(redactHeaders({ [name]: [`Basic ${SECRET}`, SECRET] })).toEqual({
      [name.toLowerCase()]: 'REDACTED',
    });
  });

  test('URLs in headers lose their secrets', () => {
    const shown = redactHeaders({
      Location: `https://u:${SECRET}@s3.io/b?sig=${SECRET}`,
      Link: `</v2/_catalog?last=${SECRET}>; rel="next"`,
      referer: [`https://r.io/?a=${SECRET}`],
    });
    expect(JSON.stringify(shown)).not.toContain(SECRET);
    expect(shown['location']).toBe('https://s3.io/b?sig=REDACTED');
  });

  test('the rest is shown', () => {
    expect(
      redactHeaders({
        'Content-Type': 'a/b',
        Accept: ['a/b', 'c/d'],
        'WWW-Authenticate': 'Bearer realm="https://r.io/token",service="r.io"',
        missing: undefined,
      }),
    ).toEqual({
      'content-type': 'a/b',
      accept: 'a/b, c/d',
      'www-authenticate': 'Bearer realm="https://r.io/token",service="r.io"',
    });
  });
});

describe('redactText', () => {
  test.each([
    `Authorization: Bearer ${SECRET}`,
    `authorization: basic ${Buffer.from(`anna:${SECRET}`).toString('base64')}`,
    `got token ${JWT}.`,
    `password=${SECRET}`,
    `password: ${SECRET}`,
    `PASSWORD = "${SECRET}"`,
    `{"password":"two words, ${SECRET}","user":"anna"}`,
    `{"password":"quote \\" ${SECRET}"}`,
    `{'secret': 'it is ${SECRET}'}`,
    `{"password":"cut off ${SECRET}`,
    `{"access_token": "${SECRET}"}`,
    `/etc/passwd: password=${SECRET}`,
    `wrong username/password: ${SECRET}`,
    `https://r.io/token=${SECRET}`,
    `{"url":"/v2/a","password": "${SECRET}"}`,
    `{"refresh_token":"${SECRET}"}`,
    `{"identitytoken":"${SECRET}"}`,
    `{"registrytoken":"${SECRET}"}`,
    `{"auths":{"r.io":{"auth":"${SECRET}"}}}`,
    `client_secret=${SECRET}&grant_type=password`,
    `X-Amz-Signature=${SECRET}&X-Amz-Credential=${SECRET}`,
    `no such upload: /v2/a/blobs/uploads/1?_state=${SECRET}`,
    `?sig=${SECRET}&se=1`,
    `api-key: ${SECRET}`,
    `cannot reach https://anna:${SECRET}@r.io/v2/`,
    `proxy http://${SECRET}@127.0.0.1:3128`,
  ])('%s', (text) => {
    const shown = redactText(text);
    expect(shown).toContain('REDACTED');
    expect(shown).not.toContain(SECRET);
    expect(shown).not.toContain(JWT);
    expect(shown).not.toContain(Buffer.from(`anna:${SECRET}`).toString('base64'));
  });

  test.each([
    'manifest unknown',
    'blob sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 not found',
    'the token has expired',
    'authentication required: wrong password',
    '/etc/passwd: not a tar archive',
    'cannot read /run/secrets/registry-token: EACCES: permission denied',
    './app.secret: no such file',
    'GET https://r.io/v2/a/tags/list?n=5 404',
    'mail anna@example.com',
    '',
  ])('says nothing secret: %j', (text) => {
    expect(redactText(text)).toBe(text);
  });

  test('hides the value and nothing beside it', () => {
    expect(redactText('{"user":"anna","token":"abc","n":1}')).toBe(
      '{"user":"anna","token":"REDACTED","n":1}',
    );
    expect(redactText('grant=a&password=b&scope=c')).toBe('grant=a&password=REDACTED&scope=c');
  });

  // A pattern that backtracks badly would not come back from these within the test's time.
  test.each([
    'a.',
    'a-',
    'eyJ-',
    'eyJa',
    'eyJ.',
    'x-amz-',
    'token',
    'token=',
    'password ',
    '"token":',
    '"token":"',
    "'",
    '://',
    '://a@',
    'bearer ',
    'sig-',
    '\\"',
    ' ',
  ])('a hundred thousand characters of %j end quickly', (unit) => {
    const long = unit.repeat(Math.ceil(100_000 / unit.length));
    for (const text of [long, `token="${long}`, `bearer ${long}!`, `https://${long}`]) {
      expect(typeof redactText(text)).toBe('string');
      expect(typeof redactUrl(text)).toBe('string');
    }
  });
});
