import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { type Log, silentLog } from '../../../src/base/index.ts';
import type { Digest } from '../../../src/oci/index.ts';
import {
  connectRegistry,
  type KnownBlob,
  parseTarget,
  type RegistryClient,
} from '../../../src/registry/index.ts';
import { startTestbed, type Testbed, type TestbedOptions } from '../../../src/testbed/index.ts';
import { testClock } from '../../support/http-clock.ts';

/** A client without credentials whose waits cost no time; closed with the test. */
export async function clientOf(
  url: string,
  options: { log?: Log; retries?: number; credential?: { username: string; password: string } } = {},
): Promise<RegistryClient> {
  const client = await connectRegistry({
    target: parseTarget(url),
    credentials: async () => options.credential,
    timeoutMs: 5000,
    retries: options.retries ?? 2,
    userAgent: 'regops/test',
    log: options.log ?? silentLog,
    clock: testClock(),
  });
  onTestFinished(() => client.close());
  return client;
}

/** A testbed and a client of it, both closed with the test. */
export async function testbedClient(
  options: TestbedOptions = {},
): Promise<{ testbed: Testbed; client: RegistryClient }> {
  const testbed = await startTestbed(options);
  onTestFinished(() => testbed.close());
  return { testbed, client: await clientOf(testbed.url) };
}

export function sha256(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** A blob of random bytes, or of the given ones. */
export function blobOf(content: number | Uint8Array): KnownBlob & { readonly bytes: Buffer } {
  const bytes = typeof content === 'number' ? randomBytes(content) : Buffer.from(content);
  return {
    kind: 'known',
    bytes,
    digest: sha256(bytes),
    size: bytes.length,
    // In pieces, as a file would come.
    open: () => Readable.from(pieces(bytes), { objectMode: false }),
  };
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
}

/** The error that work ends with. */
export async function errorOf(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work;
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('it succeeded');
}
