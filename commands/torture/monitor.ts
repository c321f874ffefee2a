import {
  monitorFlags,
  onceFlag,
  REGISTRY_VARIABLES,
  RegopsCommand,
  seedFlag,
  torture,
  tortureFlags,
} from '../../src/cli/index.ts';

export default class TortureMonitor extends RegopsCommand {
  static override summary = 'watch what a registry holds and how it is, and warn when that gets worse';
  static override description =
    `State, health and sessions are asked for at intervals. It warns when repositories, manifests or blobs become fewer, when the health changes, of uploads that take too long and of probes that fail or are slow, and ends with what changed from the first state to the last. Any registry will do: where there is no NSCR admin API, the figures come from /v2/. A warning is exit 1.`;
  static override flags = {
    ...monitorFlags,
    ...onceFlag,
    ...tortureFlags,
    ...seedFlag('taken by all torture commands; nothing is drawn here, so it changes nothing'),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'a look from cron, for a monitoring system',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url https://registry.example.com --once --format nagios',
    },
    {
      description: 'for node_exporter: the file is replaced at every reading',
      command:
        '<%= config.bin %> <%= command.id %> --duration 1h --format prometheus --output /var/lib/node_exporter/registry.prom',
    },
    {
      description: `tell somebody`,
      command: `<%= config.bin %> <%= command.id %> --duration 12h --on-alert 'jq -r .alert.message | mail -s registry ops@example.com'`,
    },
  ];

  async run(): Promise<void> {
    await this.work(TortureMonitor, ({ flags, context }) => torture('monitor', flags, context));
  }
}
