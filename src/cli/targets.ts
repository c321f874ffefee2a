import { stat } from 'node:fs/promises';
import { RegopsError } from '../base/index.ts';
import type { Target } from '../jobs/inspect/index.ts';
import type { Destinations, Rename } from '../jobs/push-tar/index.ts';
import type { Registries } from './registries.ts';

/** Values of push-tar's flags that say where images go. */
export interface DestinationFlagValues {
  readonly to?: readonly string[] | undefined;
  readonly repository?: string | undefined;
  readonly tag?: readonly string[] | undefined;
  readonly map?: readonly Rename[] | undefined;
}

/**
 * What push-tar's flags say about where images go.
 * @throws USAGE when they say nothing, or contradict each other
 */
export function destinationsOf(
  flags: DestinationFlagValues,
  registries: Pick<Registries, 'named' | 'reference'>,
): Destinations {
  if (flags.to?.length) {
    if (flags.repository !== undefined || flags.tag?.length || flags.map?.length) {
      throw new RegopsError(
        'USAGE',
        '--to names the target in full: it excludes --repository, --tag and --map',
      );
    }
    return { kind: 'references', references: flags.to.map((text) => registries.reference(text)) };
  }
  if (!registries.named) {
    throw new RegopsError('USAGE', 'where to? Neither --to nor --registry-url is given', {
      hints: [
        'Name the target: --to registry.example.com/team/app:1.0',
        'Or keep the stored names: --registry-url https://registry.example.com',
      ],
    });
  }
  if (flags.repository !== undefined && flags.map?.length) {
    throw new RegopsError('USAGE', '--repository takes the place of every stored one: it excludes --map');
  }
  const { domain } = registries.named;
  return {
    kind: 'registry',
    domain,
    repository: flags.repository,
    tags: flags.tag ?? [],
    renames: flags.map ?? [],
  };
}

/** Flags of inspect that mean nothing for a list: a check of nothing must not pass for a check. */
const FLAGS_OF_ONE = ['raw', 'config', 'digest', 'tree', 'referrers', 'check'] as const;

/**
 * What inspect is asked to look at: each argument is a path when it looks like one or is one, else a
 * reference; without arguments the registry or repository that the flags name.
 * @throws USAGE when nothing is named
 */
export async function targetsOf(
  words: readonly string[],
  flags: { readonly repository?: string | undefined } & Readonly<
    Partial<Record<(typeof FLAGS_OF_ONE)[number], boolean>>
  >,
  registries: Pick<Registries, 'named' | 'reference'>,
): Promise<Target[]> {
  if (words.length > 0) {
    if (flags.repository !== undefined) {
      throw new RegopsError('USAGE', '--repository lists tags: it excludes REF and TAR arguments');
    }
    const targets = await Promise.all(
      words.map(
        async (word): Promise<Target> =>
          (await isPath(word))
            ? { kind: 'archive', path: word }
            : { kind: 'reference', reference: registries.reference(word) },
      ),
    );
    if (flags.referrers && targets.some((target) => target.kind === 'archive')) {
      throw new RegopsError('USAGE', '--referrers asks a registry: it is not for archives');
    }
    return targets;
  }
  if (!registries.named) {
    throw new RegopsError('USAGE', 'inspect what? Name a REF, a TAR, or --registry-url', {
      hints: [
        'regops inspect registry.example.com/team/app:1.0',
        'regops inspect --registry-url localhost:5000',
      ],
    });
  }
  const vain = FLAGS_OF_ONE.find((name) => flags[name]);
  if (vain !== undefined) {
    throw new RegopsError('USAGE', `--${vain} is about an image or archive: name a REF or a TAR`);
  }
  const { domain } = registries.named;
  return flags.repository === undefined
    ? [{ kind: 'registry', domain }]
    : [{ kind: 'repository', domain, repository: flags.repository }];
}

/** `-`, something written as a path or named like a tar, or a file or OCI layout that is really there. */
async function isPath(word: string): Promise<boolean> {
  if (word === '-' || /^(\.{0,2}\/|\.{1,2}$|~)/.test(word) || /\.(tar|tgz|tzst|tar\.[a-z0-9]+)$/i.test(word))
    return true;
  const there = await stat(word).catch(() => undefined);
  if (there?.isFile()) return true;
  return (
    there?.isDirectory() === true && (await stat(`${word}/oci-layout`).catch(() => undefined)) !== undefined
  );
}
