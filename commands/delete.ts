import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  openRegistries,
  outputFlags,
  REGISTRY_VARIABLES,
  RegopsCommand,
  registryFlags,
} from '../src/cli/index.ts';
import { deleteReferences, reportDelete } from '../src/jobs/delete/index.ts';

export default class Delete extends RegopsCommand {
  static override summary = 'delete tags or manifests, and nothing else along with them';
  static override description =
    `A tag is taken off and its manifest stays as long as other tags point at it, also on registries that can only
delete by digest. REF@DIGEST deletes a manifest that no tag points at. With --all-tags the manifest goes
with every tag that points at it.`;
  static override strict = false;
  static override args = {
    ref: Args.string({
      name: 'ref',
      required: true,
      description: 'REPOSITORY:TAG or REPOSITORY@DIGEST; several are deleted in turn',
    }),
  };
  static override flags = {
    'all-tags': Flags.boolean({ description: 'delete the manifest with every tag that points at it' }),
    ...registryFlags,
    ...outputFlags(['table', 'json']),
  };
  static override environment = REGISTRY_VARIABLES;
  static override examples = [
    {
      description: 'take one tag off; other tags of the same image stay',
      command: '<%= config.bin %> <%= command.id %> registry.example.com/team/app:1.0-rc1',
    },
    {
      description: 'delete an image with all its tags',
      command: '<%= config.bin %> <%= command.id %> registry.example.com/team/app:old --all-tags',
    },
  ];

  async run(): Promise<void> {
    await this.work(Delete, async ({ flags, argv, context }) => {
      const registries = await openRegistries(flags, context);
      const { result, error } = await deleteReferences(
        { references: argv.map((text) => registries.reference(text)), allTags: flags['all-tags'] },
        { ...context, registry: (domain) => registries.client(domain) },
      );
      return { result, report: reportDelete(result), ...(error ? { error } : {}) };
    });
  }
}
