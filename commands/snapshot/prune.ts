import {
  REGISTRY_VARIABLES,
  RegopsCommand,
  SNAPSHOT_VARIABLES,
  snapshotPrune,
  snapshotPruneFlags,
} from '../../src/cli/index.ts';

export default class SnapshotPrune extends RegopsCommand {
  static override summary = 'delete snapshots that expired, are too old, too many or too large';
  static override description =
    `Each place, the registry's repository and the engine, is judged on its own. Expired snapshots go first. Then --keep
protects the newest of every container; of the others go those older than --max-age, and the oldest until the rest
is within --max-total-size; with neither of these two, all of them. Only snapshots of regops are touched, in the
registry by digest, and never one that a container uses or that has another name than its own: an image built from a
snapshot has its labels too.

A delete that fails does not keep the others; the exit code is then 1. The registry's disk space returns with its
garbage collection.`;
  static override flags = snapshotPruneFlags;
  static override environment = [...REGISTRY_VARIABLES, ...SNAPSHOT_VARIABLES];
  static override examples = [
    {
      description: 'what would go if three of every container stayed',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url https://registry.example.com --repository team/snapshots --keep 3 --dry-run',
    },
    {
      description: 'from cron: expired ones, and the oldest beyond 50 GB',
      command:
        '<%= config.bin %> <%= command.id %> --config server-config.yaml --expired --max-total-size 50GB --quiet',
    },
  ];

  async run(): Promise<void> {
    await this.work(SnapshotPrune, ({ flags, context }) => snapshotPrune(flags, context));
  }
}
