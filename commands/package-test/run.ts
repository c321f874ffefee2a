import * as Args from '@oclif/core/args';
import {
  CREDENTIAL_VARIABLES,
  ENGINE_VARIABLES,
  packageTestRun,
  packageTestRunFlags,
  RegopsCommand,
} from '../../src/cli/index.ts';

export default class PackageTestRun extends RegopsCommand {
  static override summary = 'install, check, test and remove packages in containers, right here';
  static override description =
    `Runs the stages of the AlmaLinux Test System on a Docker Engine, for deb and rpm packages. Every package gets a
container of its own, and nothing is put into it but your files and scripts:

  initial_provision        what keeps documentation out is undone, repositories are added and read
  system_info              what the system is, for the log
  install_package          with the version asked for; where it came from is noted
  package_integrity_tests  the version, every file and link, the libraries of ELF files, run paths, dpkg -V or rpm -V
                           (changed configuration files are warnings)
  third_party              your scripts, and tests of git repositories: their exit code, or TAP when they write it
  uninstall_package        purged; files left behind are a failure

A stage that fails ends with exit 1 and its evidence; what is not the package's fault (a repository that cannot be read,
an engine that fails) with 69. Services are not started. A repository with a file: URL is a folder of this machine.
Scripts find REGOPS_PACKAGE, REGOPS_PACKAGE_VERSION and REGOPS_DISTRIBUTION in their environment, and --test-env.
--test-repo is ALTS' third-party tests: the .sh and .bats files of a directory, run in it with all of the repository
around them. The git program fetches one commit by https, http, ssh or git, and asks nobody for a password.`;
  static override strict = false;
  static override args = {
    package: Args.string({
      name: 'package',
      description: 'PACKAGE or PACKAGE=VERSION, one or more; without any, the packages of --file',
    }),
  };
  static override flags = packageTestRunFlags;
  static override environment = [...ENGINE_VARIABLES, ...CREDENTIAL_VARIABLES];
  static override examples = [
    {
      description: 'a package as the distribution has it',
      command: '<%= config.bin %> <%= command.id %> curl --image debian:bookworm',
    },
    {
      description: 'two packages of a repository, one in a certain version, for a CI that reads JUnit',
      command:
        "<%= config.bin %> <%= command.id %> foo=2.0-1 bar --dist debian:12 --repository 'deb https://packages.example.com/debian bookworm main' --jobs 2 --format junit --output report.xml",
    },
    {
      description: 'a package that was just built, with a test; the container stays when something fails',
      command:
        '<%= config.bin %> <%= command.id %> --file ./foo-2.0-1.el9.x86_64.rpm --dist almalinux:9 --script test.bats --keep on-failure',
    },
    {
      description: 'with the tests that its packagers keep, as a scheduler would run them',
      command:
        '<%= config.bin %> <%= command.id %> foo --dist almalinux:9 --test-repo https://git.example.com/tests.git#foo@main --test-env MODE=full',
    },
  ];

  async run(): Promise<void> {
    await this.work(PackageTestRun, ({ argv, flags, context }) => packageTestRun(argv, flags, context));
  }
}
