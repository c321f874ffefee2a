import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  openRegistries,
  outputFlags,
  platformFlag,
  REGISTRY_VARIABLES,
  RegopsCommand,
  registryFlags,
  repositoryFlag,
  settable,
  targetsOf,
} from '../src/cli/index.ts';
import { inspect, problemCount, reportInspect } from '../src/jobs/inspect/index.ts';

export default class Inspect extends RegopsCommand {
  static override summary = 'show what a registry, a repository, an image or an archive holds';
  static override description =
    `A REF shows an image or index: platforms, configuration, layers with their sizes, history, annotations. A
path shows an archive. Without either, --registry-url lists the registry's repositories, and with
--repository that repository's tags. Tags are never listed unasked.

With --check everything the image names is looked for; --deep reads and hashes all of it.`;
  static override strict = false;
  static override args = {
    target: Args.string({
      name: 'target',
      description: 'a reference, or the path of an archive or OCI layout; several are shown in turn',
    }),
  };
  static override flags = {
    repository: repositoryFlag({ description: 'list the tags of this repository at --registry-url' }),
    raw: Flags.boolean({
      exclusive: ['config', 'digest', 'tree', 'check'],
      description: 'print the manifest, byte for byte',
    }),
    config: Flags.boolean({
      exclusive: ['digest', 'tree', 'check'],
      description: 'print the image configuration, byte for byte',
    }),
    digest: Flags.boolean({ exclusive: ['tree', 'check'], description: 'print only the digest' }),
    ...settable({ platform: platformFlag({ description: 'the image of an index to show' }) }),
    tree: Flags.boolean({ description: 'draw the index, its images, their layers and what refers to them' }),
    referrers: Flags.boolean({ description: 'also list what refers to it: signatures, SBOMs, attestations' }),
    check: Flags.boolean({
      description: 'make sure that every blob it names exists with its size; a problem is exit 1',
    }),
    deep: Flags.boolean({ dependsOn: ['check'], description: 'with --check: read and hash every blob' }),
    ...registryFlags,
    ...outputFlags(['table', 'json', 'nagios']),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'an image: platform, configuration, layers, history',
      command: '<%= config.bin %> <%= command.id %> registry.example.com/team/app:1.0',
    },
    {
      description: 'the repositories of a registry, one a line',
      command: '<%= config.bin %> <%= command.id %> --registry-url https://registry.example.com',
    },
    {
      description: 'pin a tag in a script',
      command:
        'ref=registry.example.com/team/app; echo "$ref@$(<%= config.bin %> <%= command.id %> --digest $ref:1.0)"',
    },
    {
      description: 'a nightly check that every byte is there, for a monitoring system',
      command:
        '<%= config.bin %> <%= command.id %> registry.example.com/team/app:1.0 --check --deep --format nagios',
    },
  ];

  async run(): Promise<void> {
    await this.work(Inspect, async ({ flags, argv, context }) => {
      const registries = await openRegistries(flags, context);
      const { result, error } = await inspect(
        {
          targets: await targetsOf(argv, flags, registries),
          platform: flags.platform,
          tree: flags.tree,
          referrers: flags.referrers,
          check: flags.deep ? 'deep' : flags.check ? 'present' : undefined,
          keep: flags.raw ? 'manifest' : flags.config ? 'config' : flags.digest ? 'digest' : undefined,
        },
        { ...context, registry: (domain) => registries.client(domain) },
      );
      const only = flags.raw || flags.config ? 'text' : flags.digest ? 'digest' : undefined;
      return {
        result,
        report: reportInspect(result, { only, tree: flags.tree }),
        exitCode: problemCount(result) > 0 ? 1 : 0,
        ...(error ? { error } : {}),
      };
    });
  }
}
