import type { Command } from '@oclif/core/command';
import type { Config } from '@oclif/core/config';

/** A call of regops in a document or example: its words as a shell would give them. */
export type Invocation = readonly string[];

/**
 * The calls of regops in shell text: alone, in pipes, in `$(…)`, after `&&`. Quotes are understood,
 * variables stay as they are written, comments and redirections are left out.
 */
export function invocationsIn(text: string): readonly Invocation[] {
  const joined = text.replaceAll(/\\\n\s*/g, ' ').replaceAll(/(^|\s)#[^\n]*/g, '$1');
  const calls = joined.matchAll(/(?<![\w./$-])regops ((?:'[^']*'|"[^"]*"|[^\n|()&;<>'"])*)/g);
  return [...calls].map(([, words = '']) => wordsOf(words.replace(/\s\d?$/, '')));
}

function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replaceAll(/['"]/g, ''));
}

/** What is wrong with a call, in words; undefined when regops would take it. */
export function faultOf(words: Invocation, config: Pick<Config, 'commands'>): string | undefined {
  const command = commandOf(words, config);
  if (!command)
    return /^(--version|--help|-V|-h|COMMAND)$/.test(words[0] ?? '') ? undefined : 'no such command';
  const rest = words.slice(command.id.split(':').length);
  const args: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] as string;
    if (!word.startsWith('-') || word === '-') {
      args.push(word);
      continue;
    }
    const [name = '', value] = word.split('=', 2);
    if (name === '--help' || name === '-h') continue;
    const flag = flagOf(name, command);
    if (!flag) return `no flag ${name}`;
    if (flag.type === 'boolean') continue;
    const given = value ?? rest[++at];
    if (given === undefined) return `${name} has no value`;
    if (flag.options && !/^\$/.test(given) && !flag.options.includes(given)) return `${name} is not ${given}`;
  }
  const required = Object.values(command.args).filter((arg) => arg.required).length;
  if (args.length < required) return 'an argument is missing';
  const most = command.strict === false ? Number.POSITIVE_INFINITY : mostArguments(command);
  return args.length > most ? `too many arguments: ${args.join(' ')}` : undefined;
}

/** The command that a call begins with. */
export function commandOf(words: Invocation, config: Pick<Config, 'commands'>): Command.Loadable | undefined {
  return config.commands
    .filter(({ id }) => id.split(':').every((word, at) => words[at] === word))
    .toSorted((a, b) => b.id.length - a.id.length)[0];
}

function flagOf(name: string, command: Command.Loadable) {
  const entries = Object.entries(command.flags);
  return entries.find(
    ([long, { char, ...flag }]) =>
      name === `--${long}` ||
      (char !== undefined && name === `-${char}`) ||
      (flag.type === 'boolean' && flag.allowNo === true && name === `--no-${long}`),
  )?.[1];
}

function mostArguments(command: Command.Loadable): number {
  const args = Object.values(command.args);
  return args.some((arg) => arg.multiple) ? Number.POSITIVE_INFINITY : args.length;
}
