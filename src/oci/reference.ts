/**
 * The reference grammar of github.com/distribution/reference (reference.go, normalize.go), written anew
 * from its rules. Patterns are anchored and never nest optional parts inside a repetition, so none of
 * them can backtrack badly.
 */
import { RegopsError } from '../base/index.ts';
import { type Digest, isDigest } from './digest.ts';

/** What a reference without a domain means. */
export const DEFAULT_DOMAIN = 'docker.io';
const OFFICIAL_NAMESPACE = 'library';
const NAME_MAX = 255;

/** A reference with everything said: which registry, which repository there, which tag or digest. */
export interface Reference {
  /** `docker.io`, `registry.example.com`, `localhost:5000`, `[::1]:5000`; as it was written (compare hosts in lower case). */
  readonly domain: string;
  /** The repository's path in that registry: `library/alpine`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const PATH = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9A-Fa-f:]+\\])$`);
const PORT = /^[0-9]+$/;
const IMAGE_ID = /^[0-9a-f]{64}$/;
const DIGEST_SHAPE = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$/;
const DOMAIN_HINT = 'Write host or host:port, like registry.example.com:5000.';

/** True when the text may be a tag. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** True when the text may be a repository's path (no domain). */
export function isRepository(text: string): boolean {
  return text.length <= NAME_MAX && PATH.test(text);
}

/** Checks a tag. Throws REFERENCE_INVALID. */
export function parseTag(text: string): string {
  if (!isTag(text)) {
    throw invalid(
      text,
      'not a tag',
      'A tag has 1 to 128 of A-Z a-z 0-9 _ . - and starts with neither . nor -.',
    );
  }
  return text;
}

/** Checks a repository's path. Throws REFERENCE_INVALID. */
export function parseRepository(text: string): string {
  if (!isRepository(text)) {
    throw invalid(
      text,
      text.length > NAME_MAX
        ? `longer than ${NAME_MAX} characters`
        : PATH.test(text.toLowerCase())
          ? 'a repository must be lowercase'
          : 'not a repository',
      'A repository is lowercase words of a-z 0-9 joined by . _ __ - and /.',
    );
  }
  return text;
}

/** Checks `host[:port]` and gives it as it was written. Throws REFERENCE_INVALID. */
export function parseDomain(text: string): string {
  if (!isDomain(text)) throw invalid(withoutUserInfo(text), 'not a registry host', DOMAIN_HINT);
  return text;
}

/**
 * Reads a reference the way docker does: `alpine` is docker.io/library/alpine. Neither tag nor digest is
 * added; see {@link withDefaultTag}. Throws REFERENCE_INVALID with what exactly is wrong.
 */
export function parseReference(text: string): Reference {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw invalid(
      text,
      'a reference has no scheme',
      'Leave out http:// or https://; use --plain-http or --registry-url.',
    );
  }
  if (IMAGE_ID.test(text)) {
    throw invalid(text, 'this is an image ID, not a name', 'Name the repository: REPOSITORY@sha256:…');
  }
  const { domain, rest } = splitDomain(text);
  return parseRemainder(rest, domain, text);
}

/** `domain/repository[:tag][@digest]`, complete. */
export function formatReference(reference: Reference): string {
  return `${reference.domain}/${formatInRegistry(reference)}`;
}

