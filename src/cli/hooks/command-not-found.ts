import type { Hook } from '@oclif/core/hooks';
import { unknownCommand } from '../unknown-command.ts';

/** oclif calls this for words that are no command; what it throws, `main` tells. */
const hook: Hook.CommandNotFound = async ({ id, config }) => {
  throw unknownCommand(id, config);
};

export default hook;
