import { isRegopsError, mapConcurrently, messageOf } from '../../../base/index.ts';
import {
  bareMediaType,
  type Descriptor,
  type Digest,
  digestOf,
  digestParts,
  isDigest,
  isForeignLayer,
  isManifestMediaType,
  LIMITS,
  MANIFEST_ACCEPT,
  type Manifest,
  parseManifest,
  referencedDescriptors,
  shortDigest,
} from '../../../oci/index.ts';
import { examineBlob } from './blob-check.ts';
import { type Examination, type Looked, lookOnce } from './examination.ts';
import { type Fault, traitFault } from './faults.ts';
import { tagIsListed } from './tag-list.ts';
import { type Reply, troubleOf } from './witness.ts';

const REFERENCES_AT_ONCE = 4;

/** A manifest as it came, or why there is nothing more to say about it. */
type Read = { readonly manifest: Manifest; readonly faults: Fault[] } | { readonly faults: Fault[] };

/**
 * Looks at one tag: that it resolves, that header, bytes, HEAD and media type agree, that it can be read by
 * digest, and that everything it refers to is there. What could also be a push or delete under way is
 * looked at twice in a row before it is said at all.
 *
 * @param looked digests of this repository that need no second look
 */
export async function examineTag(
  repository: string,
  tag: string,
  examination: Examination,
  looked: Looked,
): Promise<Fault[]> {
  const { witness, signal, checked } = examination;
  checked.tags++;
  const question = { repository, reference: tag };
  const got = await getManifest(examination, repository, tag);
  if (got.status === 404) {
    const listed = await tagIsListed(examination, repository, tag);
    if (!listed) return [];
    const message = `${repository}:${tag} is listed, but does not resolve`;
    return [{ kind: 'lost-tag', ...question, message, evidence: [got.evidence, listed] }];
  }
  const read = readManifest(repository, tag, undefined, got);
  if (!('manifest' in read)) return read.faults;
  const { manifest } = read;
  checked.manifests++;
  const faults = [...read.faults, ...(await compareHead(examination, repository, tag, got, manifest))];
  const about = lookOnce(looked, manifest.digest, async () => [
    ...(await readableByDigest(examination, repository, tag, manifest)),
    ...(await examineReferences(examination, repository, manifest, looked, 1)),
  ]);
  const deeper = await about;
  if (deeper.length > 0) {
    // An image that was deleted or replaced meanwhile may take its parts with it.
    const again = await witness.ask(
      { method: 'GET', to: manifestPath(repository, tag), ...question, accept, body: keepManifest },
      signal,
    );
    if (again.bytes && digestOf(again.bytes) === manifest.digest) faults.push(...deeper);
    else faults.push(...deeper.filter(({ certain }) => certain));
  }
  return faults;
}

const accept = MANIFEST_ACCEPT.join(', ');
const keepManifest = { keep: LIMITS.manifestBytes };

function manifestPath(repository: string, selector: string): string {
  return `${repository}/manifests/${selector}`;
}

function getManifest(examination: Examination, repository: string, selector: string): Promise<Reply> {
  return examination.witness.ask(
    {
      method: 'GET',
      to: manifestPath(repository, selector),
      repository,
      reference: selector,
      accept,
      body: keepManifest,
    },
    examination.signal,
  );
}

/**
 * Judges one reply to a GET of a manifest by itself: its bytes, its digest header, its media type.
 *
 * @param asked the digest it was asked by
 */
function readManifest(repository: string, selector: string, asked: Digest | undefined, got: Reply): Read {
  const question = { repository, reference: selector };
  const trouble = troubleOf(question, got);
  if (trouble) return { faults: [trouble] };
  const name = `${repository}${asked ? '@' : ':'}${selector}`;
  const evidence = [got.evidence];
  const fault = (kind: Fault['kind'], message: string, certain = false): Fault => ({
    kind,
    ...question,
    message,
    evidence,
    certain,
  });
  if (got.status !== 200 || !got.bytes) {
    return { faults: [fault('invalid-manifest', `${got.evidence.request} answered ${got.status}`)] };
  }
  const header = got.header('docker-content-digest');
  const faults: Fault[] = [];
  if (header === undefined) {
    faults.push(
      traitFault(
        'no-digest-header',
        'replies with a manifest have no Docker-Content-Digest header',
        evidence,
      ),
    );
  }
  for (const claimed of [asked, header]) {
    if (claimed === undefined) continue;
    const actual = isDigest(claimed) ? digestOf(got.bytes, digestParts(claimed).algorithm) : undefined;
    if (actual === claimed) continue;
    const said = claimed === asked ? 'was asked for' : `was announced as ${claimed.slice(0, 160)}`;
    const is = actual ?? digestOf(got.bytes);
    return { faults: [fault('wrong-digest', `${name} ${said}, but its bytes are ${is}`, true)] };
  }
  try {
    const manifest = parseManifest(got.bytes, { what: name, ...(asked ? { digest: asked } : {}) });
    const served = got.header('content-type');
    if (served !== undefined && bareMediaType(served) !== manifest.mediaType) {
      const message = `${name} is a ${manifest.mediaType}, but was served as ${bareMediaType(served)}`;
      faults.push(fault('wrong-media-type', message));
    }
    return { manifest, faults };
  } catch (error) {
    if (!isRegopsError(error)) throw error;
    const unread = isUnread(got.bytes);
    return { faults: [...faults, fault(unread ? 'unknown-manifest' : 'invalid-manifest', messageOf(error))] };
  }
}

