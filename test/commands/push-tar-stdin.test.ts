import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import type { PushTarResult } from '../../src/jobs/push-tar/index.ts';
import { PERSONA_NAMES, PERSONAS, type Persona } from '../../src/testbed/index.ts';
import { openFront, refuse } from '../support/http-front.ts';
import {
  type Compression,
  makeImage,
  type TestImage,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
} from '../support/image-archives.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { ended, openRegistry, type Registry } from './support.ts';

// What comes through a pipe goes to the registry while it passes. TMPDIR is a folder that does not exist wherever
// nothing may be written to a temporary file.

const MIB = 1024 * 1024;
const folder = useTempFolder();
/** One layer of more than a chunk, which goes ahead, and one that is small. */
let app: TestImage;

beforeAll(async () => {
  app = await makeImage({
    seed: 'piped',
    names: ['team/stored:1'],
    layers: [{ size: 9 * MIB, compressible: 0 }, { size: 5000 }],
  });
});

async function pipe(
  bytes: Uint8Array,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const env = { TMPDIR: folder('nowhere'), XDG_CACHE_HOME: folder('cache'), ...options.env };
  return runCommand('push-tar', ['-', ...argv], { ...options, stdin: bytes, env });
}

async function piped(
  bytes: Uint8Array,
  argv: readonly string[],
  options?: RunOptions,
): Promise<PushTarResult> {
  return ended(0, await pipe(bytes, [...argv, '--json'], options)).json().result;
}

const written = new Map<string, Promise<Buffer>>();

/** What docker saves of the image. */
function dockerArchive(layout: 'classic' | 'docker25' = 'classic'): Promise<Buffer> {
  const archive =
    written.get(layout) ??
    writeDockerArchive(folder('a.tar'), [app], { layout }).then(() => readFile(folder('a.tar')));
  written.set(layout, archive);
  return archive;
}

function requestsOf(registry: Registry, method: string, part: string): number {
  return registry.requests.filter((line) => line.method === method && line.path.includes(part)).length;
}

/** Reads an image back, every byte of it. */
async function checked(registry: Registry, repository = 'team/app', blobs = 3): Promise<void> {
  const argv = [`${registry.name}/${repository}:1`, '--check', '--deep', '--json'];
  const [subject] = ended(0, await runCommand('inspect', argv)).json().result.subjects;
  expect(subject.check).toMatchObject({ blobs, problems: [] });
}

