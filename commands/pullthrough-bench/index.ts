import {
  plainSwitches,
  pullthroughBenchCommand,
  pullthroughFlags,
  REGISTRY_VARIABLES,
  RegopsCommand,
} from '../../src/cli/index.ts';

export default class PullthroughBench extends RegopsCommand {
  static override summary = 'how many images per second a pull-through cache delivers';
  static override description =
    `Lists the images of an upstream registry, gives each pattern a puller, and pulls through the cache: every --iteration-seconds one puller more, then one less, so that N patterns take 2N-1 steps. A pull is what containerd does: manifest, config and layers, every digest verified, nothing written to disk. The plan is shown before it starts. --scenario cold-vs-warm pulls each image twice, herd sends many clients for one image at once. With --upstream synthetic:SPEC the images are made up here, so that a cache that cannot prune meets images it has never seen, and the report says how often each blob was fetched from the upstream. A failed pull, wrong content or a missed threshold is exit 1.

The user name, password and token of the registry flags are for the upstream; the cache has --pullthrough-username and --pullthrough-password; where both are one registry, either is for both. Without any arguments this help is shown.`;
  static override flags = pullthroughFlags;
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: "the seed's run: five pullers up and down, twenty seconds each",
      command:
        '<%= config.bin %> <%= command.id %> --pullthrough-url=localhost:8080 --registry-url=localhost:5000 --patterns=-0001,-0002,-0003,-0004,-0005 --iteration-seconds=20 --tally-seconds=5 --prune',
    },
    {
      description: 'a cache that mirrors one upstream, with images it has never seen, as a page to look at',
      command: `<%= config.bin %> <%= command.id %> --pullthrough-url localhost:5000 --upstream 'synthetic:images=100000,layers=5,sizes=50KiB' --upstream-port 5001 --path-style mirror --patterns=-0001,-0002 --format html --output bench.html`,
    },
    {
      description: 'a hundred clients want the same image, and one of them dies',
      command:
        "<%= config.bin %> <%= command.id %> --pullthrough-url localhost:5000 --registry-url localhost:5001 --path-style mirror --patterns='.*' --scenario herd --clients 100 --kill-one",
    },
    {
      description: 'in a CI step: the first pull may not be slow',
      command:
        "<%= config.bin %> <%= command.id %> --pullthrough-url localhost:5000 --registry-url localhost:5001 --path-style mirror --patterns='.*' --scenario cold-vs-warm --threshold 'p99<2s' --json",
    },
  ];

  async run(): Promise<void> {
    if (this.argv.length === 0) {
      await this.showHelp();
      return;
    }
    this.argv = plainSwitches(this.argv);
    await this.work(PullthroughBench, ({ flags, context }) => pullthroughBenchCommand(flags, context));
  }
}
