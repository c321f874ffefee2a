/** What the `config` commands do, from the words a user typed to the answer's result. */
import type { Command } from '@oclif/core/command';
import type { Config } from '@oclif/core/interfaces';
import { RegopsError } from '../base/index.ts';
import type { CommandContext } from './context.ts';
import {
  checkSettingValue,
  formatSettingKey,
  parseSettingKey,
  readSettingKey,
  settingNames,
  settingVariables,
} from './setting-keys.ts';
import { readSettings, type SettingValue } from './settings.ts';
import { type ListedSetting, listSettings } from './settings-listing.ts';
import { removeSetting, storeSetting } from './settings-store.ts';

type Surroundings = Pick<CommandContext, 'settingsPath' | 'environment'>;
type Commands = Pick<Config, 'commands'>;

/** All settings with their origins (`config list`). */
export async function listStored(
  { settingsPath, environment }: Surroundings,
  profile: string | undefined,
  config: Commands,
): Promise<{ path: string; settings: readonly ListedSetting[] }> {
  const settings = await readSettings(settingsPath);
  return {
    path: settingsPath,
    settings: listSettings(settings, environment, profile, settingVariables(config)),
  };
}

/** One setting (`config get`). Throws SETTING_NOT_FOUND; USAGE when there is no such setting at all. */
export async function findStored(
  text: string,
  surroundings: Surroundings,
  profile: string | undefined,
  config: Commands,
): Promise<Omit<ListedSetting, 'inForce'>> {
  const key = parseSettingKey(text, settingNames(config), surroundings.settingsPath);
  const { path, settings } = await listStored(surroundings, profile, config);
  const found = settings.find((setting) =>
    text === key.flag ? setting.name === key.flag && setting.inForce : setting.from === text,
  );
  if (!found) throw new RegopsError('SETTING_NOT_FOUND', `${text} is not set in ${path}`);
  return { name: found.name, value: found.value, from: found.from };
}

/** Stores a setting (`config set`). Throws USAGE when the flag would refuse the value. */
export async function setStored(
  text: string,
  values: readonly string[],
  path: string,
  command: Command,
): Promise<{ key: string; value: SettingValue; path: string }> {
  const key = parseSettingKey(text, settingNames(command.config), path);
  const value = await checkSettingValue(key.flag, values, command.config, command);
  await storeSetting(path, key, value);
  return { key: formatSettingKey(key), value, path };
}

/** Removes a setting (`config unset`); also one that no command knows any more, or a secret written by hand. */
export async function unsetStored(
  text: string,
  path: string,
): Promise<{ key: string; path: string; removed: boolean }> {
  const key = readSettingKey(text);
  return { key: formatSettingKey(key), path, removed: await removeSetting(path, key) };
}