describe('an archive comes out as from a file, without a temporary one', () => {
  test.each<[string, (path: string) => Promise<void>, string[]]>([
    ['docker save, as before 25', (path) => writeDockerArchive(path, [app]), []],
    ['docker save, as since 25', (path) => writeDockerArchive(path, [app], { layout: 'docker25' }), []],
    ['it packed with gzip', (path) => writeDockerArchive(path, [app], { outer: 'gzip' }), []],
    ['it packed with zstd', (path) => writeDockerArchive(path, [app], { outer: 'zstd' }), []],
    ['it packed again by tar -C', (path) => writeDockerArchive(path, [app], { prefix: './' }), []],
    ['with zstd layers', (path) => writeDockerArchive(path, [app]), ['--compression', 'zstd']],
    ['with plain layers', (path) => writeDockerArchive(path, [app]), ['--compression', 'none']],
    ['with stored gzip layers', (path) => writeDockerArchive(path, [app], { compression: 'gzip' }), []],
    [
      'with every digest as it is',
      (path) => writeDockerArchive(path, [app], { layout: 'docker25' }),
      ['--preserve-digests'],
    ],
    ['an oci-archive', (path) => writeOciArchive(path, [app]), []],
    // Nothing is compressed unasked there, which turns out when the layer has passed.
    ['an oci-archive of plain layers', (path) => writeOciArchive(path, [app], { compression: 'none' }), []],
  ])('%s', async (_, write, flags) => {
    const [registry, other] = [await openRegistry(), await openRegistry()];
    await write(folder('a.tar'));
    const result = await piped(await readFile(folder('a.tar')), [
      '--to',
      `${registry.name}/team/app:1`,
      ...flags,
    ]);
    const argv = [folder('a.tar'), '--to', `${other.name}/team/app:1`, ...flags, '--json'];
    const asFile: PushTarResult = ended(0, await runCommand('push-tar', argv)).json().result;
    const facts = ({ images, totals }: PushTarResult): object => ({
      digest: images[0]?.digest,
      blobs: images[0]?.blobs.map(({ digest, mediaType, status }) => ({ digest, mediaType, status })),
      totals: { ...totals, durationMs: 0 },
    });
    expect(facts(result)).toEqual(facts(asFile));
    await checked(registry);
    expect(registry.openUploads()).toBe(0);
  });

  test('layers that other images have too, as links', async () => {
    const other = await makeImage({
      seed: 'other',
      names: ['team/stored:2'],
      layers: app.layers.slice(0, 1),
    });
    for (const sharedLayers of ['symlink', 'hardlink', 'copy'] as const) {
      const registry = await openRegistry();
      await writeDockerArchive(folder('a.tar'), [app, other], { sharedLayers });
      const pushed = await piped(await readFile(folder('a.tar')), [
        '--registry-url',
        registry.url,
        '--repository',
        'team/app',
      ]);
      expect(pushed.images.map(({ tags }) => tags[0]?.reference)).toEqual([
        `${registry.name}/team/app:1`,
        `${registry.name}/team/app:2`,
      ]);
      await checked(registry);
    }
  });

  test('a layer is on its way before the pipe ends', async () => {
    const registry = await openRegistry();
    const bytes = await dockerArchive('docker25');
    // What is broken at the end of the archive is met when the layers are there.
    const run = await pipe(bytes.subarray(0, bytes.length - 4096), ['--to', `${registry.name}/team/app:1`]);
    expect(run.exitCode).toBe(65);
    expect(registry.bytesIn()).toBeGreaterThan(8 * MIB);
    expect(requestsOf(registry, 'PUT', '/manifests/')).toBe(0);
    expect(registry.openUploads()).toBe(0);
  });

  test('a second time nothing is sent of what its name tells', async () => {
    const registry = await openRegistry();
    const bytes = await dockerArchive('docker25');
    const first = await piped(bytes, ['--to', `${registry.name}/team/app:1`]);
    expect(first.totals).toMatchObject({ uploaded: 3 });
    const before = registry.bytesIn();
    const second = await piped(bytes, ['--to', `${registry.name}/team/app:1`]);
    expect(second.totals).toMatchObject({ uploaded: 0, existing: 3, sentBytes: 0 });
    expect(second.images[0]?.digest).toBe(first.images[0]?.digest);
    expect(registry.bytesIn()).toBe(before);
  });

  test('a cache that the registry contradicts is not believed', async () => {
    const registry = await openRegistry();
    const to = ['--to', `${registry.name}/team/app:1`];
    const bytes = await dockerArchive('docker25');
    const first = await piped(bytes, to);
    const cache = folder('cache', 'regops', 'layers.jsonl');
    await writeFile(cache, (await readFile(cache, 'utf8')).replaceAll(/"size":(\d+)/g, '"size":1$1'));
    const second = await piped(bytes, to);
    expect(second.images[0]?.digest).toBe(first.images[0]?.digest);
    expect(second.totals).toMatchObject({ uploaded: 2, existing: 1 });
  });

  test('the digest file and the events are those of a push from a file', async () => {
    const registry = await openRegistry();
    const run = await pipe(await dockerArchive(), [
      ...['--to', `${registry.name}/team/app:1`, '--format', 'ndjson'],
      ...['--digest-file', folder('digest')],
    ]);
    const events = ended(0, run).events('push-tar.events');
    const types = events.map(({ type }) => type).filter((type) => type !== 'progress');
    expect(types.filter((type) => type === 'blob')).toHaveLength(3);
    expect(types.at(0)).toBe('plan');
    expect(types.slice(-2)).not.toContain('blob');
    for (const { progress } of events.filter(({ type }) => type === 'progress')) {
      expect(progress.doneBytes).toBeLessThanOrEqual(progress.totalBytes);
    }
    const { digest } = events.find(({ type }) => type === 'tag');
    expect(await readFile(folder('digest'), 'utf8')).toBe(`${digest}\n`);
  });

  test('a dry run sends nothing and needs no copy, wherever it would go', async () => {
    const registry = await openRegistry();
    const bytes = await dockerArchive();
    for (const to of [
      ['--to', `${registry.name}/team/app:1`],
      ['--registry-url', registry.url],
    ]) {
      const result = await piped(bytes, [...to, '--dry-run']);
      expect(result.totals).toMatchObject({ blobs: 3, uploaded: 0, tags: 0 });
    }
    expect(registry.bytesIn()).toBe(0);
  });
});

