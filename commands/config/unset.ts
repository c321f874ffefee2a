import * as Args from '@oclif/core/args';
import { outputFlags, RegopsCommand, unsetStored } from '../../src/cli/index.ts';

export default class ConfigUnset extends RegopsCommand {
  static override summary = 'forget a setting';
  static override description = 'A setting that is not there is left so, and is no failure.';
  static override examples = [
    { description: 'Back to the built-in default', command: '<%= config.bin %> config unset timeout' },
    {
      description: 'Take a value out of a profile',
      command: '<%= config.bin %> config unset profiles.prod.insecure',
    },
  ];
  static override args = {
    key: Args.string({ description: 'FLAG, defaults.FLAG or profiles.NAME.FLAG', required: true }),
  };
  static override flags = outputFlags(['table', 'json']);

  override async run(): Promise<void> {
    await this.work(
      ConfigUnset,
      async ({ args, context }) => {
        const { key, path, removed } = await unsetStored(args.key, context.settingsPath);
        const summary = removed ? `${key} is no longer set in ${path}` : `${key} was not set in ${path}`;
        return { result: { key, path, removed }, report: { summary } };
      },
      { ignoreSettings: true },
    );
  }
}
