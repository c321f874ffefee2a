import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseTap } from '../../../../src/alts/index.ts';
import { silentLog } from '../../../../src/base/index.ts';
import { foldersOf } from '../../../../src/jobs/package-test/run/container.ts';
import {
  badRunPaths,
  librariesPoint,
  parseMarked,
  versionPoint,
} from '../../../../src/jobs/package-test/run/integrity.ts';
import { judgeLeftOvers, listLeftOvers } from '../../../../src/jobs/package-test/run/left-overs.ts';
import { type Point, writeTap } from '../../../../src/jobs/package-test/run/tap.ts';
import { Transcript } from '../../../../src/jobs/package-test/run/transcript.ts';

test('files and what is said of them, as the scripts print it', () => {
  const output =
    '> lost\n/usr/bin/a\n> libc.so.6 => /lib/libc.so.6 (0x1)\n> libx.so => not found\n/usr/bin/b\n';
  expect(parseMarked(output)).toEqual([
    { path: '/usr/bin/a', lines: ['libc.so.6 => /lib/libc.so.6 (0x1)', 'libx.so => not found'] },
    { path: '/usr/bin/b', lines: [] },
  ]);
});

describe('libraries', () => {
  const of = (line: string, paths: readonly string[] = []) =>
    librariesPoint([{ path: '/usr/bin/a', lines: [line, line] }], paths);

  test.each([
    'libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)',
    'linux-vdso.so.1 (0x00007ffe)',
    '/lib64/ld-linux-x86-64.so.2 (0x00007f)',
    'statically linked',
    'not a dynamic executable',
  ])('%s is fine', (line) => {
    expect(of(line)).toMatchObject({ ok: true, lines: [] });
  });

  test('one that is not found, once; a version that is not', () => {
    expect(of('libx.so.1 => not found')).toMatchObject({
      ok: false,
      lines: ['/usr/bin/a: libx.so.1 not found'],
    });
    const version = "/usr/bin/a: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /usr/bin/a)";
    expect(of(version)).toMatchObject({ ok: false, lines: [`/usr/bin/a: ${version}`] });
  });

  test('one that the package brings, in a folder of its own, is a warning', () => {
    expect(of('libx.so.1 => not found', ['/opt/a/libx.so.1'])).toMatchObject({
      ok: true,
      lines: [expect.stringContaining("the package's own libx.so.1")],
    });
    expect(of('libx.so.1 => not found', ['/opt/a/libx.so.10'])).toMatchObject({ ok: false });
    // Firefox brings a newer one than the system has.
    const newer =
      "/opt/a/liba.so: /lib/libnss3.so: version `NSS_3.101' not found (required by /opt/a/liba.so)";
    expect(of(newer, ['/opt/a/libnss3.so'])).toMatchObject({ ok: true, lines: [expect.any(String)] });
  });
});

test.each([
  ['/opt/x/lib:/opt/x', true],
  ['/opt/x:', false],
  [':/opt/x', false],
  ['/opt/x::/opt/y', false],
  ['lib:/opt/x', false],
])('the run path %s is good: %s', (path, good) => {
  expect(badRunPaths([{ path: '/a', lines: [path] }])).toHaveLength(good ? 0 : 1);
});

describe('the version', () => {
  const tools = { satisfies: (wanted: string, { version }: { version: string }) => wanted === version };
  const installed = { version: '1.0-1', architecture: 'amd64' };

  test('any will do when none was asked for', () => {
    expect(versionPoint({ name: 'a' }, installed, tools).ok).toBe(true);
    expect(versionPoint({ name: 'a', version: '1.0-1' }, installed, tools).ok).toBe(true);
  });

  test('another, or none', () => {
    expect(versionPoint({ name: 'a', version: '1.0' }, installed, tools)).toMatchObject({
      ok: false,
      lines: ['asked for 1.0, installed is 1.0-1'],
    });
    expect(versionPoint({ name: 'a' }, undefined, tools).ok).toBe(false);
  });
});

