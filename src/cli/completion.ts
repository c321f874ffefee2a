/** Completion scripts, made from the commands; they never call regops, so completing costs nothing. */
import type { Config } from '@oclif/core/interfaces';
import { type CommandModel, commandModels, type FlagModel } from './command-model.ts';

/** Shells there is a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];

/** The completion script of a shell. */
export function completionScript(shell: Shell, bin: string, commands: readonly CommandModel[]): string {
  return { bash, zsh, fish }[shell](bin, commands);
}

/** The completion script for the commands of a configuration. */
export function completionOf(shell: Shell, config: Pick<Config, 'bin' | 'commands'>): string {
  return completionScript(shell, config.bin, commandModels(config));
}

/** One place in the tree of commands: what may follow there. */
interface Place {
  /** `''`, `config`, `config set`. */
  readonly path: string;
  readonly next: readonly { readonly word: string; readonly summary: string }[];
  readonly command?: CommandModel;
}

function places(commands: readonly CommandModel[]): readonly Place[] {
  const paths = new Set(['']);
  for (const { words } of commands) {
    for (let depth = 1; depth <= words.length; depth++) paths.add(words.slice(0, depth).join(' '));
  }
  return [...paths].map((path) => {
    const depth = path === '' ? 0 : path.split(' ').length;
    const below = commands.filter(
      ({ words }) => words.length > depth && words.slice(0, depth).join(' ') === path,
    );
    const next = new Map<string, string>();
    for (const { words, summary } of below) {
      const word = words[depth] ?? '';
      next.set(word, words.length === depth + 1 ? summary : `${word} commands`);
    }
    const command = commands.find(({ words }) => words.join(' ') === path);
    return {
      path,
      next: [...next].map(([word, summary]) => ({ word, summary })),
      ...(command ? { command } : {}),
    };
  });
}

const GLOBAL_FLAGS = ['--help', '--version'];

/** Every way to write the flag: `--output`, `-o`, `--no-cache`. */
function spellings({ name, char, negatable }: FlagModel): string[] {
  return [`--${name}`, ...(char === undefined ? [] : [`-${char}`]), ...(negatable ? [`--no-${name}`] : [])];
}

function argumentOptions(command: CommandModel | undefined): readonly string[] {
  return command?.args.flatMap(({ options }) => options) ?? [];
}

function isFolder({ value }: FlagModel): boolean {
  return value === 'DIR';
}

