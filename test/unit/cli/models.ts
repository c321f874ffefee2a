import type { CommandModel, FlagModel } from '../../../src/cli/command-model.ts';

const flag = (name: string, more: Partial<FlagModel> = {}): FlagModel => ({
  name,
  repeatable: false,
  negatable: false,
  required: false,
  options: [],
  description: `about ${name}`,
  ...more,
});

const format = (...options: string[]): FlagModel =>
  flag('format', {
    value: options.join('|'),
    options,
    default: 'table',
    env: 'REGOPS_FORMAT',
    group: 'OUTPUT',
  });

const common = {
  exitStatus: [
    ['0', 'fine'],
    ['1', "a problem's there"],
  ],
  environment: [],
} as const;

/** Commands with every kind of argument, flag and awkward text. */
export const commands: readonly CommandModel[] = [
  {
    ...common,
    words: ['config', 'set'],
    summary: 'keep a default',
    description: [],
    usage: 'config set KEY VALUE... [FLAGS]',
    args: [
      { label: 'KEY', description: 'which', options: [] },
      { label: 'VALUE...', description: 'what', options: [] },
    ],
    flags: [format('table', 'json')],
    examples: [{ command: 'regops config set a b' }],
  },
  {
    ...common,
    words: ['push-tar'],
    summary: `push archives, "as they are" (it's fast)`,
    description: [".starts with a dot and has a back\\slash -- and 'quotes'", 'second paragraph'],
    usage: 'push-tar TAR... [FLAGS]',
    args: [{ label: 'TAR...', description: 'archives', options: [] }],
    flags: [
      flag('to', { char: 't', value: 'REF', repeatable: true }),
      flag('cache', { negatable: true }),
      flag('certs-dir', { value: 'DIR', env: 'REGOPS_CERTS_DIR', group: 'REGISTRY' }),
      flag('dry-run', { description: `it's [only] a: test with $(danger) and \`ticks\` \\ "quotes"` }),
      format('table', 'json', 'nagios'),
    ],
    examples: [{ description: 'One', command: "regops push-tar 'a b.tar' \\\n  --to x" }],
    environment: [['DOCKER_CONFIG', 'where docker keeps its']],
  },
  {
    ...common,
    words: ['completion'],
    summary: 'print a script',
    description: [],
    usage: 'completion SHELL [FLAGS]',
    args: [{ label: 'SHELL', description: 'which', options: ['bash', 'zsh'] }],
    flags: [format('table')],
    examples: [],
  },
];
