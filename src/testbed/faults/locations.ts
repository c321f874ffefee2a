import { randomUUID } from 'node:crypto';
import { RegopsError } from '../../base/index.ts';
import type { Elsewhere } from '../elsewhere.ts';
import type { ApiRequest, Reply } from '../exchange.ts';

/** A way in which a Location is wrong, or the URL that stands in its place. */
export type Misplacement = 'missing' | 'malformed' | 'wrong' | 'foreign' | URL;

const MISPLACEMENTS = ['missing', 'malformed', 'wrong', 'foreign'] as const;

/** Reads `location=`. Throws CONFIG_INVALID. */
export function parseMisplacement(text: string): Misplacement {
  return MISPLACEMENTS.find((one) => one === text) ?? urlOf(text, MISPLACEMENTS);
}

/** Where a redirect leads: to the second origin, to where the client just was, or to a URL. */
export type RedirectTarget = 'foreign' | 'loop' | URL;

/** Reads `redirect=`. Throws CONFIG_INVALID. */
export function parseRedirect(text: string): RedirectTarget {
  return text === 'foreign' || text === 'loop' ? text : urlOf(text, ['foreign', 'loop']);
}

function urlOf(text: string, words: readonly string[]): URL {
  if (!URL.canParse(text)) {
    throw new RegopsError('CONFIG_INVALID', `must be one of ${words.join(', ')}, or a URL`);
  }
  return new URL(text);
}

/** The reply of an upload with another Location; the same reply when it has none. */
export async function misplaced(reply: Reply, how: Misplacement, elsewhere: Elsewhere): Promise<Reply> {
  const { location, ...headers } = reply.headers ?? {};
  if (location === undefined || reply.status >= 300) return reply;
  if (how === 'missing') return { ...reply, headers };
  return { ...reply, headers: { ...headers, location: await locationOf(how, location, elsewhere) } };
}

async function locationOf(
  how: Exclude<Misplacement, 'missing'>,
  location: string,
  elsewhere: Elsewhere,
): Promise<string> {
  if (how === 'malformed') return 'http://[';
  // An upload that nobody has begun.
  if (how === 'wrong') return location.replace(/[^/?]+(?=\?|$)/, randomUUID());
  if (how !== 'foreign') return how.href;
  const { pathname, search } = new URL(location, 'http://here');
  return elsewhere.urlOf(pathname + search);
}

/** A redirect that keeps the method and its body, unless another status is wished. */
export async function redirected(
  request: ApiRequest,
  target: RedirectTarget,
  status: number | undefined,
  elsewhere: Elsewhere,
): Promise<Reply> {
  const query = request.query.toString();
  const here = query === '' ? request.path : `${request.path}?${query}`;
  const location =
    target === 'foreign' ? await elsewhere.urlOf(here) : target === 'loop' ? here : target.href;
  return { status: status ?? 307, headers: { location } };
}
