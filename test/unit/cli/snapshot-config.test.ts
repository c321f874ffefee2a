import { describe, expect, test } from 'vitest';
import {
  expandVariables,
  parseSnapshotConfig,
  readSnapshotConfig,
} from '../../../src/cli/snapshot-config.ts';
import { splitWords } from '../../../src/cli/words.ts';

const read = (text: string, environment: Record<string, string> = {}) =>
  parseSnapshotConfig(text, 'config.yaml', environment);

test("the seed's block, among other things", async () => {
  const text = [
    'listen_port: 8900',
    'snapshot_registry:',
    '  url: "registry.example.com"           # Registry URL (required)',
    '  repository: "indexify/snapshots"',
    '  username: "robot$account"',
    `  password: "\${REGISTRY_PASSWORD}"`,
    '  insecure: false',
  ].join('\n');
  expect(await read(text, { REGISTRY_PASSWORD: `p\${X}"\n: y` })).toEqual({
    url: 'registry.example.com',
    repository: 'indexify/snapshots',
    username: 'robot$account',
    password: `p\${X}"\n: y`,
    insecure: false,
  });
  await expect(read(text)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('the variable REGISTRY_PASSWORD is not set'),
  });
});

test('no block is no registry', async () => {
  expect(await read('')).toBeUndefined();
  expect(await read('a: 1')).toBeUndefined();
  expect(await read('snapshot_registry:')).toBeUndefined();
});

test('a password of digits stays as it is written', async () => {
  const block = await read(
    'snapshot_registry: { url: r, repository: x, username: 1, password: 0123, insecure: true }',
  );
  expect(block).toMatchObject({ username: '1', password: '0123', insecure: true });
});

describe('what is wrong is told, and no secret with it', () => {
  test.each([
    ['snapshot_registry: { repository: x }', 'url is missing'],
    ['snapshot_registry: { url: r }', 'repository is missing'],
    ['snapshot_registry: { url: r, repository: x, password: geheim }', 'a password without a username'],
    ['snapshot_registry: { url: r, repository: x, pasword: geheim }', "no field 'pasword'"],
    ['snapshot_registry: { url: r, repository: x, insecure: geheim }', 'neither true nor false'],
    ['snapshot_registry: { url: r, repository: [geheim] }', 'not a text'],
    [
      'snapshot_registry: { url: "https://r/team", repository: x }',
      'url: invalid registry URL: it has a path',
    ],
    ['snapshot_registry: { url: "https://me:geheim@r", repository: x }', 'snapshot_registry.url: '],
    ['snapshot_registry: { url: r, repository: Team/X }', 'must be lowercase'],
    ['snapshot_registry: geheim', 'not a block'],
    ['snapshot_registry:\n  password: "geheim\n', 'no YAML'],
    [
      `a: &a [x]\n${Array.from({ length: 9 }, (_, at) => `a${at}: &a${at} [${`*a${at === 0 ? '' : at - 1}, `.repeat(9)}]`).join('\n')}`,
      'aliases',
    ],
  ])('%j', async (text, why) => {
    const error = await read(text).then(
      () => undefined,
      (thrown: { code: string; message: string }) => thrown,
    );
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(why) });
    expect(error?.message).not.toContain('geheim');
  });

  test('a file that is not there', async () => {
    await expect(readSnapshotConfig('/nowhere/config.yaml', {})).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });
});

test('variables', () => {
  const env = { A: '1', B: `\${A}`, EMPTY: '' };
  expect(expandVariables(`\${A}-\${B}-\${EMPTY}-$A-$\${A}-$`, env, 'x')).toBe(`1-\${A}--$A-\${A}-$`);
  expect(() => expandVariables(`\${toString}`, env, 'x')).toThrow(/toString is not set/);
  expect(() => expandVariables(`\${a b}`, env, 'x')).toThrow(/does not name a variable/);
});

test.each([
  ['sleep 10', ['sleep', '10']],
  [`sh -c "echo \\"hi\\" '$x'"`, ['sh', '-c', `echo "hi" '$x'`]],
  [`a'b c'd  e\\ f ""`, ['ab cd', 'e f', '']],
  [`'\\n'`, ['\\n']],
])('the words of %j', (text, words) => {
  expect(splitWords(text)).toEqual(words);
});

test.each(['', '  ', `a "b`, `a 'b`, 'a \\'])('%j is no command', (text) => {
  expect(() => splitWords(text)).toThrow(/is not a command/);
});
