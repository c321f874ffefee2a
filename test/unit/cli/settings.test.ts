import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatSettingKey, parseSettingKey, readSettingKey } from '../../../src/cli/setting-keys.ts';
import { cacheFolder, findSetting, readSettings, settingsPath } from '../../../src/cli/settings.ts';
import { listSettings } from '../../../src/cli/settings-listing.ts';
import { removeSetting, storeSetting } from '../../../src/cli/settings-store.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const folder = useTempFolder();

test.each([
  [{ XDG_CONFIG_HOME: '/x', XDG_CACHE_HOME: '/y' }, '/x/regops/config.json', '/y/regops'],
  [{ HOME: '/h' }, '/h/.config/regops/config.json', '/h/.cache/regops'],
  [
    { HOME: '/h', XDG_CONFIG_HOME: 'relative', XDG_CACHE_HOME: '' },
    '/h/.config/regops/config.json',
    '/h/.cache/regops',
  ],
  [{}, join(homedir(), '.config/regops/config.json'), join(homedir(), '.cache/regops')],
])('with %j settings and caches are found', (environment, settings, cache) => {
  expect(settingsPath(environment)).toBe(settings);
  expect(cacheFolder(environment)).toBe(cache);
});

describe('the file', () => {
  test('need not be there', async () => {
    expect(await readSettings(folder('none'))).toMatchObject({ defaults: {}, profiles: {} });
  });

  test('that cannot be read, is too large or no JSON is refused without repeating what is in it', async () => {
    await mkdir(folder('directory'));
    await expect(readSettings(folder('directory'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await writeFile(folder('large'), `"${'x'.repeat(2 ** 20)}"`);
    await expect(readSettings(folder('large'))).rejects.toThrow('larger than 1 MiB');
    await writeFile(folder('broken'), '{"password": geheim123}');
    const error = await readSettings(folder('broken')).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(folder('broken')),
    });
    expect(String((error as Error).message)).not.toContain('geheim');
  });

  test('is made with 0600 in a folder with 0700, and keeps what is not ours', async () => {
    const path = folder('new', 'regops', 'config.json');
    await storeSetting(path, { flag: 'timeout' }, '5s');
    await storeSetting(path, { profile: 'prod', flag: 'insecure' }, true);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(folder('new', 'regops'))).mode & 0o777).toBe(0o700);
    const content = JSON.parse(await readFile(path, 'utf8'));
    expect(content).toEqual({ defaults: { timeout: '5s' }, profiles: { prod: { insecure: true } } });
    await writeFile(path, JSON.stringify({ ...content, other: [1] }));
    expect(await removeSetting(path, { flag: 'timeout' })).toBe(true);
    expect(await removeSetting(path, { flag: 'timeout' })).toBe(false);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      defaults: {},
      profiles: { prod: { insecure: true } },
      other: [1],
    });
  });

  test('that others could read is closed to them when it is changed', async () => {
    const path = folder('config.json');
    await writeFile(path, '{}');
    await chmod(path, 0o644);
    await storeSetting(path, { flag: 'timeout' }, '5s');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('that is broken is left as it is', async () => {
    await writeFile(folder('config.json'), '{');
    await expect(storeSetting(folder('config.json'), { flag: 'a' }, 'b')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    expect(await readFile(folder('config.json'), 'utf8')).toBe('{');
  });

  test('that cannot be written is OUTPUT_FAILED', async () => {
    await writeFile(folder('file'), '');
    await expect(storeSetting(folder('file', 'config.json'), { flag: 'a' }, 'b')).rejects.toMatchObject({
      code: expect.stringMatching(/OUTPUT_FAILED|CONFIG_INVALID/),
    });
  });
});

describe('keys', () => {
  const known = new Set(['timeout', 'registry-url']);

  test.each([
    ['timeout', { flag: 'timeout' }],
    ['defaults.timeout', { flag: 'timeout' }],
    ['profiles.prod.registry-url', { profile: 'prod', flag: 'registry-url' }],
  ])('%s', (text, key) => {
    expect(parseSettingKey(text, known, '/f')).toEqual(key);
  });

  test.each([
    '',
    '.',
    'a.b',
    'defaults.',
    'defaults.a.b',
    'profiles.prod',
    'profiles..timeout',
    'profiles.a b.timeout',
    'profiles.__proto__.x.y',
    'profiles.__proto__.timeout',
    'profiles.constructor.timeout',
    'profiles.prototype.timeout',
    `profiles.${'x'.repeat(65)}.timeout`,
  ])('%j is none', (text) => {
    expect(() => readSettingKey(text)).toThrow('is not a setting');
  });

  test('one that no command has is refused with a guess, a secret always', () => {
    expect(() => parseSettingKey('timeot', known, '/f')).toThrow("no setting 'timeot'");
    expect(() => parseSettingKey('profiles.p.password', known, '/f')).toThrow('is a secret');
  });

  test('read and write are each other’s opposite', () => {
    const word = fc.stringMatching(/^[a-z][a-z-]{0,20}$/);
    const name = fc
      .stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
      .filter((text) => !['__proto__', 'prototype', 'constructor'].includes(text));
    fc.assert(
      fc.property(word, fc.option(name, { nil: undefined }), (flag, profile) => {
        const key = { flag, ...(profile === undefined ? {} : { profile }) };
        expect(readSettingKey(formatSettingKey(key))).toEqual(key);
      }),
    );
  });
});

describe('what is in force', () => {
  const settings = {
    path: '/f',
    defaults: { timeout: '1s', insecure: true, password: 'geheim123' },
    profiles: { prod: { timeout: '2s' }, test: { timeout: '3s' } },
  };

  const variablesOf = (...names: string[]) =>
    new Map(names.map((name) => [name, [`REGOPS_${name.toUpperCase()}`]]));

  test('a setting of an object’s own nature is none', () => {
    expect(findSetting(settings, undefined, 'toString')).toBeUndefined();
    expect(findSetting(settings, 'prod', 'constructor')).toBeUndefined();
    expect(() => findSetting(settings, 'toString', 'timeout')).toThrow('no profile');
  });

  test('is listed, the strongest first; secrets are not told', () => {
    const listed = listSettings(
      settings,
      { REGOPS_INSECURE: 'no', REGOPS_PASSWORD: 'geheim123' },
      'prod',
      variablesOf('timeout', 'insecure', 'password'),
    );
    expect(listed).toEqual([
      { name: 'insecure', value: 'no', from: 'REGOPS_INSECURE', inForce: true },
      { name: 'insecure', value: true, from: 'defaults.insecure', inForce: false },
      { name: 'password', value: '(secret)', from: 'REGOPS_PASSWORD', inForce: true },
      { name: 'timeout', value: '2s', from: 'profiles.prod.timeout', inForce: true },
      { name: 'timeout', value: '1s', from: 'defaults.timeout', inForce: false },
      { name: 'timeout', value: '3s', from: 'profiles.test.timeout', inForce: false },
    ]);
    expect(() => listSettings(settings, {}, 'none', new Map())).toThrow('no profile');
  });
  test('a flag with several variables takes each from where it is', () => {
    const stored = { path: '/f', defaults: { repository: 'stored' }, profiles: {} };
    const variables = new Map([['repository', ['REGOPS_REPOSITORY', 'REGOPS_SNAPSHOT_REPOSITORY']]]);
    const inFile = { name: 'repository', value: 'stored', from: 'defaults.repository' };
    const here = { name: 'repository', value: 'here', from: 'REGOPS_REPOSITORY', inForce: true };
    const snaps = { name: 'repository', value: 'snaps', from: 'REGOPS_SNAPSHOT_REPOSITORY', inForce: true };
    const one = { REGOPS_SNAPSHOT_REPOSITORY: 'snaps' };
    // Commands that listen to the other variable still take what is stored.
    expect(listSettings(stored, one, undefined, variables)).toEqual([snaps, { ...inFile, inForce: true }]);
    const both = { ...one, REGOPS_REPOSITORY: 'here' };
    expect(listSettings(stored, both, undefined, variables)).toEqual([
      here,
      snaps,
      { ...inFile, inForce: false },
    ]);
  });
});
