import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { CREDENTIAL_VARIABLES, logout, outputFlags, RegopsCommand } from '../src/cli/index.ts';

export default class Logout extends RegopsCommand {
  static override summary = 'forget the credentials of a registry';
  static override description =
    'What login stored is removed, in the file and in the credential helper. There being nothing to remove is no error.';
  static override args = {
    registry: Args.string({ name: 'registry', description: 'HOST[:PORT]; default: Docker Hub' }),
  };
  static override flags = {
    store: Flags.option({ options: ['docker', 'podman'] as const })({
      description: "whose file to clean [default: docker's; podman's when REGISTRY_AUTH_FILE is set]",
    }),
    ...outputFlags(['table', 'json']),
  };
  static override environment = CREDENTIAL_VARIABLES;
  static override examples = [
    { description: 'forget a registry', command: '<%= config.bin %> <%= command.id %> registry.example.com' },
    {
      description: "forget it in podman's file",
      command: '<%= config.bin %> <%= command.id %> registry.example.com --store podman',
    },
  ];

  async run(): Promise<void> {
    await this.work(Logout, async ({ flags, args, context }) => {
      const result = await logout({ registry: args.registry, store: flags.store }, context);
      const line = result.removed
        ? `logged out of ${result.registry}`
        : `nothing was stored for ${result.registry}`;
      return { result, report: { lines: [line] } };
    });
  }
}
