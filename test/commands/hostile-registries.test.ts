/**
 * What a registry may do to us, and what must not come of it: whole commands with a known secret against servers that
 * are out for it. After each run everything that was written or sent is searched. One test per rule of the facts
 * (registry-clients.md, §4); where an older test holds a rule at its root, it is named and not repeated.
 *
 * | rule (advisory)                                      | here                          | at its root (test/unit)                                  |
 * |------------------------------------------------------|-------------------------------|----------------------------------------------------------|
 * | realm: GHSA-xf85-363p-868w, GHSA-9m43-p3cx-w8j5      | 'a realm'                     | auth/realm, auth/authenticate "the token service …"      |
 * | redirects: GHSA-vh4v-2xq2-g5cg                       | 'a redirect'                  | http/redirect "out of the origin"                        |
 * | upload Location: GHSA-jxpm-75mh-9fp7                 | 'an upload Location'          | registry/location, registry/upload-quirks                |
 * | challenge from elsewhere: ggcr #2337 → #2349         | 'a challenge from elsewhere'  | auth/authenticate, registry/location                     |
 * | pagination Link: CVE-2026-85732, ggcr #2332          | 'a Link'                      | registry/lists "the next page", "a list that does not …" |
 * | foreign layer URLs: CVE-2020-15157                   | 'a layer that lies elsewhere' |                                                          |
 * | custom headers, client certs: GHSA-whvf, GHSA-h3wm   |                               | http/trace setHeaders; http/agent TLS; http/proxy        |
 * | debug traces: GHSA-5jhf-2qmf-m8c5                    | every run; 'a signed address' | http/trace, base/redact                                  |
 * | exact host match: sigstore-js 85c58380               | 'a credential stored for …'   | auth/registry-host bestKey                               |
 * | broken credential helper: CVE-2021-41092             | 'a helper that fails'         | auth/credential-sources "credential helpers"             |
 * | digest verified: CVE-2025-24882                      | 'other bytes'                 | registry/manifests, registry/blobs, oci/digest           |
 * | digest strings: CVE-2024-3727                        | 'digests that are none'       | oci/digest, registry/manifests                           |
 * | type confusion: CVE-2021-41190, GHSA-mc8v, GHSA-77vh | 'two things at once'          | oci/manifest "type confusion"                            |
 * | bounded reads: CVE-2020-1702                         | 'bodies without end'          | http/body, registry/failure, registry/lists              |
 * | archive members: CVE-2023-25153                      |                               | commands/hostile-archives "documents"                    |
 * | tar traversal: CVE-2026-23745, CVE-2026-26960 …      |                               | commands/hostile-archives "names and links"              |
 * | sparse maps: CVE-2025-58183                          |                               | commands/hostile-archives "a sparse member"              |
 * | cyclic referrers: GHSA-298f-872v-2rcx                | 'referrers in a circle'       | registry/referrers                                       |
 * | terminal escapes: CWE-150                            | 'control characters'          | base/escape, registry/failure                            |
 * | redirects by hand everywhere                         | 'a redirect'                  | http/agent "a redirect is given back as it is"           |
 * | names that resolve to inner addresses                | out of scope                  | said in http/address.ts                                  |
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import {
  type Elsewhere,
  expectNoSecretIn,
  filesBelow,
  openElsewhere,
  writeWithoutEnd,
} from '../support/hostile-registry.ts';
import { type Front, openFront } from '../support/http-front.ts';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { digestOf, pushImage } from '../support/testbed-client.ts';
import { openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();

const SECRET = 'GEHEIM-passwort-7f3a';
/** What the hostile side itself hands out and must not find repeated. */
const TOKEN = 'GEHEIM-token-91bc';
const SIGNATURE = 'GEHEIM-signatur-55d0';
const ACCOUNT = ['-u', 'ci', '--password', SECRET];
const BASIC = `Basic ${Buffer.from(`ci:${SECRET}`).toString('base64')}`;

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', note));
afterEach(() => {
  process.off('unhandledRejection', note);
  expect(unhandled.splice(0)).toEqual([]);
});

type Take = (request: IncomingMessage, response: ServerResponse) => boolean;

