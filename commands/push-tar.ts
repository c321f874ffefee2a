import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  destinationsOf,
  openLayerCache,
  openRegistries,
  outputFlags,
  platformOrAllFlag,
  REGISTRY_VARIABLES,
  RegopsCommand,
  registryFlags,
  repositoryFlag,
  settable,
  sizeFlag,
  tagFlag,
} from '../src/cli/index.ts';
import { pushTar, reportPushTar } from '../src/jobs/push-tar/index.ts';

export default class PushTar extends RegopsCommand {
  static override summary = 'push docker save and OCI archives to a registry, without Docker';
  static override description =
    `Archives are read where they lie: docker save (old layout, and docker 25's), oci-archive, OCI layout
folders; plain, gzip or zstd; a file or - for standard input. Several images of one archive go in one call.
Blobs go concurrently, each at most once to a registry; what is there already is not sent, other
repositories get it by mount. Layers that are compressed already keep their digest, others are compressed
while they are sent, and a small cache remembers the outcome for the next push.

The answer is one REF@DIGEST line for every tag.`;
  static override strict = false;
  static override args = {
    tar: Args.string({
      name: 'tar',
      required: true,
      description: 'archive or OCI layout folder; - is standard input',
    }),
  };
  static override flags = {
    to: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'REF',
      description: 'push the image to this reference; again for more',
    }),
    repository: repositoryFlag({ description: 'repository at --registry-url, in place of the stored one' }),
    tag: tagFlag({
      multiple: true,
      multipleNonGreedy: true,
      description: 'tag at --registry-url, in place of the stored ones; again for more',
    }),
    image: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'NAME|@N',
      description: 'only this image of the archive; again for more',
    }),
    ...settable({
      platform: platformOrAllFlag({
        description: "one platform of an index, or 'all': the whole index or nothing",
      }),
      compression: Flags.option({ options: ['gzip', 'zstd', 'none'] as const })({
        default: 'gzip',
        description: 'for layers that are stored uncompressed',
      }),
      'compression-level': Flags.integer({
        min: 1,
        max: 22,
        helpValue: 'N',
        description: 'gzip 1 to 9, zstd 1 to 22 [default: gzip 1, zstd 3]',
      }),
      'preserve-digests': Flags.boolean({ description: 'push every stored byte unchanged, or fail' }),
      concurrency: Flags.integer({
        char: 'c',
        min: 1,
        max: 64,
        default: 4,
        helpValue: 'N',
        description: 'blobs in flight at once',
      }),
      'chunk-size': sizeFlag({
        description: 'send blobs in chunks of this size (for proxies that limit requests)',
      }),
      cache: Flags.boolean({
        allowNo: true,
        default: true,
        description: 'remember what layers become when they are compressed',
      }),
    }),
    'dry-run': Flags.boolean({ description: 'ask the registry and plan, but send nothing' }),
    ...registryFlags,
    ...outputFlags(['table', 'json']),
  };
  static override environment = [
    ...REGISTRY_VARIABLES,
    ['XDG_CACHE_HOME', 'where regops/layers.json remembers what layers became (~/.cache)'],
  ] as const;
  static override examples = [
    {
      description: 'push every image of a docker save archive under its stored names',
      command: '<%= config.bin %> <%= command.id %> images.tar --registry-url https://registry.example.com',
    },
    {
      description: 'push one image under a name of your own',
      command:
        '<%= config.bin %> <%= command.id %> app.tar --image @0 --to registry.example.com/team/app:1.0',
    },
    {
      description: 'straight from docker, in a CI step',
      command:
        'docker save app:1.0 | <%= config.bin %> <%= command.id %> - --to registry.example.com/team/app:1.0 --quiet',
    },
  ];

  async run(): Promise<void> {
    await this.work(PushTar, async ({ flags, argv, context }) => {
      const registries = await openRegistries(flags, context);
      const { result, error } = await pushTar(
        {
          archives: argv,
          destinations: await destinationsOf(flags, registries),
          images: flags.image ?? [],
          platform: flags.platform,
          compression: flags.compression,
          compressionLevel: flags['compression-level'],
          preserveDigests: flags['preserve-digests'],
          concurrency: flags.concurrency,
          chunkSize: flags['chunk-size'],
          dryRun: flags['dry-run'],
        },
        {
          ...context,
          registry: (domain) => registries.client(domain),
          layerCache: await openLayerCache(flags.cache, context),
        },
      );
      return { result, report: reportPushTar(result), ...(error ? { error } : {}) };
    });
  }
}
