import * as Flags from '@oclif/core/flags';
import {
  consistencyFlags,
  monitorFlags,
  REGISTRY_VARIABLES,
  RegopsCommand,
  stressFlags,
  torture,
  tortureFlags,
} from '../../src/cli/index.ts';

export default class TortureAll extends RegopsCommand {
  static override summary = 'monitor, consistency and stress at once, in one report';
  static override description =
    `The three tests run at the same time against one registry (--phases sequential: one after the other, each for the whole duration), and one report tells what each of them found. An alert, a finding, a missed threshold or an error is exit 1.`;
  static override flags = {
    ...monitorFlags,
    ...consistencyFlags,
    ...stressFlags,
    phases: Flags.option({ options: ['concurrent', 'sequential'] as const })({
      default: 'concurrent',
      description: 'all at once, or one after the other',
    }),
    ...tortureFlags,
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'everything for two minutes, as a page to look at',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url http://localhost:7000 --duration 2m --format html --output torture.html',
    },
    {
      description: 'in a CI step',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url localhost:5000 --duration 30s --format junit --output torture.xml',
    },
  ];

  async run(): Promise<void> {
    await this.work(TortureAll, ({ flags, context }) => torture('all', flags, context));
  }
}
