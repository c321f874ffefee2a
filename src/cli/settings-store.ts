import { basename, dirname, extname } from 'node:path';
import type Conf from 'conf';
import { makeFolder, messageOf, RegopsError } from '../base/index.ts';
import { formatSettingKey, type SettingKey } from './setting-keys.ts';
import { readSettings, type SettingValue } from './settings.ts';

/** Sets values in the settings file (made with mode 0600). Throws CONFIG_INVALID, OUTPUT_FAILED. */
export function storeSetting(path: string, key: SettingKey, value: SettingValue): Promise<void> {
  return edit(path, (store) => store.set(formatSettingKey(key), value));
}

/** Takes a value out of the settings file; true when it was there. Throws CONFIG_INVALID, OUTPUT_FAILED. */
export async function removeSetting(path: string, key: SettingKey): Promise<boolean> {
  let found = false;
  await edit(path, (store) => {
    found = store.has(formatSettingKey(key));
    if (found) store.delete(formatSettingKey(key));
  });
  return found;
}

async function edit(path: string, change: (store: Conf) => void): Promise<void> {
  // conf would say where in the text it stumbled, quoting it; ours names the file and what to do.
  await readSettings(path);
  // conf brings a schema validator along: only those who write the file pay for it.
  const { default: Conf } = await import('conf');
  try {
    await makeFolder(dirname(path));
    const store = new Conf({
      cwd: dirname(path),
      configName: basename(path, extname(path)),
      configFileMode: 0o600,
      serialize: (content) => `${JSON.stringify(content, null, 2)}\n`,
    });
    change(store);
  } catch (error) {
    throw new RegopsError('OUTPUT_FAILED', `cannot write the settings file ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
