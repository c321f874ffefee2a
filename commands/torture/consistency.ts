import {
  consistencyFlags,
  onceFlag,
  REGISTRY_VARIABLES,
  RegopsCommand,
  seedFlag,
  torture,
  tortureFlags,
} from '../../src/cli/index.ts';

export default class TortureConsistency extends RegopsCommand {
  static override summary = 'check that everything a registry lists is there, and is what it says';
  static override description =
    `Every tag must resolve, digests must be those of the bytes, HEAD and GET must agree, every blob and child manifest must exist with its size, lists must agree. A suspicion is looked at again before it is reported, so that pushes under way raise no false alarm. Findings come with the requests and replies that show them. An error or warning is exit 1.`;
  static override flags = {
    ...consistencyFlags,
    ...onceFlag,
    ...tortureFlags,
    ...seedFlag("look at repositories in an order drawn from this [default: the registry's own]"),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'one pass in a CI step, as a JUnit report',
      command:
        '<%= config.bin %> <%= command.id %> --registry-url localhost:5000 --once --format junit --output consistency.xml',
    },
    {
      description: `one repository, every byte of it`,
      command: `<%= config.bin %> <%= command.id %> --registry-url https://registry.example.com --repository '^team/app$' --once --deep`,
    },
  ];

  async run(): Promise<void> {
    await this.work(TortureConsistency, ({ flags, context }) => torture('consistency', flags, context));
  }
}
