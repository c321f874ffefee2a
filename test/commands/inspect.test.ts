import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { openFront, refuse } from '../support/http-front.ts';
import {
  makeImage,
  makeIndex,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
} from '../support/image-archives.ts';
import { type RunOptions, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import {
  call,
  descriptorOf,
  digestOf,
  indexOf,
  OCI_CONFIG,
  OCI_MANIFEST,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
} from '../support/testbed-client.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();

function inspect(argv: readonly string[], options?: RunOptions) {
  return runCommand('inspect', argv, options);
}

// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of a subject
async function subjectOf(argv: readonly string[], code = 0): Promise<any> {
  const { subjects } = ended(code, await inspect([...argv, '--json'])).json().result;
  expect(subjects).toHaveLength(1);
  return subjects[0];
}

/** A blob whose bytes in the registry are others than its digest says: swapped on the way. */
async function corrupting(registry: Registry, digest: string, bytes: Buffer | undefined) {
  return openFront(registry, (request, response) => {
    if (!request.url?.endsWith(`/blobs/${digest}`)) return false;
    if (bytes === undefined) return refuse(response, 404, 'BLOB_UNKNOWN');
    response.writeHead(200, { 'content-length': bytes.length, 'content-type': 'application/octet-stream' });
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return true;
  });
}

describe('a registry', () => {
  test('its repositories, one a line', async () => {
    const registry = await openRegistry();
    for (const repository of ['b/app', 'a', 'c/d/e']) await pushImage(registry, repository, '1');
    const run = ended(0, await inspect(['--registry-url', registry.url]));
    expect(run.stdout).toBe('a\nb/app\nc/d/e\n');
    expect(run.stderr).toContain('3 repositories');
    expect(await subjectOf(['--registry-url', registry.name])).toEqual({
      kind: 'registry',
      registry: registry.name,
      repositories: ['a', 'b/app', 'c/d/e'],
    });
  });

  test('the tags of a repository, one a line', async () => {
    const registry = await openRegistry();
    for (const tag of ['2', '1', 'latest']) await pushImage(registry, 'team/app', tag);
    const argv = ['--registry-url', registry.url, '--repository', 'team/app'];
    expect(ended(0, await inspect(argv)).stdout).toBe('1\n2\nlatest\n');
    expect(await subjectOf(argv)).toEqual({
      kind: 'repository',
      registry: registry.name,
      repository: 'team/app',
      tags: ['1', '2', 'latest'],
    });
  });

  test('that is empty is an empty answer', async () => {
    const registry = await openRegistry();
    const run = ended(0, await inspect(['--registry-url', registry.url]));
    expect(run.stdout).toBe('');
    expect((await subjectOf(['--registry-url', registry.url])).repositories).toEqual([]);
  });

  test('500 repositories and 500 tags are listed whole', async () => {
    const registry = await openRegistry();
    const numbers = Array.from({ length: 500 }, (_, at) => String(at).padStart(3, '0'));
    const config = '{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}';
    for (const number of numbers) {
      const digest = await pushBlob(registry, `many/r${number}`, config);
      const manifest = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: OCI_CONFIG, digest, size: config.length },
        layers: [],
      };
      await putManifest(registry, `many/r${number}`, 'latest', manifest);
      await putManifest(registry, 'many/r000', `v${number}`, manifest);
    }
    // A page has a hundred at most, whatever is asked for.
    const front = await openFront(registry, (request) => {
      request.url = request.url?.replace(/([?&])n=\d+/, '$1n=100') as string;
      return false;
    });
    for (const url of [registry.url, front.url]) {
      const catalog = ended(0, await inspect(['--registry-url', url]));
      expect(catalog.stdout).toBe(numbers.map((number) => `many/r${number}\n`).join(''));
      const { tags } = await subjectOf(['--registry-url', url, '--repository', 'many/r000']);
      expect(tags).toEqual(['latest', ...numbers.map((number) => `v${number}`)]);
    }
    expect(front.seen.filter((line) => line === 'GET /v2/_catalog').length).toBe(5);
  });

  test.each([['--check'], ['--tree'], ['--referrers'], ['--raw'], ['--config'], ['--digest']])(
    '%s of a list is a usage error, and no silent success',
    async (flag) => {
      const registry = await openRegistry();
      const run = ended(64, await inspect(['--registry-url', registry.url, flag]));
      expect(run.stderr).toContain(`${flag} is about an image or archive`);
    },
  );
});

