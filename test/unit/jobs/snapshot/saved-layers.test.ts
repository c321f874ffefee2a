import { expect, test } from 'vitest';
import { isSavedConfig, savedLayerNames } from '../../../../src/jobs/snapshot/saved-layers.ts';
import { type Digest, parseDigest } from '../../../../src/oci/index.ts';

// As Docker 20.10.24 saved an image of three layers.
const DIFF_IDS: readonly Digest[] = [
  'sha256:0a8424f3114caf83561e3713eb65fcf0c75f70278792feb1eef7a47316a6e33c',
  'sha256:2f1acb4bbf989bd216a4fb6348f10505048ba9fc11cbbad17360290dcbf1e699',
  'sha256:523df3b18364f70ed2471e1aae2432b884898c447f3c84c0d48759459c5466ef',
].map(parseDigest);
const FOLDERS = [
  '731b6f1eba7c8e6796d17a249671d32dd0ea8034105d9d3519666217921ff2fa',
  'd80081d70570cbfd4f29319fa9a7641bf67ef57b8aa1850d86aeb5e403ab88a6',
  '24fd8361d1ce2ebfc5c37a5159a4e3ee2593e702b51d69d3a2d0867912c83603',
];

test('layers by the folders of an engine before 25, and by their digests since', () => {
  const layerOf = savedLayerNames(DIFF_IDS);
  for (const [at, diffId] of DIFF_IDS.entries()) {
    expect(layerOf(`${FOLDERS[at]}/layer.tar`)).toBe(diffId);
    expect(layerOf(`blobs/sha256/${diffId.slice(7)}`)).toBe(diffId);
  }
  for (const name of [
    'manifest.json',
    `${FOLDERS[0]}/json`,
    `${FOLDERS[0]}/VERSION`,
    `blobs/sha256/${FOLDERS[0]}`,
    'x/layer.tar',
  ]) {
    expect(layerOf(name)).toBeUndefined();
  }
});

test('an image of one layer, and of none', () => {
  expect(savedLayerNames(DIFF_IDS.slice(0, 1))(`${FOLDERS[2]}/layer.tar`)).toBe(DIFF_IDS[0]);
  expect(savedLayerNames([])(`${FOLDERS[2]}/layer.tar`)).toBeUndefined();
});

test('the configuration by the ID of the image, in both layouts', () => {
  const hex = 'ab'.repeat(32);
  expect(isSavedConfig(`${hex}.json`, `sha256:${hex}`)).toBe(true);
  expect(isSavedConfig(`blobs/sha256/${hex}`, `sha256:${hex}`)).toBe(true);
  expect(isSavedConfig(`${FOLDERS[0]}.json`, `sha256:${hex}`)).toBe(false);
  expect(isSavedConfig(`${hex}.json`, hex)).toBe(false);
});
