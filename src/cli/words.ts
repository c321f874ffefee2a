import { RegopsError } from '../base/index.ts';

/**
 * The words of a command line, as a shell would read it without expanding anything: blanks part them, quotes of
 * both kinds hold them together, a backslash takes the next character as it is (inside single quotes, itself).
 * Throws USAGE for a quote that is not closed.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  const pattern = /\s*((?:[^\s"'\\]+|"(?:[^"\\]|\\.)*"|'[^']*'|\\.)+)/gsy;
  let end = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    words.push(unquoted(match[1] ?? ''));
    end = pattern.lastIndex;
  }
  if (text.slice(end).trim() !== '' || words.length === 0) {
    throw new RegopsError('USAGE', `'${text.slice(0, 100)}' is not a command`, {
      hints: ['Close every quote: --command \'sh -c "echo hello"\'.'],
    });
  }
  return words;
}

function unquoted(word: string): string {
  return word.replaceAll(
    /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/gs,
    (_, double?: string, single?: string, escaped?: string) =>
      double === undefined ? (single ?? escaped ?? '') : double.replaceAll(/\\(["\\$`])/g, '$1'),
  );
}
