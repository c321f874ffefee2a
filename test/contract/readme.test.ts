import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { commandModels } from '../../src/cli/command-model.ts';
import { commandOf, faultOf, invocationsIn } from '../support/invocations.ts';
import { loadConfig } from '../support/run-command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = await readFile(`${root}/README.md`, 'utf8');
const config = await loadConfig();
/** What people wrote: without the command reference, which is made from the commands. */
const written = readme.replace(/<!-- commands -->[\s\S]*<!-- commandsstop -->/, '');
const blocks = [...written.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}));
const calls = blocks.flatMap(({ text }) => invocationsIn(text));

const VARIABLE = /\bREGOPS_[A-Z][A-Z_]*\b/g;

test('every call of regops in it would be taken', () => {
  expect(calls.length).toBeGreaterThan(30);
  const wrong = calls.flatMap((words) => {
    const fault = faultOf(words, config);
    return fault === undefined ? [] : [`regops ${words.join(' ')}: ${fault}`];
  });
  expect(wrong).toEqual([]);
});

test('every command is in it, and all but the single config ones by example', () => {
  const called = new Set(calls.map((words) => commandOf(words, config)?.id.split(':')[0]));
  const topics = new Set(config.commands.map(({ id }) => id.split(':')[0]));
  for (const topic of topics) {
    const inline = new RegExp(`\`[^\`]*regops ${topic}\\b`);
    expect(called.has(topic) || inline.test(written), topic).toBe(true);
  }
  for (const { id } of config.commands) expect(readme).toContain(`### regops ${id.replaceAll(':', ' ')}\n`);
});

test('every variable in it is one', () => {
  const known = new Set(
    commandModels(config).flatMap(({ environment, flags }) => [
      ...environment.flatMap(([names]) => names.split(', ')),
      ...flags.map(({ env }) => env),
      // What a command that the user names is given.
      ...flags.flatMap(({ description }) => description.match(VARIABLE) ?? []),
    ]),
  );
  const named = written.match(VARIABLE) ?? [];
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

test('its two set-up commands are there, and are what CI runs', async () => {
  const scripts = JSON.parse(await readFile(`${root}/package.json`, 'utf8')).scripts;
  const lines = blocks.flatMap(({ text }) => text.split('\n'));
  for (const script of ['demo', 'test:all']) {
    expect(lines).toContain(`npm ci && npm run ${script}`);
    expect(scripts).toHaveProperty([script]);
  }
  expect(await readFile(`${root}/.ci/run`, 'utf8')).toContain('npm ci && npm run test:all');
  const named = [...written.matchAll(/npm run\s+([\w:]+)/g)].map(([, name]) => name as string);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('every folder it draws is there', async () => {
  const { existsSync } = await import('node:fs');
  const rooms = [...written.matchAll(/^ *(?:src\/)?(\w+)\/ {2,}/gm)].map(([, room]) => room as string);
  expect(rooms.length).toBeGreaterThan(5);
  expect(
    rooms.filter((room) => !existsSync(`${root}/src/${room}`) && !existsSync(`${root}/${room}`)),
  ).toEqual([]);
});

describe('the reader of calls', () => {
  test.each([
    ['regops inspect a --tree', [['inspect', 'a', '--tree']]],
    ['docker save x | regops push-tar - --to r/a >out.txt 2>&1', [['push-tar', '-', '--to', 'r/a']]],
    ['for t in $(regops inspect --registry-url $r); do', [['inspect', '--registry-url', '$r']]],
    ['regops inspect \\\n  a  # a comment with regops in it', [['inspect', 'a']]],
    [
      "regops config set key 'two words' && regops logout",
      [['config', 'set', 'key', 'two words'], ['logout']],
    ],
    ['regops testbed & trap "kill $!" EXIT', [['testbed']]],
    ['cd /opt/regops && ./regops x', []],
  ])('%s', (text, expected) => {
    expect(invocationsIn(text)).toEqual(expected);
  });

  test.each([
    [['inspct', 'a'], 'no such command'],
    [['inspect', 'a', '--tre'], 'no flag --tre'],
    [['push-tar'], 'an argument is missing'],
    [['push-tar', 'a.tar', '--to'], '--to has no value'],
    [['push-tar', 'a.tar', '--compression', 'xz'], '--compression is not xz'],
    [['logout', 'a', 'b'], 'too many arguments'],
    [['push-tar', 'a.tar', '--no-insecure'], 'no flag --no-insecure'],
  ])('%o: %s', (words, fault) => {
    expect(faultOf(words, config)).toContain(fault);
  });

  test.each([
    [['push-tar', 'a.tar', 'b.tar', '--no-cache', '-c', '3', '--format=json']],
    [['config', 'set', 'timeout', '30s']],
    [['--version']],
  ])('%o is fine', (words) => {
    expect(faultOf(words, config)).toBeUndefined();
  });
});
