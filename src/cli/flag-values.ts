/**
 * Where a flag's value comes from: the command line, its `REGOPS_…` variable, the profile or the settings
 * file, the flag's default, in this order. oclif knows only the first two and the last; it is given the
 * variable and the setting as the flag's default, so that they pass the flag's own parser, and so that
 * its checks ("cannot be used together") are about what was typed, not about what the environment holds.
 */
import type { Command } from '@oclif/core/command';
import type { BooleanFlag, FlagInput, OptionFlag } from '@oclif/core/interfaces';
import { isRegopsError, messageOf, RegopsError } from '../base/index.ts';
import { type FoundSetting, findSetting, type Settings, type SettingValue } from './settings.ts';

/** A flag as oclif holds it. */
export type FlagDefinition = BooleanFlag<unknown> | OptionFlag<unknown>;

/** A value that was not typed: which flag it is for, and what to call its origin. */
export interface Origin {
  readonly rank: 'environment' | 'settings';
  /** `REGOPS_TIMEOUT`, or `profiles.prod.timeout in /home/me/.config/regops/config.json`. */
  readonly name: string;
  /** As it was written. */
  readonly value: SettingValue;
}

/** The flags to parse with, and what became of those that were not typed. */
export interface PreparedFlags {
  readonly flags: FlagInput;
  /** By flag. */
  readonly origins: ReadonlyMap<string, Origin>;
}

/**
 * Gives every flag the value of its variable or setting as its default.
 * Throws CONFIG_INVALID when the profile is unknown; a bad value throws only if the flag is not typed.
 */
export function prepareFlags(
  flags: FlagInput,
  environment: NodeJS.ProcessEnv,
  settings: Settings | undefined,
  profile: string | undefined,
  command: Command,
): PreparedFlags {
  const prepared: FlagInput = {};
  const origins = new Map<string, Origin>();
  for (const [name, flag] of Object.entries(flags) as [string, FlagDefinition][]) {
    const { env, ...rest } = flag;
    const greedyOff = flag.type === 'option' && flag.multiple ? { multipleNonGreedy: true } : {};
    const origin = env === undefined ? undefined : originOf(name, env, environment, settings, profile);
    if (origin) origins.set(name, origin);
    prepared[name] = {
      ...rest,
      ...greedyOff,
      ...(origin ? { default: () => parseOrigin(name, flag, origin, command) } : {}),
    } as FlagDefinition;
  }
  return { flags: prepared, origins };
}

function originOf(
  flag: string,
  variable: string,
  environment: NodeJS.ProcessEnv,
  settings: Settings | undefined,
  profile: string | undefined,
): Origin | undefined {
  const value = environment[variable];
  if (value) return { rank: 'environment', name: variable, value };
  const setting: FoundSetting | undefined =
    settings === undefined || flag === 'profile' ? undefined : findSetting(settings, profile, flag);
  return setting && settings
    ? { rank: 'settings', name: `${setting.key} in ${settings.path}`, value: setting.value }
    : undefined;
}

async function parseOrigin(
  name: string,
  flag: FlagDefinition,
  origin: Origin,
  command: Command,
): Promise<unknown> {
  try {
    return await parseFlagValue(name, flag, origin.value, command);
  } catch (error) {
    throw new RegopsError(
      origin.rank === 'environment' ? 'USAGE' : 'CONFIG_INVALID',
      `${origin.name}: ${messageOf(error)}`,
      { hints: isRegopsError(error) ? error.hints : [], cause: error },
    );
  }
}

const TRUE = new Set(['true', '1', 'yes', 'y', 'on']);
const FALSE = new Set(['false', '0', 'no', 'n', 'off']);

/**
 * The value a flag would have if `value` had been typed: checked against its options and read by its own
 * parser. A flag that may be given several times takes a list, or text with commas. Throws USAGE.
 */
export async function parseFlagValue(
  name: string,
  flag: FlagDefinition,
  value: SettingValue,
  command: Command,
): Promise<unknown> {
  if (flag.type === 'boolean') {
    if (TRUE.has(String(value).toLowerCase())) return true;
    // Unless it can be turned off by flag too, as if it had not been given: oclif's checks take false for "given".
    if (FALSE.has(String(value).toLowerCase())) return flag.allowNo ? false : undefined;
    throw new RegopsError('USAGE', 'expected true or false');
  }
  const parseOne = async (text: string): Promise<unknown> => {
    if (flag.options && !flag.options.includes(text)) {
      throw new RegopsError('USAGE', `expected one of ${flag.options.join(', ')}`);
    }
    const context = { ...command, token: { type: 'flag', flag: name, input: text } };
    return flag.parse(text, context as never, flag as never);
  };
  if (!flag.multiple) {
    if (Array.isArray(value)) throw new RegopsError('USAGE', 'expected one value, not a list');
    return parseOne(String(value));
  }
  const texts = Array.isArray(value) ? value : String(value).split(',');
  return Promise.all(texts.map((text) => parseOne(String(text).trim())));
}

/**
 * Drops values that a stronger one excludes: `--token` on the command line silences REGOPS_PASSWORD, which
 * silences a profile's. Two of equal strength both stay (oclif has refused them when they were typed).
 */
export function dropExcluded(
  values: Record<string, unknown>,
  flags: FlagInput,
  origins: ReadonlyMap<string, Origin>,
  typed: ReadonlySet<string>,
): void {
  const rank = (name: string): number => {
    if (values[name] === undefined) return -1;
    if (typed.has(name)) return 3;
    const origin = origins.get(name);
    return origin === undefined ? 0 : origin.rank === 'environment' ? 2 : 1;
  };
  for (const [name, flag] of Object.entries(flags)) {
    for (const other of flag.exclusive ?? []) {
      if (typeof other !== 'string') continue;
      if (rank(name) > rank(other)) delete values[other];
      else if (rank(other) > rank(name)) delete values[name];
    }
  }
}
