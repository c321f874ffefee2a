import {
  judgedStressFlags,
  REGISTRY_VARIABLES,
  RegopsCommand,
  seedFlag,
  stressFlags,
  torture,
  tortureFlags,
} from '../../src/cli/index.ts';

export default class TortureStress extends RegopsCommand {
  static override summary = 'load a registry and say how it bore it';
  static override description =
    `A number of clients that wait for their answers, or, with --rate and --stages, operations that start on schedule: there latency counts from the moment an operation should have started, so a server that stalls does not look fast. The admin workload is the seed's: state, health, sessions and details of a random repository. pull takes whole images and verifies every digest; push, mixed and delete write below --write-prefix, need --yes-write, and remove what they wrote, also when interrupted. A missed threshold is exit 1, and so is any error unless a threshold speaks of errors.

With the workloads from register on everything that every client did and saw is recorded and judged while the run goes on (see torture check): what the spec demands must hold, and every tag must meet the level of --require; each violation comes with the fewest operations that show it. They write below --write-prefix too.`;
  static override flags = {
    ...stressFlags,
    ...judgedStressFlags,
    ...tortureFlags,
    ...seedFlag('repeats the random choices of the run that named it'),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: `the seed's load for two minutes`,
      command: `<%= config.bin %> <%= command.id %> --registry-url http://localhost:7000 --duration 2m --concurrent-requests 20`,
    },
    {
      description: `pull images at a rate, and fail the build when it is slow`,
      command: `<%= config.bin %> <%= command.id %> --registry-url https://registry.example.com --workload pull --rate 20/s --threshold 'p99<500ms' --threshold 'errors<0.1%'`,
    },
    {
      description: `pushes that grow, as a page to look at`,
      command: `<%= config.bin %> <%= command.id %> --registry-url localhost:5000 --workload push --yes-write --stages '10/s:30s,..100/s:60s' --format html --output stress.html`,
    },
    {
      description: 'prove from its history what a registry keeps when clients race for a few tags',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url localhost:5000 --workload register --yes-write --require linearizable -c 16 --duration 30s --history run.history',
    },
  ];

  async run(): Promise<void> {
    await this.work(TortureStress, ({ flags, context }) => torture('stress', flags, context));
  }
}
