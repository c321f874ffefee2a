import type { Config } from '@oclif/core/interfaces';
import { escapeText, RegopsError } from '../base/index.ts';
import { nearest } from './nearest.ts';

/**
 * The usage error for words that name no command, with the command that was probably meant.
 * @param id the words as oclif joins them: `inspct`, `config:sett`; arguments may be among them
 */
export function unknownCommand(id: string, config: Pick<Config, 'bin' | 'commandIDs'>): RegopsError {
  const words = id.split(':');
  const known = config.commandIDs.map((name) => name.split(':'));
  // As many words as a topic has, and one more: the rest are arguments.
  let depth = 1;
  while (depth < words.length && known.some((name) => startsWith(name, words.slice(0, depth)))) depth++;
  const wrong = words.slice(0, depth);
  const siblings = known
    .filter((name) => startsWith(name, wrong.slice(0, -1)) && name.length >= depth)
    .map((name) => name[depth - 1] ?? '');
  const guess = nearest(wrong.at(-1) ?? '', [...new Set(siblings)]);
  const { bin } = config;
  if (config.commandIDs.includes(wrong.slice(0, -1).join(':'))) {
    const command = wrong.slice(0, -1).join(' ');
    return new RegopsError('USAGE', `${command} takes no arguments`, {
      hints: [`See ${bin} ${command} --help`],
    });
  }
  return new RegopsError('USAGE', `unknown command '${escapeText(wrong.join(' ')).slice(0, 100)}'`, {
    hints: [
      ...(guess === undefined ? [] : [`Did you mean ${[bin, ...wrong.slice(0, -1), guess].join(' ')}?`]),
      `See ${bin} --help`,
    ],
  });
}

function startsWith(name: readonly string[], words: readonly string[]): boolean {
  return words.every((word, index) => name[index] === word);
}
