import * as Args from '@oclif/core/args';
import { findStored, outputFlags, RegopsCommand } from '../../src/cli/index.ts';

export default class ConfigGet extends RegopsCommand {
  static override summary = 'print a setting';
  static override description =
    'FLAG alone is the value in force: its REGOPS_ variable, else that of the chosen profile, else the ' +
    'default. A dotted name is what stands there in the file. A setting that is not there is exit 66.';
  static override examples = [
    { description: 'What a call would use', command: '<%= config.bin %> config get timeout' },
    {
      description: 'What a profile says',
      command: '<%= config.bin %> config get profiles.prod.registry-url',
    },
  ];
  static override args = {
    key: Args.string({ description: 'FLAG, defaults.FLAG or profiles.NAME.FLAG', required: true }),
  };
  static override flags = outputFlags(['table', 'json']);

  override async run(): Promise<void> {
    await this.work(
      ConfigGet,
      async ({ args, flags, context }) => {
        const found = await findStored(args.key, context, flags.profile, this.config);
        return { result: found, report: { lines: [found.value].flat().map(String) } };
      },
      { ignoreSettings: true },
    );
  }
}