/** A registry that wants the secret, holds `app:1`, and does this. */
async function hostile(take: Take): Promise<Front & { readonly registry: Registry }> {
  const registry = await openRegistry({ auth: { username: 'ci', password: SECRET } });
  await pushImage(registry, 'app', '1', {}, { headers: { authorization: BASIC } });
  return { ...(await openFront(registry, take)), registry };
}

/** Every command that speaks to a registry, aimed at one. */
const COMMANDS: Readonly<Record<string, (front: Front) => Promise<[string, string[]]>>> = {
  'push-tar': async (front) => {
    await writeDockerArchive(folder('a.tar'), [
      await makeImage({ seed: 'hostile-registry', names: ['new:1'] }),
    ]);
    return ['push-tar', [folder('a.tar'), '--registry-url', front.url]];
  },
  inspect: async (front) => ['inspect', [`${front.host}/app:1`, '--referrers', '--check', '--deep']],
  'inspect tags': async (front) => ['inspect', ['--registry-url', front.url, '--repository', 'app']],
  'inspect catalog': async (front) => ['inspect', ['--registry-url', front.url]],
  delete: async (front) => ['delete', [`${front.host}/app:1`]],
  'torture monitor': async (front) => ['torture monitor', ['--registry-url', front.url, '--once']],
};

interface RunSafely {
  readonly command: string;
  readonly elsewhere?: readonly Elsewhere[];
  readonly timeout?: string;
}

/**
 * Runs a command against a front, as text and as JSON, with everything that -v tells; whatever comes of it, no secret
 * was told, no terminal would obey, and it is no bug of ours.
 */
async function runSafely(front: Front, options: RunSafely): Promise<[text: RunResult, json: RunResult]> {
  const { command, elsewhere = [], timeout = '5s' } = options;
  const runs: RunResult[] = [];
  for (const form of [[], ['--json']]) {
    const [words, argv] = await (COMMANDS[command] as (typeof COMMANDS)[string])(front);
    for (const name of ['home', 'tmp']) await mkdir(folder(name), { recursive: true });
    const env = {
      HOME: folder('home'),
      XDG_CONFIG_HOME: folder('home', 'config'),
      XDG_CACHE_HOME: folder('home', 'cache'),
      XDG_STATE_HOME: folder('home', 'state'),
      TMPDIR: folder('tmp'),
    };
    const limits = ['--retries', '0', '--timeout', timeout, '-v', '--log-file', folder('home', 'log')];
    const run = await runCommand(words, [...argv, ...ACCOUNT, ...limits, ...form], { env });
    runs.push(run);
    expect(run.exitCode, run.stderr + run.stdout).not.toBe(70);
    expect(run.stdout + run.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expectNoSecretIn(
      {
        stdout: run.stdout,
        stderr: run.stderr,
        ...(await filesBelow(folder('home'))),
        ...(await filesBelow(folder('tmp'))),
        ...Object.fromEntries(elsewhere.map(({ url, requests }) => [url, requests])),
      },
      [SECRET, TOKEN, SIGNATURE],
    );
  }
  return runs as [RunResult, RunResult];
}

function json(
  response: ServerResponse,
  status: number,
  document: unknown,
  headers: Record<string, string> = {},
): true {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof document === 'string' ? document : JSON.stringify(document));
  return true;
}

