/** Manual pages, made from the commands. They carry no date and no version: the same commands give the same bytes. */
import type { CommandModel, FlagModel } from './command-model.ts';
import { environmentOf, flagText } from './help-text.ts';

/** Every page by its file name: `regops.1`, `regops-push-tar.1`. */
export function manPages(
  bin: string,
  description: string,
  commands: readonly CommandModel[],
): ReadonlyMap<string, string> {
  return new Map([
    [`${bin}.1`, programPage(bin, description, commands)],
    ...commands.map((command): [string, string] => [
      `${pageName(bin, command)}.1`,
      commandPage(bin, command, commands),
    ]),
  ]);
}

function pageName(bin: string, { words }: CommandModel): string {
  return [bin, ...words].join('-');
}

function programPage(bin: string, description: string, commands: readonly CommandModel[]): string {
  const first = commands[0];
  return lines([
    header(bin, bin),
    ...section('NAME', [`${roff(bin)} \\- ${roff(lowerFirst(description))}`]),
    ...section('SYNOPSIS', [`.B ${roff(bin)}`, '.I COMMAND', '[FLAGS]']),
    ...section('DESCRIPTION', [
      roff(`Each command has a manual page of its own, and ${bin} COMMAND --help.`),
    ]),
    ...section(
      'COMMANDS',
      commands.flatMap((command) => tagged(bold(command.words.join(' ')), command.summary)),
    ),
    ...(first ? section('EXIT STATUS', exitStatus(first)) : []),
    ...section('SEE ALSO', [seeAlso(commands.map((command) => pageName(bin, command)))]),
  ]);
}

function commandPage(bin: string, command: CommandModel, commands: readonly CommandModel[]): string {
  const name = pageName(bin, command);
  const [words, rest] = splitUsage(command);
  const relatives = commands
    .filter((other) => other !== command && other.words[0] === command.words[0])
    .map((other) => pageName(bin, other));
  return lines([
    header(bin, name),
    ...section('NAME', [`${roff(name)} \\- ${roff(command.summary)}`]),
    ...section('SYNOPSIS', [`.B ${roff(`${bin} ${words}`)}`, roff(rest)]),
    ...section('DESCRIPTION', paragraphs(command.description)),
    ...section('OPTIONS', [
      ...command.args.flatMap(({ label, description }) => tagged(italic(label), description)),
      ...command.flags.flatMap((flag) => tagged(flagTag(flag), optionText(flag))),
    ]),
    ...section(
      'EXAMPLES',
      command.examples.flatMap(({ description, command: line }) => [
        ...(description === undefined ? [] : ['.PP', roff(`${description}:`)]),
        '.PP',
        '.RS 4',
        '.nf',
        roff(line),
        '.fi',
        '.RE',
      ]),
    ),
    ...section(
      'ENVIRONMENT',
      environmentOf(command).flatMap(([variable, meaning]) => tagged(bold(variable), meaning)),
    ),
    ...section('EXIT STATUS', exitStatus(command)),
    ...section('SEE ALSO', [seeAlso([bin, ...relatives])]),
  ]);
}

function splitUsage({ usage, words }: CommandModel): [words: string, rest: string] {
  const name = words.join(' ');
  return [name, usage.slice(name.length + 1)];
}

function header(bin: string, name: string): string {
  const title = `.TH "${roff(name.toUpperCase())}" "1" "" "${roff(bin)}" "User Commands"`;
  // Neither hyphenated nor spread: flags and variables are to be copied.
  return `${title}\n.nh\n.ad l`;
}

function section(title: string, content: readonly string[]): string[] {
  return content.length > 0 ? [`.SH ${title.includes(' ') ? `"${title}"` : title}`, ...content] : [];
}

function paragraphs(texts: readonly string[]): string[] {
  return texts.flatMap((text) => ['.PP', roff(text)]);
}

function tagged(tag: string, text: string): string[] {
  return ['.TP', tag, roff(text)];
}

function flagTag({ char, name, value, repeatable, negatable }: FlagModel): string {
  const long = bold(`--${negatable ? '[no-]' : ''}${name}`);
  const names = char === undefined ? long : `${bold(`-${char}`)}, ${long}`;
  return `${names}${value === undefined ? '' : ` ${italic(value)}`}${repeatable ? ' ...' : ''}`;
}

function optionText(flag: FlagModel): string {
  return `${flagText(flag)}${flag.env === undefined ? '' : ` [${flag.env}]`}`;
}

function exitStatus({ exitStatus: codes }: CommandModel): string[] {
  return codes.flatMap(([code, meaning]) => tagged(bold(code), meaning));
}

function seeAlso(names: readonly string[]): string {
  return names.map((name) => `${bold(name)}(1)`).join(',\n');
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${roff(text)}\\fR`;
}

/**
 * Text as roff must read it (groff(7)): a backslash and a minus as such, not as escapes and hyphens, a
 * quote as typed, and no full stop or apostrophe that would begin a request.
 */
export function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('"', '\\(dq')
    .replaceAll(/^\./gm, '\\&.');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function lines(content: readonly string[]): string {
  return `${content.join('\n')}\n`;
}
