import {
  REGISTRY_VARIABLES,
  RegopsCommand,
  SNAPSHOT_VARIABLES,
  snapshotList,
  snapshotListFlags,
} from '../../src/cli/index.ts';

export default class SnapshotList extends RegopsCommand {
  static override summary = 'list the snapshots of a registry and of the engine';
  static override description =
    `Reads the labels of every image under the repository's tags, and of the engine's images: which container it was
made of, when, until when it is wanted, its size and digest, and where it is. Without a registry, or with --local,
only the engine is asked.`;
  static override flags = snapshotListFlags;
  static override environment = [...REGISTRY_VARIABLES, ...SNAPSHOT_VARIABLES];
  static override examples = [
    {
      description: 'what is in the registry and here',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url https://registry.example.com --repository team/snapshots',
    },
    {
      description: 'what prune --expired would take',
      command: '<%= config.bin %> <%= command.id %> --config server-config.yaml --expired --json',
    },
  ];

  async run(): Promise<void> {
    await this.work(SnapshotList, ({ flags, context }) => snapshotList(flags, context));
  }
}
