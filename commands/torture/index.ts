import * as Flags from '@oclif/core/flags';
import {
  consistencyFlags,
  monitorFlags,
  onceFlag,
  REGISTRY_VARIABLES,
  RegopsCommand,
  stressFlags,
  torture,
  tortureFlags,
} from '../../src/cli/index.ts';

export default class Torture extends RegopsCommand {
  static override summary = 'watch, check and load a registry from outside';
  static override description =
    `One of the tests below, named by --test-type as the seed's clients have it. Each has a command of its own, whose --help tells more: torture monitor, torture consistency, torture stress, torture all. What they find is exit 1.`;
  static override flags = {
    'test-type': Flags.option({ options: ['monitor', 'consistency', 'stress', 'all'] as const })({
      default: 'all',
      description: 'which test',
    }),
    ...monitorFlags,
    ...consistencyFlags,
    ...onceFlag,
    ...stressFlags,
    ...tortureFlags,
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'all tests at once, for two minutes',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url http://localhost:7000 --test-type all --duration 120',
    },
    {
      description: 'only watch',
      command: '<%= config.bin %> <%= command.id %> --test-type monitor --duration 60',
    },
  ];

  async run(): Promise<void> {
    await this.work(Torture, ({ flags, context }) => torture(flags['test-type'], flags, context));
  }
}
