import * as Args from '@oclif/core/args';
import {
  PACKAGE_TEST_VARIABLES,
  packageTestWait,
  packageTestWaitFlags,
  RegopsCommand,
} from '../../src/cli/index.ts';

export default class PackageTestWait extends RegopsCommand {
  static override summary = 'wait until package tests at a scheduler have ended';
  static override description =
    `The tests with these ids, or without any all that are remembered of the last day and whose end was not seen: so a wait
that was interrupted is taken up again. Each is asked for every 5 s at most, more rarely while nothing changes; a
scheduler that cannot be reached for a while is borne. A test that was STARTED and is PENDING again is lost: its
result has expired, or its id is unknown.`;
  static override strict = false;
  static override args = {
    id: Args.string({
      name: 'id',
      description: 'ids as submit and list give them [default: all unfinished]',
    }),
  };
  static override flags = packageTestWaitFlags;
  static override environment = PACKAGE_TEST_VARIABLES;
  static override examples = [
    { description: 'whatever is still under way', command: '<%= config.bin %> <%= command.id %>' },
    {
      description: 'a line of JSON for every change of state',
      command:
        '<%= config.bin %> <%= command.id %> 0b0c1f0e-6f0b-4f6e-9a55-6ad6b8a7a7a1 --timeout 30m --format ndjson',
    },
  ];

  async run(): Promise<void> {
    await this.work(PackageTestWait, ({ argv, flags, context }) => packageTestWait(argv, flags, context));
  }
}
