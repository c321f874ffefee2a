import { readFile, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';
import { useTempFolder } from '../support/temp-folder.ts';

const folder = useTempFolder();

beforeEach(async () => {
  await writeFile(folder('watch.mjs'), WATCH);
});

/** Writes down what is loaded beside Node's own modules. */
const WATCH = `
import { writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
const loaded = [];
registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:')) loaded.push(url);
    return next(url, context);
  },
});
process.on('exit', () => writeFileSync(process.env.LOADED, loaded.join('\\n')));
`;

/** Packages that the build takes into its own files, by words that are in no other file. */
const BUNDLED: Readonly<Record<string, string>> = {
  '@oclif/core': 'commandDiscoveryOpts',
  undici: 'llhttp',
  zod: '$constructor("ZodMiniObject"',
  'zod, the whole of it': '$constructor("ZodObject"',
};

interface Loaded {
  readonly packages: ReadonlySet<string>;
  /** Files of any kind, and the characters they hold. */
  readonly files: number;
  readonly characters: number;
}

/** What a command line loads. */
async function loadedBy(...argv: readonly string[]): Promise<Loaded> {
  await runCli(argv, { nodeArgs: ['--import', folder('watch.mjs')], env: { LOADED: folder('loaded') } });
  const urls = (await readFile(folder('loaded'), 'utf8')).split('\n');
  const texts = await Promise.all(urls.map((url) => readFile(new URL(url), 'utf8')));
  const outside = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  const inside = Object.keys(BUNDLED).filter((name) =>
    texts.some((text) => text.includes(BUNDLED[name] as string)),
  );
  return {
    packages: new Set([...outside, ...inside]),
    files: urls.length,
    characters: texts.reduce((total, text) => total + text.length, 0),
  };
}

/** What takes long to load, and is only for commands that use it. */
const ENGINE = ['dockerode', 'docker-modem', 'ssh2'];
const TESTBED = ['@peculiar/x509', 'reflect-metadata', 'jose', 'zod, the whole of it'];
const REGISTRY = ['undici', 'zod'];
const DOCUMENTS = ['yaml', 'conf'];

const AT_NOBODY = ['127.0.0.1:1/a/b:1', '--plain-http', '--retries', '0'];

describe('what is loaded before a command can begin', () => {
  test.each(['--version', '-V', 'version'])('%s: nothing', async (flag) => {
    const { packages, files } = await loadedBy(flag);
    expect([...packages]).toEqual([]);
    expect(files).toBe(1);
  });

  const light = { foreign: [...ENGINE, ...TESTBED, ...REGISTRY, ...DOCUMENTS], files: 45, kilo: 900 };
  const registry = { foreign: [...ENGINE, ...TESTBED, ...DOCUMENTS], files: 60, kilo: 2000 };

  // A few files more than there are: the bounds are to be reached by a change that loads a package, not by a
  // module more or less.
  test.each([
    ['help', ['--help'], light],
    ['help of a command', ['inspect', '--help'], light],
    ['settings', ['config', 'path'], light],
    ['login', ['login', '127.0.0.1:1', '--username', 'a', '--password', 'b', '--retries', '0'], registry],
    ['inspect', ['inspect', ...AT_NOBODY], registry],
    ['push-tar', ['push-tar', 'no.tar', '--to', ...AT_NOBODY], registry],
  ])('%s: only what it uses, in few files', async (_, argv, bounds) => {
    const { packages, files, characters } = await loadedBy(...argv);
    expect(packages).toContain('@oclif/core');
    expect(bounds.foreign.filter((name) => packages.has(name))).toEqual([]);
    expect(files).toBeLessThanOrEqual(bounds.files);
    expect(characters / 1000).toBeLessThanOrEqual(bounds.kilo);
  });

  test('the words by which packages are known are in the files that hold them', async () => {
    const { packages } = await loadedBy('inspect', ...AT_NOBODY);
    expect([...packages]).toEqual(expect.arrayContaining(['@oclif/core', 'undici', 'zod']));
    const alts = ['package-test', 'result', 'a-task', '--scheduler-url', 'http://127.0.0.1:1'];
    expect((await loadedBy(...alts)).packages).toContain('zod, the whole of it');
  });
});

test('the licences of what the build takes in go along', async () => {
  const text = await readFile(new URL('../../dist/LICENSES.txt', import.meta.url), 'utf8');
  const titles = [...text.matchAll(/^(\S+) \d+\.\d+\.\d+\S* \(\S+\)$/gm)].map(([, name]) => name);
  expect(titles).toEqual(
    expect.arrayContaining(['@oclif/core', 'chalk', 'debug', 'p-limit', 'undici', 'zod']),
  );
  for (const part of text.split(/^-{78}$/m).slice(1)) expect(part, part.slice(0, 60)).toMatch(/copyright/i);
});
