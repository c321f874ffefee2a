import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const folder = new URL('../../src/cli/schemas/', import.meta.url);
const ajv = new Ajv2020({ allErrors: true, strictTypes: false });
addFormats.default(ajv);
// They refer to each other.
for (const file of readdirSync(folder)) ajv.addSchema(read(file.replace(/\.json$/, '')));

/**
 * Parses a JSON answer and checks it against the schema of the command that it says it is from, or against
 * what all answers have in common (a contract test sees to it that every command has a schema).
 */
// biome-ignore lint/suspicious/noExplicitAny: tests look into any command's result
export function readAnswer(text: string): any {
  const answer = JSON.parse(text);
  const named = /^regops\.(.+)\/1$/.exec(answer.schema)?.[1];
  const name = named !== undefined && existsSync(schemaFile(named)) ? named : 'envelope';
  check(name, answer, text);
  if (answer.ok !== (answer.exitCode === 0)) throw new Error(`ok contradicts exitCode: ${text}`);
  return answer;
}

/** Parses the lines of `--format ndjson`, each checked against the schema of the command's events. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into any event
export function readEvents(name: string, text: string): any[] {
  if (!text.endsWith('\n')) throw new Error(`the last line is not whole: ${text}`);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const event = JSON.parse(line);
      check(name, event, line);
      return event;
    });
}

function check(name: string, value: unknown, text: string): void {
  const validate = ajv.getSchema(`urn:regops:${name}:1`);
  if (!validate?.(value)) {
    throw new Error(`not a valid ${name}: ${ajv.errorsText(validate?.errors)}\n${text}`);
  }
}

function read(name: string): object {
  return JSON.parse(readFileSync(schemaFile(name), 'utf8'));
}

function schemaFile(name: string): URL {
  return new URL(`${name}.json`, folder);
}
