import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { outputFlags, RegopsCommand, readJsonFile, settable } from '../../src/cli/index.ts';
import { compareRuns, reportComparison } from '../../src/jobs/pullthrough-bench/index.ts';

export default class PullthroughBenchCompare extends RegopsCommand {
  static override summary = 'show two runs of pullthrough-bench side by side, with a verdict';
  static override description =
    'Reads two JSON answers of pullthrough-bench and says what the second does better or worse than the first: images and bytes per second, pull times, errors, upstream amplification. A figure that is worse by more than --tolerance is exit 1. Runs of different plans are compared too, with a warning.';
  static override args = {
    before: Args.string({ required: true, description: 'the JSON answer to compare with' }),
    after: Args.string({ required: true, description: 'the JSON answer to judge' }),
  };
  static override flags = {
    ...settable({
      tolerance: Flags.integer({
        min: 0,
        max: 99,
        default: 5,
        helpValue: 'PERCENT',
        description: 'changes of up to so many percent are none',
      }),
    }),
    ...outputFlags(['table', 'json', 'junit', 'html']),
  };
  static override examples = [
    {
      description: "yesterday's run and today's",
      command: '<%= config.bin %> <%= command.id %> monday.json tuesday.json',
    },
    {
      description: 'in a CI step: no more than ten percent worse than the release before',
      command: '<%= config.bin %> <%= command.id %> release.json build.json --tolerance 10 --format junit',
    },
  ];

  async run(): Promise<void> {
    await this.work(PullthroughBenchCompare, async ({ args, flags }) => {
      const [before, after] = await Promise.all([readJsonFile(args.before), readJsonFile(args.after)]);
      const result = compareRuns(before, after, { tolerancePercent: flags.tolerance });
      return { result, report: reportComparison(result), exitCode: result.verdict === 'worse' ? 1 : 0 };
    });
  }
}