describe('an image', () => {
  test('is shown with platform, layers and history, and no tag list is asked for', async () => {
    const registry = await openRegistry();
    const image = await makeImage({ seed: 'shown', names: ['team/app:1'], labels: { vendor: 'me' } });
    await writeOciArchive(folder('a.tar'), [image]);
    ended(0, await runCommand('push-tar', [folder('a.tar'), '--registry-url', registry.url]));
    const before = registry.requests.length;
    const run = ended(0, await inspect([`${registry.name}/team/app:1`]));
    const tree = await treeOf(image);
    for (const part of ['linux/amd64', tree.root.digest, 'vendor', 'COPY files-0 /files-0', '/bin/app']) {
      expect(run.stdout).toContain(part);
    }
    expect(run.stdout).toMatch(/^layers$/m);
    const asked = registry.requests.slice(before).map(({ path }) => path);
    expect(asked.filter((path) => path.includes('/tags/') || path.includes('_catalog'))).toEqual([]);
    const subject = await subjectOf(['--registry-url', registry.url, 'team/app:1']);
    expect(subject).toMatchObject({
      kind: 'artifact',
      reference: `${registry.name}/team/app:1`,
      root: { type: 'image', digest: tree.root.digest, platform: 'linux/amd64', layers: [{}, {}] },
    });
  });

  test('--raw gives the manifest byte for byte, --digest what it hashes to', async () => {
    const registry = await openRegistry();
    const image = await prepareImage(registry, 'app');
    // Not as any program would write it, and no newline at its end.
    const text = `\n${JSON.stringify(image.manifest, null, 3)} \t`;
    await putManifest(registry, 'app', '1', text, { headers: { 'content-type': OCI_MANIFEST } });
    const reference = `${registry.name}/app:1`;
    const raw = ended(0, await inspect([reference, '--raw']));
    expect(raw.stdout).toBe(text);
    expect(raw.stderr).toBe('');
    expect(ended(0, await inspect([reference, '--digest'])).stdout).toBe(`${digestOf(text)}\n`);
    expect((await subjectOf([reference, '--raw'])).root.text).toBe(text);
    ended(0, await inspect([reference, '--raw', '-o', folder('raw')]));
    expect(await readFile(folder('raw'), 'utf8')).toBe(text);
  });

  test('--config gives the configuration byte for byte', async () => {
    const registry = await openRegistry();
    const config = '{ "os": "linux", "architecture": "arm64",\n"rootfs": {"type":"layers","diff_ids":[]} }';
    const digest = await pushBlob(registry, 'app', config);
    await putManifest(registry, 'app', '1', {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, digest, size: config.length },
      layers: [],
    });
    expect(ended(0, await inspect([`${registry.name}/app:1`, '--config'])).stdout).toBe(config);
  });

  test('several are shown in turn', async () => {
    const registry = await openRegistry();
    const one = await pushImage(registry, 'one', '1');
    const two = await pushImage(registry, 'two', '1');
    const run = await inspect([`${registry.name}/one:1`, `${registry.name}/two@${two.digest}`, '--digest']);
    expect(ended(0, run).stdout).toBe(`${one.digest}\n${two.digest}\n`);
  });

  test('several, of which one is missing: those before it are shown', async () => {
    const registry = await openRegistry();
    const one = await pushImage(registry, 'one', '1');
    await pushImage(registry, 'three', '1');
    const argv = ['one', 'two', 'three'].map((repository) => `${registry.name}/${repository}:1`);
    const run = ended(66, await inspect([...argv, '--digest']));
    expect(run.stdout).toBe(`${one.digest}\n`);
    expect(run.stderr).toContain(`pull of ${registry.name}/two:1`);
    const { result, error } = ended(66, await inspect([...argv, '--json'])).json();
    expect(result.subjects).toMatchObject([{ reference: `${registry.name}/one:1` }]);
    expect(error).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
  });

  test('that is not for the platform asked for is 66', async () => {
    const registry = await openRegistry();
    await pushImage(registry, 'app', '1');
    const run = await inspect([`${registry.name}/app:1`, '--digest', '--platform', 'linux/arm64', '--json']);
    expect(ended(66, run).json().error).toMatchObject({ code: 'PLATFORM_NOT_FOUND' });
  });
});

