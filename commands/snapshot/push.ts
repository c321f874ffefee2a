import * as Args from '@oclif/core/args';
import {
  REGISTRY_VARIABLES,
  RegopsCommand,
  SNAPSHOT_VARIABLES,
  snapshotPush,
  snapshotPushFlags,
} from '../../src/cli/index.ts';

export default class SnapshotPush extends RegopsCommand {
  static override summary = 'make an image of a running container and push it, with proof that it arrived';
  static override description =
    `Everything is checked first: the container, the names, the credentials, the right to push, and whether the
engine may talk to the registry. Then the container is committed (paused for that moment) to
regops-snapshots:CONTAINER-ID (its name, and the snapshot's ID), with labels that say where it came from, when it
expires and how it was run; the image is pushed, and the registry is asked by tag for the digest. What a commit loses (mounts, and without
pull --start ports and limits) and what it bakes in (variables that look like secrets) is warned of.

When a push fails the snapshot stays in the engine, and the error says how to push it later. Without a registry it
stays there anyway. With --transport direct regops pushes it itself: with its own TLS settings, to several registries
in one pass, and nothing that a registry has already is sent. The engine exports the whole image for that, every time.

The answer is one REF@DIGEST line for every registry.`;
  static override args = {
    container: Args.string({ name: 'container', description: 'name or ID of the container' }),
  };
  static override flags = snapshotPushFlags;
  static override environment = [...REGISTRY_VARIABLES, ...SNAPSHOT_VARIABLES];
  static override examples = [
    {
      description: 'snapshot a container and push it; it is wanted for a week',
      command:
        '<%= config.bin %> <%= command.id %> sb-123 --registry-url https://registry.example.com --repository team/snapshots --ttl 7d',
    },
    {
      description: 'with the registry of a configuration file, without two secrets, and to a second registry',
      command:
        "<%= config.bin %> <%= command.id %> sb-123 --config server-config.yaml --scrub-env 'TOKEN|PASSWORD' --also eu.example.com/team/snapshots",
    },
    {
      description: "Docker Hub; an ECR registry's credentials come from docker's credential helper",
      command:
        '<%= config.bin %> <%= command.id %> sb-123 --registry-url docker.io --repository me/snapshots',
    },
    {
      description: "Harbor's robot accounts have a dollar in their name: quote it",
      command:
        "<%= config.bin %> <%= command.id %> sb-123 --registry-url harbor.example.com --repository library/snapshots --username 'robot$ci' --password-stdin",
    },
    {
      description: 'push later what could not be pushed',
      command:
        '<%= config.bin %> <%= command.id %> --from-image regops-snapshots:sb-123-snap-xyz --registry-url registry.example.com:5000 --repository team/snapshots',
    },
  ];

  async run(): Promise<void> {
    await this.work(SnapshotPush, ({ args, flags, context }) => snapshotPush(args.container, flags, context));
  }
}
