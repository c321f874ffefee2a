import { createHash, randomBytes } from 'node:crypto';
import { RegopsError } from '../../base/index.ts';
import {
  DEFAULT_DOMAIN,
  type Digest,
  digestParts,
  isTag,
  parseReference,
  type Reference,
} from '../../oci/index.ts';

/** The repository in the engine that snapshots are committed to; with no registry in its name nothing can push it by accident. */
export const LOCAL_REPOSITORY = 'regops-snapshots';

/** Longest tag of the grammar. */
const TAG_MAX = 128;
/** Leaves room for something of the container's name in a tag. */
const ID_MAX = 100;
const ID = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
/** Without the letters that are mistaken for digits. */
const LETTERS = '0123456789abcdefghjkmnpqrstvwxyz';

/** An identity for a new snapshot: `snap-` and sixteen letters, 80 random bits. */
export function newSnapshotId(): string {
  return `snap-${Array.from(randomBytes(16), (byte) => LETTERS[byte % LETTERS.length]).join('')}`;
}

/** Checks an identity that a user chose: it becomes part of a tag. Throws USAGE. */
export function parseSnapshotId(text: string): string {
  if (text.length <= ID_MAX && ID.test(text)) return text;
  throw new RegopsError('USAGE', `'${text.slice(0, 100)}' cannot be a snapshot's ID`, {
    hints: [`An ID has 1 to ${ID_MAX} of A-Z a-z 0-9 _ . - and starts with neither . nor -.`],
  });
}

/**
 * The tag of a snapshot, in the seed's shape: `sb-123-snap-xyz` for container `sb-123` and snapshot `snap-xyz`.
 * What the grammar of tags does not take becomes a hyphen; a name that is too long is cut, and a few digits of its
 * hash keep two such names apart.
 */
export function snapshotTag(container: string, id: string): string {
  const name = container.replaceAll(/[^A-Za-z0-9_.-]+/g, '-').replace(/^[.-]+/, '') || 'container';
  const tag = `${name}-${id}`;
  if (tag.length <= TAG_MAX) return tag;
  const hash = createHash('sha256').update(container).digest('hex').slice(0, 8);
  return `${name.slice(0, TAG_MAX - id.length - hash.length - 2)}-${hash}-${id}`;
}

/** The local name of a snapshot. */
export function localReference(tag: string): Reference {
  return { domain: DEFAULT_DOMAIN, repository: `library/${LOCAL_REPOSITORY}`, tag };
}

/** Whether a reference, however it was written, is a local snapshot's name. */
export function isLocalName(reference: Reference): boolean {
  return reference.domain === DEFAULT_DOMAIN && reference.repository === `library/${LOCAL_REPOSITORY}`;
}

/** The tag of an image's name as an engine lists it (`registry.example.com/team/app:1`); undefined when it has none. */
export function tagOfName(name: string): string | undefined {
  const tag = name.slice(name.lastIndexOf(':') + 1);
  return name.includes(':') && isTag(tag) ? tag : undefined;
}

const UNNAMED = /^sha256-[0-9a-f]{64}$/;

/** The tag that an image is loaded under which was asked for by its digest alone. */
export function unnamedTag(digest: Digest): string {
  return `sha256-${digestParts(digest).hex.slice(-64)}`;
}

/** Whether a tag is an {@link unnamedTag}. */
export function isUnnamedTag(tag: string): boolean {
  return UNNAMED.test(tag);
}

/** A name that an engine lists, read; undefined for what is no reference (`<none>:<none>`). */
export function readName(name: string): Reference | undefined {
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}
