import { RegopsError } from '../base/index.ts';
import { type PushTarResult, pushTar, reportPushTar } from '../jobs/push-tar/index.ts';
import type { LayerCompression, Platform } from '../oci/index.ts';
import { writeOutput } from './answer.ts';
import type { CommandContext, Outcome } from './context.ts';
import { letHeapGrow } from './heap-growth.ts';
import { openLayerCache, openUploadJournal } from './lazy.ts';
import { openRegistries, type RegistryFlagValues } from './registries.ts';
import { type DestinationFlagValues, destinationsOf } from './targets.ts';

/** Values of push-tar's flags. */
export interface PushTarFlagValues extends RegistryFlagValues, DestinationFlagValues {
  readonly image?: readonly string[] | undefined;
  readonly platform?: Platform | 'all' | undefined;
  readonly compression?: LayerCompression | undefined;
  readonly 'compression-level'?: number | undefined;
  readonly 'preserve-digests': boolean;
  readonly concurrency: number;
  readonly 'chunk-size'?: number | undefined;
  readonly cache: boolean;
  readonly resume: boolean;
  readonly spool: boolean;
  readonly 'dry-run': boolean;
  readonly 'digest-file'?: string | undefined;
}

/** push-tar. */
export async function pushTarCommand(
  archives: readonly string[],
  flags: PushTarFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const digestFile = flags['digest-file'];
  if (digestFile !== undefined && flags['dry-run']) {
    throw new RegopsError('USAGE', '--digest-file: a dry run pushes nothing');
  }
  if (digestFile === '-') {
    throw new RegopsError(
      'USAGE',
      '--digest-file: standard output is for the answer, which has the digests',
      {
        hints: ['To a pipe the answer is a line REF@DIGEST for each tag: cut -d@ -f2'],
      },
    );
  }
  letHeapGrow();
  const registries = await openRegistries(flags, context);
  const { result, error } = await pushTar(
    {
      archives,
      destinations: destinationsOf(flags, registries),
      images: flags.image ?? [],
      platform: flags.platform,
      compression: flags.compression,
      compressionLevel: flags['compression-level'],
      preserveDigests: flags['preserve-digests'],
      concurrency: flags.concurrency,
      chunkSize: flags['chunk-size'],
      spool: flags.spool,
      dryRun: flags['dry-run'],
    },
    {
      ...context,
      registry: (domain) => registries.client(domain),
      layerCache: await openLayerCache(flags.cache, context),
      journal: await openUploadJournal(flags.resume, context),
      onEvent: (event) => context.event(event),
    },
  );
  const report = reportPushTar(result);
  if (error) return { result, report, error };
  if (digestFile === undefined) return { result, report };
  try {
    await writeOutput(digestFile, digestLines(result));
  } catch (unwritten) {
    return { result, report, error: unwritten as RegopsError };
  }
  return { result, report };
}

/** Each digest once, in the order of the archives: of a single image just its own. */
function digestLines({ images }: PushTarResult): string {
  const digests = new Set(images.flatMap(({ digest }) => (digest === undefined ? [] : [digest])));
  return [...digests].map((digest) => `${digest}\n`).join('');
}
