import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import type { Credential } from '../../../src/auth/index.ts';
import { type RegopsError, silentLog } from '../../../src/base/index.ts';
import { buildManifest, type Digest, digestOf, type Manifest, MEDIA_TYPES } from '../../../src/oci/index.ts';
import {
  bytesSource,
  type ConnectOptions,
  connectRegistry,
  type KnownBlob,
  parseTarget,
  putManifest,
  type RegistryClient,
  uploadBlob,
} from '../../../src/registry/index.ts';
import { startTestbed, type Testbed, type TestbedOptions } from '../../../src/testbed/index.ts';
import { testClock } from '../../support/http-clock.ts';

export { recordingLog } from '../../support/recording-log.ts';

export const MIB = 1024 * 1024;

/** What a test may want otherwise. */
export type ClientOptions = Partial<Omit<ConnectOptions, 'target' | 'credentials'>> & {
  readonly credential?: Credential;
};

/** A client without credentials whose waits cost no time; closed with the test. */
export async function clientOf(url: string, options: ClientOptions = {}): Promise<RegistryClient> {
  const { credential, ...rest } = options;
  const client = await connectRegistry({
    target: parseTarget(url),
    credentials: async () => credential,
    timeoutMs: 60_000,
    retries: 2,
    userAgent: 'regops/test',
    log: silentLog,
    clock: testClock(),
    ...rest,
  });
  onTestFinished(() => client.close());
  return client;
}

/** A testbed and a client of it that trusts it, both closed with the test. */
export async function testbedClient(
  options: TestbedOptions = {},
  clientOptions: ClientOptions = {},
): Promise<{ testbed: Testbed; client: RegistryClient }> {
  const testbed = await startTestbed(options);
  onTestFinished(() => testbed.close());
  const tls = testbed.caFile === undefined ? {} : { tls: { ca: [await readFile(testbed.caFile, 'utf8')] } };
  return { testbed, client: await clientOf(testbed.url, { ...tls, ...clientOptions }) };
}

/** Collects what `onBytes` is told. */
export function byteCounts(): {
  onBytes(bytes: number): void;
  readonly told: number[];
  readonly sum: number;
} {
  const told: number[] = [];
  return {
    told,
    onBytes: (bytes) => void told.push(bytes),
    get sum() {
      return told.reduce((total, bytes) => total + bytes, 0);
    },
  };
}

export function sha256(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** A blob of random bytes, or of the given ones. */
export function blobOf(content: number | Uint8Array | string): KnownBlob & { readonly bytes: Buffer } {
  const bytes = typeof content === 'number' ? randomBytes(content) : Buffer.from(content as Uint8Array);
  return {
    kind: 'known',
    bytes,
    digest: sha256(bytes),
    size: bytes.length,
    open: () => streamOf(bytes),
  };
}

/** Bytes in pieces, as a file would come. */
export function streamOf(bytes: Buffer): Readable {
  return Readable.from(pieces(bytes), { objectMode: false });
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
}

/** An image of nothing; `name` makes its digest its own. */
export function imageOf(name: string, extra: { subject?: Manifest; artifactType?: string } = {}): Manifest {
  const { subject, artifactType } = extra;
  return buildManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    ...(artifactType === undefined ? {} : { artifactType }),
    config: { mediaType: MEDIA_TYPES.ociEmpty, digest: digestOf(EMPTY), size: EMPTY.length },
    layers: [],
    ...(subject && {
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.bytes.length },
    }),
    annotations: { name },
  });
}

const EMPTY = Buffer.from('{}');

/** Puts a manifest made by {@link imageOf}, with all it needs, under each selector. */
export async function store(
  client: RegistryClient,
  repository: string,
  manifest: Manifest,
  ...selectors: readonly string[]
): Promise<void> {
  await uploadBlob(client, repository, bytesSource(EMPTY, digestOf(EMPTY)));
  for (const selector of selectors) await putManifest(client, repository, selector, manifest);
}

/** The error that work ends with. */
export async function errorOf(work: Promise<unknown>): Promise<RegopsError> {
  try {
    await work;
  } catch (error) {
    return error as RegopsError;
  }
  throw new Error('it succeeded');
}