/** A word for a POSIX-like shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(bin: string, commands: readonly CommandModel[]): string {
  const all = places(commands);
  const known = all.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  const cases = all.map(({ path, next, command }) => {
    const flags = command ? [...command.flags.flatMap(spellings), '--help'] : GLOBAL_FLAGS;
    const words = [...next.map(({ word }) => word), ...argumentOptions(command)];
    const withValue = (command?.flags ?? []).filter(({ value }) => value !== undefined);
    const values = [
      ...withValue.flatMap((flag) => {
        const pattern = `        ${spellings(flag).join('|')})`;
        if (flag.options.length > 0) {
          return [
            `${pattern} COMPREPLY=($(compgen -W ${quoted(flag.options.join(' '))} -- "$cur")); return ;;`,
          ];
        }
        return isFolder(flag) ? [`${pattern} COMPREPLY=($(compgen -d -- "$cur")); return ;;`] : [];
      }),
      // Of any other value nothing is known: bash offers files.
      `        ${withValue.flatMap(spellings).join('|')}) return ;;`,
    ];
    return [
      `    ${quoted(path)})`,
      ...(withValue.length > 0 ? ['      case "$prev" in', ...values, '      esac'] : []),
      `      flags=${quoted(flags.join(' '))}`,
      `      words=${quoted(words.join(' '))}`,
      '      ;;',
    ].join('\n');
  });
  return `# bash completion for ${bin}. Load it with: source <(${bin} completion bash)
_${bin}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  # bash splits --flag=value at the equals sign.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' && COMP_CWORD -ge 2 ]]; then
    prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  local command='' flags='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${command:+$command }\${COMP_WORDS[i]}" in
      ${known.join('|')}) command="\${command:+$command }\${COMP_WORDS[i]}" ;;
      *) break ;;
    esac
  done
  COMPREPLY=()
  case "$command" in
${cases.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -o default -F _${bin} ${bin}
`;
}

function zsh(bin: string, commands: readonly CommandModel[]): string {
  const all = places(commands);
  const known = all.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  /** Text inside a specification of _arguments or _describe: colons and brackets mean something there. */
  const plain = (text: string): string => text.replaceAll(/[\\:[\]]/g, '\\$&');
  const cases = all.map(({ path, next, command }) => {
    if (!command) {
      const entries = next.map(({ word, summary }) => quoted(`${plain(word)}:${plain(summary)}`));
      return [
        `    ${quoted(path)})`,
        `      entries=(${entries.join(' ')})`,
        "      _describe -t commands 'command' entries",
        '      ;;',
      ].join('\n');
    }
    const flags = command.flags.map((flag) => {
      const names = spellings(flag);
      const again = flag.repeatable ? "'*'" : names.length > 1 ? quoted(`(${names.join(' ')})`) : '';
      // `--flag=` and `-f+` take their value in the same word or in the next.
      const written = names.map((name) =>
        flag.value === undefined ? name : `${name}${name.startsWith('--') ? '=' : '+'}`,
      );
      const shown = written.length > 1 ? `{${written.join(',')}}` : written[0];
      const action =
        flag.options.length > 0 ? `(${flag.options.join(' ')})` : isFolder(flag) ? '_files -/' : '_files';
      const value = flag.value === undefined ? '' : `:${plain(flag.value)}:${action}`;
      return `        ${again}${shown}${quoted(`[${plain(flag.description)}]${value}`)} \\`;
    });
    const options = argumentOptions(command);
    const rest = options.length > 0 ? `'*:argument:(${options.join(' ')})'` : "'*:argument:_files'";
    return [
      `    ${quoted(path)})`,
      '      _arguments -s -S \\',
      ...flags,
      `        '--help[show help]' \\`,
      `        ${rest}`,
      '      ;;',
    ].join('\n');
  });
  return `#compdef ${bin}
# zsh completion for ${bin}. Load it with: source <(${bin} completion zsh)
_${bin}() {
  local command='' depth=0 i
  local -a entries
  for ((i = 2; i < CURRENT; i++)); do
    case "\${command:+$command }\${words[i]}" in
      ${known.join('|')}) command="\${command:+$command }\${words[i]}"; depth=$((depth + 1)) ;;
      *) break ;;
    esac
  done
  # _arguments takes the first word for the program: that is the last word of the command.
  shift $depth words
  CURRENT=$((CURRENT - depth))
  case "$command" in
${cases.join('\n')}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _${bin} "$@"
else
  compdef _${bin} ${bin}
fi
`;
}

function fish(bin: string, commands: readonly CommandModel[]): string {
  const all = places(commands);
  /** fish knows backslash and quote as the only characters that mean something in single quotes. */
  const text = (value: string): string => `'${value.replaceAll(/[\\']/g, '\\$&')}'`;
  const known = all.filter(({ path }) => path !== '').map(({ path }) => text(path));
  const lines = all.flatMap(({ path, next, command }) => {
    const where = `complete -c ${bin} -n ${text(`__${bin}_at ${path}`.trim())}`;
    return [
      ...next.map(({ word, summary }) => `${where} -f -a ${text(word)} -d ${text(summary)}`),
      ...argumentOptions(command).map((option) => `${where} -f -a ${text(option)}`),
      ...(command?.flags ?? []).map((flag) => {
        const char = flag.char === undefined ? '' : ` -s ${flag.char}`;
        const values = flag.options.length > 0 ? ` -x -a ${text(flag.options.join(' '))}` : ' -r';
        const folder = isFolder(flag) ? " -x -a '(__fish_complete_directories)'" : values;
        const value = flag.value === undefined ? '' : folder;
        return `${where} -l ${flag.name}${char}${value} -d ${text(flag.description)}`;
      }),
    ];
  });
  return `# fish completion for ${bin}. Load it with: ${bin} completion fish | source
function __${bin}_at
    set -l found
    for word in (commandline -opc)[2..-1]
        set -l longer $found $word
        contains -- "$longer" ${known.join(' ')}; or break
        set found $longer
    end
    test "$found" = "$argv"
end
complete -c ${bin} -l help -d 'show help'
${lines.join('\n')}
`;
}
