import { describe, expect, it } from 'vitest';
import {
  PERSONA_NAMES,
  type PersonaName,
  parseSynthetic,
  type Testbed,
  type TestbedOptions,
} from '../../../src/testbed/index.ts';
import {
  type Answer,
  beginUpload,
  call,
  codeOf,
  descriptorOf,
  digestOf,
  OCI_MANIFEST,
  openTestbed,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
  unknownDigest,
  withDigest,
} from '../../support/testbed-client.ts';

// Each row of the table plays what it says, seen by a bare client.

const MIB = 1024 * 1024;
const UPLOADS = '/v2/app/blobs/uploads/';

function play(persona: PersonaName, options: TestbedOptions = {}): Promise<Testbed> {
  return openTestbed({ persona, repositories: ['app', 'lib'], ...options });
}

/** Sends a chunk and gives the answer. */
function patch(testbed: Testbed, location: string, first: number, bytes: Buffer): Promise<Answer> {
  const headers = { 'content-range': `${first}-${first + bytes.length - 1}` };
  return call(testbed, 'PATCH', location, { headers, body: bytes });
}

async function statusOf(testbed: Testbed, method: string, path: string): Promise<number> {
  return (await call(testbed, method, path)).status;
}

/** Where an absolute Location is on its registry. */
function pathOf(location: string | undefined): string {
  const { pathname, search } = new URL(location ?? '', 'http://here');
  return pathname + search;
}

describe('Docker Hub', () => {
  it('shows no catalog, and mounts nothing of another registry', async () => {
    const testbed = await play('hub');
    expect(await statusOf(testbed, 'GET', '/v2/_catalog')).toBe(401);
    const mount = `${UPLOADS}?mount=${unknownDigest()}&from=lib&origin=quay.io`;
    const answer = await call(testbed, 'POST', mount);
    expect([answer.status, codeOf(answer)]).toEqual([400, 'NAME_INVALID']);
  });

  it('limits abuse by text and pulls by JSON; tokens are good for five minutes', async () => {
    let now = 1_000_000;
    const clock = { now: () => now, sleep: async () => {} };
    const testbed = await play('hub', { tokenAuth: true, clock });
    const { json } = await call(testbed, 'GET', '/token?service=regops-testbed&scope=repository:app:pull');
    expect(json.expires_in).toBe(300);
    const headers = { authorization: `Bearer ${json.token}` };
    testbed.faults.add('status=429');
    const abuse = await call(testbed, 'GET', '/v2/', { headers });
    expect([abuse.status, abuse.headers['content-type'], abuse.headers['retry-after']]).toEqual([
      429,
      'text/plain',
      '60',
    ]);
    const pull = await call(testbed, 'GET', '/v2/app/manifests/v1', { headers });
    expect([pull.status, codeOf(pull), pull.headers['retry-after']]).toEqual([
      429,
      'TOOMANYREQUESTS',
      undefined,
    ]);
    now += 300_000;
    expect((await call(testbed, 'GET', '/v2/app/manifests/v1', { headers })).status).toBe(401);
  });
});

