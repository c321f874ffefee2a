import * as Flags from '@oclif/core/flags';
import {
  outputFlags,
  REGISTRY_VARIABLES,
  RegopsCommand,
  registryFlags,
  serveTestbed,
  settable,
} from '../src/cli/index.ts';

export default class Testbed extends RegopsCommand {
  static override summary = 'run a disposable OCI registry, in memory or in a folder';
  static override description =
    `A registry of the OCI distribution spec 1.1 on the loopback interface, for tests, demos and CI: all three ways
of pushing, mounts, ranges, tags, catalog, deletes, referrers. With --upstream it is a pull-through cache. It
says its URL on standard output (with --json also the files TLS needs) and serves until it is stopped.`;
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
