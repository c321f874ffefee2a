import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { login, outputFlags, REGISTRY_VARIABLES, RegopsCommand, registryFlags } from '../src/cli/index.ts';

export default class Login extends RegopsCommand {
  static override summary = 'check credentials with a registry and keep them where docker and podman look';
  static override description =
    `The registry is asked first: credentials that it refuses are not stored. They go where docker (or podman)
reads them too, with the credential helper that is configured there; without one into the file, mode 0600.
On a terminal regops asks for what is not given.`;
  static override args = {
    registry: Args.string({
      name: 'registry',
      description: 'HOST[:PORT]; default: --registry-url, else Docker Hub',
    }),
  };
  static override flags = {
    store: Flags.option({ options: ['docker', 'podman'] as const })({
      description: "whose file to write [default: docker's; podman's when REGISTRY_AUTH_FILE is set]",
    }),
    ...registryFlags,
    ...outputFlags(['table', 'json']),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'log in from a script',
      command:
        'pass show registry | <%= config.bin %> <%= command.id %> registry.example.com --username ci --password-stdin',
    },
    {
      description: 'asked on the terminal, kept for podman',
      command: '<%= config.bin %> <%= command.id %> registry.example.com --store podman',
    },
  ];

  async run(): Promise<void> {
    await this.work(Login, async ({ flags, args, context }) => {
      const result = await login({ registry: args.registry, store: flags.store, flags }, context);
      const who = result.username === undefined ? '' : ` as ${result.username}`;
      const where = result.helper === undefined ? result.path : `credential helper ${result.helper}`;
      return { result, report: { lines: [`logged in to ${result.registry}${who}; kept in ${where}`] } };
    });
  }
}
