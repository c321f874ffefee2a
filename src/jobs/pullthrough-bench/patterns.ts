import { messageOf, RegopsError } from '../../base/index.ts';

/** Every pattern is up to two steps of the ramp, and there are no more figures than for a thousand. */
export const MAX_PATTERNS = 500;

/** A regular expression that pulls one group of images. */
export interface Pattern {
  /** As it was written: what a cache is told to forget by. */
  readonly text: string;
  readonly expression: RegExp;
}

/**
 * Reads patterns, several of them with commas between or one by one. A comma in a quantifier (`{1,3}`), in a
 * class (`[,;]`) or after a backslash separates nothing. Throws USAGE naming the pattern that is wrong.
 */
export function parsePatterns(texts: readonly string[]): Pattern[] {
  const patterns = texts
    .flatMap(splitPatterns)
    .map((text) => ({ text, expression: parseExpression(text, 'pattern') }));
  if (patterns.length === 0) {
    throw new RegopsError('USAGE', 'there is no pattern', {
      hints: ['Each pattern is one group of images with a puller of its own: --patterns=-0001,-0002.'],
    });
  }
  return patterns;
}

/** The parts of a list with commas; see {@link parsePatterns}. Never empty. */
export function splitPatterns(text: string): string[] {
  const parts = [''];
  for (const [piece] of text.matchAll(/\\.|\[(?:\\.|[^\]\\])*\]|\{\d+,\d*\}|./gs)) {
    if (piece === ',') parts.push('');
    else parts[parts.length - 1] += piece;
  }
  return parts;
}

/**
 * Reads a regular expression, which is then searched for anywhere in `repo:tag`. Throws USAGE.
 * @param what it is called in the error
 */
export function parseExpression(text: string, what: string): RegExp {
  const refuse = (why: string, hint: string): RegopsError =>
    new RegopsError('USAGE', `invalid ${what} '${text.slice(0, 200)}': ${why}`, { hints: [hint] });
  if (text === '') throw refuse('it is empty', "Use '.*' for all images.");
  try {
    return new RegExp(text);
  } catch (error) {
    if (text === '*') {
      throw refuse('a star repeats what is before it, and there is nothing', "Use '.*' for all images.");
    }
    if (text.startsWith('(?i)')) {
      throw refuse('the flag stands alone', `Write (?i:${text.slice(4)}).`);
    }
    const why = messageOf(error).replace(/^Invalid regular expression: .*: /, '');
    throw refuse(why, 'It is a regular expression that is looked for in repo:tag.');
  }
}
