import type { Config } from '@oclif/core/interfaces';
import { escapeText, RegopsError } from '../base/index.ts';
import { nearest } from './nearest.ts';

/**
 * The usage error for words that name no command, with the command that was probably meant.
 * @param id the words as oclif joins them: `inspct`, `config:sett`; arguments may be among them
 */
export function unknownCommand(id: string, config: Pick<Config, 'bin' | 'commandIDs'>): RegopsError {
  const words = id.split(':');
  const { bin } = config;
  if (words[0]?.startsWith('-')) {
    return new RegopsError('USAGE', `a command must come before ${shown([words[0]])}`, {
      hints: [`Write ${bin} COMMAND [FLAGS].`, `See ${bin} --help`],
    });
  }
  const known = config.commandIDs.map((name) => name.split(':'));
  // As many words as a topic has, and one more: the rest are arguments.
  let depth = 1;
  while (depth < words.length && known.some((name) => startsWith(name, words.slice(0, depth)))) depth++;
  const wrong = words.slice(0, depth);
  const before = wrong.slice(0, -1);
  const siblings = known
    .filter((name) => startsWith(name, before) && name.length >= depth)
    .map((name) => name[depth - 1] ?? '');
  const guess = meant(wrong.at(-1) ?? '', [...new Set(siblings)]);
  const hints = guess === undefined ? [] : [`Did you mean ${[bin, ...before, guess].join(' ')}?`];
  if (config.commandIDs.includes(before.join(':'))) {
    const command = before.join(' ');
    return new RegopsError('USAGE', `${command} takes no arguments`, {
      hints: [...hints, `See ${bin} ${command} --help`],
    });
  }
  return new RegopsError('USAGE', `unknown command '${shown(wrong)}'`, {
    hints: [...hints, `See ${bin} --help`],
  });
}

/** The word that was mistyped, or the only one that was begun (`push` for `push-tar`). */
function meant(word: string, candidates: readonly string[]): string | undefined {
  const begun = candidates.filter((candidate) => word.length > 1 && candidate.startsWith(word));
  return begun.length === 1 ? begun[0] : nearest(word, candidates);
}

function shown(words: readonly string[]): string {
  return escapeText(words.join(' ')).slice(0, 100);
}

function startsWith(name: readonly string[], words: readonly string[]): boolean {
  return words.every((word, index) => name[index] === word);
}
