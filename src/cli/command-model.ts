import type { Command } from '@oclif/core/command';
import type { Config } from '@oclif/core/interfaces';
import { COMMON_EXIT_STATUS, type ExitStatus } from './exit-codes.ts';
import { usageLine } from './usage-line.ts';

/** A command as its help page, manual page and completion see it: plain data, everything written out. */
export interface CommandModel {
  /** `['config', 'set']`. */
  readonly words: readonly string[];
  /** One lowercase line without a full stop. */
  readonly summary: string;
  /** Paragraphs, one line each. */
  readonly description: readonly string[];
  /** `push-tar TAR... [FLAGS]`. */
  readonly usage: string;
  readonly args: readonly ArgumentModel[];
  /** In the order in which they were declared. */
  readonly flags: readonly FlagModel[];
  readonly examples: readonly ExampleModel[];
  readonly exitStatus: readonly ExitStatus[];
  readonly environment: readonly (readonly [name: string, meaning: string])[];
}

export interface ArgumentModel {
  /** `TAR...`. */
  readonly label: string;
  readonly description: string;
  readonly options: readonly string[];
}

export interface FlagModel {
  readonly name: string;
  readonly char?: string;
  /** What follows it: `FILE`, `table|json`; a switch has none. */
  readonly value?: string;
  readonly repeatable: boolean;
  /** True for a switch that `--no-NAME` turns off. */
  readonly negatable: boolean;
  readonly required: boolean;
  readonly options: readonly string[];
  /** As a user would write it. */
  readonly default?: string;
  readonly env?: string;
  readonly description: string;
  /** `REGISTRY`, `OUTPUT`; the command's own flags have none. */
  readonly group?: string;
}

export interface ExampleModel {
  readonly description?: string;
  readonly command: string;
}

type CachedFlag = Command.Flag.Cached;

/** All commands that are not hidden, by name. */
export function commandModels(config: Pick<Config, 'bin' | 'commands'>): readonly CommandModel[] {
  return config.commands
    .filter((command) => !command.hidden)
    .map((command) => commandModel(command, config.bin))
    .toSorted((a, b) => (a.words.join(' ') < b.words.join(' ') ? -1 : 1));
}

/** One command, from its class or from the manifest. */
export function commandModel(command: Command.Loadable, bin: string): CommandModel {
  const { args, flags, id } = command;
  const more = command as Partial<Pick<CommandModel, 'exitStatus' | 'environment'>>;
  const render = (text: string): string =>
    text.replaceAll('<%= config.bin %>', bin).replaceAll('<%= command.id %>', id.replaceAll(':', ' '));
  return {
    words: id.split(':'),
    summary: render(command.summary ?? ''),
    description: render(command.description ?? '')
      .split(/\n\s*\n/)
      .map((paragraph) => paragraph.replaceAll(/\s+/g, ' ').trim())
      .filter((paragraph) => paragraph !== ''),
    usage: usageLine(id, Object.values(args), command.strict),
    args: Object.values(args)
      .filter((arg) => !arg.hidden)
      .map((arg) => ({
        label: `${arg.name.toUpperCase()}${arg.multiple || !command.strict ? '...' : ''}`,
        description: render(arg.description ?? ''),
        options: arg.options ?? [],
      })),
    flags: Object.entries(flags).flatMap(([name, flag]) =>
      flag.hidden ? [] : [flagModel(name, flag, render)],
    ),
    examples: (command.examples ?? []).map((example) =>
      typeof example === 'string'
        ? { command: render(example) }
        : { description: render(example.description), command: render(example.command) },
    ),
    exitStatus: more.exitStatus ?? COMMON_EXIT_STATUS,
    environment: more.environment ?? [],
  };
}

function flagModel(name: string, flag: CachedFlag, render: (text: string) => string): FlagModel {
  const option = flag.type === 'option' ? flag : undefined;
  const options = option?.options ?? [];
  // Many options are better told in the description: they would make the column of the flags too wide.
  const value = String(option?.helpValue ?? (options.length > 0 ? options.join('|') : option ? 'VALUE' : ''));
  const standard = option?.default;
  return {
    name,
    ...(flag.char ? { char: flag.char } : {}),
    ...(value ? { value } : {}),
    repeatable: option?.multiple ?? false,
    negatable: flag.type === 'boolean' && (flag.allowNo ?? false),
    required: flag.required ?? false,
    options,
    ...(standard === undefined || standard === '' || typeof standard === 'function'
      ? {}
      : { default: writtenDefault(standard, option?.helpValue) }),
    ...(flag.env ? { env: flag.env } : {}),
    description: render(flag.description ?? flag.summary ?? ''),
    ...(flag.helpGroup ? { group: flag.helpGroup } : {}),
  };
}

/** A default as a user would write it: durations and sizes are kept as numbers. */
function writtenDefault(value: unknown, helpValue: unknown): string {
  if (typeof value === 'number' && helpValue === 'DURATION') return writtenWith(value, DURATIONS);
  if (typeof value === 'number' && helpValue === 'SIZE') return writtenWith(value, SIZES);
  return [value].flat().join(',');
}

const DURATIONS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;
const SIZES = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['', 1],
] as const;

/** With the largest unit that leaves no rest, but two minutes and less in seconds, as people say them. */
function writtenWith(value: number, units: typeof DURATIONS | typeof SIZES): string {
  const unit = units.find(([name, size]) => value % size === 0 && (name !== 'm' || value > 120_000));
  return unit ? `${value / unit[1]}${unit[0]}` : String(value);
}
