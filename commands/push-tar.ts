import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  byteRateFlag,
  outputFlags,
  parsedFlag,
  platformOrAllFlag,
  pushTarCommand,
  REGISTRY_VARIABLES,
  RegopsCommand,
  registryFlags,
  repositoryFlag,
  settable,
  sizeFlag,
  tagFlag,
} from '../src/cli/index.ts';

// Loaded when it is given: help must not pay for the job.
const mapFlag = parsedFlag(
  async (text) => (await import('../src/jobs/push-tar/index.ts')).parseRename(text),
  'OLD=NEW',
);

export default class PushTar extends RegopsCommand {
  static override summary = 'push docker save and OCI archives to a registry, without Docker';
  static override description =
    `Archives are read where they lie: docker save (old layout, and docker 25's), oci-archive, OCI layout
folders; plain, gzip or zstd; a file or - for standard input. Several images of one archive go in one call.
Blobs go concurrently, each at most once to a registry; what is there already is not sent, other
repositories get it by mount. Layers that are compressed already keep their digest; of what docker save
wrote the others are compressed while they are sent, and a small cache remembers the outcome for the next
push. Images that came with a manifest of their own keep every digest unless --compression is given.

From a pipe, layers go to --to or --repository while they pass, without a temporary file; where their
repository is only told at the pipe's end, or with --spool, the pipe is copied to one first.

An upload that a crash or a broken network has cut off is gone on with by the next run. No tag is set
before all below it is there.

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
    map: mapFlag({
      multiple: true,
      multipleNonGreedy: true,
      description: 'stored names below OLD go below NEW at --registry-url; again for more',
    }),
    ...settable({
      platform: platformOrAllFlag({
        description: "one platform of an index, or 'all': the whole index or nothing",
      }),
      compression: Flags.option({ options: ['gzip', 'zstd', 'none'] as const })({
        description: 'for layers that are stored uncompressed [default: gzip, none for OCI layouts]',
      }),
      'compression-level': Flags.integer({
        min: 1,
        max: 22,
        helpValue: 'N',
        description: 'gzip 1 to 9, zstd 1 to 22 [default: gzip 1, zstd 1]',
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
      'limit-rate': byteRateFlag({ description: 'send no faster than this, all blobs together' }),
      cache: Flags.boolean({
        allowNo: true,
        default: true,
        description: 'remember what layers become when they are compressed, and where they are',
      }),
      resume: Flags.boolean({
        allowNo: true,
        default: true,
        description: 'go on with uploads that an earlier run has left',
      }),
      spool: Flags.boolean({
        description: 'copy a pipe to a temporary file before anything of it is sent',
      }),
    }),
    'digest-file': Flags.string({
      helpValue: 'FILE',
      description: 'write the digests of the pushed images to FILE, a line each',
    }),
    'dry-run': Flags.boolean({ description: 'ask the registry and plan, but send nothing' }),
    ...registryFlags,
    ...outputFlags(['table', 'json', 'ndjson']),
  };
  static override environment = [
    ...REGISTRY_VARIABLES,
    ['XDG_CACHE_HOME', 'where regops/layers.jsonl remembers what layers became (~/.cache)'],
    ['TMPDIR', 'where what must be copied to a temporary file is copied to (/tmp)'],
    ['XDG_STATE_HOME', 'where regops/uploads notes uploads under way (~/.local/state)'],
  ] as const;
  static override examples = [
    {
      description: 'push every image of a docker save archive under its stored names',
      command: '<%= config.bin %> <%= command.id %> images.tar --registry-url https://registry.example.com',
    },
    {
      description: 'the same, below other names, with a line of JSON for everything that happens',
      command:
        "<%= config.bin %> <%= command.id %> images.tar --registry-url registry.example.com --map 'team/old=shop' --map docker.io/library=mirror --format ndjson",
    },
    {
      description: 'push one image under a name of your own',
      command:
        '<%= config.bin %> <%= command.id %> app.tar --image @0 --to registry.example.com/team/app:1.0',
    },
    {
      description:
        'over a thin line, through a proxy that takes no large requests; again after a crash, it goes on',
      command:
        '<%= config.bin %> <%= command.id %> app.tar --to registry.example.com/team/app:1.0 --limit-rate 10MiB/s --chunk-size 32MiB --digest-file app.digest',
    },
    {
      description: 'straight from docker, in a CI step',
      command:
        'docker save app:1.0 | <%= config.bin %> <%= command.id %> - --to registry.example.com/team/app:1.0 --quiet',
    },
  ];

  async run(): Promise<void> {
    await this.work(PushTar, ({ flags, argv, context }) => pushTarCommand(argv, flags, context));
  }
}
