import { readFile } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import type { Credential } from '../../../../src/auth/index.ts';
import { systemClock } from '../../../../src/base/index.ts';
import {
  parseBlobSizes,
  type StressContext,
  type StressOptions,
} from '../../../../src/jobs/torture/stress/index.ts';
import { silentProgress } from '../../../../src/progress/events.ts';
import { connectRegistry, parseTarget, type RegistryClient } from '../../../../src/registry/index.ts';
import {
  type RequestLine,
  startTestbed,
  type Testbed,
  type TestbedOptions,
} from '../../../../src/testbed/index.ts';
import { recordingLog } from '../support.ts';

/** A testbed that keeps its access log. */
export async function loggedTestbed(
  options: TestbedOptions = {},
): Promise<{ testbed: Testbed; lines: RequestLine[] }> {
  const lines: RequestLine[] = [];
  const testbed = await startTestbed({ ...options, onRequest: (line) => lines.push(line) });
  onTestFinished(() => testbed.close());
  return { testbed, lines };
}

/** What a request of an access log was for, in the ledger's words. */
export function kindOf({ method, path }: RequestLine): string {
  const admin = /^\/api\/registry\/(state|health|sessions|repositories)(\/|$)/.exec(path)?.[1];
  if (admin) return admin === 'repositories' ? 'repository' : admin;
  if (path === '/v2/') return 'base';
  if (path === '/v2/_catalog') return 'catalog';
  if (path.endsWith('/tags/list')) return 'tags';
  const verb = { GET: 'get', PUT: 'put', DELETE: 'delete', HEAD: 'head' }[method];
  if (path.includes('/manifests/')) return `${verb}Manifest`;
  if (path.includes('/blobs/uploads/')) {
    return (
      { POST: 'startUpload', PATCH: 'patchUpload', PUT: 'putUpload', DELETE: 'cancelUpload' }[method] ??
      method
    );
  }
  return path.includes('/blobs/') ? `${verb}Blob` : `${method} ${path}`;
}

export function countKinds(lines: readonly RequestLine[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of lines) counts[kindOf(line)] = (counts[kindOf(line)] ?? 0) + 1;
  return counts;
}

export async function clientOf(
  testbed: Pick<Testbed, 'url' | 'caFile' | 'clientCertFile' | 'clientKeyFile'>,
  credential?: Credential,
): Promise<RegistryClient> {
  const read = async (path: string | undefined) => (path ? readFile(path, 'utf8') : '');
  const ca = await read(testbed.caFile);
  const cert = await read(testbed.clientCertFile);
  const client = await connectRegistry({
    target: parseTarget(testbed.url),
    credentials: async () => credential,
    tls: {
      ...(ca ? { ca: [ca] } : {}),
      ...(cert ? { clientCertificate: { cert, key: await read(testbed.clientKeyFile) } } : {}),
    },
    timeoutMs: 60_000,
    retries: 0,
    userAgent: 'regops-test',
    log: recordingLog(),
    clock: systemClock,
  });
  onTestFinished(() => client.close());
  return client;
}

export function contextOf(
  client: RegistryClient,
  more: Partial<StressContext> = {},
): StressContext & { log: ReturnType<typeof recordingLog> } {
  return {
    signal: new AbortController().signal,
    clock: systemClock,
    progress: silentProgress,
    registry: async () => client,
    ...more,
    log: recordingLog(),
  };
}

export function optionsFor(client: RegistryClient, more: Partial<StressOptions> = {}): StressOptions {
  return {
    domain: client.domain,
    workload: 'pull',
    model: { kind: 'closed', concurrentRequests: 3 },
    durationMs: Number.POSITIVE_INFINITY,
    count: 30,
    warmupMs: 0,
    threads: 0,
    seed: 7,
    thresholds: [],
    api: 'auto',
    weights: { pull: 3, push: 1, delete: 0 },
    maxImages: 100,
    platform: { os: 'linux', architecture: 'amd64' },
    layerConcurrency: 3,
    blobSizes: parseBlobSizes('100:1,5000:1'),
    upload: 'monolithic',
    chunkBytes: 2000,
    yesWrite: true,
    ...more,
  };
}
