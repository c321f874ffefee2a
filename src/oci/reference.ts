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
const DIGEST_SHAPE = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$/;

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
  const { host, port } = splitPort(text);
  if (!HOST.test(host) || (port !== undefined && !validPort(port))) {
    throw invalid(text, 'not a registry host', 'Write host or host:port, like registry.example.com:5000.');
  }
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
  if (/^[0-9a-f]{64}$/.test(text)) {
    throw invalid(text, 'this is an image ID, not a name', 'Name the repository: REPOSITORY@sha256:…');
  }
  const { domain, rest } = splitDomain(text);
  return { ...parseRemainder(rest, domain, text) };
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

/** As docker shows it: `alpine:3` for docker.io/library/alpine:3. */
export function familiarReference(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return formatReference(reference);
  const repository = reference.repository.startsWith(`${OFFICIAL_NAMESPACE}/`)
    ? reference.repository.slice(OFFICIAL_NAMESPACE.length + 1)
    : reference.repository;
  // A name whose first part reads as a domain is only unambiguous in full.
  const short =
    repository.includes('/') || repository === reference.repository ? reference.repository : repository;
  return formatInRegistry({ ...reference, repository: short });
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
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first;
  if (slash === -1 || !isDomain) {
    return { domain: DEFAULT_DOMAIN, rest: officialPath(text) };
  }
  const domain = parseDomainOf(first, text);
  const rest = text.slice(slash + 1);
  return domain === DEFAULT_DOMAIN || domain === 'index.docker.io'
    ? { domain: DEFAULT_DOMAIN, rest: officialPath(rest) }
    : { domain, rest };
}

function parseDomainOf(first: string, text: string): string {
  try {
    return parseDomain(first);
  } catch {
    throw invalid(
      text,
      `'${first}' is not a registry host`,
      'Write host or host:port, like registry.example.com:5000.',
    );
  }
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
      ? invalid(text, 'a repository must be lowercase', `Did you mean ${text.replace(repository, lower)}?`)
      : invalid(
          text,
          'not a repository',
          'Write REPOSITORY[:TAG][@DIGEST], like registry.example.com/team/app:1.0.',
        );
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `'${tag}' is not a tag`);
  if (digest !== undefined && !isDigest(digest)) {
    throw DIGEST_SHAPE.test(digest)
      ? invalid(text, 'unsupported digest algorithm or wrong digest length')
      : invalid(text, `'${digest}' is not a digest`, 'A digest is sha256: and 64 hexadecimal digits.');
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

/** The grammar allows any digits; a connection needs 1 to 65535. */
function validPort(port: string): boolean {
  return PORT.test(port) && Number(port) >= 1 && Number(port) <= 65_535;
}

function invalid(text: string, why: string, hint?: string): RegopsError {
  return new RegopsError('REFERENCE_INVALID', `invalid reference '${text.slice(0, 300)}': ${why}`, {
    hints: hint ? [hint] : [],
  });
}