describe.each(Object.keys(COMMANDS))('%s', (command) => {
  test.each<[string, (elsewhere: Elsewhere, own: string) => string]>([
    ['at another port', ({ url }) => `${url}/token`],
    ['at the metadata address', () => 'http://169.254.169.254/latest/api/token'],
    ['at the metadata address, written as IPv6', () => 'http://[::ffff:a9fe:a9fe]/latest/'],
    ['at the metadata address, written as a number', () => 'http://2852039166/latest/'],
    ['at any address of this machine', () => 'http://0.0.0.0:1/token'],
    ['of another scheme', () => 'file:///etc/passwd'],
    ['with user info', ({ host }) => `http://ci@${host}/token`],
    ['that is no URL', () => 'http://['],
    ['of 20,000 characters', () => `http://127.0.0.1/${'x'.repeat(20_000)}`],
  ])('a realm %s is not asked for a token', async (_, realmAt) => {
    const elsewhere = await openElsewhere((_request, response) => json(response, 200, { token: TOKEN }));
    const front = await hostile((_request, response) => {
      response.writeHead(401, {
        'www-authenticate': `Bearer realm="${realmAt(elsewhere, front.host)}",service="x"`,
      });
      response.end();
      return true;
    });
    const [text] = await runSafely(front, { command, elsewhere: [elsewhere] });
    expect(text.exitCode).not.toBe(0);
    expect(elsewhere.requests).toEqual([]);
  });

  test('a realm of its own that redirects elsewhere is not followed there', async () => {
    const elsewhere = await openElsewhere((_request, response) => json(response, 200, { token: TOKEN }));
    const front = await hostile((request, response) => {
      if (request.url?.startsWith('/token')) response.writeHead(302, { location: `${elsewhere.url}/token` });
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${front.host}/token"` });
      response.end();
      return true;
    });
    const [text] = await runSafely(front, { command, elsewhere: [elsewhere] });
    expect(text.exitCode).not.toBe(0);
    expect(elsewhere.requests).toEqual([]);
  });

  test('a redirect of everything, once it has the password, takes none of it along; a challenge from elsewhere is not answered', async () => {
    const elsewhere = await openElsewhere((request, response) => {
      response.writeHead(401, {
        'www-authenticate': [`Bearer realm="http://${request.headers.host}/token"`, 'Basic realm="x"'],
      });
      response.end();
    });
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined) return false;
      response.writeHead(307, { location: `${elsewhere.url}${request.url}`, 'set-cookie': `sid=${TOKEN}` });
      response.end();
      return true;
    });
    const [text] = await runSafely(front, { command, elsewhere: [elsewhere] });
    expect(text.exitCode).not.toBe(0);
    expect(elsewhere.requests.join('\n')).not.toMatch(/authorization|cookie/i);
    if (command.startsWith('inspect')) expect(elsewhere.requests.length).toBeGreaterThan(0);
  });

  test('a challenge from elsewhere whose realm is the registry’s own brings no token there', async () => {
    const elsewhere: Elsewhere = await openElsewhere((_request, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${front.url}/token",service="x"` });
      response.end();
    });
    const front = await hostile((request, response) => {
      if (request.url?.startsWith('/token')) return json(response, 200, { token: TOKEN });
      if (request.headers.authorization === undefined) return false;
      response.writeHead(307, { location: `${elsewhere.url}/stolen` });
      response.end();
      return true;
    });
    await runSafely(front, { command, elsewhere: [elsewhere] });
    expect(elsewhere.requests.join('\n')).not.toMatch(/authorization/i);
    expect(front.seen.filter((line) => line.includes('/token'))).toEqual([]);
  });

  test.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://[fe80::1]/',
    'http://0.0.0.0/',
    'ftp://127.0.0.1/',
    'javascript:alert(1)',
    'http://[',
  ])('a redirect to %s is refused', async (location) => {
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined) return false;
      response.writeHead(307, { location });
      response.end();
      return true;
    });
    const [text] = await runSafely(front, { command });
    expect(text.exitCode).not.toBe(0);
    expect(text.stderr).toMatch(/refused|redirect/i);
  });

  test('a redirect with user info, and one that never ends', async () => {
    let hops = 0;
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined) return false;
      response.writeHead(307, {
        location: `http://ci:${SIGNATURE}@${front.host}/v2/hop/${hops++}?sig=${SIGNATURE}`,
      });
      response.end();
      return true;
    });
    const [text] = await runSafely(front, { command });
    expect(text.exitCode).not.toBe(0);
    expect(hops).toBeLessThan(100);
  });

  test.each<[string, Take]>([
    [
      'error bodies',
      (request, response) => {
        if (request.headers.authorization === undefined) return false;
        response.writeHead(400, { 'content-type': 'application/json' });
        writeWithoutEnd(response);
        return true;
      },
    ],
    [
      'answers',
      (request, response) => {
        if (request.headers.authorization === undefined) return false;
        response.writeHead(200, { 'content-type': 'application/vnd.oci.image.index.v1+json' });
        writeWithoutEnd(response, ' '.repeat(65_536));
        return true;
      },
    ],
    [
      'tokens',
      (request, response) => {
        if (!request.url?.startsWith('/token')) {
          response.writeHead(401, {
            'www-authenticate': `Bearer realm="http://${request.headers.host}/token"`,
          });
          response.end();
        } else {
          response.writeHead(200, { 'content-type': 'application/json' });
          writeWithoutEnd(response);
        }
        return true;
      },
    ],
  ])('bodies without end: %s', async (_, take) => {
    const front = await hostile(take);
    await runSafely(front, { command });
  });

  test('control characters in all that is said', async () => {
    const evil = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202etxt\u2028\r\nerror: fake';
    // A header may hold no C0, but C1 as latin1.
    const header = '\u009b31m\u009d0;owned\u009c';
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': `Basic realm="${header}"` });
        response.end();
        return true;
      }
      return json(
        response,
        400,
        { errors: [{ code: evil, message: evil, detail: { [evil]: evil } }] },
        {
          warning: `299 - "${header}"`,
          'retry-after': header,
          'docker-content-digest': header,
          location: header,
          link: `<${header}>; rel="next"`,
        },
      );
    });
    const [text] = await runSafely(front, { command });
    expect(text.exitCode).not.toBe(0);
    expect(text.stderr).not.toMatch(/^error: fake/m);
  });

  test.each<[string, string]>([
    ['deep', '['.repeat(1_000_000)],
    ['deep and closed', `${'{"a":'.repeat(500_000)}1${'}'.repeat(500_000)}`],
    [
      'a prototype',
      '{"__proto__":{"manifests":[],"tags":["x"],"errors":[]},"constructor":{"prototype":1},"errors":{"length":1e9}}',
    ],
    ['nothing', 'null'],
    ['a number', '1e999'],
    ['a list', '[null,[],{}]'],
    ['cut off', '{"errors":[{"code":"DEN'],
    ['no UTF-8', '\ufffd\u0000'],
  ])('JSON that is %s, with any status', async (_, text) => {
    for (const status of [200, 400]) {
      const front = await hostile((request, response) =>
        request.headers.authorization === undefined
          ? false
          : json(response, status, text, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }),
      );
      await runSafely(front, { command });
    }
  });
});

