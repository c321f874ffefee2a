import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { outputFlags, RegopsCommand, tortureCheck, verdictFlags } from '../../src/cli/index.ts';

export default class TortureCheck extends RegopsCommand {
  static override summary = 'judge a recorded history: what the registry kept, and what it did not';
  static override description =
    `Reads a history file (torture stress --history writes one; its format is in the README) as a stream and proves from it, without a registry: whether each tag was a linearizable register, or met at least a session's guarantees, or only came to the right end; whether content that got 201 stayed, whether what was deleted was gone, whether lists named what they had to. Every violation comes with the fewest operations that show it, on a time line. What breaks the spec or the level of --require is exit 1.`;
  static override args = {
    file: Args.string({ required: true, description: 'the history' }),
  };
  static override flags = {
    ...verdictFlags,
    finding: Flags.integer({
      min: 1,
      helpValue: 'N',
      dependsOn: ['repro'],
      description: 'which one --repro is about, by its number in the report',
    }),
    ...outputFlags(['table', 'json', 'junit', 'prometheus', 'html', 'nagios']),
  };
  static override examples = [
    {
      description: 'what a recorded run proves',
      command: '<%= config.bin %> <%= command.id %> run.history',
    },
    {
      description: 'hold it against the strongest level, as a page with the time lines drawn',
      command:
        '<%= config.bin %> <%= command.id %> run.history --require linearizable --format html --output verdict.html',
    },
    {
      description: 'a case for each invariant in a CI step, where a run that never raced is no success',
      command: '<%= config.bin %> <%= command.id %> run.history --strict --format junit --output verdict.xml',
    },
  ];

  async run(): Promise<void> {
    await this.work(TortureCheck, ({ args, flags, context }) => tortureCheck(args.file, flags, context));
  }
}
