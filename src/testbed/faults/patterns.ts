import { messageOf, RegopsError } from '../../base/index.ts';

/** True for texts that a pattern covers. */
export type Pattern = (text: string) => boolean;

/**
 * Reads a pattern: `*` stands for anything but a slash, `**` for anything, `?` for one character that is no
 * slash; with `~` before it, it is a regular expression, looked for anywhere.
 * Throws CONFIG_INVALID for an expression that is none.
 */
export function parsePattern(text: string): Pattern {
  const expression = text.startsWith('~') ? compile(text.slice(1)) : new RegExp(`^${globSource(text)}$`, 's');
  return (subject) => expression.test(subject);
}

function compile(source: string): RegExp {
  try {
    return new RegExp(source, 's');
  } catch (error) {
    throw new RegopsError('CONFIG_INVALID', messageOf(error), { cause: error });
  }
}

function globSource(glob: string): string {
  return glob.replaceAll(/\*{2,}|\*|\?|[^*?]+/g, (part) => {
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.startsWith('**') ? '.*' : part.replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&');
  });
}
