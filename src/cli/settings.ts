import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';

/** What a setting may hold; a list is for flags that can be given several times. */
export type SettingValue = string | number | boolean | readonly string[];

type Section = Readonly<Record<string, SettingValue>>;

/** The settings file's content: defaults for flags, for every call and by profile. */
export interface Settings {
  readonly path: string;
  readonly defaults: Section;
  readonly profiles: Readonly<Record<string, Section>>;
}

/** A file larger than this is not ours. */
const MAX_BYTES = 1024 * 1024;

/**
 * `$XDG_CONFIG_HOME/regops/config.json`, or the same under `~/.config`, on every system alike. A relative
 * XDG_CONFIG_HOME is ignored, as the XDG base directory specification asks.
 */
export function settingsPath(environment: NodeJS.ProcessEnv): string {
  return join(baseFolder(environment, 'XDG_CONFIG_HOME', '.config'), 'regops', 'config.json');
}

/** `$XDG_CACHE_HOME/regops`, or the same under `~/.cache`. */
export function cacheFolder(environment: NodeJS.ProcessEnv): string {
  return join(baseFolder(environment, 'XDG_CACHE_HOME', '.cache'), 'regops');
}

/** `$XDG_STATE_HOME/regops`, or the same under `~/.local/state`. */
export function stateFolder(environment: NodeJS.ProcessEnv): string {
  return join(baseFolder(environment, 'XDG_STATE_HOME', join('.local', 'state')), 'regops');
}

function baseFolder(environment: NodeJS.ProcessEnv, variable: string, fallback: string): string {
  const folder = environment[variable];
  return folder && isAbsolute(folder) ? folder : join(environment['HOME'] || homedir(), fallback);
}

/** Reads the settings file; a missing one is empty. Throws CONFIG_INVALID naming the file and what is wrong in it. */
export async function readSettings(path: string): Promise<Settings> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { path, defaults: {}, profiles: {} };
    throw new RegopsError('CONFIG_INVALID', `cannot read the settings file ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return parseSettings(path, text);
}

function parseSettings(path: string, text: string): Settings {
  if (text.length > MAX_BYTES) throw broken(path, 'it is larger than 1 MiB');
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    // V8 quotes the text around the fault, which may be anything: only the place is repeated.
    const place = /position \d+( \(line \d+ column \d+\))?/.exec(messageOf(error))?.[0];
    throw broken(path, place ? `not JSON at ${place}` : 'not JSON');
  }
  if (!isRecord(content)) throw broken(path, 'not a JSON object');
  const profiles = content['profiles'] ?? {};
  if (!isRecord(profiles)) throw broken(path, "'profiles' is not an object");
  return {
    path,
    defaults: parseSection(path, 'defaults', content['defaults'] ?? {}),
    profiles: Object.fromEntries(
      Object.entries(profiles).map(([name, section]) => [
        name,
        parseSection(path, `profiles.${name}`, section),
      ]),
    ),
  };
}

function parseSection(path: string, name: string, section: unknown): Section {
  if (!isRecord(section)) throw broken(path, `'${name}' is not an object`);
  for (const [key, value] of Object.entries(section)) {
    const plain =
      ['string', 'number', 'boolean'].includes(typeof value) ||
      (Array.isArray(value) && value.every((item) => typeof item === 'string'));
    if (!plain) {
      throw broken(path, `'${name}.${key}' is neither a string, number or boolean nor a list of strings`);
    }
  }
  return section as Section;
}

function broken(path: string, why: string): RegopsError {
  return new RegopsError('CONFIG_INVALID', `the settings file ${path} is broken: ${why}`, {
    hints: [`Correct ${path} by hand, or delete it and start anew with regops config set.`],
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Where a value in force comes from. */
export interface FoundSetting {
  readonly value: SettingValue;
  /** `profiles.prod.timeout`, as `regops config` names it. */
  readonly key: string;
}

/**
 * The setting that stands for a flag: the profile's, else the default's.
 * Throws CONFIG_INVALID when the profile is not in the file.
 */
export function findSetting(
  settings: Settings,
  profile: string | undefined,
  flag: string,
): FoundSetting | undefined {
  const ofProfile = profile === undefined ? undefined : own(profileOf(settings, profile), flag);
  if (ofProfile !== undefined) return { value: ofProfile, key: `profiles.${profile}.${flag}` };
  const value = own(settings.defaults, flag);
  return value === undefined ? undefined : { value, key: `defaults.${flag}` };
}

/** Names come from users and files: `constructor` must not find Object's. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** A profile's settings. Throws CONFIG_INVALID, naming those there are. */
export function profileOf(settings: Settings, name: string): Section {
  const section = own(settings.profiles, name);
  if (section) return section;
  const known = Object.keys(settings.profiles);
  throw new RegopsError('CONFIG_INVALID', `there is no profile '${name}' in ${settings.path}`, {
    hints: [
      known.length > 0
        ? `Profiles: ${known.join(', ')}.`
        : `Make it with regops config set profiles.${name}.registry-url URL.`,
    ],
  });
}
