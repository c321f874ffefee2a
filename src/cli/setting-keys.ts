import type { Command } from '@oclif/core/command';
import type { Config } from '@oclif/core/interfaces';
import { escapeText, messageOf, RegopsError } from '../base/index.ts';
import { type FlagDefinition, parseFlagValue } from './flag-values.ts';
import { SECRET_FLAGS } from './flags.ts';
import { nearest } from './nearest.ts';
import type { Settings, SettingValue } from './settings.ts';

/** Flags that have a `REGOPS_…` variable but make no sense as a lasting setting. */
const PER_CALL_FLAGS: ReadonlySet<string> = new Set(['profile', 'json', 'output', 'password-stdin']);

/** Names that conf refuses to store, without a word, are none. */
const PROFILE_NAME = /^(?!(?:__proto__|prototype|constructor)$)[A-Za-z0-9_-]{1,64}$/;

/** A place in the settings file. */
export interface SettingKey {
  /** The profile it belongs to; without one it is a default. */
  readonly profile?: string;
  readonly flag: string;
}

/** Names of the flags that the settings file may hold: those with a variable, but no secrets. */
export function settingNames(config: Pick<Config, 'commands'>): ReadonlySet<string> {
  return new Set([...settingVariables(config).keys()].filter((name) => !SECRET_FLAGS.has(name)));
}

/**
 * The variables of every flag that has any and is no matter of one call, secrets too. Most have one; a flag that means
 * something else in a group of commands has one of its own there (`REGOPS_SNAPSHOT_REPOSITORY`).
 */
export function settingVariables(config: Pick<Config, 'commands'>): ReadonlyMap<string, readonly string[]> {
  const variables = new Map<string, Set<string>>();
  for (const [name, flag] of config.commands.flatMap((command) => Object.entries(command.flags))) {
    if (flag.env && !PER_CALL_FLAGS.has(name))
      variables.set(name, (variables.get(name) ?? new Set()).add(flag.env));
  }
  return new Map([...variables].map(([name, names]) => [name, [...names].sort()]));
}

/** Reads `FLAG`, `defaults.FLAG` or `profiles.NAME.FLAG`. Throws USAGE when it has another shape. */
export function readSettingKey(text: string): SettingKey {
  const words = text.split('.');
  const flag = words.at(-1) ?? '';
  const key = { flag, ...(words[0] === 'profiles' && words[1] !== undefined ? { profile: words[1] } : {}) };
  const wellFormed = formatSettingKey(key) === text || flag === text;
  if (!wellFormed || flag === '' || (key.profile !== undefined && !PROFILE_NAME.test(key.profile))) {
    throw new RegopsError('USAGE', `'${escapeText(text).slice(0, 100)}' is not a setting`, {
      hints: ['Write FLAG, defaults.FLAG or profiles.NAME.FLAG, like timeout or profiles.prod.registry-url.'],
    });
  }
  return key;
}

/** As {@link readSettingKey}; throws USAGE also when its flag is none of `known`, or a secret. */
export function parseSettingKey(text: string, known: ReadonlySet<string>, path: string): SettingKey {
  const key = readSettingKey(text);
  if (SECRET_FLAGS.has(key.flag)) throw secretRefused('USAGE', text, path);
  if (!known.has(key.flag)) {
    const guess = nearest(key.flag, [...known]);
    throw new RegopsError('USAGE', `there is no setting '${escapeText(key.flag).slice(0, 100)}'`, {
      hints: [
        guess === undefined
          ? "Settings are named like flags; each command's --help lists its own."
          : `Did you mean ${guess}?`,
      ],
    });
  }
  return key;
}

/** `defaults.timeout` or `profiles.prod.timeout`: where it stands in the file. */
export function formatSettingKey({ profile, flag }: SettingKey): string {
  return profile === undefined ? `defaults.${flag}` : `profiles.${profile}.${flag}`;
}

/**
 * Dotted names of what is in the file but is no setting (misspelled, or of another version of regops).
 * Throws CONFIG_INVALID when a secret is among them: that must not stay unnoticed.
 */
export function unknownSettings(settings: Settings, known: ReadonlySet<string>): readonly string[] {
  const keys = settingKeys(settings);
  const secret = keys.find(({ flag }) => SECRET_FLAGS.has(flag));
  if (secret) throw secretRefused('CONFIG_INVALID', formatSettingKey(secret), settings.path);
  return keys.filter(({ flag }) => !known.has(flag)).map(formatSettingKey);
}

/** Every place of the file that holds something. */
export function settingKeys(settings: Settings): readonly SettingKey[] {
  return [
    ...Object.keys(settings.defaults).map((flag) => ({ flag })),
    ...Object.entries(settings.profiles).flatMap(([profile, section]) =>
      Object.keys(section).map((flag) => ({ profile, flag })),
    ),
  ];
}

/**
 * What is to be stored for the values a user wrote: checked by the flag itself, of whichever command
 * accepts it. Throws USAGE.
 *
 * @param command the running command, which flags' parsers are given as their context
 */
export async function checkSettingValue(
  flag: string,
  values: readonly string[],
  config: Pick<Config, 'commands'>,
  command: Command,
): Promise<SettingValue> {
  let refusal: unknown;
  for (const candidate of config.commands.filter(({ flags }) => flag in flags)) {
    const definition = (await candidate.load()).flags[flag] as FlagDefinition;
    const repeatable = definition.type === 'option' && definition.multiple;
    if (values.length > 1 && !repeatable) throw new RegopsError('USAGE', `${flag} takes one value`);
    const value = repeatable ? values : (values[0] ?? '');
    try {
      const parsed = await parseFlagValue(flag, definition, value, command);
      return definition.type === 'boolean' ? parsed === true : value;
    } catch (error) {
      refusal ??= error;
    }
  }
  throw new RegopsError('USAGE', `${flag}: ${messageOf(refusal)}`, { cause: refusal });
}

function secretRefused(code: 'USAGE' | 'CONFIG_INVALID', key: string, path: string): RegopsError {
  return new RegopsError(code, `${key} is a secret and does not belong in ${path}`, {
    hints: [
      'regops login keeps it where docker and podman look for it.',
      ...(code === 'CONFIG_INVALID' ? [`Take it out with regops config unset ${key}.`] : []),
    ],
  });
}
