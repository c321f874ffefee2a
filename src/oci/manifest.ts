import { messageOf, RegopsError } from '../base/index.ts';
import { z } from '../base/schema.ts';
import { annotationsSchema, type Descriptor, descriptorSchema } from './descriptor.ts';
import { type Digest, digestMismatch, digestOf, digestParts } from './digest.ts';
import { LIMITS } from './limits.ts';
import {
  bareMediaType,
  configMediaType,
  type ImageFamily,
  isImageMediaType,
  isIndexMediaType,
  MEDIA_TYPES,
  SCHEMA1_MEDIA_TYPES,
} from './media-types.ts';

const type = z.optional(z.string().check(z.maxLength(255)));

const imageSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: type,
  artifactType: type,
  config: descriptorSchema,
  layers: z.array(descriptorSchema).check(z.maxLength(LIMITS.descriptors)),
  subject: z.optional(descriptorSchema),
  annotations: z.optional(annotationsSchema),
});

const indexSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: type,
  artifactType: type,
  manifests: z.array(descriptorSchema).check(z.maxLength(LIMITS.descriptors)),
  subject: z.optional(descriptorSchema),
  annotations: z.optional(annotationsSchema),
});

export type ImageDocument = Readonly<z.infer<typeof imageSchema>>;
export type IndexDocument = Readonly<z.infer<typeof indexSchema>>;

interface ManifestBase {
  /** The bytes as they came: what the digest is of, and what is sent on. */
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  /** The media type under which it is stored and sent. */
  readonly mediaType: string;
}

/** A manifest that was read and checked: an image (or artifact), or an index of manifests. */
export type Manifest =
  | (ManifestBase & { readonly kind: 'image'; readonly document: ImageDocument })
  | (ManifestBase & { readonly kind: 'index'; readonly document: IndexDocument });

/**
 * Reads a manifest of either family.
 *
 * The type comes from the document's own `mediaType`, else from the Content-Type, else from its shape;
 * the two must not disagree and a document may not look like both kinds (CVE-2021-41190,
 * GHSA-mc8v-mgrf-8f4m).
 *
 * @param options.contentType what the server or the descriptor called it
 * @param options.digest the digest it was asked by; compared with the bytes
 * @param options.what names it in errors
 * @throws MANIFEST_TOO_LARGE, MANIFEST_INVALID, DIGEST_MISMATCH
 */
export function parseManifest(
  bytes: Uint8Array,
  options: { contentType?: string | undefined; digest?: Digest | undefined; what?: string } = {},
): Manifest {
  const what = options.what ?? 'manifest';
  if (bytes.length > LIMITS.manifestBytes) {
    throw new RegopsError('MANIFEST_TOO_LARGE', `${what}: larger than ${LIMITS.manifestBytes} bytes`);
  }
  const digest = digestOf(bytes, options.digest ? digestParts(options.digest).algorithm : 'sha256');
  if (options.digest && digest !== options.digest) throw digestMismatch(what, options.digest, digest);

  const document = parseJson(bytes, what);
  const mediaType = decideMediaType(document, options.contentType, what);
  const kind = isIndexMediaType(mediaType) ? 'index' : 'image';
  refuseTypeConfusion(document, kind, what);
  const parsed = (kind === 'index' ? indexSchema : imageSchema).safeParse(document);
  if (!parsed.success) throw invalid(what, describeIssue(parsed.error));
  return { kind, bytes, digest, mediaType, document: parsed.data } as Manifest;
}

/** Every descriptor a manifest needs to be complete, in order: config and layers, or the children of an index. */
export function referencedDescriptors(manifest: Manifest): readonly Descriptor[] {
  return manifest.kind === 'index'
    ? manifest.document.manifests
    : [manifest.document.config, ...manifest.document.layers];
}

/** The descriptor of a manifest, as an index or a referrers list would hold it. */
export function descriptorOf(manifest: Manifest): Descriptor {
  return { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
}

/** A manifest made from its document: compact JSON, so that the same input always has the same digest. */
export function buildManifest(document: ImageDocument | IndexDocument): Manifest {
  return parseManifest(Buffer.from(JSON.stringify(document)));
}

/** The manifest of an image that has none yet, as of `docker save`: with its lowest layer first. */
export function buildImageManifest(
  family: ImageFamily,
  config: Pick<Descriptor, 'size' | 'digest'>,
  layers: readonly Descriptor[],
): Manifest {
  return buildManifest({
    schemaVersion: 2,
    mediaType: family === 'oci' ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.dockerManifest,
    config: { mediaType: configMediaType(family), size: config.size, digest: config.digest },
    layers: layers.map(({ mediaType, size, digest }) => ({ mediaType, size, digest })),
  });
}

function parseJson(bytes: Uint8Array, what: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(what, `not JSON (${messageOf(error)})`);
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw invalid(what, 'not a JSON object');
  }
  return document as Record<string, unknown>;
}

function decideMediaType(
  document: Record<string, unknown>,
  contentType: string | undefined,
  what: string,
): string {
  const own = typeof document['mediaType'] === 'string' ? document['mediaType'] : undefined;
  const header = contentType === undefined ? undefined : bareMediaType(contentType);
  const schema1 = [own, header].some((type) => type !== undefined && SCHEMA1_MEDIA_TYPES.includes(type));
  if (document['schemaVersion'] === 1 || schema1) {
    throw invalid(what, 'a Docker schema 1 manifest, which regops does not read', [
      'Push the image again with a current client.',
    ]);
  }
  const known = (type: string | undefined): boolean =>
    type !== undefined && (isImageMediaType(type) || isIndexMediaType(type));
  if (own !== undefined && known(header) && own !== header) {
    throw invalid(what, `it calls itself ${own} but was served as ${header}`);
  }
  const decided = own ?? (known(header) ? header : undefined) ?? typeByShape(document);
  if (!decided || !known(decided)) {
    throw invalid(what, `unknown media type ${own ?? header ?? '(none)'}`);
  }
  return decided;
}

/** OCI makes `mediaType` optional: a document without one is OCI, of the kind its fields show. */
function typeByShape(document: Record<string, unknown>): string | undefined {
  if ('manifests' in document) return MEDIA_TYPES.ociIndex;
  if ('config' in document || 'layers' in document) return MEDIA_TYPES.ociManifest;
  return undefined;
}

/** Go's decoder, and so most registries and clients, takes `Manifests` for `manifests`: case does not count here. */
function refuseTypeConfusion(document: Record<string, unknown>, kind: 'image' | 'index', what: string): void {
  const foreign = kind === 'index' ? ['config', 'layers', 'fslayers'] : ['manifests', 'fslayers'];
  const found = Object.keys(document).find((field) => foreign.includes(field.toLowerCase()));
  if (found) throw invalid(what, `an ${kind} must not have the field '${found}'`);
}

/** @param why may quote the document, which may quote megabytes: it is cut */
function invalid(what: string, why: string, hints: readonly string[] = []): RegopsError {
  return new RegopsError('MANIFEST_INVALID', `${what}: ${why.slice(0, 300)}`, { hints });
}

/** The first thing zod found wrong, with its place (cut: a place may be a key of any length). */
export function describeIssue(error: z.core.$ZodError): string {
  const issue = error.issues[0];
  if (!issue) return 'not what was expected';
  return issue.path.length > 0 ? `${issue.path.join('.').slice(0, 200)}: ${issue.message}` : issue.message;
}
