import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanToken, readAltsConfig, signToken } from '../../../src/alts/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const HASHES = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' } as const;

/** Checks a token as any other implementation would (RFC 7515 5.2), and gives its claims. */
function verify(token: string, secret: string, algorithm: keyof typeof HASHES): unknown {
  const [header = '', claims = '', signature = ''] = token.split('.');
  const decode = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  expect(decode(header)).toEqual({ alg: algorithm, typ: 'JWT' });
  expect(signature).toBe(
    createHmac(HASHES[algorithm], secret).update(`${header}.${claims}`).digest('base64url'),
  );
  return decode(claims);
}

describe('signing', () => {
  test.each(['HS256', 'HS384', 'HS512'] as const)('%s', async (algorithm) => {
    const token = await signToken({ email: 'a@example.com', secret: 'my_very_secret_phrase', algorithm });
    expect(verify(token, 'my_very_secret_phrase', algorithm)).toEqual({ email: 'a@example.com' });
  });

  test('any secret and any address, with an expiry in whole seconds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1, unit: 'binary' }).filter((text) => text.isWellFormed()),
        fc.emailAddress(),
        fc.integer({ min: 1000, max: 1e12 }),
        async (secret, email, expiresInMs) => {
          const clock = { now: () => 1_900_000_000_500 };
          const token = await signToken({ email, secret, expiresInMs, clock });
          const exp = Math.floor((1_900_000_000_500 + expiresInMs) / 1000);
          expect(verify(token, secret, 'HS256')).toEqual({ email, exp });
        },
      ),
      { numRuns: 30 },
    );
  });

  test.each([
    [{ email: 'nobody' }, 'the email address'],
    [{ email: 'a b@example.com' }, 'the email address'],
    [{ algorithm: 'none' }, 'no such algorithm'],
    [{ algorithm: 'RS256' }, 'no such algorithm'],
    [{ secret: '' }, 'is empty'],
    [{ expiresInMs: 0 }, 'at least a second'],
    [{ expiresInMs: Number.NaN }, 'at least a second'],
    [{ expiresInMs: 8e15 }, 'beyond the year 9999'],
    [{ expiresInMs: Number.POSITIVE_INFINITY }, 'at least a second'],
  ])('%j is refused', async (part, why) => {
    await expect(signToken({ email: 'a@example.com', secret: 's', ...part })).rejects.toThrow(why);
  });
});

describe('pasted tokens', () => {
  test.each([
    'eyJ.a.b',
    ' eyJ.a.b\n',
    '\nToken: eyJ.a.b\n',
    'token:eyJ.a.b',
    'Bearer eyJ.a.b',
    'bearer  eyJ.a.b',
    'Authorization: Bearer eyJ.a.b',
    'Token: Bearer eyJ.a.b',
  ])('%j', (text) => expect(cleanToken(text)).toBe('eyJ.a.b'));

  test.each(['', ' ', 'Token: ', 'two words', 'tök', 'a\r\nX-Evil: 1', 'x'.repeat(8193)])(
    'not %j',
    (text) => {
      expect(() => cleanToken(text)).toThrow(/^the token (is empty|has spaces)/);
    },
  );
});

describe('a scheduler’s configuration', () => {
  const folder = useTempFolder();
  const read = async (text: string) => {
    await writeFile(folder('alts.yaml'), text);
    return readAltsConfig(folder('alts.yaml'));
  };

  test('gives its secret and algorithm', async () => {
    expect(await read('rabbitmq_port: 5672\njwt_secret: "abc # def"\nhashing_algorithm: HS512\n')).toEqual({
      secret: 'abc # def',
      algorithm: 'HS512',
    });
    expect(await read("jwt_secret: 's'\nhash_algorithm: HS384\n")).toEqual({
      secret: 's',
      algorithm: 'HS384',
    });
    expect(await read('jwt_secret: plain\nhash_algorithm: HS384\nhashing_algorithm: HS256')).toEqual({
      secret: 'plain',
      algorithm: 'HS256',
    });
    expect(await read('---\njwt_secret: s\n')).toEqual({ secret: 's' });
  });

  test.each([
    ['other: 1', 'it has no jwt_secret'],
    ['jwt_secret:', 'it has no jwt_secret'],
    ['jwt_secret: 1234', 'its jwt_secret is no text'],
    ['just text', 'it holds no settings'],
    ['', 'it holds no settings'],
    ['jwt_secret: [s3cret', 'it is no YAML'],
    [
      'a: &a [x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]',
      'it is no YAML',
    ],
    [`# ${'x'.repeat(1024 * 1024)}`, 'too large'],
  ])('%#: is refused', async (text, why) => {
    const error = await read(text).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(why) });
    expect(JSON.stringify([error?.message, (error as { hints?: unknown }).hints])).not.toContain('s3cret');
  });

  test('says that there is none', async () => {
    await expect(readAltsConfig(folder('none.yaml'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readAltsConfig(folder())).rejects.toMatchObject({ code: 'IO_FAILED' });
  });
});