describe('an index', () => {
  async function pushed(registry: Registry) {
    const amd64 = await makeImage({ seed: 'amd64' });
    const arm64 = await makeImage({ seed: 'arm64', platform: { os: 'linux', architecture: 'arm64' } });
    const index = makeIndex({ images: [amd64, arm64], names: ['app:1'] });
    await writeOciArchive(folder('index.tar'), [index]);
    ended(0, await runCommand('push-tar', [folder('index.tar'), '--registry-url', registry.url]));
    return {
      reference: `${registry.name}/app:1`,
      index: (await treeOf(index)).root.digest,
      amd64: (await treeOf(amd64)).root.digest,
      arm64: (await treeOf(arm64)).root.digest,
    };
  }

  test('is a table of its platforms', async () => {
    const registry = await openRegistry();
    const { reference, index, amd64, arm64 } = await pushed(registry);
    const run = ended(0, await inspect([reference]));
    expect(run.stdout).toMatch(new RegExp(`^linux/amd64 .*${amd64}`, 'm'));
    expect(run.stdout).toMatch(new RegExp(`^linux/arm64 .*${arm64}`, 'm'));
    expect(await subjectOf([reference])).toMatchObject({ root: { type: 'index', digest: index } });
  });

  test('--platform shows the image of it', async () => {
    const registry = await openRegistry();
    const { reference, arm64 } = await pushed(registry);
    const argv = [reference, '--platform', 'linux/arm64'];
    expect(ended(0, await inspect([...argv, '--digest'])).stdout).toBe(`${arm64}\n`);
    expect((await subjectOf(argv)).root).toMatchObject({ type: 'image', platform: 'linux/arm64' });
    const none = ended(66, await inspect([reference, '--platform', 'linux/s390x']));
    expect(none.stderr).toContain(`${reference} has no linux/s390x`);
    expect(none.stderr).toContain('Its platforms: linux/amd64, linux/arm64.');
  });

  test('has no configuration to give: one of its platforms has', async () => {
    const registry = await openRegistry();
    const { reference } = await pushed(registry);
    const run = ended(64, await inspect([reference, '--config']));
    expect(run.stdout).toBe('');
    expect(run.stderr).toContain('is an index, which has no configuration of its own');
    expect(run.stderr).toContain('Choose an image with --platform: linux/amd64, linux/arm64.');
    const config = ended(0, await inspect([reference, '--config', '--platform', 'linux/arm64'])).stdout;
    expect(JSON.parse(config)).toMatchObject({ architecture: 'arm64' });
  });

  test('--tree draws it down to the layers', async () => {
    const registry = await openRegistry();
    const { reference, index, amd64 } = await pushed(registry);
    const { stdout } = ended(0, await inspect([reference, '--tree']));
    expect(stdout).toContain(`${reference} ${index}\n├─ linux/amd64 ${amd64}\n│  ├─ config sha256:`);
    expect(stdout.match(/layer [12] sha256:/g)).toHaveLength(4);
    expect((await subjectOf([reference, '--tree'])).root.manifests[0].manifest.layers).toHaveLength(2);
  });

  test('--tree --check of one with a hole finds the hole', async () => {
    const registry = await openRegistry();
    const { reference, arm64 } = await pushed(registry);
    const front = await openFront(registry, (request, response) =>
      request.url?.endsWith(`/manifests/${arm64}`) ? refuse(response, 404, 'MANIFEST_UNKNOWN') : false,
    );
    const holed = reference.replace(registry.name, front.host);
    const { check } = await subjectOf([holed, '--tree', '--check'], 1);
    expect(check.problems).toMatchObject([{ digest: arm64, problem: 'missing' }]);
    ended(66, await inspect([holed, '--tree']));
  });
});

