import type { CommandModel, FlagModel } from './command-model.ts';
import { flagColumns } from './help-text.ts';

const BEGIN = '<!-- commands -->';
const END = '<!-- commandsstop -->';

/** The text with the command reference between its markers replaced; undefined when it has no markers. */
export function withReference(text: string, reference: string): string | undefined {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin === -1 || end < begin) return undefined;
  return `${text.slice(0, begin + BEGIN.length)}\n\n${reference}\n${text.slice(end)}`;
}

/**
 * The command reference in Markdown: each command with its summary, usage and own flags; flags that belong
 * to a group are listed once for all commands that have them.
 */
export function commandReference(bin: string, commands: readonly CommandModel[]): string {
  interface Group {
    readonly flags: Map<string, FlagModel>;
    readonly commands: string[];
  }
  const groups = new Map<string, Group>();
  for (const { words, flags } of commands) {
    for (const flag of flags) {
      if (flag.group === undefined) continue;
      const group: Group = groups.get(flag.group) ?? { flags: new Map(), commands: [] };
      groups.set(flag.group, group);
      group.flags.set(flag.name, widened(flag, group.flags.get(flag.name)));
      if (!group.commands.includes(words.join(' '))) group.commands.push(words.join(' '));
    }
  }
  const sections = commands.map(({ words, summary, usage, args, flags }) => {
    const own = flags.filter(({ group }) => group === undefined);
    const list: (readonly [string, string])[] = [
      ...args.map(({ label, description }) => [`    ${label}`, description] as const),
      ...flagColumns(own),
    ];
    return `### ${bin} ${words.join(' ')}\n\n${sentence(summary)}\n\n${block([`$ ${bin} ${usage}`, ...rows(list)])}`;
  });
  const shared = [...groups].map(([name, { flags, commands: users }]) => {
    const of = users.length === commands.length ? 'every command' : users.join(', ');
    return `### ${sentence(name.toLowerCase()).slice(0, -1)} flags\n\nOf ${of}.\n\n${block(rows(flagColumns([...flags.values()])))}`;
  });
  return `${[...sections, ...shared].join('\n\n')}\n`;
}

/** Commands offer different formats: the shared list shows all of them. */
function widened(flag: FlagModel, before: FlagModel | undefined): FlagModel {
  if (!before || flag.options.length === 0) return before ?? flag;
  const options = [...new Set([...before.options, ...flag.options])];
  return { ...before, options, value: options.join('|') };
}

function rows(list: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...list.map(([name]) => name.length));
  return list.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`.trimEnd());
}

function block(lines: readonly string[]): string {
  return `\`\`\`\n${lines.join('\n')}\n\`\`\``;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
