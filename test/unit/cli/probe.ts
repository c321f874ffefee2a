import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  type CommandInput,
  type Outcome,
  outputFlags,
  RegopsCommand,
  registryFlags,
  settable,
  sizeFlag,
  type WorkOptions,
} from '../../../src/cli/index.ts';
import { type RunOptions, type RunResult, runCommandClass } from '../../support/run-command.ts';

/** A command with one flag of every kind, whose body a test gives. */
export class Probe extends RegopsCommand {
  static body: (input: CommandInput<typeof Probe>) => Promise<Outcome>;
  static workOptions: WorkOptions = {};
  static override args = { word: Args.string() };
  static override flags = {
    ...settable({
      size: sizeFlag(),
      many: Flags.string({ multiple: true }),
      cache: Flags.boolean({ allowNo: true, default: true }),
      level: Flags.string({ options: ['low', 'high'], default: 'low' }),
    }),
    once: Flags.boolean(),
    ...registryFlags,
    ...outputFlags(['table', 'json', 'nagios', 'ndjson', 'junit', 'prometheus', 'html']),
  };

  override async run(): Promise<void> {
    await this.work(Probe, Probe.body, Probe.workOptions);
  }
}

/** Runs the probe; the flags it saw are in the JSON answer's result when no body is given. */
export function probe(
  argv: readonly string[],
  options: RunOptions & { body?: typeof Probe.body; work?: WorkOptions } = {},
): Promise<RunResult> {
  const { body, work, ...rest } = options;
  Probe.body = body ?? (async ({ flags, argv: words }) => ({ result: { flags, words }, report: {} }));
  Probe.workOptions = work ?? {};
  return runCommandClass(Probe, 'probe', argv, rest);
}
