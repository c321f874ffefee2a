import { RegopsError } from '../base/index.ts';
import { formatReference, isDigest, type Reference } from '../oci/index.ts';

const CONTAINER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;
const IMAGE_ID = /^(sha256:)?[0-9a-f]{12,64}$/;

/** An image on the engine: by its name, or by its ID. */
export type ImageName = Reference | string;

/** Checks a container's name or ID before it becomes part of a path. Throws USAGE. */
export function containerPath(container: string): string {
  const name = container.replace(/^\//, '');
  if (!CONTAINER.test(name)) {
    throw new RegopsError('USAGE', `'${container.slice(0, 100)}' is not the name or ID of a container`, {
      hints: ['docker ps -a lists them.'],
    });
  }
  return `/containers/${name}`;
}

/** The image as the engine's paths have it: slashes and colons stay. Throws REFERENCE_INVALID for what is no ID. */
export function imageText(image: ImageName): string {
  if (typeof image !== 'string') return formatReference(image);
  if (!IMAGE_ID.test(image) && !isDigest(image)) {
    throw new RegopsError('REFERENCE_INVALID', `'${image.slice(0, 100)}' is not the ID of an image`);
  }
  return image;
}

/** `domain/repository`, as the engine takes it in a parameter of its own. */
export function repositoryText(reference: Reference): string {
  return `${reference.domain}/${reference.repository}`;
}

/** The tag of a reference that must have one: without it the engine acts on every tag of the repository. */
export function tagOf(reference: Reference): string {
  if (reference.tag === undefined || reference.digest !== undefined) {
    throw new RegopsError(
      'REFERENCE_INVALID',
      `'${formatReference(reference)}' must have a tag, and no digest`,
    );
  }
  return reference.tag;
}
