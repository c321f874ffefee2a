import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  outputFlags,
  platformFlag,
  REGISTRY_VARIABLES,
  RegopsCommand,
  SNAPSHOT_VARIABLES,
  snapshotFlags,
  snapshotPull,
  transportFlag,
} from '../../src/cli/index.ts';

export default class SnapshotPull extends RegopsCommand {
  static override summary = 'get a snapshot into the engine, and run it again';
  static override description =
    `A snapshot that the engine has already, by its digest, is used at once; else it is pulled by that digest and
verified. With --start a container is made of it, with the ports, limits, restart policy and hostname that its
labels carry (flags win), started, and waited for; its ID is the answer. Mounts, privileges, added capabilities and
other networks than the default are not restored: a label must not give a container power over this machine.`;
  static override args = {
    ref: Args.string({
      name: 'ref',
      required: true,
      description: 'reference in a registry, regops-snapshots:TAG in the engine, or a tag of --repository',
    }),
  };
  static override flags = {
    start: Flags.boolean({ description: 'run it' }),
    name: Flags.string({
      helpValue: 'NAME',
      description: "the container's name [default: as before, if that is free]",
    }),
    command: Flags.string({ helpValue: 'COMMAND', description: "what to run in place of the image's own" }),
    network: Flags.string({ helpValue: 'NETWORK', description: 'its network: host, none, or a name' }),
    platform: platformFlag({ description: 'which image of an index' }),
    ...transportFlag,
    ...snapshotFlags,
    ...outputFlags(['table', 'json']),
  };
  static override environment = [...REGISTRY_VARIABLES, ...SNAPSHOT_VARIABLES];
  static override examples = [
    {
      description: 'restore a container on another host',
      command:
        '<%= config.bin %> <%= command.id %> registry.example.com/team/snapshots:sb-123-snap-xyz --start --name sb-124',
    },
    {
      description: 'the registry has a certificate that the engine does not trust',
      command:
        '<%= config.bin %> <%= command.id %> registry.example.com:5000/team/snapshots:sb-123-snap-xyz --transport direct --ca-file ca.pem',
    },
  ];

  async run(): Promise<void> {
    await this.work(SnapshotPull, ({ args, flags, context }) => snapshotPull(args.ref, flags, context));
  }
}
