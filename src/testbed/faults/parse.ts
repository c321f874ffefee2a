import { messageOf, RegopsError } from '../../base/index.ts';
import {
  EFFECT_KEYS,
  type Fault,
  KINDS,
  MATCH_KEYS,
  METHODS,
  MOST_FAULTS,
  validateFault,
  validateFaults,
} from './model.ts';

const NUMBERS = new Set([
  'nth',
  'every',
  'first',
  'probability',
  'share',
  'status',
  'retryAfter',
  'corrupt',
  'length',
  'siblings',
]);
const LISTS = new Set(['method', 'kind', 'nth']);

/** Longer texts are a mistake. */
const LONGEST = 1024 * 1024;

/**
 * Reads faults: a JSON document, or the short form for the command line (README.md beside this file):
 * faults between `;` or on lines of their own, each of words: methods, kinds, a `/path` or `~expression`, and
 * `key=value`, in any order; `#` begins a comment.
 *
 * @throws CONFIG_INVALID that names the fault and the word or field
 */
export function parseFaults(text: string): readonly Fault[] {
  if (text.length > LONGEST) throw new RegopsError('CONFIG_INVALID', 'invalid faults: longer than 1 MiB');
  const trimmed = text.trim();
  if (/^[[{]/.test(trimmed)) return validateFaults(parseJson(trimmed));
  const clauses = split(trimmed).filter((words) => words.length > 0);
  if (clauses.length > MOST_FAULTS) {
    throw new RegopsError('CONFIG_INVALID', `invalid faults: more than ${MOST_FAULTS}`);
  }
  return clauses.map((words, at) => {
    const where = `faults[${at}] (${words.join(' ').slice(0, 100)})`;
    return validateFault(readClause(words, where), where);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RegopsError('CONFIG_INVALID', `invalid faults: ${messageOf(error).slice(0, 300)}`, {
      cause: error,
    });
  }
}

/** Clauses and their words. Double quotes keep spaces, `;` and `#` in a word; a quote or backslash after `\` is itself. */
function split(text: string): readonly (readonly string[])[] {
  const clauses: string[][] = [[]];
  let word = '';
  const endWord = (): void => {
    if (word !== '') clauses.at(-1)?.push(word);
    word = '';
  };
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[;\n]|#[^\n]*|\s|[^\s;"#]+|./gsu)) {
    if (token === ';' || token === '\n') {
      endWord();
      clauses.push([]);
    } else if (/^\s/.test(token)) endWord();
    else if (token.startsWith('#') && word === '') continue;
    else if (token.startsWith('"') && token.length > 1)
      word += token.slice(1, -1).replaceAll(/\\(.)/gs, '$1');
    else if (token === '"') throw new RegopsError('CONFIG_INVALID', 'invalid faults: a quote is not closed');
    else word += token;
  }
  endWord();
  return clauses;
}

function readClause(words: readonly string[], where: string): unknown {
  const match: Record<string, unknown> = {};
  const effect: Record<string, unknown> = {};
  let name: unknown;
  const set = (key: string, value: unknown): void => {
    const target = MATCH_KEYS.includes(key) ? match : EFFECT_KEYS.includes(key) ? effect : undefined;
    if (!target) throw unknownWord(key, where);
    if (Object.hasOwn(target, key)) throw invalidClause(where, `${key} is given twice`);
    target[key] = value;
  };
  for (const word of words) {
    const [, key, value] = /^([a-z-]+)=(.*)$/s.exec(word) ?? [];
    if (word === '*') continue;
    if (key === 'name') name = value;
    else if (key !== undefined && value !== undefined) set(camelCase(key), readValue(camelCase(key), value));
    else if (word.startsWith('/') || word.startsWith('~')) set('path', word);
    else if (word.split(',').every((part) => METHODS.some((method) => method === part))) {
      set('method', word.split(','));
    } else if (word.split(',').every((part) => KINDS.some((kind) => kind === part))) {
      set('kind', word.split(','));
    } else if (word === 'degraded' || word === 'unhealthy') set('health', word);
    else set(camelCase(word), true);
  }
  return { ...(name !== undefined && { name }), match, effect };
}

function readValue(key: string, text: string): unknown {
  const one = (part: string): unknown => (NUMBERS.has(key) && part.trim() !== '' ? numberOf(part) : part);
  return LISTS.has(key) ? text.split(',').map(one) : one(text);
}

/** What is no number stays what it is, and the schema says so. */
function numberOf(text: string): number | string {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

function camelCase(word: string): string {
  return word.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function unknownWord(word: string, where: string): RegopsError {
  return new RegopsError('CONFIG_INVALID', `invalid ${where}: unknown word '${word.slice(0, 100)}'`, {
    hints: [
      `Methods: ${METHODS.join(' ')}. Endpoints: ${KINDS.join(' ')}. A path begins with / or ~.`,
      `Which requests: ${MATCH_KEYS.slice(3).join('= ')}=.`,
      `What goes wrong: ${EFFECT_KEYS.map(kebabCase).join(' ')}.`,
    ],
  });
}

function kebabCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function invalidClause(where: string, why: string): RegopsError {
  return new RegopsError('CONFIG_INVALID', `invalid ${where}: ${why}`);
}