describe('referrers', () => {
  async function signed(registry: Registry) {
    const image = await pushImage(registry, 'app', '1');
    const signature = await pushImage(registry, 'app', 'sig', {
      artifactType: 'application/x-signature',
      subject: descriptorOf(image),
      annotations: { by: 'me' },
    });
    return { image, signature };
  }

  test('are asked of the API', async () => {
    const registry = await openRegistry();
    const { signature } = await signed(registry);
    const reference = `${registry.name}/app:1`;
    const { referrers } = await subjectOf([reference, '--referrers']);
    expect(referrers).toEqual([
      {
        digest: signature.digest,
        mediaType: OCI_MANIFEST,
        sizeBytes: signature.text.length,
        artifactType: 'application/x-signature',
        annotations: { by: 'me' },
      },
    ]);
    expect(ended(0, await inspect([reference, '--referrers'])).stdout).toMatch(
      new RegExp(`^application/x-signature .*${signature.digest}$`, 'm'),
    );
    expect(ended(0, await inspect([reference, '--tree', '--referrers'])).stdout).toContain(
      `└─ referrer application/x-signature ${signature.digest}`,
    );
    expect((await subjectOf([`${registry.name}/app:sig`, '--referrers'])).referrers).toEqual([]);
    expect(registry.requests.some(({ path }) => path.includes('/tags/'))).toBe(false);
  });

  test('are read from the tag schema where there is no API', async () => {
    const registry = await openRegistry();
    const { image, signature } = await signed(registry);
    const tag = image.digest.replace(':', '-');
    await putManifest(registry, 'app', tag, indexOf([signature]));
    const front = await openFront(registry, (request, response) =>
      request.url?.includes('/referrers/') ? refuse(response, 404, 'NOT_FOUND') : false,
    );
    const { referrers } = await subjectOf([`${front.host}/app:1`, '--referrers']);
    expect(referrers).toMatchObject([{ digest: signature.digest }]);
    expect(front.seen).toContain(`GET /v2/app/manifests/${tag}`);
  });
});

