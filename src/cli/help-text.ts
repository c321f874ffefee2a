/** Help pages as text: for the terminal, and without colours for the README. */
import { padText, textWidth } from '../base/index.ts';
import { palette } from './color.ts';
import type { CommandModel, FlagModel } from './command-model.ts';

/** How a page is drawn. */
export interface HelpDrawing {
  readonly bin: string;
  readonly width: number;
  readonly color: boolean;
}

/** A group of commands under one word. */
export interface TopicModel {
  readonly name: string;
  readonly summary: string;
}

/** The page of `regops --help`. */
export function rootHelp(
  commands: readonly CommandModel[],
  topics: readonly TopicModel[],
  description: string,
  drawing: HelpDrawing,
): string {
  const { bin } = drawing;
  const entries = new Map<string, string>();
  for (const { words, summary } of commands) {
    const [first = '', ...rest] = words;
    if (rest.length === 0) entries.set(first, summary);
    else {
      const topic = topics.find(({ name }) => name === first);
      const inside = commands
        .filter((one) => one.words[0] === first && one.words.length > 1)
        .map((one) => one.words.slice(1).join(' '));
      entries.set(first, `${topic?.summary ?? ''} (${inside.join(', ')})`.trim());
    }
  }
  return page(drawing, [
    { text: description },
    { title: 'USAGE', text: `$ ${bin} COMMAND [FLAGS]` },
    { title: 'COMMANDS', list: [...entries] },
    { text: `${bin} COMMAND --help tells about a command, ${bin} --version which ${bin} this is.` },
  ]);
}

/** The page of a word that only begins commands: `regops config`. */
export function topicHelp(
  topic: TopicModel,
  commands: readonly CommandModel[],
  drawing: HelpDrawing,
): string {
  const { bin } = drawing;
  const inside = commands.filter(({ words }) => words[0] === topic.name);
  return page(drawing, [
    { text: topic.summary },
    { title: 'USAGE', text: `$ ${bin} ${topic.name} COMMAND [FLAGS]` },
    { title: 'COMMANDS', list: inside.map(({ words, summary }) => [words.join(' '), summary]) },
    { text: `${bin} ${topic.name} COMMAND --help tells about a command.` },
  ]);
}

/** The page of a command. */
export function commandHelp(command: CommandModel, drawing: HelpDrawing): string {
  const { bin } = drawing;
  const groups = [...new Set(command.flags.map(({ group }) => group))];
  return page(drawing, [
    { text: command.summary },
    { title: 'USAGE', text: `$ ${bin} ${command.usage}` },
    { title: 'ARGUMENTS', list: command.args.map(({ label, description }) => [label, description]) },
    ...groups.map((group) => ({
      title: group === undefined ? 'FLAGS' : `${group} FLAGS`,
      list: flagColumns(command.flags.filter((flag) => flag.group === group)),
    })),
    { title: 'DESCRIPTION', text: command.description.join('\n\n') },
    {
      title: 'EXAMPLES',
      verbatim: command.examples
        .map(({ description, command: line }) => `${description ? `${description}\n` : ''}  $ ${line}`)
        .join('\n\n'),
    },
    { title: 'ENVIRONMENT', list: environmentOf(command) },
    { title: 'EXIT STATUS', list: command.exitStatus },
  ]);
}

/** Flags and what they do, as the two columns of a list. */
export function flagColumns(flags: readonly FlagModel[]): readonly (readonly [string, string])[] {
  return flags.map((flag) => [flagLabel(flag), flagText(flag)]);
}

/** `-o, --output FILE`; flags without a letter keep its place. */
function flagLabel({ char, name, value, repeatable, negatable }: FlagModel): string {
  const flag = `${char === undefined ? '    ' : `-${char}, `}--${negatable ? '[no-]' : ''}${name}`;
  return `${flag}${value === undefined ? '' : ` ${value}`}${repeatable ? '...' : ''}`;
}

/** What the flag does, and what it is when it is not given. */
export function flagText({ description, default: standard, required }: FlagModel): string {
  return `${description}${required ? ' (required)' : ''}${standard === undefined ? '' : ` (default: ${standard})`}`;
}

/** The variables that a command listens to: one rule for its flags, then those that have another name. */
export function environmentOf(command: CommandModel): readonly (readonly [string, string])[] {
  const without = command.flags.filter(({ env }) => env === undefined).map(({ name }) => `--${name}`);
  const except = without.length > 0 ? `; not for ${without.join(', ')}` : '';
  return [
    [
      'REGOPS_FLAG_NAME',
      `what --flag-name shall be when it is not given: REGOPS_LOG_FILE for --log-file${except}`,
    ],
    ...command.environment,
    ['XDG_CONFIG_HOME', 'where regops/config.json holds the settings (~/.config)'],
    ['NO_COLOR, FORCE_COLOR', 'never or always use colours'],
  ];
}

interface Block {
  readonly title?: string;
  readonly text?: string;
  readonly list?: readonly (readonly [string, string])[];
  /** Lines that are not wrapped: they are to be copied. */
  readonly verbatim?: string;
}

function page(drawing: HelpDrawing, blocks: readonly Block[]): string {
  const chalk = palette(drawing.color);
  const shown = blocks.flatMap(({ title, text = '', list = [], verbatim = '' }) => {
    const indent = title === undefined ? '' : '  ';
    const body = [
      ...(text ? wrap(text, drawing.width - indent.length).map((line) => (line ? indent + line : '')) : []),
      ...columns(list, drawing.width, indent),
      ...(verbatim ? verbatim.split('\n').map((line) => (line ? indent + line : line)) : []),
    ];
    if (body.length === 0) return [];
    return [[...(title === undefined ? [] : [chalk.bold(title)]), ...body].join('\n')];
  });
  return `${shown.join('\n\n')}\n`;
}

/** Two columns; a name too long for the first one stands on a line of its own. */
function columns(list: readonly (readonly [string, string])[], width: number, indent: string): string[] {
  const widest = Math.max(0, ...list.map(([name]) => textWidth(name)));
  const column = Math.min(widest, 32, Math.floor(width / 2));
  return list.flatMap(([name, text]) => {
    const lines = wrap(text, width - indent.length - column - 2);
    const rest = lines.map((line) => `${indent}${' '.repeat(column + 2)}${line}`.trimEnd());
    if (textWidth(name) > column) return [`${indent}${name}`, ...rest];
    return [`${indent}${padText(name, column)}  ${lines[0] ?? ''}`.trimEnd(), ...rest.slice(1)];
  });
}

/** Breaks paragraphs at spaces; blank lines stay. */
function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    return [...lines, line];
  });
}
