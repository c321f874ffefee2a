import { packageTestToken, packageTestTokenFlags, RegopsCommand } from '../../src/cli/index.ts';

export default class PackageTestToken extends RegopsCommand {
  static override summary = "make a token for an ALTS scheduler, from the scheduler's secret";
  static override description =
    `A JSON Web Token as ALTS' own generate_jwt_token.py makes it: the email address, and with --expires when it ends.
The token alone is on standard output. The algorithm is that of the scheduler's configuration (hashing_algorithm).`;
  static override flags = packageTestTokenFlags;
  static override examples = [
    {
      description: "from the scheduler's configuration",
      command:
        'export REGOPS_ALTS_TOKEN="$(<%= config.bin %> <%= command.id %> --email me@example.com --config alts_config.yaml)"',
    },
    {
      description: 'from a secret that a password manager keeps, good for a month',
      command:
        'pass show alts/jwt-secret | <%= config.bin %> <%= command.id %> --email ci@example.com --secret-stdin --expires 30d',
    },
  ];

  async run(): Promise<void> {
    await this.work(PackageTestToken, ({ flags, context }) => packageTestToken(flags, context));
  }
}
