import { RegopsError } from '../../base/index.ts';
import { type Digest, formatReference, type Reference } from '../../oci/index.ts';
import type { Destinations } from './options.ts';
import { Renamer } from './renames.ts';
import { type SelectedImage, type StoredName, storedNames } from './select.ts';

/** One image on its way to one repository, with the tags it gets there. */
export interface Delivery {
  readonly selected: SelectedImage;
  readonly domain: string;
  readonly repository: string;
  readonly tags: readonly string[];
  /** Asked for by digest: it must come out as this one. */
  readonly digest?: Digest;
}

/**
 * Decides where every selected image goes. Pure.
 *
 * To references: exactly one image, at each of them (no tag means `latest`). To a registry: every stored
 * name keeps its repository (or what `--map` makes of it) and tag, its stored host is dropped (the seed kept
 * `localhost:5000` inside the repository's name); a repository or tags given by the user take the stored ones' place.
 *
 * @throws USAGE when a name is missing, or two images would get the same one
 */
export function planDeliveries(selected: readonly SelectedImage[], destinations: Destinations): Delivery[] {
  const wishes: { selected: SelectedImage; reference: Reference }[] =
    destinations.kind === 'references'
      ? toReferences(selected, destinations.references)
      : allToRegistry(selected, destinations);
  refuseCollisions(wishes);
  return groupByRepository(wishes);
}

function toReferences(
  selected: readonly SelectedImage[],
  references: readonly Reference[],
): { selected: SelectedImage; reference: Reference }[] {
  const [only] = selected;
  if (!only || selected.length > 1) {
    throw new RegopsError('USAGE', `--to names one image, but ${selected.length} are selected`, {
      hints: [
        'Choose one with --image NAME or --image @N.',
        'Or use --registry-url to push every image under its stored name.',
      ],
    });
  }
  return references.map((reference) => ({
    selected: only,
    reference: reference.tag || reference.digest ? reference : { ...reference, tag: 'latest' },
  }));
}

type RegistryRule = Extract<Destinations, { kind: 'registry' }>;

function allToRegistry(
  selected: readonly SelectedImage[],
  rule: RegistryRule,
): { selected: SelectedImage; reference: Reference }[] {
  const renamer = new Renamer(rule.renames ?? []);
  const wishes = selected.flatMap((one) =>
    toRegistry(one, rule, renamer).map((reference) => ({ selected: one, reference })),
  );
  renamer.refuseUnused(selected.flatMap(({ image }) => image.names));
  return wishes;
}

function toRegistry(selected: SelectedImage, rule: RegistryRule, renamer: Renamer): Reference[] {
  const { domain } = rule;
  const names = storedNames(selected.image);
  const tagsOf = (own: string): readonly string[] => (rule.tags.length > 0 ? rule.tags : [own]);
  if (rule.repository !== undefined) {
    const { repository } = rule;
    const own = names.length > 0 ? names.map(tagOf) : ['latest'];
    const tags = rule.tags.length > 0 ? rule.tags : [...new Set(own)];
    return tags.map((tag) => ({ domain, repository, tag }));
  }
  const references = names.filter((name) => name.kind === 'reference');
  if (references.length === 0) {
    throw new RegopsError('USAGE', `${nameOf(selected)} has no stored repository name`, {
      hints: ['Give --repository (and --tag), or --to REF.'],
    });
  }
  return references.flatMap(({ reference }) =>
    tagsOf(reference.tag ?? 'latest').map((tag) => ({
      domain,
      repository: renamer.repositoryOf(reference),
      tag,
    })),
  );
}

function tagOf(name: StoredName): string {
  return name.kind === 'tag' ? name.tag : (name.reference.tag ?? 'latest');
}

function refuseCollisions(wishes: readonly { selected: SelectedImage; reference: Reference }[]): void {
  const takenBy = new Map<string, SelectedImage>();
  for (const { selected, reference } of wishes) {
    const name = formatReference(reference);
    const other = takenBy.get(name);
    if (other && other !== selected) {
      throw new RegopsError('USAGE', `${nameOf(other)} and ${nameOf(selected)} would both become ${name}`, {
        hints: ['Choose one with --image, or let each keep its stored name (no --repository, no --tag).'],
      });
    }
    takenBy.set(name, selected);
  }
}

function nameOf({ archive, image }: SelectedImage): string {
  return `image @${image.index} of ${archive.path}`;
}

function groupByRepository(wishes: readonly { selected: SelectedImage; reference: Reference }[]): Delivery[] {
  const groups = new Map<string, { delivery: Delivery; tags: Set<string> }>();
  for (const { selected, reference } of wishes) {
    const { domain, repository, tag, digest } = reference;
    const key = [selected.archive.path, selected.image.index, domain, repository, digest ?? ''].join('\n');
    let group = groups.get(key);
    if (!group) {
      group = {
        delivery: { selected, domain, repository, tags: [], ...(digest ? { digest } : {}) },
        tags: new Set(),
      };
      groups.set(key, group);
    }
    if (tag !== undefined) group.tags.add(tag);
  }
  return [...groups.values()].map(({ delivery, tags }) => ({ ...delivery, tags: [...tags] }));
}