describe('an archive', () => {
  test('is shown with every image in it', async () => {
    const images = [
      await makeImage({ seed: 'one', names: ['app:1', 'app:latest'] }),
      await makeImage({ seed: 'two', names: ['tool:2'] }),
    ];
    await writeDockerArchive(folder('a.tar'), images, { outer: 'gzip' });
    const { stdout } = ended(0, await inspect([folder('a.tar')]));
    expect(stdout).toContain('docker-archive, gzip');
    expect(stdout).toContain('@0 app:1, app:latest');
    expect(stdout).toContain('@1 tool:2');
    expect(stdout).toContain(`${images[0]?.layers[0]?.digest} (diffID)`);
    expect(await subjectOf([folder('a.tar')])).toMatchObject({
      kind: 'archive',
      format: 'docker-archive',
      outerCompression: 'gzip',
      images: [{ index: 0, names: ['app:1', 'app:latest'] }, { index: 1 }],
    });
  });

  test.each([
    ['--digest', 'digest'],
    ['--raw', 'manifest'],
  ])('%s of what has none before it is pushed is 66', async (flag, what) => {
    await writeDockerArchive(folder('a.tar'), [await makeImage({ seed: 'one', names: ['app:1'] })]);
    const run = ended(66, await inspect([folder('a.tar'), flag]));
    expect(run.stdout).toBe('');
    expect(run.stderr).toContain(`image @0 of ${folder('a.tar')} has no ${what} before it is pushed`);
    ended(0, await inspect([folder('a.tar'), '--config']));
  });

  test('--config of an image whose configuration is not there is 66', async () => {
    const image = await makeImage({ seed: 'one', names: ['app:1'] });
    await writeOciArchive(folder('a.tar'), [image], { omit: [digestOf(image.config)] });
    const run = ended(66, await inspect([folder('a.tar'), '--config']));
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(/configuration sha256:\w+ of sha256:\w+ is not there/);
  });

  test('on standard input', async () => {
    await writeOciArchive(folder('a.tar'), [await makeImage({ seed: 'one', names: ['app:1'] })]);
    const stdin = await readFile(folder('a.tar'));
    const run = ended(0, await inspect(['-', '--digest'], { stdin }));
    expect(run.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  });

  test('a path without a tar’s name is one if it is there', async () => {
    await writeOciArchive(folder('image'), [await makeImage({ seed: 'one', names: ['app:1'] })]);
    expect(await subjectOf([folder('image')])).toMatchObject({ format: 'oci-archive' });
  });

  test('--check --deep reads every layer, and a changed one is exit 1', async () => {
    await writeDockerArchive(folder('a.tar'), [await makeImage({ seed: 'one', names: ['app:1'] })]);
    expect((await subjectOf([folder('a.tar'), '--check', '--deep'])).check).toMatchObject({
      deep: true,
      blobs: 3,
      problems: [],
    });
    const bytes = await readFile(folder('a.tar'));
    const at = bytes.indexOf('file-0.bin') + 1024;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    await writeFile(folder('bad.tar'), bytes);
    expect((await subjectOf([folder('bad.tar'), '--check'])).check.problems).toEqual([]);
    const { check } = await subjectOf([folder('bad.tar'), '--check', '--deep'], 1);
    expect(check.problems).toMatchObject([{ what: 'layer 1', problem: 'corrupt' }]);
  });
});

describe('--check', () => {
  test('of what is whole says so, in every form', async () => {
    const registry = await openRegistry();
    const image = await pushImage(registry, 'app', '1');
    const reference = `${registry.name}/app:1`;
    const read = registry.requests.length;
    expect(ended(0, await inspect([reference, '--check'])).stdout).toMatch(/result +good/);
    const methods = registry.requests.slice(read).map(({ method, path }) => `${method} ${path}`);
    expect(methods).toContain(`HEAD /v2/app/blobs/${image.layer}`);
    expect(methods).not.toContain(`GET /v2/app/blobs/${image.layer}`);
    ended(0, await inspect([reference, '--check', '--deep']));
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toContain(
      `GET /v2/app/blobs/${image.layer}`,
    );
    const nagios = ended(0, await inspect([reference, '--check', '--deep', '--format', 'nagios']));
    expect(nagios.stdout).toMatch(
      /^INSPECT OK - .*\| 'blobs_checked'=2;;;0 'problems'=0;0;0;0 'read_bytes'=/,
    );
  });

  test.each([
    ['a layer', 'layer', 'layer 1'],
    ['the configuration', 'config', 'configuration'],
  ] as const)('finds %s that is missing, of another size, or corrupt', async (_, part, what) => {
    const registry = await openRegistry();
    const image = await pushImage(registry, 'app', '1');
    const digest = image[part];
    const { body } = await call(registry, 'GET', `/v2/app/blobs/${digest}`);
    const changed = Buffer.from(body);
    changed[0] = (changed[0] ?? 0) ^ 0xff;
    const cases: [string, Buffer | undefined, string[]][] = [
      ['missing', undefined, ['--check']],
      ['wrong-size', body.subarray(1), ['--check']],
      ['corrupt', changed, ['--check', '--deep']],
    ];
    for (const [problem, bytes, flags] of cases) {
      const front = await corrupting(registry, digest, bytes);
      const reference = `${front.host}/app:1`;
      const subject = await subjectOf([reference, ...flags], 1);
      expect(subject.check.problems).toEqual([
        expect.objectContaining({ digest, what, problem, message: expect.stringContaining(what) }),
      ]);
      const text = ended(1, await inspect([reference, ...flags]));
      expect(text.stdout).toMatch(new RegExp(`^${problem} .*${digest}$`, 'm'));
      expect(text.stderr).not.toContain('error:');
      const nagios = ended(2, await inspect([reference, ...flags, '--format', 'nagios']));
      expect(nagios.stdout).toMatch(new RegExp(`^INSPECT CRITICAL - ${reference}: 1 problem: .*${what}`));
    }
  });

  test('a configuration that was seen to be corrupt is a problem without --deep too', async () => {
    const registry = await openRegistry();
    const image = await pushImage(registry, 'app', '1');
    const { body } = await call(registry, 'GET', `/v2/app/blobs/${image.config}`);
    const front = await corrupting(registry, image.config, Buffer.alloc(body.length, 'x'));
    const { check } = await subjectOf([`${front.host}/app:1`, '--check'], 1);
    expect(check.problems).toMatchObject([{ digest: image.config, problem: 'corrupt' }]);
    ended(65, await inspect([`${front.host}/app:1`]));
  });

  test('a registry that refuses to be asked for a blob by HEAD is asked by GET', async () => {
    const registry = await openRegistry();
    const image = await pushImage(registry, 'app', '1');
    const missing = new Set<string>();
    const front = await openFront(registry, (request, response) => {
      if (!request.url?.includes('/blobs/')) return false;
      if (request.method === 'HEAD') return refuse(response, 405, 'UNSUPPORTED');
      const digest = request.url.split('/').at(-1) as string;
      return missing.has(digest) ? refuse(response, 404, 'BLOB_UNKNOWN') : false;
    });
    const argv = [`${front.host}/app:1`, '--check'];
    expect((await subjectOf(argv)).check).toMatchObject({ blobs: 2, problems: [] });
    missing.add(image.layer);
    expect((await subjectOf(argv, 1)).check.problems).toMatchObject([
      { digest: image.layer, what: 'layer 1', problem: 'missing' },
    ]);
  });

  test('what keeps it from looking is an error, not a problem of the image', async () => {
    const registry = await openRegistry();
    const image = await pushImage(registry, 'app', '1');
    const front = await openFront(registry, (request, response) =>
      request.url?.endsWith(`/blobs/${image.layer}`) ? refuse(response, 401, 'UNAUTHORIZED') : false,
    );
    const argv = [`${front.host}/app:1`, '--check'];
    const run = ended(77, await inspect([...argv, '--json']));
    expect(run.json()).toMatchObject({ result: null, error: { code: 'AUTHENTICATION_FAILED' } });
    expect(ended(2, await inspect([...argv, '--format', 'nagios'])).stdout).toMatch(/^INSPECT CRITICAL - /);
  });

  test('nagios: what is wrong with the call is UNKNOWN', async () => {
    const run = ended(3, await inspect(['r.example.com/app:1', '--deep', '--format', 'nagios']));
    expect(run.stdout).toMatch(/^INSPECT UNKNOWN - .*--check/);
    expect(ended(3, await inspect(['--format', 'nagios'])).stdout).toMatch(
      /^INSPECT UNKNOWN - inspect what\?/,
    );
  });

  test('nagios: a registry that is not there is CRITICAL', async () => {
    const argv = ['--registry-url', 'http://127.0.0.1:9', 'app:1', '--retries', '0', '--format', 'nagios'];
    expect(ended(2, await inspect(argv)).stdout).toMatch(/^INSPECT CRITICAL - 127\.0\.0\.1:9: connection/);
  });
});

test.each([
  [[], 'inspect what? Name a REF, a TAR, or --registry-url'],
  [['r.example.com/app:1', '--repository', 'x'], '--repository lists tags'],
  [['r.example.com/app:1', '--deep'], '--check'],
  [['r.example.com/app:1', '--raw', '--digest'], '--digest and --raw cannot be used together'],
  [['r.example.com/app:1', '--raw', '--check'], 'cannot be used together'],
  [['r.example.com/App:1'], 'a repository must be lowercase'],
])('%o is a usage error', async (argv, message) => {
  const run = ended(64, await inspect(argv));
  expect(run.stderr).toContain(message);
  expect(run.stdout).toBe('');
});
