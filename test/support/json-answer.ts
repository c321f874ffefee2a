import { existsSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const folder = new URL('../../src/cli/schemas/', import.meta.url);
const ajv = new Ajv2020({ allErrors: true, strictTypes: false });
addFormats.default(ajv);
ajv.addSchema(read('envelope'));

/**
 * Parses a JSON answer and checks it against the schema of the command that it says it is from, or against
 * what all answers have in common (a contract test sees to it that every command has a schema).
 */
// biome-ignore lint/suspicious/noExplicitAny: tests look into any command's result
export function readAnswer(text: string): any {
  const answer = JSON.parse(text);
  const named = /^regops\.(.+)\/1$/.exec(answer.schema)?.[1];
  const name = named !== undefined && existsSync(schemaFile(named)) ? named : 'envelope';
  const id = `urn:regops:${name}:1`;
  const validate = ajv.getSchema(id) ?? ajv.compile(read(name));
  if (!validate(answer)) {
    throw new Error(`not a valid answer of ${answer.schema}: ${ajv.errorsText(validate.errors)}\n${text}`);
  }
  if (answer.ok !== (answer.exitCode === 0)) throw new Error(`ok contradicts exitCode: ${text}`);
  return answer;
}

function read(name: string): object {
  return JSON.parse(readFileSync(schemaFile(name), 'utf8'));
}

function schemaFile(name: string): URL {
  return new URL(`${name}.json`, folder);
}
