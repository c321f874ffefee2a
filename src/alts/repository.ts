import { RegopsError, redactUrl } from '../base/index.ts';
import type { PackageFamily } from './choices.ts';

/** Where packages come from, beside the distribution's own. */
export interface Repository {
  /** ALTS calls nameless ones `repo-0`, `repo-1` … */
  readonly name?: string;
  /** A base URL (rpm), or a whole line of sources.list (deb). May hold user info. */
  readonly url: string;
}

/** A line of sources.list in its one-line style (sources.list(5)). */
export interface AptLine {
  readonly type: 'deb' | 'deb-src';
  /** Inside the brackets; undefined without them. */
  readonly options?: string;
  readonly url: string;
  readonly suite: string;
  readonly components: readonly string[];
}

const NAMED = /^([a-z0-9][a-z0-9._-]{0,99})=(.+)$/is;
const SCHEMES = new Set(['http:', 'https:', 'ftp:', 'file:']);
const MAX_URL = 4000;
const APT_LINE = /^(deb|deb-src)[ \t]+(?:\[([^\]]*)\][ \t]*)?(\S+)[ \t]+(\S+)((?:[ \t]+\S+)*)[ \t]*$/;
const APT_WORD = /^[a-z0-9][a-z0-9._/+~-]{0,199}$/i;

/** `NAME=URL`, `URL`, `deb URL SUITE COMPONENT...` or `NAME=deb …`. Throws USAGE, which never quotes user info. */
export function parseRepository(text: string): Repository {
  const [, name, value] = NAMED.exec(text.trim()) ?? [];
  const url = (value ?? text).trim();
  const repository = name === undefined ? { url } : { name, url };
  checkRepository(repository, undefined);
  return repository;
}

/** Reads a line of sources.list; undefined when it is none. */
export function parseAptLine(text: string): AptLine | undefined {
  if (text.length > MAX_URL) return undefined;
  const [, type, options, url = '', suite = '', rest = ''] = APT_LINE.exec(text) ?? [];
  if (type !== 'deb' && type !== 'deb-src') return undefined;
  return {
    type,
    ...(options === undefined ? {} : { options: options.trim() }),
    url,
    suite,
    components: rest.split(/[ \t]+/).filter((component) => component !== ''),
  };
}

/**
 * @param family what the distribution installs; undefined when that is not known: then either form will do
 * @throws USAGE
 */
export function checkRepository(repository: Repository, family: PackageFamily | undefined): void {
  const { name, url } = repository;
  const refuse = (why: string, ...hints: string[]): RegopsError =>
    new RegopsError('USAGE', `invalid repository ${shownRepository(repository)}: ${why}`, { hints });
  if (name !== undefined && !/^[a-z0-9][a-z0-9._-]{0,99}$/i.test(name)) {
    throw refuse('its name may have letters, digits, dots, underscores and dashes');
  }
  if (!/^[ -~\t]{1,4000}$/.test(url)) throw refuse('it is empty, too long, or has characters no URL has');
  const example = 'Write an apt line, as in: NAME=deb https://packages.example.com/debian bookworm main';
  if (!/^deb(?:-src)?\s/.test(url)) {
    if (family === 'deb') throw refuse('a distribution with deb packages needs an apt line', example);
    if (!isUsableUrl(url))
      throw refuse('it is no URL', 'Write NAME=URL, as in extra=https://packages.example.com/el9/');
    return;
  }
  if (family === 'rpm') {
    throw refuse('a distribution with rpm packages needs a URL, not an apt line', 'Write NAME=URL.');
  }
  const line = parseAptLine(url);
  if (!line || !isUsableUrl(line.url)) throw refuse('it is no apt line', example);
  if (line.options !== undefined) {
    throw refuse('it has options in brackets', 'ALTS puts [arch=…] there itself; leave them out.');
  }
  if (![line.suite, ...line.components].every((word) => APT_WORD.test(word) || /^\.?\/$/.test(word))) {
    throw refuse('its suite or components have characters apt does not take', example);
  }
  // A suite that ends in a slash is an exact path, which has no components (sources.list(5)).
  const flat = line.suite.endsWith('/');
  if (flat !== (line.components.length === 0)) {
    throw refuse(flat ? 'a suite that ends in / has no components' : 'it names no component', example);
  }
}

/** A repository as a message may show it: its name, else its URL without secrets. */
export function shownRepository({ name, url }: Repository): string {
  if (name !== undefined) return `'${name.slice(0, 100)}'`;
  const words = url.slice(0, 200).split(/\s+/);
  return `'${words.map((word) => (word.includes('://') ? redactUrl(word) : word.replaceAll(/[^ -~]/g, '?'))).join(' ')}'`;
}

function isUsableUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || /\s/.test(text) || !SCHEMES.has(url.protocol)) return false;
  return url.protocol === 'file:' ? url.pathname !== '/' : url.hostname !== '';
}
