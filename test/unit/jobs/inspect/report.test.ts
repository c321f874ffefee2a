import { describe, expect, test } from 'vitest';
import { type InspectResult, reportInspect } from '../../../../src/jobs/inspect/index.ts';
import { renderNagios, renderTable } from '../../../../src/report/index.ts';

const D = (digit: string): string => `sha256:${digit.repeat(64)}`;
const config = { digest: D('c'), mediaType: 'application/vnd.oci.image.config.v1+json', sizeBytes: 200 };

const image = {
  type: 'image',
  digest: D('1'),
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  platform: 'linux/amd64',
  sizeBytes: 2_097_152,
  created: '2024-01-01T00:00:00Z',
  config,
  settings: { entrypoint: ['/app', 'with space'], env: ['A=1', 'B=2'], labels: { vendor: 'me' } },
  layers: [{ digest: D('a'), diffId: D('b'), mediaType: 'layer', sizeBytes: 1_048_576 }],
  history: [
    { created: '2024-01-01T00:00:00Z', createdBy: 'ENV\n A=1', emptyLayer: true },
    { createdBy: 'COPY .', emptyLayer: false, sizeBytes: 1_048_576 },
    { comment: 'no size known', emptyLayer: false },
  ],
} as const;

const index = {
  type: 'index',
  digest: D('9'),
  mediaType: 'application/vnd.oci.image.index.v1+json',
  sizeBytes: 400,
  manifests: [
    { digest: D('1'), mediaType: 'm', sizeBytes: 500, platform: 'linux/amd64', manifest: image },
    { digest: D('2'), mediaType: 'm', sizeBytes: 500, platform: 'linux/arm64', present: false },
  ],
} as const;

function artifact(root: unknown, more: object = {}): InspectResult {
  return { subjects: [{ kind: 'artifact', reference: 'r.example.com/app:1', root, ...more } as never] };
}

const text = (result: InspectResult, presentation: object = {}): string =>
  renderTable(reportInspect(result, { tree: false, ...presentation }), { color: false, tty: false });

describe('lists', () => {
  test('are bare lines, summed up', () => {
    const result: InspectResult = {
      subjects: [
        { kind: 'registry', registry: 'r.example.com', repositories: ['a', 'b/c'] },
        { kind: 'repository', registry: 'r.example.com', repository: 'a', tags: ['1', '2', '3'] },
      ],
    };
    expect(reportInspect(result, { tree: false })).toEqual({
      lines: ['a', 'b/c', '1', '2', '3'],
      summary: '2 repositories in r.example.com; 3 tags in r.example.com/a',
    });
  });

  test('that are empty are no lines', () => {
    const result: InspectResult = {
      subjects: [{ kind: 'repository', registry: 'r', repository: 'a', tags: [] }],
    };
    expect(reportInspect(result, { tree: false })).toMatchObject({ lines: [], summary: '0 tags in r/a' });
  });
});

describe('an image', () => {
  test('is facts, settings, layers and history', () => {
    const shown = text(artifact(image));
    for (const part of [
      'r.example.com/app:1',
      D('1'),
      'linux/amd64',
      '2 MiB',
      '/app "with space"',
      'A=1\nB=2',
      'vendor',
      '1 MiB',
      D('a'),
      'ENV A=1',
      'no size known',
    ]) {
      expect(shown).toContain(part);
    }
    expect(shown).not.toContain('undefined');
    expect(shown).toMatch(/\?\s+no size known/);
  });

  test('of a docker-archive shows diffIDs, and says that it has no digest', () => {
    const { digest: _, mediaType: __, ...bare } = image;
    const root = { ...bare, layers: [{ diffId: D('b'), mediaType: 'layer', sizeBytes: 5 }] };
    const result = {
      subjects: [
        {
          kind: 'archive',
          path: 'a.tar',
          format: 'docker-archive',
          outerCompression: 'gzip',
          images: [
            { index: 0, names: ['app:1', 'app:latest'], root },
            { index: 1, names: [], root },
          ],
        },
      ],
    } as unknown as InspectResult;
    const shown = text(result);
    expect(shown).toContain('docker-archive, gzip');
    expect(shown).toContain('@0 app:1, app:latest');
    expect(shown).toContain('@1 (no name)');
    expect(shown).toContain(`${D('b')} (diffID)`);
  });
});