describe('what needs a copy first', () => {
  test.each<[string, string[]]>([
    ['--spool', ['--to', 'REGISTRY/team/app:1', '--spool']],
    ['names that the archive has', ['--registry-url', 'REGISTRY']],
    ['two repositories', ['--to', 'REGISTRY/team/app:1', '--to', 'REGISTRY/team/other:1']],
    ['one image of several', ['--to', 'REGISTRY/team/app:1', '--image', '@0']],
  ])('%s', async (_, argv) => {
    const registry = await openRegistry();
    const at = argv.map((word) => word.replace('REGISTRY', registry.name));
    const bytes = await dockerArchive();
    const refused = ended(74, await pipe(bytes, [...at, '--json'])).json();
    expect(refused.error).toMatchObject({ code: 'IO_FAILED' });
    expect(registry.bytesIn()).toBe(0);
    await mkdir(folder('tmp'));
    await piped(bytes, at, { env: { TMPDIR: folder('tmp') } });
    expect(await readdir(folder('tmp'))).toEqual([]);
    await checked(registry, at[0] === '--to' ? 'team/app' : 'team/stored');
  });

  test('a large file that is no layer is copied, the layers are not', async () => {
    const registry = await openRegistry();
    const bytes = await dockerArchive();
    const { pack } = await import('tar-stream');
    const { buffer } = await import('node:stream/consumers');
    const film = pack();
    film.entry({ name: 'film' }, Buffer.alloc(9 * MIB, 'film'));
    // Without the end of it another tar may follow.
    const head = (await bufferOf(film)).subarray(0, 512 + 9 * MIB);
    const whole = Buffer.concat([head, bytes]);
    const to = ['--to', `${registry.name}/team/app:1`];
    expect(ended(74, await pipe(whole, [...to, '--json'])).json().error.code).toBe('IO_FAILED');
    await piped(whole, to, { env: { TMPDIR: folder() } });
    await checked(registry);

    function bufferOf(tar: ReturnType<typeof pack>): Promise<Buffer> {
      tar.finalize();
      return buffer(tar);
    }
  });
});

describe('when it goes wrong in mid-pipe', () => {
  /** Pushes through a front that lets the test answer the nth chunk. */
  async function pushedThrough(
    nth: number,
    answer: (...given: Parameters<Parameters<typeof openFront>[1]>) => boolean,
  ): Promise<{ registry: Registry; run: RunResult; seen: readonly string[] }> {
    const registry = await openRegistry();
    let chunks = 0;
    const front = await openFront(registry, (request, response) =>
      request.method === 'PATCH' && ++chunks === nth ? answer(request, response) : false,
    );
    const run = await pipe(await dockerArchive(), [
      '--to',
      `${front.host}/team/app:1`,
      '--json',
      '--chunk-size',
      '3MiB',
    ]);
    return { registry, run, seen: front.seen };
  }

  const counted = (seen: readonly string[], method: string): number =>
    seen.filter((line) => line.startsWith(method) && line.includes('/uploads/')).length;

  test.each([1, 2, 3])('a connection that breaks under chunk %i is gone on after', async (nth) => {
    const { registry, run, seen } = await pushedThrough(nth, (request) => {
      request.once('data', () => request.socket.destroy());
      return true;
    });
    expect(ended(0, run).json().result.totals).toMatchObject({ uploaded: 3 });
    // Nothing was there to go on after under the first.
    expect(counted(seen, 'POST')).toBe(nth === 1 ? 4 : 3);
    await checked(registry);
    expect(registry.openUploads()).toBe(0);
  });

  test.each([1, 2])('what a registry fails to take of chunk %i is sent again', async (nth) => {
    const { registry, run, seen } = await pushedThrough(nth, (_, response) =>
      refuse(response, 503, 'UNAVAILABLE'),
    );
    ended(0, run);
    await checked(registry);
    expect(counted(seen, 'POST')).toBe(3);
    // Four chunks, one of them twice; and the small layer.
    expect(counted(seen, 'PATCH')).toBe(6);
  });

  test('a chunk that is too large is cut into smaller ones', async () => {
    const { registry, run } = await pushedThrough(2, (_, response) => refuse(response, 413, 'TOO_LARGE'));
    ended(0, run);
    await checked(registry);
  });

  test('a session that dies with the first chunk is begun anew', async () => {
    const { registry, run } = await pushedThrough(1, (_, response) =>
      refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN'),
    );
    ended(0, run);
    await checked(registry);
  });

  test('a session that dies later ends it: cancelled, without a manifest, with the way around', async () => {
    const { registry, run, seen } = await pushedThrough(2, (_, response) =>
      refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN'),
    );
    const { error, exitCode } = run.json();
    expect(error.hints.join()).toContain('--spool');
    expect([exitCode, run.exitCode]).toEqual([76, 76]);
    expect(seen.filter((line) => /^DELETE .*uploads/.test(line))).toHaveLength(1);
    expect(registry.openUploads()).toBe(0);
    expect(requestsOf(registry, 'PUT', '/manifests/')).toBe(0);
  });

  test('an interrupt cancels what is open', async () => {
    const registry = await openRegistry();
    let interrupt = (): void => {};
    let chunks = 0;
    const front = await openFront(registry, ({ method }) => {
      if (method !== 'PATCH' || ++chunks < 2) return false;
      interrupt();
      return true;
    });
    const run = await pipe(await dockerArchive(), ['--to', `${front.host}/team/app:1`, '--json'], {
      whileRunning: async (signal) => {
        await new Promise<void>((resolve) => {
          interrupt = resolve;
        });
        signal('SIGINT');
      },
    });
    expect(ended(130, run).json()).toMatchObject({ interrupted: true });
    expect(registry.openUploads()).toBe(0);
  });
});