/** Answers GET and HEAD of what matches with a document, to those who are let in. */
function serving(part: RegExp, document: unknown, headers: Record<string, string> = {}): Take {
  return (request, response) =>
    request.headers.authorization !== undefined &&
    /GET|HEAD/.test(request.method ?? '') &&
    part.test(request.url ?? '')
      ? json(response, 200, document, headers)
      : false;
}

const OCI = 'application/vnd.oci.image';
const EMPTY = { mediaType: `${OCI}.config.v1+json`, digest: digestOf('{}'), size: 2 };
const IMAGE = { schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config: EMPTY, layers: [] };

describe('an upload Location', () => {
  test.each<[string, (elsewhere: Elsewhere) => string]>([
    ['at another port', ({ url }) => `${url}/upload/1?_state=${SIGNATURE}`],
    ['at the metadata address', () => 'http://169.254.169.254/latest/'],
    ['of another scheme', () => 'file:///etc/passwd'],
    ['with user info at another port', ({ host }) => `http://ci:${SIGNATURE}@${host}/upload`],
    ['without a scheme', ({ host }) => `//${host}/upload`],
  ])('%s gets neither the password nor a manifest', async (_, locationAt) => {
    const elsewhere = await openElsewhere();
    const front = await hostile((request, response) => {
      if (request.method !== 'POST' || request.headers.authorization === undefined) return false;
      response.writeHead(202, { location: locationAt(elsewhere) });
      response.end();
      return true;
    });
    const [text] = await runSafely(front, { command: 'push-tar', elsewhere: [] });
    expect(text.exitCode).not.toBe(0);
    expect(elsewhere.requests.join('\n')).not.toMatch(/authorization/i);
    expectNoSecretIn({ elsewhere: elsewhere.requests }, [SECRET]);
    expect(front.seen.filter((line) => /^PUT .*\/manifests\//.test(line))).toEqual([]);
  });
});

describe('a Link', () => {
  test.each<[string, (elsewhere: Elsewhere) => string]>([
    ['to another port', ({ url }) => `${url}/v2/_catalog?last=x`],
    ['to the metadata address', () => 'http://169.254.169.254/latest/'],
    ['without a scheme', ({ host }) => `//${host}/v2/`],
    ['with user info', ({ host }) => `http://ci@${host}/v2/`],
    ['of another scheme', () => 'file:///etc/passwd'],
  ])('%s is not followed', async (_, linkAt) => {
    for (const [command, path, list] of [
      ['inspect tags', /tags\/list/, { name: 'app', tags: ['1'] }],
      ['inspect catalog', /_catalog/, { repositories: ['app'] }],
      ['torture monitor', /_catalog/, { repositories: ['app'] }],
    ] as const) {
      const elsewhere = await openElsewhere();
      const front = await hostile(serving(path, list, { link: `<${linkAt(elsewhere)}>; rel="next"` }));
      await runSafely(front, { command, elsewhere: [elsewhere] });
      expect(elsewhere.requests).toEqual([]);
    }
  });

  test('without end comes to one', async () => {
    let page = 0;
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined || !request.url?.includes('tags/list')) return false;
      return json(
        response,
        200,
        { name: 'app', tags: ['1'] },
        { link: `</v2/app/tags/list?n=0&p=${page++}>; rel="next"` },
      );
    });
    await runSafely(front, { command: 'inspect tags' });
    expect(page).toBeLessThan(1000);
  });
});

