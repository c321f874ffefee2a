/** Keeps secrets out of traces, logs and messages (the lesson of GHSA-5jhf-2qmf-m8c5). */

const HIDDEN = 'REDACTED';

const SECRET_HEADERS = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-registry-auth',
  'x-amz-security-token',
  'x-ms-authorization-auxiliary',
]);
/** Headers of somebody's own making (docker's `HttpHeaders`, GitLab's PRIVATE-TOKEN) that name what they carry. */
const SECRET_HEADER_NAME = /token|secret|passw|api-?key|credential/;
const URL_HEADERS = new Set(['location', 'referer', 'link', 'content-location']);

/** Query values that say what was asked, never who asks: the only ones a trace may show. */
const PUBLIC_QUERY = new Set([
  'n',
  'last',
  'service',
  'scope',
  'digest',
  'mount',
  'from',
  'ns',
  'artifactType',
]);

/**
 * A URL fit for a log: user info is dropped and every query value is hidden but the few that the
 * distribution spec defines (signed URLs and upload states are secrets). Text that is no absolute URL
 * loses its query and fragment whole.
 */
export function redactUrl(url: URL | string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    const text = String(url);
    const query = text.search(/[?#]/);
    return redactText(query === -1 ? text : `${text.slice(0, query)}?${HIDDEN}`);
  }
  parsed.username = '';
  parsed.password = '';
  parsed.hash = '';
  const shown = [...parsed.searchParams].map(([name, value]) =>
    PUBLIC_QUERY.has(name) ? `${name}=${value}` : `${name}=${HIDDEN}`,
  );
  parsed.search = '';
  return shown.length > 0 ? `${parsed.href}?${shown.join('&')}` : parsed.href;
}

/** A copy of the headers fit for a log. */
export function redactHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const key = name.toLowerCase();
    if (SECRET_HEADERS.has(key) || SECRET_HEADER_NAME.test(key)) shown[key] = HIDDEN;
    else if (URL_HEADERS.has(key))
      shown[key] = [value]
        .flat()
        .map((one) => redactUrl(one))
        .join(', ');
    else shown[key] = [value].flat().join(', ');
  }
  return shown;
}

/**
 * The last part of a whole path, of which a message tells something: `/run/secrets/registry-token: permission denied`.
 * In `wrong username/password: …` nothing is a path.
 */
const FILE_NAME = String.raw`(?<=(?:^|[\s'"(])\.{0,2}\/[\w./-]{0,200})[\w-]{0,60}:\s`;
/** A name that says that a secret follows: `password`, `client_secret`, `X-Amz-Signature`, an upload's `_state`, docker's quoted `auth`. */
const SECRET_NAME = String.raw`\b(?!${FILE_NAME})(?:[\w-]{0,40}?(?:password|passwd|secret|token|signature|api[_-]?key|credential|sig|_state)|(?<=["'])auth)`;
/** A value up to its closing quote, or up to what ends an unquoted one. */
const SECRET_VALUE = String.raw`(?:(")(?:[^"\\]|\\.)*|(')[^']*|[^\s"'&,;}]+)`;
const NAMED_SECRET = new RegExp(String.raw`(${SECRET_NAME}["']?\s*[=:]\s*)${SECRET_VALUE}`, 'gi');

/**
 * Takes secrets out of text that another side wrote and that we are about to repeat: bearer and basic
 * credentials, JSON web tokens, `password=` and `token=` values, user info of URLs. Time grows with the
 * length alone: no pattern may start a second long walk where a first one ended.
 */
export function redactText(text: string): string {
  return text
    .replaceAll(/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${HIDDEN}`)
    .replaceAll(/(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, HIDDEN)
    .replaceAll(NAMED_SECRET, `$1$2$3${HIDDEN}`)
    .replaceAll(/:\/\/[^\s/@]+@/g, `://${HIDDEN}@`);
}
