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

/** The packages that a command line loads: names, and how many files of regops itself as `regops`. */
async function loadedBy(...argv: readonly string[]): Promise<{ packages: Set<string>; own: number }> {
  await runCli(argv, { nodeArgs: ['--import', folder('watch.mjs')], env: { LOADED: folder('loaded') } });
  const urls = (await readFile(folder('loaded'), 'utf8')).split('\n');
  const names = urls.map((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]);
  return {
    packages: new Set(names.filter((name) => name !== undefined)),
    own: urls.filter((url) => url.includes('/dist/')).length,
  };
}

/** What takes long to load, and is only for commands that use it. */
const ENGINE = ['dockerode', 'docker-modem', 'ssh2'];
const TESTBED = ['@peculiar/x509', 'reflect-metadata', 'jose'];
const REGISTRY = ['undici', 'zod'];
const DOCUMENTS = ['yaml'];

describe('what is loaded before a command can begin', () => {
  test.each(['--version', '-V', 'version'])('%s: nothing', async (flag) => {
    const { packages, own } = await loadedBy(flag);
    expect([...packages]).toEqual([]);
    expect(own).toBe(0);
  });

  test.each([
    ['help', ['inspect', '--help'], [...ENGINE, ...TESTBED, ...REGISTRY, ...DOCUMENTS]],
    ['settings', ['config', 'path'], [...ENGINE, ...TESTBED, ...REGISTRY, ...DOCUMENTS]],
    [
      'inspect',
      ['inspect', '127.0.0.1:1/a/b:1', '--plain-http', '--retries', '0'],
      [...ENGINE, ...TESTBED, ...DOCUMENTS],
    ],
    [
      'push-tar',
      ['push-tar', 'no.tar', '--to', '127.0.0.1:1/a/b:1', '--plain-http', '--retries', '0'],
      [...ENGINE, ...TESTBED, ...DOCUMENTS],
    ],
  ])('%s: only what it uses', async (_, argv, foreign) => {
    const { packages, own } = await loadedBy(...argv);
    expect(own).toBeGreaterThan(0);
    expect(packages).toContain('@oclif/core');
    expect(foreign.filter((name) => packages.has(name))).toEqual([]);
  });
});