test('checks become TAP that says the same, whatever is in them', () => {
  const point: fc.Arbitrary<Point> = fc.record(
    {
      name: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
      ok: fc.boolean(),
      lines: fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { maxLength: 120 }),
    },
    { requiredKeys: ['name', 'ok'] },
  );
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 6 }), (points) => {
      const tap = parseTap(writeTap(points));
      expect(tap?.problems).toEqual([]);
      expect(tap?.bailOut).toBeUndefined();
      expect(tap?.tests.map(({ ok, directive }) => [ok, directive])).toEqual(
        points.map(({ ok }) => [ok, undefined]),
      );
    }),
    { examples: [[[{ name: 'a # SKIP b', ok: false, lines: ['x\nBail out!\nok 7', '1..9'] }]]] },
  );
  expect(parseTap(writeTap([{ name: 'a', ok: true, skipped: 'no ldd' }]))?.tests).toMatchObject([
    { directive: 'skip', reason: 'no ldd' },
  ]);
});

describe('left-overs', () => {
  const found = [
    '/etc/passwd-',
    '/usr/share/foo',
    '/usr/share/foo/cache',
    '/var/lib/bar',
    '/var/log/apt/term.log',
  ];
  const traces = [/^\/var\/log\/apt/];

  test('alone, all are its own but what every installation leaves', () => {
    expect(judgeLeftOvers(found, 'foo', [], [], traces)).toEqual({
      own: ['/usr/share/foo', '/usr/share/foo/cache', '/var/lib/bar'],
      others: [],
    });
  });

  test('in company, those that bear its name or lie in a folder it brought', () => {
    const left = judgeLeftOvers(
      ['/opt/f', '/opt/f/x', '/opt/fx', '/var/lib/bar', '/var/lib/foo-data'],
      'foo',
      ['/opt', '/opt/f'],
      ['bar'],
    );
    expect(left.own).toEqual(['/opt/f', '/opt/f/x', '/var/lib/foo-data']);
    expect(left.others).toEqual(['/opt/fx', '/var/lib/bar']);
  });

  test('are listed, but not without end', () => {
    expect(listLeftOvers([], 'foo')).toEqual([]);
    const many = listLeftOvers(
      Array.from({ length: 5000 }, (_, at) => `/a${at}`),
      'foo',
    );
    expect(many.length).toBeLessThan(200);
    expect(many.at(-1)).toBe('… and 4900 more');
  });
});

describe('a transcript', () => {
  test('is bounded, keeps beginning and end, and says what is missing', async () => {
    const transcript = new Transcript(silentLog, 'a');
    for (let line = 0; line < 100_000; line++) transcript.line(`line ${line}`);
    await transcript.close();
    expect(transcript.text.length).toBeLessThan(400 * 1024);
    expect(transcript.text).toMatch(/^line 0\nline 1\n/);
    expect(transcript.text).toMatch(/\[… \d+ lines …\]\n/);
    expect(transcript.text.endsWith('line 99999\n')).toBe(true);
  });

  test('holds no secrets and no escapes, in the trace and in its file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'regops-transcript-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const said: string[] = [];
    const path = join(folder, 'a.log');
    const transcript = new Transcript({ ...silentLog, trace: (line) => said.push(line) }, 'a', path);
    transcript.line('get https://user:GEHEIM@packages.example.com/ \u001b[2J');
    await transcript.close();
    expect(await readFile(path, 'utf8')).toBe(transcript.text);
    expect(said).toEqual([`a: ${transcript.text.trimEnd()}`]);
    expect(transcript.text).not.toMatch(/GEHEIM|\u001b/);
    expect(transcript.text).toContain('\\x1b[2J');
  });

  test('a file that cannot be written is a warning', async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (line: string) => void warnings.push(line) };
    const transcript = new Transcript(log, 'a', '/nowhere/at/all.log');
    transcript.line('x');
    await transcript.close();
    expect(warnings).toEqual([expect.stringContaining('the log is not kept')]);
    expect(transcript.text).toBe('x\n');
  });
});

test('repositories in folders of this machine are seen in the container', () => {
  const urls = [
    'deb file:/srv/debs ./',
    'deb file:///srv/debs/ bookworm main',
    'file:///srv/rpms',
    'https://packages.example.com/file:/no',
    'file:///srv/a:b',
  ];
  expect(foldersOf(urls.map((url) => ({ url })))).toEqual(['/srv/debs', '/srv/rpms']);
});
