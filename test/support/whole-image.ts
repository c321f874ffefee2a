import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { Testbed } from '../../src/testbed/index.ts';
import { call, digestOf } from './testbed-client.ts';

/**
 * Looks through an image of a registry by a client of the tests' own: the manifest's blobs are what they are called,
 * and unpacked what the configuration says (gzip and plain layers).
 *
 * @param reference `HOST/REPOSITORY:TAG`
 */
export async function expectWhole(registry: Pick<Testbed, 'url'>, reference: string): Promise<void> {
  const [, repository, tag] = /^[^/]+\/(.+):([^:]+)$/.exec(reference) ?? [];
  const { json: manifest } = await call(registry, 'GET', `/v2/${repository}/manifests/${tag}`);
  const config = await call(registry, 'GET', `/v2/${repository}/blobs/${manifest.config.digest}`);
  expect(digestOf(config.body)).toBe(manifest.config.digest);
  const diffIds = JSON.parse(config.body.toString()).rootfs.diff_ids;
  for (const [at, layer] of manifest.layers.entries()) {
    const { body } = await call(registry, 'GET', `/v2/${repository}/blobs/${layer.digest}`);
    expect(digestOf(body)).toBe(layer.digest);
    expect(digestOf(/gzip$/.test(layer.mediaType) ? gunzipSync(body) : body)).toBe(diffIds[at]);
  }
}
