import type { Archive, ArchiveImage } from '../../archive/index.ts';
import { RegopsError } from '../../base/index.ts';
import { formatReference, isTag, parseReference, type Reference, withDefaultTag } from '../../oci/index.ts';

/** An image of an archive that is going to be pushed. */
export interface SelectedImage {
  readonly archive: Archive;
  readonly image: ArchiveImage;
}

/** A stored name, understood: a whole reference, or only a tag (OCI layouts often store no more). */
export type StoredName =
  | { readonly kind: 'reference'; readonly reference: Reference }
  | { readonly kind: 'tag'; readonly tag: string };

/**
 * Reads the names of an image. The same image may be stored as `alpine:3` and `docker.io/library/alpine:3`:
 * that is one name. A bare word is a tag. Names that are neither are left out.
 */
export function storedNames(image: ArchiveImage): StoredName[] {
  const names = new Map<string, StoredName>();
  for (const text of image.names) {
    if (!/[:/]/.test(text)) {
      if (isTag(text)) names.set(text, { kind: 'tag', tag: text });
      continue;
    }
    try {
      const reference = withDefaultTag(parseReference(text));
      names.set(formatReference(reference), { kind: 'reference', reference });
    } catch {
      // Archives may hold names that no registry would take; such an image can still be chosen by @N.
    }
  }
  const all = [...names.values()];
  const full = all.some((name) => name.kind === 'reference');
  // A bare tag beside a full name says nothing new (docker ≥ 25 writes both).
  return full ? all.filter((name) => name.kind === 'reference') : all;
}

/**
 * The images that `--image` asks for, in the archives' order; all of them when nothing is asked.
 *
 * @param wanted names as stored, or `@N`
 * @throws IMAGE_NOT_FOUND with what there is instead
 */
export function selectImages(archives: readonly Archive[], wanted: readonly string[]): SelectedImage[] {
  const all = archives.flatMap((archive) => archive.images.map((image) => ({ archive, image })));
  if (wanted.length === 0) {
    if (all.length === 0) throw new RegopsError('IMAGE_NOT_FOUND', 'the archive holds no image');
    return all;
  }
  const chosen = new Set<SelectedImage>();
  for (const selector of wanted) {
    const matching = all.filter(({ image }) => matches(image, selector));
    if (matching.length === 0) {
      throw new RegopsError('IMAGE_NOT_FOUND', `no image '${selector}' in the archive`, {
        hints: [`It holds: ${describeImages(all)}.`],
      });
    }
    for (const one of matching) chosen.add(one);
  }
  return all.filter((one) => chosen.has(one));
}

function matches(image: ArchiveImage, selector: string): boolean {
  if (selector.startsWith('@')) return selector === `@${image.index}`;
  if (image.names.includes(selector)) return true;
  try {
    const wanted = formatReference(withDefaultTag(parseReference(selector)));
    return storedNames(image).some(
      (name) => name.kind === 'reference' && formatReference(name.reference) === wanted,
    );
  } catch {
    return false;
  }
}

function describeImages(all: readonly SelectedImage[]): string {
  const shown = all
    .slice(0, 10)
    .map(({ image }) => `@${image.index} ${image.names.join(', ') || '(no name)'}`);
  return shown.join('; ') + (all.length > shown.length ? `; and ${all.length - shown.length} more` : '');
}