describe('Amazon ECR', () => {
  it('answers PATCH with 201 and a Range that stands still; parts but the last are 5 MiB', async () => {
    const testbed = await play('ecr');
    const bytes = Buffer.alloc(10 * MIB + 7, 1);
    const location = await beginUpload(testbed, 'app');
    const answers = [
      await patch(testbed, location, 0, bytes.subarray(0, 5 * MIB)),
      await patch(testbed, location, 5 * MIB, bytes.subarray(5 * MIB, 10 * MIB)),
      await patch(testbed, location, 10 * MIB, bytes.subarray(10 * MIB)),
    ];
    const range = `0-${5 * MIB - 1}`;
    expect(answers.map(({ status, headers }) => [status, headers['range']])).toEqual(
      Array(3).fill([201, range]),
    );
    expect((await call(testbed, 'PUT', withDigest(location, digestOf(bytes)))).status).toBe(201);

    const other = await beginUpload(testbed, 'app');
    await patch(testbed, other, 0, bytes.subarray(0, 7));
    expect((await patch(testbed, other, 7, bytes.subarray(7, 14))).status).toBe(400);
  });

  it('pushes to repositories that were made beforehand alone', async () => {
    const testbed = await play('ecr');
    const answer = await call(testbed, 'POST', '/v2/other/blobs/uploads/');
    expect([answer.status, codeOf(answer)]).toEqual([404, 'NAME_UNKNOWN']);
    const put = await putManifest(testbed, 'other', 'v1', { schemaVersion: 2, mediaType: OCI_MANIFEST });
    expect(put.status).toBe(404);
  });

  it('mounts what a manifest refers to', async () => {
    const testbed = await play('ecr');
    const loose = await pushBlob(testbed, 'lib', 'loose');
    const { layer } = await pushImage(testbed, 'lib', 'v1');
    expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${loose}&from=lib`)).toBe(202);
    expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${layer}&from=lib`)).toBe(201);
  });

  it('says OCI-Subject without a referrers API, and refuses typed referrers', async () => {
    const testbed = await play('ecr');
    const image = await pushImage(testbed, 'app', 'v1');
    const subject = descriptorOf(image);
    const plain = await prepareImage(testbed, 'app', { subject });
    const put = await putManifest(testbed, 'app', 'plain', plain.text);
    expect([put.status, put.headers['oci-subject']]).toEqual([201, image.digest]);
    expect(await statusOf(testbed, 'GET', `/v2/app/referrers/${image.digest}`)).toBe(404);
    const typed = await prepareImage(testbed, 'app', { subject, artifactType: 'application/spdx+json' });
    expect((await putManifest(testbed, 'app', 'typed', typed.text)).status).toBe(405);
  });

  it('lists a thousand tags at most, and has no token service', async () => {
    const testbed = await play('ecr');
    await pushImage(testbed, 'app', 'v1');
    expect(await statusOf(testbed, 'GET', '/v2/app/tags/list?n=1000')).toBe(200);
    expect(await statusOf(testbed, 'GET', '/v2/app/tags/list?n=1001')).toBe(400);
    await expect(openTestbed({ persona: 'ecr', tokenAuth: true })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

it('Google Artifact Registry: no chunks, a challenge at /v2/ alone, mounts from anywhere', async () => {
  const testbed = await play('artifact-registry');
  const location = await beginUpload(testbed, 'app');
  expect((await patch(testbed, location, 0, Buffer.from('part'))).status).toBe(405);
  expect((await call(testbed, 'PATCH', location, { body: 'stream' })).status).toBe(202);
  const digest = await pushBlob(testbed, 'lib', 'blob');
  expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${digest}&from=elsewhere`)).toBe(201);

  const closed = await play('artifact-registry', { tokenAuth: true });
  const answers = [await call(closed, 'GET', '/v2/'), await call(closed, 'GET', '/v2/app/tags/list')];
  expect(answers.map(({ status, headers }) => [status, headers['www-authenticate'] !== undefined])).toEqual([
    [401, true],
    [401, false],
  ]);
});

it('GitHub Container Registry: chunks of 4 MiB at most, pages of tags without end', async () => {
  const testbed = await play('ghcr');
  const location = await beginUpload(testbed, 'app');
  const answer = await patch(testbed, location, 0, Buffer.alloc(4 * MIB + 1));
  expect([answer.status, answer.json.errors[0].message]).toEqual([416, 'request body too large']);
  expect(answer.headers['range']).toBeUndefined();
  expect((await patch(testbed, location, 0, Buffer.alloc(4 * MIB))).status).toBe(202);
  await pushImage(testbed, 'app', 'v1');
  const link = '</v2/app/tags/list?last=v1&n=0>; rel="next"';
  const first = await call(testbed, 'GET', '/v2/app/tags/list');
  expect([first.json.tags, first.headers['link']]).toEqual([['v1'], link]);
  const second = await call(testbed, 'GET', '/v2/app/tags/list?last=v1&n=0');
  expect([second.json.tags, second.headers['link']]).toEqual([[], link]);
});

it('Quay: no mount without from, no empty commit, no chunks, no `delete` in a scope', async () => {
  const testbed = await play('quay');
  expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${unknownDigest()}`)).toBe(400);
  const location = await beginUpload(testbed, 'app');
  expect((await call(testbed, 'PUT', withDigest(location, digestOf('')))).status).toBe(500);
  expect((await patch(testbed, location, 0, Buffer.from('x'))).status).toBe(405);
  expect((await call(testbed, 'PUT', withDigest(location, digestOf('x')), { body: 'x' })).status).toBe(201);

  const closed = await play('quay', { tokenAuth: true });
  const challenge = (await call(closed, 'DELETE', '/v2/app/manifests/v1')).headers['www-authenticate'];
  expect(challenge).toContain('scope="repository:app:*"');
  const ask = (actions: string) =>
    call(closed, 'GET', `/token?service=regops-testbed&scope=repository:app:${actions}`);
  expect([(await ask('pull,delete')).status, (await ask('*')).status]).toEqual([400, 200]);
});

it('Harbor: 401 for a mount from a project that is not there, and a manifest is missing under UNKNOWN', async () => {
  const testbed = await play('harbor');
  const digest = await pushBlob(testbed, 'lib/one', 'blob');
  expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${digest}&from=lib/one`)).toBe(201);
  expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${digest}&from=lib/two`)).toBe(202);
  expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${digest}&from=other/one`)).toBe(401);
  const missing = await call(testbed, 'GET', '/v2/lib/one/manifests/v1');
  expect([missing.status, codeOf(missing)]).toEqual([404, 'UNKNOWN']);
});

it('Azure Container Registry: no `bytes a-b/*`', async () => {
  const testbed = await play('acr');
  const location = await beginUpload(testbed, 'app');
  const headers = { 'content-range': 'bytes 0-3/*' };
  const answer = await call(testbed, 'PATCH', location, { headers, body: 'part' });
  expect(answer.status).toBe(400);
});

it('GitLab: blobs are at another origin, where credentials are not wanted', async () => {
  const testbed = await play('gitlab');
  const digest = await pushBlob(testbed, 'app', 'blob');
  const moved = await call(testbed, 'GET', `/v2/app/blobs/${digest}`);
  const there = new URL(moved.headers.location ?? '');
  expect([moved.status, there.host === new URL(testbed.url).host]).toEqual([307, false]);
  const storage = { url: there.origin };
  const path = there.pathname + there.search;
  expect((await call(storage, 'GET', path)).body.toString()).toBe('blob');
  expect((await call(storage, 'GET', path, { headers: { authorization: 'Bearer x' } })).status).toBe(400);
  expect(await statusOf(testbed, 'GET', `/v2/app/blobs/${unknownDigest()}`)).toBe(404);
  expect(await statusOf(testbed, 'HEAD', `/v2/app/blobs/${digest}`)).toBe(200);
});

it('JFrog Artifactory: 403 for what is missing by HEAD, digests among tags, shared blobs, no mount, no cancel', async () => {
  const testbed = await play('artifactory');
  const image = await pushImage(testbed, 'lib', 'v1');
  const loose = await pushBlob(testbed, 'lib', 'loose');
  expect(await statusOf(testbed, 'HEAD', '/v2/lib/manifests/v2')).toBe(403);
  expect(await statusOf(testbed, 'GET', '/v2/lib/manifests/v2')).toBe(404);
  expect((await call(testbed, 'GET', '/v2/lib/tags/list')).json.tags).toEqual([image.digest, 'v1']);
  expect(await statusOf(testbed, 'POST', `${UPLOADS}?mount=${image.layer}&from=lib`)).toBe(202);
  expect(await statusOf(testbed, 'HEAD', `/v2/app/blobs/${image.layer}`)).toBe(200);
  expect((await call(testbed, 'GET', `/v2/app/blobs/${image.layer}`)).body.length).toBe(1000);
  expect(await statusOf(testbed, 'HEAD', `/v2/app/blobs/${loose}`)).toBe(404);
  expect((await putManifest(testbed, 'app', 'v1', image.text)).status).toBe(201);
  const location = await beginUpload(testbed, 'app');
  expect(await statusOf(testbed, 'DELETE', location)).toBe(403);
});

it('Sonatype Nexus: a null among the tags', async () => {
  const testbed = await play('nexus');
  await pushImage(testbed, 'app', 'v1');
  expect((await call(testbed, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['v1', null]);
});

it('zot: the Range of the last chunk, and 416 for a PUT out of order', async () => {
  const testbed = await play('zot');
  const location = await beginUpload(testbed, 'app');
  expect((await patch(testbed, location, 0, Buffer.alloc(50))).headers['range']).toBe('0-49');
  expect((await patch(testbed, location, 50, Buffer.alloc(30))).headers['range']).toBe('0-29');
  const headers = { 'content-range': '10-19' };
  const put = await call(testbed, 'PUT', withDigest(location, unknownDigest()), {
    headers,
    body: Buffer.alloc(10),
  });
  expect(put.status).toBe(416);
});

describe.each(['distribution-2.8', 'distribution-3'] as const)('%s', (name) => {
  const isOld = name === 'distribution-2.8';

  it('has absolute Locations with a state, and no referrers API', async () => {
    const testbed = await play(name);
    const location = await beginUpload(testbed, 'app');
    expect(location.startsWith(`${testbed.url}${UPLOADS}`)).toBe(true);
    expect(location).toMatch(/\?_state=\S+/);
    const patched = await call(testbed, 'PATCH', pathOf(location), { body: 'blob' });
    expect(patched.headers.location).not.toBe(location);
    const put = await call(testbed, 'PUT', withDigest(pathOf(patched.headers.location), digestOf('blob')));
    expect([put.status, put.headers.location]).toEqual([
      201,
      `${testbed.url}/v2/app/blobs/${digestOf('blob')}`,
    ]);
    expect(await statusOf(testbed, 'GET', `/v2/app/referrers/${digestOf('blob')}`)).toBe(404);
    expect(await statusOf(testbed, 'GET', '/v2/_catalog?n=1001')).toBe(400);
  });

  it(isOld ? 'takes a stale state as the end of the upload' : 'does not look at a stale state', async () => {
    const testbed = await play(name);
    const stale = pathOf(await beginUpload(testbed, 'app'));
    const current = pathOf((await call(testbed, 'PATCH', stale, { body: 'blob' })).headers.location);
    expect(await statusOf(testbed, 'GET', stale)).toBe(isOld ? 400 : 204);
    expect(await statusOf(testbed, 'GET', current)).toBe(isOld ? 404 : 204);
  });

  it(isOld ? 'appends a chunk that was sent twice' : 'refuses a chunk that was sent twice', async () => {
    const testbed = await play(name);
    const bytes = Buffer.from('part');
    const begun = pathOf(await beginUpload(testbed, 'app'));
    const first = pathOf((await patch(testbed, begun, 0, bytes)).headers.location);
    const second = await patch(testbed, first, 0, bytes);
    expect([second.status, second.headers['range']]).toEqual(isOld ? [202, '0-7'] : [416, '0-3']);
  });

  it('appends what a PUT brings, whatever its range, and ends the upload', async () => {
    const testbed = await play(name);
    const begun = pathOf(await beginUpload(testbed, 'app'));
    const location = pathOf((await patch(testbed, begun, 0, Buffer.from('part'))).headers.location);
    const headers = { 'content-range': '0-3' };
    const put = await call(testbed, 'PUT', withDigest(location, digestOf('part')), { headers, body: 'part' });
    expect([put.status, codeOf(put)]).toEqual([400, 'DIGEST_INVALID']);
    expect(testbed.openUploads()).toBe(0);
  });

  it(isOld ? 'has no pages of tags and deletes none' : 'has pages of tags, and deletes them', async () => {
    const testbed = await play(name);
    const put = async (tag: string): Promise<void> => {
      const blob = async (text: string) => {
        const path = `${UPLOADS}?digest=${digestOf(text)}`;
        await call(testbed, 'POST', path, { body: text });
        return { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(text), size: text.length };
      };
      await putManifest(testbed, 'app', tag, {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: await blob('{}'),
        layers: [],
      });
    };
    for (const tag of ['a', 'b']) await put(tag);
    const page = (await call(testbed, 'GET', '/v2/app/tags/list?n=1')).json.tags;
    expect(page).toEqual(isOld ? ['a', 'b'] : ['a']);
    expect(await statusOf(testbed, 'DELETE', '/v2/app/manifests/a')).toBe(isOld ? 405 : 202);
  });
});

it('synthetic images have no quirks', async () => {
  const synthetic = parseSynthetic('images=1');
  await expect(openTestbed({ persona: 'hub', synthetic })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

it.each(PERSONA_NAMES)('%s goes together with faults', async (persona) => {
  const testbed = await play(persona);
  testbed.faults.add('GET manifests status=503 nth=1');
  expect(await statusOf(testbed, 'GET', '/v2/app/manifests/v1')).toBe(503);
  expect(await statusOf(testbed, 'GET', '/v2/app/manifests/v1')).toBe(404);
});
