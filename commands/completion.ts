import * as Args from '@oclif/core/args';
import { completionOf, outputFlags, RegopsCommand, SHELLS, type Shell } from '../src/cli/index.ts';

export default class Completion extends RegopsCommand {
  static override summary = 'print a completion script for a shell';
  static override description =
    'The script knows every command, flag and choice by itself and never calls regops. Make it anew after an ' +
    'update.';
  static override examples = [
    { description: 'In this bash, or in ~/.bashrc', command: 'source <(<%= config.bin %> completion bash)' },
    {
      description: 'For every zsh',
      command: `<%= config.bin %> completion zsh > "\${fpath[1]}/_regops"`,
    },
    {
      description: 'For every fish',
      command: '<%= config.bin %> completion fish > ~/.config/fish/completions/regops.fish',
    },
  ];
  static override args = {
    shell: Args.string({ description: SHELLS.join(', '), options: [...SHELLS], required: true }),
  };
  static override flags = outputFlags(['table', 'json']);

  override async run(): Promise<void> {
    await this.work(Completion, async ({ args }) => {
      const script = completionOf(args.shell as Shell, this.config);
      return { result: { shell: args.shell, script }, report: { exact: script } };
    });
  }
}
