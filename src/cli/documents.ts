import type { Config } from '@oclif/core/interfaces';
import { commandModels } from './command-model.ts';
import { manPages } from './man.ts';
import { commandReference, withReference } from './readme.ts';

/** What is made from the commands and kept in the repository: `npm run docs` writes it, a test checks it. */
export interface Documents {
  /** By file name in `man/`. */
  readonly manPages: ReadonlyMap<string, string>;
  /** README.md with its command reference renewed; undefined when it has no place for one. */
  readme(current: string): string | undefined;
}

/** The documents of the commands as they are. */
export function documents(config: Pick<Config, 'bin' | 'commands' | 'pjson'>): Documents {
  const commands = commandModels(config);
  return {
    manPages: manPages(config.bin, config.pjson.description ?? '', commands),
    readme: (current) => withReference(current, commandReference(config.bin, commands)),
  };
}