/** True for a document of a kind that regops does not read, which need not be at fault: schema 1, artifacts of old. */
function isUnread(bytes: Buffer): boolean {
  try {
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof document !== 'object' || document === null) return false;
    const { schemaVersion, mediaType } = document as Record<string, unknown>;
    return schemaVersion === 1 || (typeof mediaType === 'string' && !isManifestMediaType(mediaType));
  } catch {
    return false;
  }
}

/** HEAD must say what GET says. A tag that moves meanwhile shows in a second GET, and then nothing is said. */
async function compareHead(
  examination: Examination,
  repository: string,
  selector: string,
  got: Reply,
  manifest: Manifest,
): Promise<Fault[]> {
  const question = { repository, reference: selector };
  const head = await examination.witness.ask(
    { method: 'HEAD', to: manifestPath(repository, selector), ...question, accept },
    examination.signal,
  );
  const differences = headDifferences(got, head, manifest);
  const trouble = troubleOf(question, head);
  if (trouble && head.status !== 403) return [trouble];
  if (differences.length === 0) return [];
  const again = await getManifest(examination, repository, selector);
  if (!again.bytes || digestOf(again.bytes) !== manifest.digest) return [];
  return [
    {
      kind: 'head-get-disagree',
      ...question,
      message: `HEAD and GET of ${repository}:${selector} disagree: ${differences.join(', ')}`,
      evidence: [got.evidence, head.evidence, again.evidence],
    },
  ];
}

function headDifferences(got: Reply, head: Reply, manifest: Manifest): string[] {
  if (head.status !== got.status) return [`HEAD answered ${head.status}, GET ${got.status}`];
  const differences: string[] = [];
  const compare = (what: string, said: string | undefined, is: string): void => {
    if (said !== undefined && said !== is) differences.push(`${what} ${said.slice(0, 160)}, not ${is}`);
  };
  const digest = head.header('docker-content-digest');
  const algorithm = isDigest(digest) ? digestParts(digest).algorithm : 'sha256';
  compare('digest', digest, digestOf(manifest.bytes, algorithm));
  compare('Content-Length', head.header('content-length'), String(manifest.bytes.length));
  const [type, served] = [head.header('content-type'), got.header('content-type')];
  if (type !== undefined && served !== undefined) compare('type', bareMediaType(type), bareMediaType(served));
  return differences;
}

/** What a tag resolves to must be there by its digest too. */
async function readableByDigest(
  examination: Examination,
  repository: string,
  tag: string,
  manifest: Manifest,
): Promise<Fault[]> {
  const got = await getManifest(examination, repository, manifest.digest);
  if (got.status === 404) {
    // NSCR knows a manifest by its digest only when it was pushed by it.
    if (examination.view.api === 'nscr') return [];
    const message = `${repository}:${tag} is ${manifest.digest}, which cannot be read by that digest`;
    return [{ kind: 'unreadable-by-digest', repository, reference: tag, message, evidence: [got.evidence] }];
  }
  return readManifest(repository, manifest.digest, manifest.digest, got).faults;
}

/** Everything a manifest refers to, down to the last child. */
async function examineReferences(
  examination: Examination,
  repository: string,
  manifest: Manifest,
  looked: Looked,
  depth: number,
): Promise<Fault[]> {
  const wanted = referencedDescriptors(manifest).filter(({ mediaType }) => !isForeignLayer(mediaType));
  const found = await mapConcurrently(
    wanted,
    REFERENCES_AT_ONCE,
    examination.signal,
    (descriptor, signal) => {
      const within = { ...examination, signal };
      const isChild = manifest.kind === 'index' && isManifestMediaType(descriptor.mediaType);
      const what = `${shortDigest(manifest.digest)} of ${repository}`;
      if (!isChild) {
        // The size is part of what is looked at: two manifests may disagree about it.
        return lookOnce(looked, `${descriptor.digest} ${descriptor.size}`, () =>
          examineBlob(within, repository, descriptor, what),
        );
      }
      return lookOnce(looked, `child ${descriptor.digest} ${descriptor.size}`, () =>
        examineChild(within, repository, descriptor, what, looked, depth),
      );
    },
  );
  return found.flat();
}

async function examineChild(
  examination: Examination,
  repository: string,
  descriptor: Descriptor,
  parent: string,
  looked: Looked,
  depth: number,
): Promise<Fault[]> {
  const { digest } = descriptor;
  const question = { repository, reference: digest };
  const got = await getManifest(examination, repository, digest);
  if (got.status === 404) {
    const message = `manifest ${digest} is missing; index ${parent} refers to it`;
    return [{ kind: 'missing-manifest', ...question, message, evidence: [got.evidence] }];
  }
  const read = readManifest(repository, digest, digest, got);
  if (!('manifest' in read)) return read.faults;
  examination.checked.manifests++;
  const faults = [...read.faults];
  if (read.manifest.bytes.length !== descriptor.size) {
    const message = `manifest ${digest} has ${read.manifest.bytes.length} bytes, its descriptor in ${parent} says ${descriptor.size}`;
    faults.push({ kind: 'wrong-size', ...question, message, evidence: [got.evidence] });
  }
  if (depth >= LIMITS.indexDepth) return faults;
  return [...faults, ...(await examineReferences(examination, repository, read.manifest, looked, depth + 1))];
}
