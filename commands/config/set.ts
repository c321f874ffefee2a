import * as Args from '@oclif/core/args';
import { outputFlags, RegopsCommand, setStored } from '../../src/cli/index.ts';

export default class ConfigSet extends RegopsCommand {
  static override summary = 'keep a default for a flag';
  static override description =
    'Stores what a flag shall be when it is neither given nor set by its REGOPS_ variable: for every call, or ' +
    'for those with --profile NAME. A flag that can be given several times takes several values. Secrets ' +
    'are refused; see regops login.';
  static override examples = [
    {
      description: 'Ask for JSON unless told otherwise',
      command: '<%= config.bin %> config set format json',
    },
    {
      description: 'A profile for a registry with its own certificate authority',
      command: '<%= config.bin %> config set profiles.prod.registry-url https://registry.example.com',
    },
    {
      description: 'Its CA file, for the same profile',
      command: '<%= config.bin %> config set profiles.prod.ca-file /etc/ssl/example-ca.pem',
    },
  ];
  static override args = {
    key: Args.string({ description: 'FLAG, defaults.FLAG or profiles.NAME.FLAG', required: true }),
    value: Args.string({
      description: 'what the flag would be given; true or false for a switch',
      required: true,
      multiple: true,
    }),
  };
  static override flags = outputFlags(['table', 'json']);

  override async run(): Promise<void> {
    await this.work(
      ConfigSet,
      async ({ args, context }) => {
        const stored = await setStored(args.key, args.value, context.settingsPath, this);
        return { result: stored, report: { summary: `${stored.key} is set in ${stored.path}` } };
      },
      { ignoreSettings: true },
    );
  }
}
