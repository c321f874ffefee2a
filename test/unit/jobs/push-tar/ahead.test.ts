import { describe, expect, test } from 'vitest';
import { passLayersBy, placeAhead } from '../../../../src/jobs/push-tar/ahead.ts';
import type { PushTarOptions } from '../../../../src/jobs/push-tar/index.ts';
import { parseReference } from '../../../../src/oci/index.ts';
import { tarHeader } from '../../../support/tar-writer.ts';

const ID = 'ab'.repeat(32);

describe('the repository that layers go to before the archive has told', () => {
  const options = (given: Partial<PushTarOptions>): PushTarOptions => ({
    ...{ archives: ['-'], images: [], preserveDigests: false, concurrency: 4, dryRun: false },
    destinations: { kind: 'registry', domain: 'r.test', repository: 'team/app', tags: [] },
    ...given,
  });
  const references = (...names: string[]): Partial<PushTarOptions> => ({
    destinations: { kind: 'references', references: names.map(parseReference) },
  });

  test.each<[string, Partial<PushTarOptions>]>([
    ['one that is given', {}],
    ['of a reference', references('r.test/team/app:1')],
    ['of several tags', references('r.test/team/app:1', 'r.test/team/app:2')],
    ['for the whole of an index', { platform: 'all' }],
  ])('is %s', (_, given) => {
    expect(placeAhead(options(given))).toMatchObject({ domain: 'r.test', repository: 'team/app' });
  });

  test.each<[string, Partial<PushTarOptions>]>([
    ['names of the archive', { destinations: { kind: 'registry', domain: 'r.test', tags: ['1'] } }],
    ['two repositories', references('r.test/team/app:1', 'r.test/team/other:1')],
    ['two registries', references('r.test/team/app:1', 's.test/team/app:1')],
    ['one image of several', { images: ['@0'] }],
    ['one platform', { platform: { os: 'linux', architecture: 'amd64' } }],
    ['several archives', { archives: ['-', 'a.tar'] }],
  ])('is not known for %s', (_, given) => {
    expect(placeAhead(options(given))).toBeUndefined();
  });
});

describe('what a layer looks like', () => {
  const tar = tarHeader({ name: 'etc/passwd' });
  const gzip = Buffer.from('1f8b08000000000000ff', 'hex');
  const isLayer = async (name: string, head: Buffer): Promise<boolean> =>
    (await passLayersBy({ name, size: head.length, head, bytes: () => expect.unreachable() })) !== undefined;

  test.each([
    `${ID}/layer.tar`,
    `${ID}.tar`,
    `${ID}.tar.gz`,
    `blobs/sha256/${ID}`,
    `blobs/sha512/${ID}${ID}`,
  ])('%s', async (name) => {
    expect(await isLayer(name, tar)).toBe(true);
    expect(await isLayer(name, gzip)).toBe(true);
    expect(await isLayer(name, Buffer.from('{"schemaVersion":2}'))).toBe(false);
  });

  test.each(['var/log/all.tar', `home/${ID}.iso`, 'layer.tar', `${ID.slice(2)}.tar`])(
    'not %s',
    async (name) => {
      expect(await isLayer(name, tar)).toBe(false);
    },
  );
});
