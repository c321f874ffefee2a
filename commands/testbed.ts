import * as Flags from '@oclif/core/flags';
import {
  durationFlag,
  outputFlags,
  REGISTRY_VARIABLES,
  RegopsCommand,
  registryFlags,
  repositoryFlag,
  serveTestbed,
  settable,
} from '../src/cli/index.ts';

export default class Testbed extends RegopsCommand {
  static override summary = 'run a disposable OCI registry, in memory or in a folder';
  static override description =
    `A registry of the OCI distribution spec 1.1 on the loopback interface, for tests, demos and CI: all three ways
of pushing, mounts, ranges, tags, catalog, deletes, referrers, and NSCR's administration under /api/registry.
With --upstream it is a pull-through cache, addressed as a mirror, by the upstream's name in the path, or with
containerd's ?ns=; ociregistry's DELETE /cmd/prune makes it forget. With --synthetic it holds endless distinct images
that take no room: IMAGES is like images=100000,layers=5,sizes=50KiB:3,5MiB:1,seed=7 (sizes with their weights), and
also batches=10 (groups of repositories named …-0001, …-0002), repositories=N (default: one for each image; else
tags), index (two platforms). GET /api/regops/traffic tells how often manifests and blobs were fetched, DELETE
begins anew. It says its URL on standard output (with --json also the files TLS needs) and serves until it is stopped.

With --alts it is an ALTS scheduler too, for package-test: it takes, queues and answers for tests (with --dir also after
a restart), and asks for tokens if there is a --secret (HS256, HS384 or HS512). A test is run in a container of docker's engine (host
network), as package-test run does, and passes where there is no engine. The ending of a package's name says otherwise:
NAME-fails-install, -fails-tests, -fails-script, -fails-uninstall, -fails-start, -fails-provision, -dies,
-returns-nothing, -revoked, -skipped, -unrecorded, -stays-pending, -hangs, -forgotten; GET /docs tells what each does.

With --persona it has the quirks that a registry is known for: chunks that are too small, mounts that do not work,
absent referrers, odd lists and Locations; all of them are in src/testbed/personas/table.ts.

With --faults it misbehaves, always the same way for a --seed. A fault says which requests and what goes wrong,
in any order: methods, endpoints (base catalog tags manifests blobs uploads referrers token api), a /path with
wildcards, repository= reference= nth= every= first= probability= share= after= for=; then one or more of
delay=50ms..2s delay=p50=10ms,p99=1s stall status=500 body= retry-after=2 handled reset=before|after|head|mid
hang=before|after|head|mid expired location=missing|malformed|wrong|foreign|URL redirect=foreign|loop|URL
dead[=64KiB] endless[=1GiB] truncate=50% shorten=50% corrupt=3 length=+10 digest=wrong|missing rate=64KiB/s
stale=5s|3changes forget[=TAG] missing lost[=TAG] torn undone[=5s] siblings[=N] sweep=uploads|blobs
ghost[=NAME] drift=manifests+1,tags-1 degraded unhealthy session=10m. Faults stand between
semicolons, or in a JSON file (they hit the scheduler's paths too: POST /tasks/schedule status=503): [{"match": {"kind": "manifests", "nth": 3}, "effect": {"status": 500}}].`;
  static override flags = {
    ...settable({
      port: Flags.integer({
        char: 'p',
        min: 0,
        max: 65_535,
        helpValue: 'N',
        description: 'port to listen on [default: a free one]',
      }),
      dir: Flags.string({
        helpValue: 'DIR',
        description: 'keep everything in this folder [default: in memory]',
      }),
      auth: Flags.string({ helpValue: 'USER:PASSWORD', description: 'ask for this user name and password' }),
    }),
    'token-auth': Flags.boolean({ description: 'ask for bearer tokens, and serve them at /token' }),
    tls: Flags.boolean({ description: 'speak https, with a certificate authority made for this run' }),
    'client-certs': Flags.boolean({ description: 'with TLS: demand a client certificate, and make one' }),
    upstream: Flags.string({
      helpValue: 'URL',
      description: 'pull what is missing through from this registry',
    }),
    synthetic: Flags.string({
      helpValue: 'IMAGES',
      description: 'hold these images, made as they are asked for',
      exclusive: ['dir', 'upstream'],
    }),
    persona: Flags.option({
      options: [
        ...(['hub', 'ecr', 'artifact-registry', 'ghcr', 'quay', 'harbor', 'acr', 'gitlab'] as const),
        ...(['artifactory', 'nexus', 'zot', 'distribution-2.8', 'distribution-3'] as const),
      ],
    })({
      helpValue: 'NAME',
      description:
        'have the quirks of this registry: hub, ecr, artifact-registry, ghcr, quay, harbor, acr, gitlab, artifactory, nexus, zot, distribution-2.8 or distribution-3',
      exclusive: ['synthetic'],
    }),
    repository: repositoryFlag({
      multiple: true,
      multipleNonGreedy: true,
      description: 'exists from the start, where --persona makes none on a push (ecr); again for more',
      dependsOn: ['persona'],
    }),
    faults: Flags.string({
      helpValue: 'FILE|SPEC',
      description: 'misbehave as this JSON file or specification says',
    }),
    seed: Flags.integer({
      min: 0,
      max: 4_294_967_295,
      helpValue: 'N',
      description: 'what chance among faults hangs on [default: 0]',
      dependsOn: ['faults'],
    }),
    alts: Flags.boolean({ description: 'schedule package tests, as an AlmaLinux Test System does' }),
    secret: Flags.string({
      env: 'REGOPS_ALTS_SECRET',
      helpValue: 'SECRET',
      description: 'what tokens for --alts are signed with [default: everybody is let in]',
    }),
    'alts-task-time': durationFlag({
      description: 'how long a test takes that is not run for real [default: 2s]',
      dependsOn: ['alts'],
    }),
    'alts-scripted': Flags.boolean({
      description: 'run no test for real, although an engine is there',
      dependsOn: ['alts'],
    }),
    'alts-results-only': Flags.boolean({
      description: 'take no submissions, as ALTS since November 2023',
      dependsOn: ['alts'],
    }),
    ...registryFlags,
    ...outputFlags(['table', 'json']),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'a registry for a script, ended with it',
      command: '<%= config.bin %> <%= command.id %> --port 5000 & trap "kill $!" EXIT',
    },
    {
      description: 'with TLS and a password; the CA file is named in the JSON',
      command: '<%= config.bin %> <%= command.id %> --tls --auth ci:secret --json',
    },
    {
      description: 'a pull-through cache kept in a folder',
      command: '<%= config.bin %> <%= command.id %> --upstream https://registry.example.com --dir ./cache',
    },
    {
      description: 'an upstream to measure caches with: 100,000 images of five layers, answered 20 ms late',
      command: `<%= config.bin %> <%= command.id %> --port 5000 --synthetic images=100000,layers=5,sizes=50KiB:3,5MiB:1 --faults delay=20ms`,
    },
    {
      description:
        'a tenth of the manifest reads fail, the third blob upload breaks off, and it says it is not well',
      command: `<%= config.bin %> <%= command.id %> --seed 7 --faults 'GET manifests status=500 probability=0.1; PUT blobs nth=3 reset=mid; /api/registry/health degraded'`,
    },
    {
      description: 'a registry with the quirks of Amazon ECR, whose repositories are made beforehand',
      command: '<%= config.bin %> <%= command.id %> --persona ecr --repository team/app --auth ci:secret',
    },
    {
      description: 'a scheduler of package tests that is over-loaded for a while',
      command: `<%= config.bin %> <%= command.id %> --alts --faults '/tasks/** status=503 for=30s'`,
    },
    {
      description: 'replies as slow as a busy registry, and a blob in a hundred is lost',
      command: `<%= config.bin %> <%= command.id %> --faults 'delay=p50=10ms,p90=50ms,p99=200ms; missing share=0.01'`,
    },
  ];

  async run(): Promise<void> {
    await this.work(
      Testbed,
      async ({ flags, context }) => {
        const result = await serveTestbed(flags, context, async (ready) => {
          await context.present({ result: ready, report: { lines: [ready.url] } });
          if (ready.caFile) context.log.info(`certificate authority: ${ready.caFile}`);
          if (ready.clientCertFile)
            context.log.info(`client certificate: ${ready.clientCertFile}, key: ${ready.clientKeyFile}`);
        });
        return { result, report: { lines: [result.url] } };
      },
      { endsOnSignal: true },
    );
  }
}
