import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { ERROR_KINDS } from '../../src/base/index.ts';
import { loadConfig } from '../support/run-command.ts';

const folder = fileURLToPath(new URL('../../src/cli/schemas', import.meta.url));
const names = (await readdir(folder)).map((name) => name.replace(/\.json$/, ''));
// biome-ignore lint/suspicious/noExplicitAny: a JSON schema is any JSON
const schemas: Record<string, any> = {};
for (const name of names) schemas[name] = JSON.parse(await readFile(`${folder}/${name}.json`, 'utf8'));

/** As a user would set it up who knows nothing of regops but these files. */
function validatorFor(name: string) {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false });
  addFormats.default(ajv);
  ajv.addSchema(Object.values(schemas));
  return ajv.getSchema(`urn:regops:${name}:1`) as ValidateFunction;
}

/** Those that are not a command's whole answer: what all share, and the lines before an answer. */
const PARTS = [
  'envelope',
  'torture.events',
  'pullthrough-bench.events',
  'package-test.events',
  'package-test.run.events',
  'push-tar.events',
];
const GOOD = { ok: false, exitCode: 66, result: null, warnings: [] };
const ERROR = { code: 'IMAGE_NOT_FOUND', message: 'no such image', hints: ['Look again.'] };

test('every command that answers in JSON has a schema, and every schema a command', async () => {
  const { commands } = await loadConfig();
  const answering = commands.filter(({ flags }) => 'json' in flags).map(({ id }) => id.replaceAll(':', '.'));
  expect(names.toSorted()).toEqual([...answering, 'cli', ...PARTS].toSorted());
});

describe.each(names.filter((name) => !PARTS.includes(name)))('%s', (name) => {
  test('is named after its command', () => {
    expect(schemas[name]).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: `urn:regops:${name}:1`,
      $ref: 'urn:regops:envelope:1',
      properties: { schema: { const: `regops.${name}/1` } },
      unevaluatedProperties: false,
    });
  });

  test('compiles, and takes a failure that has no result', () => {
    const validate = validatorFor(name);
    const schema = `regops.${name}/1`;
    expect(validate({ schema, ...GOOD, error: ERROR }), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ schema, ...GOOD, exitCode: 130, interrupted: true, error: ERROR })).toBe(true);
  });

  test.each([
    ['another command', { schema: 'regops.other/1' }],
    ['a field more', { more: 1 }],
    ['no exit code', { exitCode: undefined }],
    ['a result that is text', { result: 'done' }],
    ['a result of nothing known', { result: { surprise: 1 } }],
    ['a warning that is no text', { warnings: [1] }],
    ['an error with a stack', { error: { ...ERROR, stack: 'at' } }],
    ['interrupted: false', { interrupted: false }],
  ])('refuses %s', (_, change) => {
    const answer = JSON.parse(JSON.stringify({ schema: `regops.${name}/1`, ...GOOD, ...change }));
    expect(validatorFor(name)(answer)).toBe(false);
  });

  test('leaves no object open, and says of every field whether it must be there', () => {
    const open = objectsIn(schemas[name].properties, []).concat(
      objectsIn(schemas[name].$defs ?? {}, ['$defs']),
    );
    expect(open.filter(({ schema }) => schema['additionalProperties'] === undefined)).toEqual([]);
    for (const { schema } of open) {
      const known = Object.keys(schema['properties'] ?? {});
      expect(known).toEqual(expect.arrayContaining(schema['required'] ?? []));
    }
  });
});

describe('the lines of torture', () => {
  const line = { type: 'result', schema: 'regops.torture.monitor/1', ...GOOD, error: ERROR };

  test('end with an answer of one of its commands', () => {
    const validate = validatorFor('torture.events');
    expect(validate(line), JSON.stringify(validate.errors)).toBe(true);
  });

  test.each([
    ['another command', { ...line, schema: 'regops.inspect/1' }],
    ['a field more', { ...line, more: 1 }],
    ['an answer that does not say it is one', { ...line, type: undefined }],
    ['an unknown event', { type: 'surprise', sample: {} }],
    ['an event without what happened', { type: 'alert' }],
  ])('refuses %s', (_, value) => {
    expect(validatorFor('torture.events')(JSON.parse(JSON.stringify(value)))).toBe(false);
  });

  test('leave no object open', () => {
    const events = objectsIn(schemas['torture.events'].oneOf, []);
    expect(events).toHaveLength(5);
    for (const { schema } of events) {
      expect(schema['additionalProperties'] ?? schema['unevaluatedProperties']).toBe(false);
    }
  });
});

test('the envelope takes every error code there is', () => {
  const pattern = new RegExp(schemas['envelope'].properties.error.properties.code.pattern);
  for (const code of Object.keys(ERROR_KINDS)) expect(code).toMatch(pattern);
});

// biome-ignore lint/suspicious/noExplicitAny: a JSON schema is any JSON
function objectsIn(schema: any, path: readonly string[]): { path: string; schema: any }[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const own = schema.type === 'object' ? [{ path: path.join('/'), schema }] : [];
  return own.concat(Object.entries(schema).flatMap(([key, inner]) => objectsIn(inner, [...path, key])));
}
