import * as Args from '@oclif/core/args';
import { REGISTRY_VARIABLES, RegopsCommand, replayFlags, tortureReplay } from '../../src/cli/index.ts';

export default class TortureReplay extends RegopsCommand {
  static override summary = 'play a counterexample again, and say how often it comes true';
  static override description =
    `Does the requests of a repro file (torture stress and torture check write one with --repro) again: what followed follows, with the same pause, and what overlapped overlaps. Every round has a repository of its own below --write-prefix and is judged by itself; what was written is removed at the end. Nothing is retried. Clients beside the play (--company) push, pull and list all the while, and are judged as well. A round in which it came true is exit 1; 0 says that it never did, which proves little of a rare race: say --times. What else was violated is told.`;
  static override args = {
    file: Args.string({ required: true, description: 'the repro file' }),
  };
  static override flags = replayFlags;
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'does it still happen?',
      command:
        '<%= config.bin %> <%= command.id %> repro.json --registry-url localhost:5000 --yes-write --times 100',
    },
    {
      description: 'a step of a bisection: exit 1 while the registry still does it',
      command:
        '<%= config.bin %> <%= command.id %> repro.json --registry-url http://localhost:5000 --yes-write --quiet',
    },
  ];

  async run(): Promise<void> {
    await this.work(TortureReplay, ({ args, flags, context }) => tortureReplay(args.file, flags, context));
  }
}
