import { expect, test } from 'vitest';
import { type PushedImage, type PushTarResult, reportPushTar } from '../../../../src/jobs/push-tar/index.ts';

const DIGEST = `sha256:${'1'.repeat(64)}`;
const image: PushedImage = {
  archive: 'a.tar',
  index: 0,
  names: ['app:1'],
  repository: 'r.example.com/app',
  digest: DIGEST,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  platforms: ['linux/amd64'],
  sizeBytes: 10,
  tags: [
    { reference: 'r.example.com/app:1', status: 'pushed' },
    { reference: 'r.example.com/app:2', status: 'exists' },
    { reference: 'r.example.com/app:3', status: 'planned' },
  ],
  manifests: [],
  blobs: [],
};
const totals = {
  images: 1,
  tags: 2,
  blobs: 4,
  uploaded: 1,
  mounted: 1,
  existing: 2,
  sentBytes: 2048,
  durationMs: 1000,
};
const result = (more: Partial<PushTarResult> = {}): PushTarResult => ({
  dryRun: false,
  images: [image],
  totals,
  ...more,
});

test('a line for every tag that is in place; what an error kept from being done is none', () => {
  expect(reportPushTar(result())).toEqual({
    lines: [`r.example.com/app:1@${DIGEST}`, `r.example.com/app:2@${DIGEST}`],
    summary: '2 tags, 4 blobs: 1 uploaded, 1 mounted, 2 there already; sent 2 KiB in 1.0s at 2 KiB/s',
  });
});

test('nothing sent has no rate', () => {
  const { summary } = reportPushTar(result({ totals: { ...totals, sentBytes: 0, durationMs: 0 } }));
  expect(summary).toBe('2 tags, 4 blobs: 1 uploaded, 1 mounted, 2 there already; sent 0 B in 0.00s');
});

test('a dry run names what would be, with the digest where it is known', () => {
  const { digest: _, ...unknown } = image;
  expect(reportPushTar(result({ dryRun: true, images: [image, unknown] }))).toEqual({
    lines: [1, 2, 3]
      .map((tag) => `r.example.com/app:${tag}@${DIGEST}`)
      .concat([1, 2, 3].map((tag) => `r.example.com/app:${tag}`)),
    summary: 'dry run: 2 of 4 blobs would be pushed, 2 are there',
  });
});

test('a reference by digest is not given the digest twice', () => {
  const reference = `r.example.com/app@${DIGEST}`;
  const pinned: PushedImage = { ...image, tags: [{ reference, status: 'pushed' }] };
  expect(reportPushTar(result({ images: [pinned] })).lines).toEqual([reference]);
});