describe('an index', () => {
  test('is a table of platforms', () => {
    const lines = text(artifact(index)).split('\n');
    expect(lines.find((line) => line.includes(D('1')))).toMatch(/^linux\/amd64 /);
    expect(lines.find((line) => line.includes(D('2')))).toMatch(/^linux\/arm64 \(absent\) /);
  });

  test('is drawn as a tree, with what refers to it', () => {
    const referrers = [{ digest: D('7'), mediaType: 'm', sizeBytes: 10, artifactType: 'application/x-sig' }];
    expect(text(artifact(index, { referrers }), { tree: true })).toBe(
      [
        `r.example.com/app:1 ${D('9')}`,
        `├─ linux/amd64 ${D('1')}`,
        `│  ├─ config ${D('c')} 200 B`,
        `│  └─ layer 1 ${D('a')} 1 MiB`,
        `├─ linux/arm64 ${D('2')} (absent)`,
        `└─ referrer application/x-sig ${D('7')} 10 B`,
        '',
      ].join('\n'),
    );
  });
});

describe('on request', () => {
  test('referrers are listed, or said to be none', () => {
    const referrers = [{ digest: D('7'), mediaType: 'm', sizeBytes: 10, artifactType: 'sig' }];
    expect(text(artifact(image, { referrers }))).toMatch(new RegExp(`^sig +10 B +${D('7')}$`, 'm'));
    expect(text(artifact(image, { referrers: [] }))).toMatch(/referrers\nnone/);
  });

  test('the text alone is exact', () => {
    expect(reportInspect(artifact({ ...image, text: '{"a":1}' }), { tree: false, only: 'text' })).toEqual({
      exact: '{"a":1}',
    });
  });

  test('the digest alone is a line', () => {
    expect(text(artifact(image), { only: 'digest' })).toBe(`${D('1')}\n`);
  });
});

describe('a check', () => {
  const good = { deep: true, manifests: 3, blobs: 5, readBytes: 1024, problems: [] };
  const bad = {
    deep: false,
    manifests: 1,
    blobs: 2,
    readBytes: 0,
    problems: [
      { digest: D('a'), what: 'layer 1', problem: 'missing', message: 'layer 1 is missing' },
      { digest: D('c'), what: 'configuration', problem: 'corrupt', message: 'configuration: other bytes' },
    ],
  };

  test('that finds nothing is good', () => {
    const report = reportInspect(artifact(image, { check: good }), { tree: false });
    expect(report.checks).toEqual([
      { name: 'r.example.com/app:1', status: 'pass', message: '3 manifests, 5 blobs, 1 KiB read and hashed' },
    ]);
    expect(text(artifact(image, { check: good }))).toMatch(
      /result +good\nlooked at +3 manifests, 5 blobs, 1/,
    );
    expect(renderNagios(report, 'inspect')).toEqual({
      state: 'OK',
      line: "INSPECT OK - 1 check | 'blobs_checked'=5;;;0 'problems'=0;0;0;0 'read_bytes'=1024B;;;0\n",
    });
  });

  test('that finds problems lists them and is critical', () => {
    const report = reportInspect(artifact(image, { check: bad }), { tree: false });
    expect(report.checks).toEqual([
      { name: 'r.example.com/app:1', status: 'fail', message: '2 problems: layer 1 is missing' },
    ]);
    const shown = text(artifact(image, { check: bad }));
    expect(shown).toMatch(new RegExp(`^missing +layer 1 is missing +${D('a')}$`, 'm'));
    expect(shown).toMatch(new RegExp(`^corrupt +configuration: other bytes +${D('c')}$`, 'm'));
    expect(renderNagios(report, 'inspect')).toMatchObject({
      state: 'CRITICAL',
      line: expect.stringContaining('r.example.com/app:1: 2 problems: layer 1 is missing'),
    });
  });

  test('is part of a tree too', () => {
    expect(text(artifact(image, { check: bad }), { tree: true })).toContain('layer 1 is missing');
  });
});
