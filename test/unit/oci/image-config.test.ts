import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import { digestOf, LIMITS, parseImageConfig } from '../../../src/oci/index.ts';

const config = {
  architecture: 'amd64',
  os: 'linux',
  created: '2026-01-02T03:04:05Z',
  config: {
    Env: ['PATH=/bin'],
    Cmd: ['/bin/true'],
    Labels: { 'org.opencontainers.image.title': 'true' },
    ExposedPorts: { '80/tcp': {} },
  },
  rootfs: { type: 'layers', diff_ids: [digestOf('layer')] },
  history: [
    { created: '2026-01-02T03:04:05Z', created_by: 'ADD file /' },
    { created_by: 'CMD ["/bin/true"]', empty_layer: true },
  ],
};

const bytesOf = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));

function refusal(document: unknown): { code: string; message: string } {
  try {
    parseImageConfig(document instanceof Uint8Array ? document : bytesOf(document), 'app');
  } catch (error) {
    if (isRegopsError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was accepted');
}

describe('an image configuration', () => {
  test('is read', () => {
    expect(parseImageConfig(bytesOf(config))).toEqual(config);
  });

  test('as the classic builder writes it, with null for what is not set', () => {
    const nulls = {
      architecture: 'amd64',
      os: 'linux',
      created: null,
      config: {
        User: '',
        Env: null,
        Cmd: null,
        Entrypoint: null,
        Volumes: null,
        Labels: null,
        OnBuild: null,
      },
      container: 'abc',
      docker_version: '20.10',
      rootfs: { type: 'layers', diff_ids: null },
      history: null,
    };
    expect(parseImageConfig(bytesOf(nulls)).config?.Env).toBeNull();
    expect(parseImageConfig(bytesOf(nulls))).not.toHaveProperty('container');
  });

  test('may say as little as where its layers are', () => {
    expect(parseImageConfig(bytesOf({ rootfs: { type: 'layers' } })).rootfs.type).toBe('layers');
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'not JSON'],
    ['a tar', Buffer.alloc(512), 'not JSON'],
    ['null', null, 'app'],
    ['an array', [], 'app'],
    ['no rootfs', { architecture: 'amd64', os: 'linux' }, 'rootfs'],
    [
      'a bad diff_id',
      { ...config, rootfs: { type: 'layers', diff_ids: ['sha256:../x'] } },
      'rootfs.diff_ids.0',
    ],
    ['layers that are no list', { ...config, rootfs: { type: 'layers', diff_ids: {} } }, 'rootfs.diff_ids'],
    ['history that is no list', { ...config, history: 'long' }, 'history'],
    ['env that is no list', { ...config, config: { Env: 'PATH=/' } }, 'config.Env'],
    ['a label that is no string', { ...config, config: { Labels: { a: 1 } } }, 'config.Labels.a'],
  ])('%s is refused', (_what, document, reason) => {
    const { code, message } = refusal(document);
    expect(code).toBe('MANIFEST_INVALID');
    expect(message).toContain(reason);
  });

  test('a key of any length is not repeated whole', () => {
    const { message } = refusal({ ...config, config: { Labels: { ['k'.repeat(1_000_000)]: 1 } } });
    expect(message.length).toBeLessThan(400);
  });

  test('has limits', () => {
    expect(refusal(Buffer.alloc(LIMITS.configBytes + 1, 0x20)).code).toBe('MANIFEST_TOO_LARGE');
    const many = Array.from({ length: LIMITS.descriptors + 1 }, () => ({}));
    expect(refusal({ ...config, history: many }).message).toContain('history');
    expect(
      refusal({ ...config, rootfs: { type: 'layers', diff_ids: many.map(() => digestOf('x')) } }).message,
    ).toContain('diff_ids');
  });

  test('anything else is refused with a word of ours', () => {
    const field = fc.oneof(fc.constant(undefined), fc.jsonValue());
    const broken = fc
      .record({ config: field, rootfs: field, history: field, os: field })
      .map((it) => bytesOf({ ...config, ...it }));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), broken), (bytes) => {
        try {
          parseImageConfig(bytes);
        } catch (error) {
          if (!isRegopsError(error, 'MANIFEST_INVALID')) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
