import { describe, expect, test } from 'vitest';
import { openFront, refuse } from '../support/http-front.ts';
import { runCommand } from '../support/run-command.ts';
import { call, type Image, prepareImage, pushImage, putManifest } from '../support/testbed-client.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const remove = (argv: readonly string[]) => runCommand('delete', argv);

/** One image under these tags. */
async function tagged(registry: Registry, ...tags: string[]): Promise<Image> {
  const image = await prepareImage(registry, 'app');
  for (const tag of tags) await putManifest(registry, 'app', tag, image.text);
  return image;
}

async function isThere(registry: Registry, selector: string): Promise<boolean> {
  return (await call(registry, 'HEAD', `/v2/app/manifests/${selector}`)).status === 200;
}

/** A registry that deletes by digest alone, as distribution 2.8 does. */
function byDigestOnly(registry: Registry) {
  return openFront(registry, (request, response) =>
    request.method === 'DELETE' && !request.url?.includes('sha256:')
      ? refuse(response, 405, 'UNSUPPORTED')
      : false,
  );
}

describe.each([
  ['that deletes tags', async (registry: Registry) => registry.name],
  ['that deletes by digest alone', async (registry: Registry) => (await byDigestOnly(registry)).host],
])('from a registry %s', (_, nameFor) => {
  test('a tag goes, its siblings and the image stay', async () => {
    const registry = await openRegistry();
    const image = await tagged(registry, '1', '2', '3');
    const reference = `${await nameFor(registry)}/app:2`;
    const run = ended(0, await remove([reference, '--json']));
    expect(run.json().result).toEqual({
      deleted: [
        { reference, digest: image.digest, removedTags: ['2'], keptTags: ['1', '3'], manifestDeleted: false },
      ],
    });
    expect(await Promise.all(['1', '2', '3', image.digest].map((one) => isThere(registry, one)))).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  test('--all-tags takes the image with every tag', async () => {
    const registry = await openRegistry();
    const image = await tagged(registry, '1', '2');
    await pushImage(registry, 'app', 'other');
    const reference = `${await nameFor(registry)}/app:1`;
    const run = ended(0, await remove([reference, '--all-tags']));
    expect(run.stdout).toBe(`deleted ${reference}: manifest ${image.digest} with its tags 1, 2\n`);
    expect(await Promise.all(['1', '2', image.digest, 'other'].map((one) => isThere(registry, one)))).toEqual(
      [false, false, false, true],
    );
  });

  test('an image that tags point at is not deleted by digest', async () => {
    const registry = await openRegistry();
    const image = await tagged(registry, '1', '2');
    const reference = `${await nameFor(registry)}/app@${image.digest}`;
    const run = ended(77, await remove([reference, '--json']));
    expect(run.json()).toMatchObject({
      result: { deleted: [] },
      error: { code: 'TAG_SHARED', hints: [expect.stringContaining('--all-tags')] },
    });
    expect(await isThere(registry, '1')).toBe(true);
    ended(0, await remove([reference, '--all-tags']));
    expect(await isThere(registry, image.digest)).toBe(false);
  });
});

test('several go in turn, and the first that fails ends it with what is gone so far', async () => {
  const registry = await openRegistry();
  await tagged(registry, '1', '2', '3');
  const names = ['1', 'none', '3'].map((tag) => `${registry.name}/app:${tag}`);
  const run = ended(66, await remove([...names, '--json']));
  expect(run.json()).toMatchObject({
    ok: false,
    result: { deleted: [{ reference: names[0] }] },
    error: { code: 'MANIFEST_NOT_FOUND', message: `delete of ${names[1]}: there is no such manifest` },
  });
  expect(await isThere(registry, '3')).toBe(true);

  const text = ended(66, await remove([`${registry.name}/app:3`, `${registry.name}/app:none`]));
  expect(text.stdout).toMatch(new RegExp(`^deleted ${registry.name}/app:3; sha256:.* stays under 2\n$`));
  expect(text.stderr).toContain('error: delete of');
});

test('a reference without a registry belongs to --registry-url, one without a tag means latest', async () => {
  const registry = await openRegistry();
  await tagged(registry, 'latest', '1');
  ended(0, await remove(['--registry-url', registry.url, 'app']));
  expect([await isThere(registry, 'latest'), await isThere(registry, '1')]).toEqual([false, true]);
});

test('a registry that does not delete is said to be one', async () => {
  const registry = await openRegistry();
  await tagged(registry, '1');
  const front = await openFront(registry, (request, response) =>
    request.method === 'DELETE' ? refuse(response, 405, 'UNSUPPORTED') : false,
  );
  const run = ended(76, await remove([`${front.host}/app:1`, '--json']));
  expect(run.json().error).toMatchObject({ code: 'UNSUPPORTED_BY_SERVER' });
  expect(await isThere(registry, '1')).toBe(true);
});

test('without a reference it is a usage error', async () => {
  expect(ended(64, await remove([])).stderr).toContain('missing argument REF');
});
