import * as Args from '@oclif/core/args';
import {
  COMMON_EXIT_STATUS,
  PACKAGE_TEST_VARIABLES,
  packageTestSubmit,
  packageTestSubmitFlags,
  RegopsCommand,
} from '../../src/cli/index.ts';

export default class PackageTestSubmit extends RegopsCommand {
  static override summary = 'have an AlmaLinux Test System test packages, one or a whole matrix of them';
  static override description =
    `Packages × distributions × architectures are queued at the scheduler; without --wait the ids are the answer. They
are remembered (package-test list), so that package-test wait can take a wait up again. With --wait every test is
followed to its end and judged by its stages, for a scheduler's SUCCESS only says that its worker came back.
Architectures, distributions and repositories are checked before anything is sent: ALTS answers wrong ones with a
500 that says nothing. ALTS of November 2023 and later takes no submissions (it fetches them from its build system):
that is told apart from a wrong URL.

A matrix is a YAML or JSON document: a block, a list of blocks, or such a list under 'tests'. A block has packages,
distributions, architectures, repositories, testRepositories, testEnvironment, runner, module, channel and callback;
what it leaves out is taken from the flags. A CSV file has these (or package, version, distribution, architecture,
repository …) in its first line and a block on every other; several values in a field stand between semicolons.
A repository is NAME=URL for rpm, and for deb an apt line: NAME=deb URL SUITE COMPONENT. Both 'url' and 'baseurl' are
sent, as ALTS' documents and code differ.

--test-repo and --test-env are for ALTS of September 2023 and later. It runs the .sh, .bats and .yml files of the
directory, and passes over repositories whose URL does not end in .git. --callback is a path at its build system
(callback_href) or, for ALTS before September 2021, a URL (callback_url).`;
  static override strict = false;
  static override args = {
    package: Args.string({
      name: 'package',
      description: 'PACKAGE or PACKAGE=VERSION (for rpm VERSION-RELEASE), any number of them',
    }),
  };
  static override flags = packageTestSubmitFlags;
  static override exitStatus = COMMON_EXIT_STATUS.map(([code, meaning]) =>
    code === '1'
      ? ([code, 'with --wait: a package failed its test'] as const)
      : code === '69'
        ? ([code, 'scheduler unreachable, or a test came to nothing there'] as const)
        : ([code, meaning] as const),
  );
  static override environment = PACKAGE_TEST_VARIABLES;
  static override examples = [
    {
      description: 'one package, waited for',
      command:
        '<%= config.bin %> <%= command.id %> curl=7.88.1-10 --dist debian:12 --arch amd64 --scheduler-url https://alts.example.com --wait',
    },
    {
      description: 'with a repository of its own, on two distributions',
      command:
        '<%= config.bin %> <%= command.id %> mytool --dist almalinux:8 --dist almalinux:9 --arch x86_64 --repository mine=https://packages.example.com/el/',
    },
    {
      description: 'a batch, for CI',
      command:
        '<%= config.bin %> <%= command.id %> --matrix tests.yaml --wait --format junit --output tests.xml',
    },
    {
      description: 'what would be sent',
      command:
        '<%= config.bin %> <%= command.id %> mytool --dist ubuntu:22.04 --arch amd64 --repository "mine=deb https://packages.example.com/ubuntu jammy main" --dry-run',
    },
  ];

  async run(): Promise<void> {
    await this.work(PackageTestSubmit, ({ argv, flags, context }) => packageTestSubmit(argv, flags, context));
  }
}
