import * as Args from '@oclif/core/args';
import {
  PACKAGE_TEST_VARIABLES,
  packageTestResult,
  packageTestResultFlags,
  RegopsCommand,
} from '../../src/cli/index.ts';

export default class PackageTestResult extends RegopsCommand {
  static override summary = 'ask once how package tests stand at a scheduler';
  static override description =
    `Each test is judged by its stages. One that has not ended is exit 75. An id that the scheduler does not know, or knows
no longer (results are forgotten after an hour), is PENDING to it: that is said. The scheduler is the one that the
test is remembered to be at, unless --scheduler-url is given.`;
  static override strict = false;
  static override args = {
    id: Args.string({ name: 'id', required: true, description: 'ids as submit and list give them' }),
  };
  static override flags = packageTestResultFlags;
  static override environment = PACKAGE_TEST_VARIABLES;
  static override examples = [
    {
      description: 'one test',
      command: '<%= config.bin %> <%= command.id %> 0b0c1f0e-6f0b-4f6e-9a55-6ad6b8a7a7a1',
    },
    {
      description: 'all stages and TAP lines, for CI',
      command:
        '<%= config.bin %> <%= command.id %> $(<%= config.bin %> package-test list) --format junit --output tests.xml',
    },
  ];

  async run(): Promise<void> {
    await this.work(PackageTestResult, ({ argv, flags, context }) => packageTestResult(argv, flags, context));
  }
}
