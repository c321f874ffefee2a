import { readdirSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import {
  type KnownBlob,
  openBlob,
  type StreamedBlob,
  UploadJournal,
  uploadBlob,
} from '../../../src/registry/index.ts';
import { type Exchange, type ScriptedServer, startServer } from '../../support/http-server.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { blobOf, byteCounts, clientOf, errorOf, MIB, streamOf, testbedClient } from './support.ts';
import { cancel, errors, head, patch, put, start, UPLOADS } from './upload-script.ts';

// Uploads that break off: what goes on where it stopped, in the same run or in the next, and what starts over.

const folder = useTempFolder();
const SIZE = 8 * MIB;
/** More than is sent again without asking. */
const REACHED = 5 * MIB;

const askedHowFar = (headers: Record<string, string>, status = 204, session: string = '1'): Exchange => ({
  expect: { method: 'GET', path: new RegExp(`uploads/${session}`) },
  reply: { status, headers },
});
const rest = (session = '1'): Exchange =>
  patch({ status: 202 }, `${REACHED}-${SIZE - 1}`, new RegExp(`uploads/${session}`));

/** A server that cuts the connection of the first requests with a body, when enough of it has come. */
function cutting(script: readonly Exchange[], times = 1, afterBytes = REACHED): Promise<ScriptedServer> {
  let left = times;
  return startServer(script, {
    onRequest(request) {
      if (left === 0 || (request.method !== 'PUT' && request.method !== 'PATCH')) return;
      left--;
      let got = 0;
      request.on('data', (chunk: Buffer) => {
        got += chunk.length;
        if (got >= afterBytes) request.socket.destroy();
      });
    },
  });
}

/** The same bytes as a blob that comes into being, and how often it did. */
function streamed(blob: ReturnType<typeof blobOf>, contentName?: string): StreamedBlob & { opened: number } {
  return {
    kind: 'streamed',
    opened: 0,
    contentName,
    open() {
      this.opened++;
      return { stream: streamOf(blob.bytes), result: () => ({ digest: blob.digest, size: blob.size }) };
    },
  };
}

function bodiesOf(server: ScriptedServer): number[] {
  return server.requests
    .filter(({ method }) => method === 'PATCH')
    .map(({ headers }) => Number(headers['content-length']));
}

describe('a large blob whose connection breaks', () => {
  test('goes on where the registry says it is, and its bytes are counted once', async () => {
    const blob = blobOf(SIZE);
    const server = await cutting([
      start(),
      head(blob.digest, 404),
      askedHowFar({ range: `0-${REACHED - 1}`, location: `${UPLOADS}1?_state=newer` }),
      rest('1\\?_state=newer$'),
      put({ status: 201 }, /_state=newer&digest=/),
    ]);
    const bytes = byteCounts();
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, bytes);
    expect(bytes.sum).toBe(SIZE);
    expect(bodiesOf(server)).toEqual([SIZE - REACHED]);
  });

  test('that comes into being is made again, and what is there already is skipped', async () => {
    const blob = blobOf(SIZE);
    const source = streamed(blob);
    const server = await cutting([
      start(),
      askedHowFar({ range: `0-${REACHED - 1}` }),
      rest(),
      put({ status: 201 }, new RegExp(`digest=${encodeURIComponent(blob.digest)}$`)),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', source);
    expect(source.opened).toBe(2);
  });

  test.each([
    ['is gone (404)', askedHowFar({}, 404)],
    ['was cancelled for its old state (distribution 2.8)', askedHowFar({}, 400)],
    ['says nothing of its Range', askedHowFar({})],
    ['has less than is worth it', askedHowFar({ range: '0-99' })],
  ])('starts over when the session %s', async (_what, answer) => {
    const blob = blobOf(SIZE);
    const server = await cutting([
      start(),
      head(blob.digest, 404),
      answer,
      cancel(),
      start(`${UPLOADS}2`),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    const bytes = byteCounts();
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, bytes);
    expect(bytes.sum).toBe(SIZE);
  });

  test('again and again goes in chunks in the end', async () => {
    const blob = blobOf(SIZE);
    const server = await cutting(
      [
        ...['1', '2'].flatMap((session) => [
          start(`${UPLOADS}${session}`),
          head(blob.digest, 404),
          askedHowFar({}, 404, session),
          cancel(new RegExp(`uploads/${session}`)),
        ]),
        start(`${UPLOADS}3`),
        patch({ status: 202 }, `0-${SIZE - 1}`, /uploads\/3/),
        put({ status: 201 }, /uploads\/3\?digest=/),
      ],
      2,
    );
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob);
  });

  test('gets on for as long as something moves, however few the retries', async () => {
    const blob = blobOf(SIZE);
    const steps = [5, 6, 7];
    const server = await cutting(
      [
        start(),
        { ...head(blob.digest, 404), times: 3 },
        ...steps.map((mib) => askedHowFar({ range: `0-${mib * MIB - 1}` })),
        patch({ status: 202 }, `${7 * MIB}-${SIZE - 1}`),
        put({ status: 201 }),
      ],
      3,
      MIB / 2,
    );
    const client = await clientOf(server.origin.href, { retries: 1 });
    await uploadBlob(client, 'team/app', blob, { chunkSize: SIZE - 1 });
  });
});

describe('a blob that comes into being', () => {
  test('goes in chunks in one pass, held one at a time', async () => {
    const blob = blobOf('abcdefghijklmno');
    const source = streamed(blob);
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-5'),
      patch({ status: 202, headers: { range: '0-8' } }, '6-11'),
      patch({ status: 429 }, '9-14'),
      patch({ status: 202 }, '9-14'),
      put({ status: 201 }, new RegExp(`digest=${encodeURIComponent(blob.digest)}$`)),
    ]);
    const bytes = byteCounts();
    const done = await uploadBlob(await clientOf(server.origin.href), 'team/app', source, {
      chunkSize: 6,
      ...bytes,
    });
    expect(done).toEqual({ digest: blob.digest, size: 15 });
    expect(server.requests.filter(({ method }) => method === 'PATCH').map(({ body }) => body)).toEqual([
      'abcdef',
      'ghijkl',
      'jklmno',
      'jklmno',
    ]);
    expect([source.opened, bytes.sum]).toEqual([1, 15]);
  });

  test('is made again when the registry went back further than is held', async () => {
    const blob = blobOf('abcdefghijklmno');
    const source = streamed(blob);
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-5'),
      patch({ status: 416 }, '6-11'),
      askedHowFar({ range: '0-2' }),
      patch({ status: 202 }, '3-8'),
      patch({ status: 202 }, '9-14'),
      put({ status: 201 }),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', source, { chunkSize: 6 });
    expect(server.requests.filter(({ method }) => method === 'PATCH').map(({ body }) => body)).toEqual([
      'abcdef',
      'ghijkl',
      'defghi',
      'jklmno',
    ]);
    expect(source.opened).toBe(2);
  });

  test('refused with 413 goes in chunks, and so does the next one at once', async () => {
    const [first, second] = [blobOf(18 * MIB), blobOf('again')];
    const server = await startServer([
      start(),
      patch({ status: 413, body: '<html>413 Request Entity Too Large</html>' }),
      cancel(),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, `0-${16 * MIB - 1}`, /uploads\/2/),
      patch({ status: 202 }, `${16 * MIB}-${18 * MIB - 1}`, /uploads\/2/),
      put({ status: 201 }, /uploads\/2\?digest=/),
      start(`${UPLOADS}3`),
      patch({ status: 202 }, '0-4', /uploads\/3/),
      put({ status: 201 }, /uploads\/3\?digest=/),
    ]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    await uploadBlob(client, 'team/app', streamed(first));
    await uploadBlob(client, 'team/app', streamed(second));
  });

  test('is measured first when the registry wants larger chunks than may be held', async () => {
    const blob = blobOf('hello');
    const source = streamed(blob);
    const server = await startServer([
      start(undefined, { 'oci-chunk-min-length': String(100 * MIB) }),
      patch({ status: 202 }, '0-4'),
      put({ status: 201 }),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', source, { chunkSize: 10 });
    expect(source.opened).toBe(2);
  });

  test('arrives as it was, whatever the chunks', async () => {
    const { client } = await testbedClient();
    for (const [size, chunkSize] of [
      [0, 10],
      [1, 1],
      [100_000, 33_333],
      [99_999, 33_333],
    ] as const) {
      const blob = blobOf(size);
      await uploadBlob(client, 'team/app', streamed(blob), { chunkSize });
      expect(await buffer(await openBlob(client, 'team/app', blob))).toEqual(blob.bytes);
    }
  });
});

describe('the journal', () => {
  const journal = (): UploadJournal => new UploadJournal(folder('uploads'));
  const notes = (): Promise<string[]> => readdir(folder('uploads')).catch(() => []);
  const noteFile = async (): Promise<string> => folder('uploads', (await notes())[0] ?? 'none');

  /** A run that loses its network in the middle of a blob and cannot go on. */
  async function brokenRun(blob: KnownBlob | StreamedBlob, location?: string): Promise<void> {
    const known = blob.kind === 'known' ? [head(blob.digest, 404)] : [];
    const server = await cutting([start(location), ...known]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const error = await errorOf(uploadBlob(client, 'team/app', blob, { journal: journal() }));
    expect(error.code).toBe('CONNECTION_FAILED');
    expect(error.hints[0]).toContain('goes on where');
    expect(await notes()).toHaveLength(1);
  }

  /** Lets the note be about another server: each run has a port of its own. */
  async function moveNote(
    server: ScriptedServer,
    blob: KnownBlob | StreamedBlob,
    change: object = {},
  ): Promise<void> {
    const old = await noteFile();
    const note = JSON.parse(await readFile(old, 'utf8'));
    const content = blob.kind === 'known' ? blob.digest : (blob.contentName as string);
    const name = { registry: server.origin, repository: 'team/app', content };
    const location = new URL(note.location);
    await journal()
      .entry(name)
      .note({
        stored: note.stored,
        chunkMinimum: 0,
        location: `${server.origin.origin}${location.pathname}`,
      });
    await rm(old);
    const moved = await noteFile();
    await writeFile(moved, JSON.stringify({ ...JSON.parse(await readFile(moved, 'utf8')), ...change }));
  }

  test('is private, and holds no more than the upload needs', async () => {
    await brokenRun(blobOf(SIZE));
    const path = await noteFile();
    expect([(await stat(path)).mode & 0o777, (await stat(folder('uploads'))).mode & 0o777]).toEqual([
      0o600, 0o700,
    ]);
    expect(Object.keys(JSON.parse(await readFile(path, 'utf8'))).sort()).toEqual([
      'chunkMinimum',
      'content',
      'host',
      'location',
      'pid',
      'registry',
      'repository',
      'schema',
      'stored',
      'updatedMs',
    ]);
  });

  test('lets the next run go on, and is empty then', async () => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer([
      askedHowFar({ range: `0-${REACHED - 1}` }),
      rest(),
      put({ status: 201 }),
    ]);
    await moveNote(server, blob);
    const bytes = byteCounts();
    const done = await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, {
      journal: journal(),
      ...bytes,
    });
    expect(done).toEqual({ digest: blob.digest, size: SIZE, resumedBytes: REACHED });
    expect(bytes.told).toEqual([REACHED, SIZE - REACHED]);
    expect(await notes()).toEqual([]);
  });

  test('still knows of an upload that is gone on with', async () => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    let noted = 0;
    const server = await startServer(
      [askedHowFar({ range: `0-${REACHED - 1}` }), rest(), put({ status: 201 })],
      {
        onRequest({ method }) {
          if (method === 'PATCH') noted = readdirSync(folder('uploads')).length;
        },
      },
    );
    await moveNote(server, blob);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { journal: journal() });
    expect(noted).toBe(1);
  });

  test('knows a blob that comes into being by what it is made from', async () => {
    const blob = blobOf(SIZE);
    await brokenRun(streamed(blob, 'layer gzip-1'));
    const server = await startServer([
      askedHowFar({ range: `0-${REACHED - 1}` }),
      rest(),
      put({ status: 201 }, new RegExp(`digest=${encodeURIComponent(blob.digest)}$`)),
    ]);
    const source = streamed(blob, 'layer gzip-1');
    await moveNote(server, source);
    expect(
      await uploadBlob(await clientOf(server.origin.href), 'team/app', source, { journal: journal() }),
    ).toMatchObject({ digest: blob.digest, resumedBytes: REACHED });
  });

  test('follows an upload in chunks, each with the newest Location', async () => {
    const blob = blobOf(SIZE);
    const server = await cutting(
      [
        start(),
        patch({ status: 202, headers: { location: `${UPLOADS}1?_state=b` } }, `0-${REACHED - 1}`),
        head(blob.digest, 404),
      ],
      0,
    );
    server.add(patch({ fault: 'cut' }, `${REACHED}-${SIZE - 1}`));
    const client = await clientOf(server.origin.href, { retries: 0 });
    await errorOf(uploadBlob(client, 'team/app', blob, { journal: journal(), chunkSize: REACHED }));
    expect(JSON.parse(await readFile(await noteFile(), 'utf8'))).toMatchObject({
      stored: REACHED,
      location: `${server.origin.origin}${UPLOADS}1?_state=b`,
    });
  });

  const fresh: Exchange[] = [start(`${UPLOADS}2`), put({ status: 201 }, /uploads\/2\?digest=/)];

  test.each<[string, readonly Exchange[]]>([
    ['unknown (404)', [askedHowFar({}, 404)]],
    ['without a Range', [askedHowFar({})]],
    ['of fewer bytes than were acknowledged', [askedHowFar({ range: `0-${REACHED - 2}` }), cancel()]],
    ['of more bytes than the blob has', [askedHowFar({ range: `0-${SIZE}` }), cancel()]],
  ])('starts over with a session %s', async (_what, answers) => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer([...answers, ...fresh]);
    await moveNote(server, blob, { stored: REACHED });
    const done = await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, {
      journal: journal(),
    });
    expect(done).toEqual({ digest: blob.digest, size: SIZE });
    expect(await notes()).toEqual([]);
  });

  test.each<[string, object]>([
    ['of another registry', { registry: 'http://127.0.0.1:1' }],
    ['of another repository', { repository: 'other/app' }],
    ['of another blob', { content: `sha256:${'0'.repeat(64)}` }],
    ['whose Location leads elsewhere', { location: 'http://169.254.169.254/latest/meta-data' }],
    ['whose Location is none', { location: 'nonsense' }],
    ['of last month', { updatedMs: Date.now() - 30 * 24 * 3600 * 1000 }],
    ['of tomorrow', { updatedMs: Date.now() + 24 * 3600 * 1000 }],
    ['of another shape', { schema: 'regops.upload/9' }],
    ['with a number that is none', { stored: -1 }],
  ])('does not believe a note %s', async (_what, change) => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer(fresh);
    await moveNote(server, blob, change);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { journal: journal() });
    expect(await notes()).toEqual([]);
  });

  test.each([
    ['a process that lives', { pid: process.ppid, host: hostname() }],
    ['another machine, a moment ago', { host: 'elsewhere' }],
  ])('leaves alone what is noted by %s', async (_what, change) => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer([]);
    await moveNote(server, blob, change);
    const entry = journal().entry({ registry: server.origin, repository: 'team/app', content: blob.digest });
    expect(await entry.take()).toBeUndefined();
    expect(await notes()).toHaveLength(1);
  });

  test('gives a note to one taker only', async () => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer([]);
    await moveNote(server, blob);
    const name = { registry: server.origin, repository: 'team/app', content: blob.digest };
    const taken = await Promise.all([1, 2, 3].map(() => journal().entry(name).take()));
    expect(taken.filter((note) => note !== undefined)).toHaveLength(1);
  });

  test.each([
    ['readable by others', async (path: string) => chmod(path, 0o644)],
    ['no JSON', async (path: string) => writeFile(path, '{"schema"')],
    ['too long', async (path: string) => writeFile(path, 'x'.repeat(20_000))],
  ])('drops a file that is %s', async (_what, spoil) => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer([]);
    await moveNote(server, blob);
    await spoil(await noteFile());
    const entry = journal().entry({ registry: server.origin, repository: 'team/app', content: blob.digest });
    expect(await entry.take()).toBeUndefined();
    expect(await notes()).toEqual([]);
  });

  test('a digest that does not come out after all: the blob is sent from its first byte', async () => {
    const blob = blobOf(SIZE);
    await brokenRun(blob);
    const server = await startServer([
      askedHowFar({ range: `0-${REACHED - 1}` }),
      rest(),
      put({ status: 400, body: errors('DIGEST_INVALID') }),
      cancel(),
      ...fresh,
    ]);
    await moveNote(server, blob);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const bytes = byteCounts();
    const done = await uploadBlob(client, 'team/app', blob, { journal: journal(), ...bytes });
    expect(done).toEqual({ digest: blob.digest, size: SIZE });
    expect(bytes.sum).toBe(SIZE);
  });

  test('an abort deletes the session, and nothing is noted', async () => {
    const abort = new AbortController();
    const server = await startServer([start(), cancel()], {
      onRequest(request) {
        if (request.method !== 'PUT') return;
        let got = 0;
        request.on('data', (chunk: Buffer) => {
          got += chunk.length;
          if (got >= REACHED) setImmediate(() => abort.abort());
        });
      },
    });
    const work = uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(64 * MIB), {
      signal: abort.signal,
      journal: journal(),
    });
    expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
    expect(server.requests.at(-1)?.method).toBe('DELETE');
    expect(await notes()).toEqual([]);
  });

  test('an upload at another origin, whose Location is signed, is never noted', async () => {
    const blob = blobOf(SIZE);
    const other = await cutting([cancel(/store/)], 1);
    const server = await startServer([
      start(`${other.origin.origin}/store?sig=s3cret`),
      head(blob.digest, 404),
    ]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const error = await errorOf(uploadBlob(client, 'team/app', blob, { journal: journal() }));
    expect(error.code).toBe('CONNECTION_FAILED');
    expect(await notes()).toEqual([]);
  });

  test('that cannot be written is a warning, once, and no failure', async () => {
    await writeFile(folder('uploads'), 'a file');
    const warnings: string[] = [];
    const log = { warn: (text: string) => void warnings.push(text), info() {}, trace() {} };
    const { client } = await testbedClient();
    const broken = new UploadJournal(folder('uploads'), { log });
    for (const blob of [blobOf(SIZE), blobOf(SIZE)])
      await uploadBlob(client, 'team/app', blob, { journal: broken });
    expect(warnings).toHaveLength(1);
  });

  test('forgets what nobody came back for', async () => {
    await mkdir(folder('uploads'));
    const names = ['0', '1'].map((digit) => `${digit.repeat(64)}.json`);
    for (const name of names) await writeFile(folder('uploads', name), '{}', { mode: 0o600 });
    const old = new Date(Date.now() - 8 * 24 * 3600 * 1000);
    await utimes(folder('uploads', names[0] as string), old, old);
    await writeFile(folder('uploads', 'of-somebody-else'), '');
    const { client } = await testbedClient();
    await uploadBlob(client, 'team/app', blobOf(SIZE), { journal: journal() });
    expect((await notes()).sort()).toEqual([names[1], 'of-somebody-else']);
  });

  test('small blobs are not noted', async () => {
    const { client } = await testbedClient();
    await uploadBlob(client, 'team/app', blobOf(3 * MIB), { journal: journal() });
    expect(await notes()).toEqual([]);
  });
});
