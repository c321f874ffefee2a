import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startTestbed, type TestbedOptions } from '../../../src/testbed/index.ts';
import {
  beginUpload,
  call,
  descriptorOf,
  openTestbed,
  pushBlob,
  pushImage,
  putManifest,
  temporaryFolder,
} from '../../support/testbed-client.ts';

const JOURNAL = 'testbed.ndjson';
const fileOf = (dir: string, digest: string): string => join(dir, 'blobs', ...digest.split(':'));

describe('folder', () => {
  it('survives a restart: blobs, manifests, tags, referrers and what was deleted', async () => {
    const dir = await temporaryFolder();
    const first = await startTestbed({ dir });
    const image = await pushImage(first, 'team/app', '1');
    await pushImage(first, 'team/app', '2');
    await putManifest(first, 'team/app', '2', image.text);
    const signature = await pushImage(first, 'team/app', 'signed', { subject: descriptorOf(image) });
    await pushBlob(first, 'team/other', 'a blob');
    const deleted = await pushImage(first, 'team/app', 'gone');
    await call(first, 'DELETE', `/v2/team/app/manifests/${deleted.digest}`);
    await call(first, 'DELETE', `/v2/team/app/blobs/${deleted.layer}`);
    const upload = await beginUpload(first, 'team/app');
    await first.close();

    const second = await openTestbed({ dir });
    expect((await call(second, 'GET', '/v2/_catalog')).json.repositories).toEqual(['team/app', 'team/other']);
    expect((await call(second, 'GET', '/v2/team/app/tags/list')).json.tags).toEqual(['1', '2', 'signed']);
    for (const tag of ['1', '2']) {
      expect((await call(second, 'GET', `/v2/team/app/manifests/${tag}`)).body.toString()).toBe(image.text);
    }
    expect((await call(second, 'GET', `/v2/team/app/blobs/${image.layer}`)).body).toHaveLength(1000);
    const referrers = await call(second, 'GET', `/v2/team/app/referrers/${image.digest}`);
    expect(referrers.json.manifests).toMatchObject([{ digest: signature.digest }]);
    expect((await call(second, 'GET', `/v2/team/app/manifests/${deleted.digest}`)).status).toBe(404);
    expect((await call(second, 'GET', `/v2/team/app/blobs/${deleted.layer}`)).status).toBe(404);
    expect((await call(second, 'GET', upload)).status).toBe(404);
  });

  it('keeps content once, and removes it when the last repository lets go', async () => {
    const dir = await temporaryFolder();
    const testbed = await openTestbed({ dir });
    const digest = await pushBlob(testbed, 'a', 'shared');
    await call(testbed, 'POST', `/v2/b/blobs/uploads/?mount=${digest}&from=a`);
    expect(await readdir(join(dir, 'blobs', 'sha256'))).toHaveLength(1);
    await call(testbed, 'DELETE', `/v2/a/blobs/${digest}`);
    expect((await stat(fileOf(dir, digest))).size).toBe(6);
    await call(testbed, 'DELETE', `/v2/b/blobs/${digest}`);
    expect(await readdir(join(dir, 'blobs', 'sha256'))).toEqual([]);
  });

  it('shortens its journal when it opens again', async () => {
    const dir = await temporaryFolder();
    const first = await startTestbed({ dir });
    const image = await pushImage(first, 'app', '1');
    for (let turn = 0; turn < 20; turn++) {
      await putManifest(first, 'app', 'moving', image.text);
      await call(first, 'DELETE', '/v2/app/manifests/moving');
    }
    await first.close();
    await (await startTestbed({ dir })).close();
    const lines = (await readFile(join(dir, JOURNAL), 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(4);
  });

  it('opens again after a crash in the middle of a line', async () => {
    const dir = await temporaryFolder();
    const first = await startTestbed({ dir });
    await pushImage(first, 'app', '1');
    await first.close();
    await appendFile(join(dir, JOURNAL), '{"op":"tag","repository":"app","ta');
    const second = await startTestbed({ dir });
    await pushImage(second, 'app', '2');
    await second.close();
    const third = await openTestbed({ dir });
    expect((await call(third, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['1', '2']);
  });

  it('leaves out what somebody took away', async () => {
    const dir = await temporaryFolder();
    const first = await startTestbed({ dir });
    const image = await pushImage(first, 'app', '1');
    await first.close();
    await rm(fileOf(dir, image.digest));
    const second = await openTestbed({ dir });
    expect((await call(second, 'GET', '/v2/app/manifests/1')).status).toBe(404);
    expect((await call(second, 'GET', '/v2/app/tags/list')).json.tags).toEqual([]);
    expect((await call(second, 'GET', `/v2/app/blobs/${image.layer}`)).status).toBe(200);
  });

  it('answers 404, and cuts a body, when content is damaged while it runs', async () => {
    const dir = await temporaryFolder();
    const testbed = await openTestbed({ dir });
    const digest = await pushBlob(testbed, 'app', 'x'.repeat(200_000));
    await writeFile(fileOf(dir, digest), 'x'.repeat(100_000));
    await expect(call(testbed, 'GET', `/v2/app/blobs/${digest}`)).rejects.toThrow();
    await rm(fileOf(dir, digest));
    expect((await call(testbed, 'GET', `/v2/app/blobs/${digest}`)).status).toBe(404);
  });

  it.each([
    ['no JSON', 'nonsense'],
    ['an unknown change', '{"op":"format-disk"}'],
    ['a path for a repository', '{"op":"blob","repository":"../../etc","digest":"sha256:0","size":1}'],
  ])('refuses a journal that is damaged in the middle: %s', async (_what, line) => {
    const dir = await temporaryFolder();
    const first = await startTestbed({ dir });
    await pushImage(first, 'app', '1');
    await first.close();
    const journal = await readFile(join(dir, JOURNAL), 'utf8');
    await writeFile(join(dir, JOURNAL), `${line}\n${journal}`);
    await expect(startTestbed({ dir })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    expect(await readFile(join(dir, JOURNAL), 'utf8')).toBe(`${line}\n${journal}`);
  });

  it('refuses a folder of somebody else, and leaves it alone', async () => {
    const dir = await temporaryFolder();
    await mkdir(join(dir, 'blobs', 'sha256'), { recursive: true });
    await writeFile(join(dir, 'index.json'), '{}');
    await expect(startTestbed({ dir })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect((await readdir(dir)).toSorted()).toEqual(['blobs', 'index.json']);
  });

  it('refuses a folder in use, and takes over the lock of a process that is gone', async () => {
    const dir = await temporaryFolder();
    const options: TestbedOptions = { dir };
    await (await startTestbed(options)).close();
    const lock = join(dir, 'testbed.lock');
    // Process 1 is always there.
    await writeFile(lock, '1');
    await expect(startTestbed(options)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await readFile(lock, 'utf8')).toBe('1');
    await writeFile(lock, '99999999');
    await (await startTestbed(options)).close();
    expect(await readdir(dir)).not.toContain('testbed.lock');
  });

  it('refuses a file, and frees what it took when the port cannot be had', async () => {
    const dir = await temporaryFolder();
    await writeFile(join(dir, 'file'), '');
    await expect(startTestbed({ dir: join(dir, 'file') })).rejects.toMatchObject({ code: 'IO_FAILED' });
    const other = await openTestbed();
    const options = { dir: join(dir, 'new'), port: other.port };
    await expect(startTestbed(options)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await readdir(join(dir, 'new'))).not.toContain('testbed.lock');
  });
});
