import { expect, test } from 'vitest';
import { unknownCommand } from '../../../src/cli/unknown-command.ts';

const config = {
  bin: 'regops',
  commandIDs: [
    ...['push-tar', 'inspect', 'config:get', 'config:set', 'config:unset', 'completion'],
    ...['torture', 'torture:stress', 'torture:check'],
  ],
};

test.each([
  ['inspct', "unknown command 'inspct'", 'Did you mean regops inspect?'],
  ['inspct:some:tar', "unknown command 'inspct'", 'Did you mean regops inspect?'],
  ['confg:set', "unknown command 'confg'", 'Did you mean regops config?'],
  ['config:st', "unknown command 'config st'", 'Did you mean regops config set?'],
  ['config:st:a:b', "unknown command 'config st'", 'Did you mean regops config set?'],
  ['zzz', "unknown command 'zzz'", 'See regops --help'],
  ['push', "unknown command 'push'", 'Did you mean regops push-tar?'],
  ['torture:stres', 'torture takes no arguments', 'Did you mean regops torture stress?'],
  ['torture:stres:x', 'torture takes no arguments', 'See regops torture --help'],
  ['--json', 'a command must come before --json', 'Write regops COMMAND [FLAGS].'],
  ['-v:inspect', 'a command must come before -v', 'See regops --help'],
  ['completion:a', 'completion takes no arguments', 'See regops completion --help'],
  ['x\u001b[2J', "unknown command 'x\\x1b[2J'", 'See regops --help'],
])('%j', (id, message, hint) => {
  const error = unknownCommand(id, config);
  expect(error).toMatchObject({ code: 'USAGE', message });
  expect(error.hints).toContain(hint);
});