describe('an archive that is not what it promises', () => {
  const [layer] = [() => app.layers[0]?.size ?? 0];

  test.each<[string, 'classic' | 'docker25', (bytes: Buffer) => Buffer, string]>([
    [
      'that ends in the middle of a layer',
      'classic',
      (bytes) => bytes.subarray(0, layer() / 2),
      'ARCHIVE_INVALID',
    ],
    [
      'that ends in the middle of a layer',
      'docker25',
      (bytes) => bytes.subarray(0, layer() / 2),
      'ARCHIVE_INVALID',
    ],
    ['with another layer', 'classic', damaged, 'DIGEST_MISMATCH'],
    ['with another layer', 'docker25', damaged, 'DIGEST_MISMATCH'],
    [
      'without its manifest',
      'classic',
      (bytes) =>
        Buffer.from(bytes.toString('latin1').replaceAll('manifest.json', 'manifest.jso\0'), 'latin1'),
      'ARCHIVE_INVALID',
    ],
  ])('%s (%s)', async (_, layout, change, code) => {
    const registry = await openRegistry();
    const bytes = change(await dockerArchive(layout));
    const run = await pipe(bytes, ['--to', `${registry.name}/team/app:1`, '--json']);
    expect(ended(65, run).json().error).toMatchObject({ code });
    expect(requestsOf(registry, 'PUT', '/manifests/')).toBe(0);
    expect(registry.openUploads()).toBe(0);
  });

  test('without a layer', async () => {
    const registry = await openRegistry();
    const bytes = Buffer.from(await dockerArchive());
    // The small layer's name, in its header and so not where the manifest names it.
    const at = bytes.lastIndexOf('/layer.tar\0');
    bytes.write('/layer.ta_', at);
    const start = at - (at % 512);
    bytes.write('        ', start + 148);
    const sum = bytes.subarray(start, start + 512).reduce((total, byte) => total + byte, 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148);
    const run = await pipe(bytes, ['--to', `${registry.name}/team/app:1`, '--json']);
    expect(ended(65, run).json().error.message).toContain('is not in the archive');
    expect(requestsOf(registry, 'PUT', '/manifests/')).toBe(0);
  });

  function damaged(sound: Buffer): Buffer {
    const bytes = Buffer.from(sound);
    const at = bytes.indexOf('file-0.bin') + 2 * MIB;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    return bytes;
  }
});

describe('registries', () => {
  test.each(PERSONA_NAMES)('%s takes what passes', async (name) => {
    const persona: Persona = PERSONAS[name];
    const registry = await openRegistry({ persona: name, repositories: ['team/app'] });
    await mkdir(folder('tmp'));
    // Who takes no chunks gets the layer from a copy.
    const env = persona.chunks === 'refused' ? { TMPDIR: folder('tmp') } : {};
    const result = await piped(await dockerArchive(), ['--to', `${registry.name}/team/app:1`], { env });
    expect(result.totals).toMatchObject({ uploaded: 3 });
    await checked(registry);
    expect(registry.openUploads()).toBe(0);
    expect(await readdir(folder('tmp'))).toEqual([]);
  });

  test('stored layers go in chunks too, and keep their digests', async () => {
    for (const compression of ['gzip', 'zstd'] satisfies Compression[]) {
      const registry = await openRegistry({ persona: 'ghcr' });
      await writeOciArchive(folder('a.tar'), [app], { compression });
      const result = await piped(await readFile(folder('a.tar')), ['--to', `${registry.name}/team/app:1`]);
      expect(result.images[0]?.digest).toBe((await treeOf(app, compression)).root.digest);
      expect(requestsOf(registry, 'PATCH', '/uploads/')).toBeGreaterThan(2);
    }
  });
});