test('a layer that lies elsewhere is not fetched from there', async () => {
  const elsewhere = await openElsewhere();
  const layer = {
    mediaType: `${OCI}.layer.nondistributable.v1.tar+gzip`,
    digest: digestOf('elsewhere'),
    size: 9,
    urls: [`${elsewhere.url}/layer`, 'http://169.254.169.254/latest/', `${elsewhere.url}/?sig=${SECRET}`],
  };
  const front = await hostile(
    serving(/manifests\//, { ...IMAGE, layers: [layer] }, { 'content-type': IMAGE.mediaType }),
  );
  const [words, argv] = await (COMMANDS['inspect'] as (typeof COMMANDS)[string])(front);
  await runCommand(words, [...argv, ...ACCOUNT]);
  expect(front.seen.some((line) => line.includes('/manifests/'))).toBe(true);
  expect(elsewhere.requests).toEqual([]);
});

describe('a credential stored for a name that is only alike', () => {
  test.each([
    ['the host without its port', (host: string) => host.replace(/:\d+$/, '')],
    ['a longer port', (host: string) => `${host}0`],
    ['a shorter port', (host: string) => host.slice(0, -1)],
    ['a host that begins so', (host: string) => `${host}.evil.example.com`],
    ['a host that ends so', (host: string) => `evil${host}`],
    ['Docker Hub', () => 'https://index.docker.io/v1/'],
  ])('%s', async (_, keyFor) => {
    const sent: string[] = [];
    const front = await hostile((request) => {
      sent.push(...request.rawHeaders);
      return false;
    });
    const auth = Buffer.from(`ci:${SECRET}`).toString('base64');
    const config = JSON.stringify({ auths: { [keyFor(front.host)]: { auth } } });
    for (const [words, argv] of [await COMMANDS['inspect']?.(front), await COMMANDS['push-tar']?.(front)] as [
      string,
      string[],
    ][]) {
      const run = await runCommand(words, [...argv, '--retries', '0', '-v'], {
        env: { DOCKER_AUTH_CONFIG: config },
      });
      expect(run.exitCode).toBe(77);
      expectNoSecretIn({ stdout: run.stdout, stderr: run.stderr, sent }, [SECRET]);
    }
    expect(sent.join('\n')).not.toMatch(/authorization/i);
  });
});

test('a helper that fails is an error for that registry, and no other credential goes there', async () => {
  const sent: string[] = [];
  const front = await hostile((request) => {
    sent.push(...request.rawHeaders);
    return false;
  });
  await mkdir(folder('bin'));
  await writeFile(
    folder('bin', 'docker-credential-broken'),
    `#!/bin/sh\necho '${SECRET}'; echo 'password=${SECRET}' >&2; exit 1\n`,
    { mode: 0o755 },
  );
  await mkdir(folder('docker'));
  const auth = Buffer.from(`ci:${SECRET}`).toString('base64');
  const config = {
    credHelpers: { [front.host]: 'broken' },
    auths: { [front.host]: { auth }, 'https://index.docker.io/v1/': { auth } },
  };
  await writeFile(folder('docker', 'config.json'), JSON.stringify(config));
  const env = { DOCKER_CONFIG: folder('docker'), PATH: `${folder('bin')}:${process.env['PATH']}` };
  const run = await runCommand('inspect', [`${front.host}/app:1`, '-v'], { env });
  expect(run.exitCode).toBe(78);
  expect(run.stderr).toContain('credential helper broken');
  expectNoSecretIn({ sent }, [SECRET]);
  expect(sent.join('\n')).not.toMatch(/authorization/i);
});

describe('what is served', () => {
  const digest = digestOf(JSON.stringify(IMAGE));

  test.each(['inspect', 'delete'])('other bytes than a digest promises (%s)', async (command) => {
    const front = await hostile(
      serving(
        /manifests\/sha256:/,
        { ...IMAGE, annotations: { other: 'bytes' } },
        { 'content-type': IMAGE.mediaType, 'docker-content-digest': digest },
      ),
    );
    const run = await runCommand(command, [`${front.host}/app@${digest}`, ...ACCOUNT, '--json']);
    if (command === 'inspect')
      expect(run.json()).toMatchObject({ exitCode: 65, error: { code: 'DIGEST_MISMATCH' } });
    else expect(run.exitCode).not.toBe(70);
  });

  test.each([
    'sha256:../../../../etc/passwd',
    `sha256:${'A'.repeat(64)}`,
    `md5:${'0'.repeat(32)}`,
    `sha1:${'0'.repeat(40)}`,
    `sha384:${'0'.repeat(96)}`,
    `__proto__:${'0'.repeat(64)}`,
    `sha256:${'0'.repeat(64)}\u001b[31m`,
    `sha256:${'0'.repeat(64)}?digest=x`,
  ])('digests that are none: %j', async (none) => {
    for (const document of [
      { ...IMAGE, config: { ...EMPTY, digest: none } },
      { ...IMAGE, layers: [{ ...EMPTY, digest: none }] },
      { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [{ ...EMPTY, digest: none }] },
    ]) {
      const front = await hostile(serving(/manifests\/1/, document, { 'content-type': document.mediaType }));
      const [, run] = await runSafely(front, { command: 'inspect' });
      expect(run.json()).toMatchObject({ exitCode: 65, error: { code: 'MANIFEST_INVALID' } });
      expect(front.seen.filter((line) => line.includes('/blobs/'))).toEqual([]);
    }
  });

  test('a digest of sha512 is one, and is checked', async () => {
    const long = `sha512:${'0'.repeat(128)}`;
    const front = await hostile(
      serving(/manifests\/1/, IMAGE, { 'content-type': IMAGE.mediaType, 'docker-content-digest': long }),
    );
    const [, run] = await runSafely(front, { command: 'inspect' });
    expect(run.json()).toMatchObject({ exitCode: 65, error: { code: 'DIGEST_MISMATCH' } });
  });

  const index = `${OCI}.index.v1+json`;
  test.each<[string, string, string]>([
    ['an index with layers', JSON.stringify({ ...IMAGE, mediaType: index, manifests: [] }), index],
    ['an image with manifests', JSON.stringify({ ...IMAGE, manifests: [] }), IMAGE.mediaType],
    ['an image with Manifests, which Go reads', JSON.stringify({ ...IMAGE, Manifests: [] }), IMAGE.mediaType],
    ['an index with CONFIG', JSON.stringify({ schemaVersion: 2, manifests: [], CONFIG: EMPTY }), index],
    ['an image served as an index', JSON.stringify(IMAGE), index],
    [
      'an image that ends as an index',
      `${JSON.stringify(IMAGE).slice(0, -1)},"mediaType":"${index}"}`,
      IMAGE.mediaType,
    ],
    [
      'an image whose second config is none',
      `${JSON.stringify(IMAGE).slice(0, -1)},"config":{}}`,
      IMAGE.mediaType,
    ],
    [
      'an image inside a prototype',
      `{"__proto__":${JSON.stringify(IMAGE)},"schemaVersion":2}`,
      IMAGE.mediaType,
    ],
    [
      'schema 1',
      JSON.stringify({ schemaVersion: 1, fsLayers: [] }),
      'application/vnd.docker.distribution.manifest.v1+json',
    ],
  ])('two things at once: %s', async (_, text, contentType) => {
    const front = await hostile(serving(/manifests\//, text, { 'content-type': contentType }));
    const [, run] = await runSafely(front, { command: 'inspect' });
    expect(run.json()).toMatchObject({ exitCode: 65, error: { code: 'MANIFEST_INVALID' } });
  });

  test.each(['text/html', 'image/png', '', 'application/json; charset=\u009b31m', 'x'.repeat(4000)])(
    'a wrong Content-Type (%j) does not make another thing of it',
    async (contentType) => {
      const front = await hostile(serving(/manifests\/1/, IMAGE, { 'content-type': contentType }));
      const [text] = await runSafely(front, { command: 'inspect' });
      expect([0, 1, 65, 66]).toContain(text.exitCode);
    },
  );

  test('referrers in a circle, and of what is none', async () => {
    const referrer = {
      mediaType: IMAGE.mediaType,
      digest,
      size: JSON.stringify(IMAGE).length,
      artifactType: 'x/y',
    };
    const circle = { ...IMAGE, subject: referrer };
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined) return false;
      const headers = { link: `<${request.url}>; rel="next"`, 'content-type': index };
      if (request.url?.includes('/referrers/'))
        return json(
          response,
          200,
          { schemaVersion: 2, mediaType: index, manifests: [referrer, referrer] },
          headers,
        );
      return request.url?.includes('/manifests/')
        ? json(response, 200, circle, { 'content-type': IMAGE.mediaType })
        : false;
    });
    await runSafely(front, { command: 'inspect' });
    const run = await runCommand('inspect', [`${front.host}/app:1`, '--tree', ...ACCOUNT]);
    expect(run.exitCode).not.toBe(70);
    expect(front.seen.length).toBeLessThan(300);
  });

  test('names that are none are left out of every list', async () => {
    const evil = [
      '\u001b[31mred',
      '../../etc/passwd',
      'a b',
      'A/B',
      '__proto__/x',
      '-x',
      'x'.repeat(300),
      'ok\u202egpj',
      '',
      null,
      7,
      {},
      ['a'],
      'a?n=1',
      'a#b',
      'a%2e%2e',
    ];
    const front = await hostile((request, response) => {
      if (request.headers.authorization === undefined) return false;
      if (request.url?.includes('tags/list'))
        return json(response, 200, { name: '\u001b[31m', tags: [...evil, 'good'] });
      return request.url?.includes('_catalog')
        ? json(response, 200, { repositories: [...evil, 'app'] })
        : false;
    });
    const [, tags] = await runSafely(front, { command: 'inspect tags' });
    expect(JSON.stringify(tags.json().result)).not.toMatch(/etc|red|gpj|\?n=1/);
    const [, catalog] = await runSafely(front, { command: 'inspect catalog' });
    expect(JSON.stringify(catalog.json().result)).not.toMatch(/etc|red|gpj|__proto__|\?n=1/);
    await runSafely(front, { command: 'torture monitor' });
    expect(front.seen.join('\n')).not.toMatch(/etc|passwd|__proto__|red|%2e/i);
  });

  test('control characters in annotations, labels, history, platforms and types', async () => {
    const evil = '\u001b]0;owned\u0007\u009b31m\u202etxt\u2028';
    const config = JSON.stringify({
      os: evil,
      architecture: evil,
      variant: evil,
      created: evil,
      author: evil,
      config: {
        Env: [evil],
        Cmd: [evil],
        Entrypoint: [evil],
        User: evil,
        WorkingDir: evil,
        Labels: { [evil]: evil, ['__proto__']: evil },
        ExposedPorts: { [evil]: {} },
        Volumes: { [evil]: {} },
        StopSignal: evil,
      },
      rootfs: { type: 'layers', diff_ids: [] },
      history: [{ created: evil, created_by: evil, comment: evil, author: evil }],
    });
    const descriptor = {
      mediaType: `${OCI}.config.v1+json`,
      digest: digestOf(config),
      size: Buffer.byteLength(config),
    };
    const image = {
      ...IMAGE,
      artifactType: evil,
      config: descriptor,
      layers: [{ ...descriptor, mediaType: evil, annotations: { [evil]: evil } }],
      annotations: { [evil]: evil },
    };
    const children = [
      {
        mediaType: IMAGE.mediaType,
        digest: digestOf(JSON.stringify(image)),
        size: Buffer.byteLength(JSON.stringify(image)),
        platform: { os: evil, architecture: evil, variant: evil, 'os.version': evil },
        annotations: { [evil]: evil },
      },
    ];
    for (const document of [
      image,
      {
        schemaVersion: 2,
        mediaType: index,
        artifactType: evil,
        manifests: children,
        annotations: { [evil]: evil },
      },
    ]) {
      const front = await hostile((request, response) => {
        if (request.headers.authorization === undefined) return false;
        if (request.url?.includes('/blobs/')) return json(response, 200, config);
        if (request.url?.includes('/manifests/sha256:'))
          return json(response, 200, image, { 'content-type': image.mediaType });
        return request.url?.includes('/manifests/')
          ? json(response, 200, document, { 'content-type': document.mediaType })
          : false;
      });
      await runSafely(front, { command: 'inspect' });
      for (const flags of [['--tree'], [], ['--format', 'nagios', '--check']]) {
        const run = await runCommand('inspect', [`${front.host}/app:1`, ...ACCOUNT, ...flags], { tty: 200 });
        expect(run.exitCode).not.toBe(70);
        // Colours are ours; a title, a bidirectional mark and C1 never are.
        expect(run.stdout + run.stderr).not.toMatch(/\u001b\]|\u0007|\u009b|\u202e|\u2028/);
      }
    }
  });
});