/** `repository[:tag][@digest]`, without the registry. */
export function formatInRegistry(reference: Omit<Reference, 'domain'>): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${reference.repository}${tag}${digest}`;
}

/** As docker shows it: `alpine:3` for docker.io/library/alpine:3. What is shown can be read back. */
export function familiarReference(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return formatReference(reference);
  const [first = '', second = '', ...more] = reference.repository.split('/');
  const official = first === OFFICIAL_NAMESPACE && second !== '' && more.length === 0;
  const short = formatInRegistry(official ? { ...reference, repository: second } : reference);
  // docker.io/foo.bar/app would become a registry foo.bar, and 64 hexadecimal digits an image ID.
  return (official ? IMAGE_ID.test(short) : readsAsDomain(first)) ? formatReference(reference) : short;
}

/** The reference with `latest` when it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: 'latest' }
    : reference;
}

/** What goes after /manifests/: the digest when there is one (docker drops the tag then), else the tag. */
export function manifestSelector(reference: Reference): string {
  return reference.digest ?? reference.tag ?? 'latest';
}

/** The host that serves the API of a domain: Docker Hub's is registry-1.docker.io. */
export function apiHost(domain: string): string {
  return domain === DEFAULT_DOMAIN ? 'registry-1.docker.io' : domain;
}

function splitDomain(text: string): { domain: string; rest: string } {
  const slash = text.indexOf('/');
  const first = slash === -1 ? '' : text.slice(0, slash);
  if (slash === -1 || !readsAsDomain(first)) {
    return { domain: DEFAULT_DOMAIN, rest: officialPath(text) };
  }
  if (!isDomain(first)) {
    throw invalid(text, `'${shown(withoutUserInfo(first))}' is not a registry host`, DOMAIN_HINT);
  }
  const rest = text.slice(slash + 1);
  return first === DEFAULT_DOMAIN || first === 'index.docker.io'
    ? { domain: DEFAULT_DOMAIN, rest: officialPath(rest) }
    : { domain: first, rest };
}

/** True when the text names its registry, so that no default is needed. */
export function namesDomain(text: string): boolean {
  const slash = text.indexOf('/');
  return slash !== -1 && readsAsDomain(text.slice(0, slash));
}

/** Whether what stands before the first slash is a registry and not the first part of a path. */
function readsAsDomain(first: string): boolean {
  return first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first;
}

function officialPath(rest: string): string {
  return rest.includes('/') ? rest : `${OFFICIAL_NAMESPACE}/${rest}`;
}

function parseRemainder(rest: string, domain: string, text: string): Reference {
  const at = rest.indexOf('@');
  const beforeDigest = at === -1 ? rest : rest.slice(0, at);
  const digest = at === -1 ? undefined : rest.slice(at + 1);
  const colon = beforeDigest.indexOf(':');
  const repository = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon === -1 ? undefined : beforeDigest.slice(colon + 1);

  if (repository.length > NAME_MAX) {
    throw invalid(text, `the repository is longer than ${NAME_MAX} characters`);
  }
  if (!PATH.test(repository)) {
    const lower = repository.toLowerCase();
    throw PATH.test(lower)
      ? invalid(text, 'a repository must be lowercase', `Did you mean the repository ${lower}?`)
      : invalid(
          text,
          'not a repository',
          'Write REPOSITORY[:TAG][@DIGEST], like registry.example.com/team/app:1.0.',
        );
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `'${shown(tag)}' is not a tag`);
  if (digest !== undefined && !isDigest(digest)) {
    throw DIGEST_SHAPE.test(digest)
      ? invalid(text, 'unsupported digest algorithm or wrong digest length')
      : invalid(text, `'${shown(digest)}' is not a digest`, 'A digest is sha256: and 64 hexadecimal digits.');
  }
  return {
    domain,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

function splitPort(text: string): { host: string; port?: string } {
  const colon = text.lastIndexOf(':');
  if (colon === -1 || text.endsWith(']')) return { host: text };
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

/**
 * True when the text may be a registry's `host[:port]`. The grammar is wider than what can be connected to:
 * it takes port 75050, the address 1.2.3.456 and `[abc]` too. Such a host is refused here, where the user
 * still sees the reference it came from.
 */
export function isDomain(text: string): boolean {
  const { host, port } = splitPort(text);
  const portFits = port === undefined || (PORT.test(port) && Number(port) >= 1 && Number(port) <= 65_535);
  return portFits && HOST.test(host) && URL.canParse(`http://${text}/`);
}

function withoutUserInfo(text: string): string {
  return text.slice(text.lastIndexOf('@') + 1);
}

/** A part of what was written, fit for a message: short, and without the credentials of a pasted URL. */
function shown(text: string): string {
  return text
    .replace(/:\/\/[^/]*@/, '://')
    .replace(/^[^/]*@(?=[^/@]*\/)/, '') // no valid reference has an @ before a slash
    .slice(0, 300);
}

function invalid(text: string, why: string, hint?: string): RegopsError {
  return new RegopsError('REFERENCE_INVALID', `invalid reference '${shown(text)}': ${why}`, {
    hints: hint ? [hint] : [],
  });
}
