import { listStored, outputFlags, RegopsCommand } from '../../src/cli/index.ts';

export default class ConfigList extends RegopsCommand {
  static override summary = 'list all settings and where each comes from';
  static override description =
    'Shows the settings file and the REGOPS_ variables of this environment. A value is in force unless a ' +
    'stronger one overrides it: a variable beats the chosen profile, which beats the defaults. Secrets are ' +
    'not shown.';
  static override examples = [
    { description: 'Everything that is set', command: '<%= config.bin %> config list' },
    {
      description: 'What a call with a profile would use',
      command: `<%= config.bin %> config list --profile prod --json | jq '.result.settings[] | select(.inForce)'`,
    },
  ];
  static override flags = outputFlags(['table', 'json']);

  override async run(): Promise<void> {
    await this.work(
      ConfigList,
      async ({ flags, context }) => {
        const { path, settings } = await listStored(context, flags.profile, this.config);
        const rows = settings.map(({ name, value, from, inForce }) => [
          name,
          String(value),
          from,
          inForce ? 'yes' : 'no',
        ]);
        const columns = [
          { title: 'setting' },
          { title: 'value', shrink: true },
          { title: 'from' },
          { title: 'in force' },
        ];
        return {
          result: { path, profile: flags.profile ?? null, settings },
          report:
            rows.length > 0
              ? { sections: [{ table: { columns, rows } }] }
              : { summary: `nothing is set; ${path} is where it would be` },
        };
      },
      { ignoreSettings: true },
    );
  }
}
