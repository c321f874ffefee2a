import { SECRET_FLAGS } from './flags.ts';
import { formatSettingKey, settingKeys } from './setting-keys.ts';
import { profileOf, type Settings, type SettingValue } from './settings.ts';

/** A value and where it stands. */
export interface ListedSetting {
  readonly name: string;
  /** Secrets (which only the environment can hold) are not told. */
  readonly value: SettingValue;
  /** `REGOPS_TIMEOUT`, `profiles.prod.timeout`, `defaults.timeout`. */
  readonly from: string;
  /** False when something stronger overrides it in every command, its profile is not chosen, or no command knows it. */
  readonly inForce: boolean;
}

/**
 * Every setting of the environment and the file, the strongest first, by name. Flags on a command line are
 * stronger than all of them. Throws CONFIG_INVALID when the chosen profile is not there.
 *
 * @param variables of each flag; where it has several, each is for commands of its own
 */
export function listSettings(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  profile: string | undefined,
  variables: ReadonlyMap<string, readonly string[]>,
): readonly ListedSetting[] {
  if (profile !== undefined) profileOf(settings, profile);
  const ofEnvironment = [...variables].flatMap(([name, all]) =>
    all.flatMap((variable) => {
      const value = environment[variable];
      const shown = SECRET_FLAGS.has(name) ? '(secret)' : value;
      return value && shown ? [{ name, value: shown, from: variable, rank: 3, inForce: true }] : [];
    }),
  );
  const ofFile = settingKeys(settings)
    .filter(({ flag }) => !SECRET_FLAGS.has(flag))
    .map((key) => ({
      name: key.flag,
      value: (key.profile === undefined ? settings.defaults : settings.profiles[key.profile])?.[
        key.flag
      ] as SettingValue,
      from: formatSettingKey(key),
      rank: key.profile === undefined ? 1 : key.profile === profile ? 2 : 0,
    }));
  const strongest = new Map<string, number>();
  for (const { name, rank } of ofFile) strongest.set(name, Math.max(rank, strongest.get(name) ?? 0));
  const isOverridden = (name: string): boolean =>
    variables.get(name)?.every((variable) => environment[variable]) ?? false;
  const judged = ofFile.map((setting) => ({
    ...setting,
    inForce:
      setting.rank > 0 &&
      setting.rank === strongest.get(setting.name) &&
      variables.has(setting.name) &&
      !isOverridden(setting.name),
  }));
  return [...ofEnvironment, ...judged]
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : b.rank - a.rank))
    .map(({ rank: _, ...setting }) => setting);
}
