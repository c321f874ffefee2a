import { outputFlags, RegopsCommand } from '../../src/cli/index.ts';

export default class ConfigPath extends RegopsCommand {
  static override summary = 'print where the settings file is';
  static override description =
    'The file need not exist. It is found under $XDG_CONFIG_HOME, or ~/.config when that is not set.';
  static override examples = [
    { description: 'Look at the file itself', command: 'cat "$(<%= config.bin %> config path)"' },
    {
      description: 'Use other settings for one call',
      command: 'XDG_CONFIG_HOME=/etc <%= config.bin %> config path',
    },
  ];
  static override flags = outputFlags(['table', 'json']);

  override async run(): Promise<void> {
    await this.work(
      ConfigPath,
      async ({ context }) => ({
        result: { path: context.settingsPath },
        report: { lines: [context.settingsPath] },
      }),
      { ignoreSettings: true },
    );
  }
}