test('a signed address is redacted wherever it is told', async () => {
  const query = `X-Amz-Signature=${SIGNATURE}&X-Amz-Credential=${TOKEN}&sig=${SIGNATURE}&_state=${SIGNATURE}`;
  const front = await hostile((request, response) => {
    if (request.headers.authorization === undefined || !request.url?.startsWith('/v2/')) return false;
    if (request.url.includes('storage')) return json(response, 403, `<Error>${request.url}</Error>`);
    response.writeHead(307, {
      location: `http://${request.headers.host}/v2/storage/${request.method}?${query}`,
      'set-cookie': `session=${TOKEN}`,
      'www-authenticate': `Bearer realm="http://127.0.0.1:1/?${query}"`,
    });
    response.end();
    return true;
  });
  for (const command of Object.keys(COMMANDS)) {
    await runSafely(front, { command });
    expect(await readFile(folder('home', 'log'), 'utf8')).toContain('REDACTED');
  }
});

describe('a head that does not end, or is none', () => {
  /** A server that answers every request by these bytes, again and again when asked to. */
  async function rawFront(first: string, again?: string): Promise<Front> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(first, 'latin1');
        const more = (): void => {
          while (again !== undefined && !socket.destroyed && socket.write(again, 'latin1'));
        };
        socket.on('drain', more);
        more();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { url: `http://${host}`, host, seen: [] };
  }

  test.each<[string, string, string | undefined]>([
    ['headers without end', 'HTTP/1.1 200 OK\r\n', `x: ${'y'.repeat(1000)}\r\n`],
    ['one header without end', 'HTTP/1.1 200 OK\r\nx: ', 'y'.repeat(10_000)],
    ['a status line without end', 'HTTP/1.1 200 ', 'y'.repeat(10_000)],
    ['early hints without end', '', 'HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n'.repeat(100)],
    [
      'trailers without end',
      'HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n',
      'x: y\r\n'.repeat(100),
    ],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', undefined],
    ['a status of zero', 'HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n', undefined],
    ['escapes in a header', 'HTTP/1.1 200 OK\r\nx: \u001b[31m\r\n\r\n', undefined],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}', undefined],
    [
      'headers named after a prototype',
      'HTTP/1.1 400 X\r\n__proto__: a\r\n__proto__: b\r\nconstructor: c\r\nconstructor: d\r\ncontent-length: 2\r\n\r\n{}',
      undefined,
    ],
  ])('%s', async (_, first, again) => {
    const front = await rawFront(first, again);
    for (const command of Object.keys(COMMANDS)) {
      const [text] = await runSafely(front, { command, timeout: '500ms' });
      expect(text.exitCode).not.toBe(0);
    }
  });
});
