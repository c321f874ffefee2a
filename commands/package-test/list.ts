import {
  PACKAGE_TEST_VARIABLES,
  packageTestList,
  packageTestListFlags,
  RegopsCommand,
} from '../../src/cli/index.ts';

export default class PackageTestList extends RegopsCommand {
  static override summary = 'list the package tests that were submitted from here';
  static override description =
    `What is remembered of them, the newest first: no scheduler is asked. A pipe gets the ids, one a line. The last 5000 are
kept, a file each (0600), in $XDG_STATE_HOME/regops/package-tests.`;
  static override flags = packageTestListFlags;
  static override environment = PACKAGE_TEST_VARIABLES.slice(0, 1);
  static override examples = [
    { description: 'all', command: '<%= config.bin %> <%= command.id %>' },
    {
      description: 'those whose end was not seen',
      command: '<%= config.bin %> <%= command.id %> --unfinished --json',
    },
  ];

  async run(): Promise<void> {
    await this.work(PackageTestList, ({ flags, context }) => packageTestList(flags, context));
  }
}
