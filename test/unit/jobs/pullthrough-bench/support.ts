import { onTestFinished } from 'vitest';
import type { Credential } from '../../../../src/auth/index.ts';
import { systemClock } from '../../../../src/base/index.ts';
import {
  type BenchSample,
  type PullthroughBenchContext,
  type PullthroughBenchOptions,
  type PullthroughBenchResult,
  pullthroughBench,
  type Tally,
} from '../../../../src/jobs/pullthrough-bench/index.ts';
import { silentProgress } from '../../../../src/progress/events.ts';
import { connectRegistry, parseTarget, type RegistryClient } from '../../../../src/registry/index.ts';
import {
  type RequestLine,
  startTestbed,
  type Testbed,
  type TestbedOptions,
} from '../../../../src/testbed/index.ts';
import { type Image, pushImage } from '../../../support/testbed-client.ts';
import { upstreamOf } from '../../../support/testbed-upstream.ts';
import { recordingLog } from '../support.ts';

/** A cache before an upstream, both testbeds. */
export interface Rig {
  readonly upstream: Testbed;
  readonly cache: Testbed;
  /** Requests that the cache answered. */
  readonly lines: RequestLine[];
  readonly upstreamName: string;
}

export async function openRig(
  images: readonly string[],
  options: { readonly cache?: TestbedOptions; readonly upstream?: TestbedOptions } = {},
): Promise<Rig & { readonly pushed: ReadonlyMap<string, Image> }> {
  const upstream = await startTestbed(options.upstream ?? {});
  onTestFinished(() => upstream.close());
  const pushed = new Map<string, Image>();
  for (const name of images) {
    const [repository = '', tag = ''] = name.split(':');
    pushed.set(name, await pushImage(upstream, repository, tag));
  }
  upstream.resetTraffic();
  const lines: RequestLine[] = [];
  const upstreamName = `${upstream.host}:${upstream.port}`;
  const cache = await startTestbed({
    upstream: { ...upstreamOf(upstream), domain: upstreamName },
    onRequest: (line) => lines.push(line),
    ...options.cache,
  });
  onTestFinished(() => cache.close());
  return { upstream, cache, lines, upstreamName, pushed };
}

/** `team/app-0001:v1` and so on: so many images for each of these numbers. */
export function namesFor(patterns: readonly string[], each: number): string[] {
  return patterns.flatMap((pattern) =>
    Array.from({ length: each }, (_, at) => `team/app${at}-${pattern}:v1`),
  );
}

export async function clientOf(url: string, credential?: Credential): Promise<RegistryClient> {
  const client = await connectRegistry({
    target: parseTarget(url),
    credentials: async () => credential,
    timeoutMs: 60_000,
    retries: 0,
    userAgent: 'regops-test',
    log: recordingLog(),
    clock: systemClock,
  });
  onTestFinished(() => client.close());
  return client;
}

export interface BenchRun {
  readonly result: PullthroughBenchResult;
  readonly warnings: readonly string[];
  readonly tallies: readonly Tally[];
  readonly samples: readonly BenchSample[];
}

export const QUICK: Omit<PullthroughBenchOptions, 'cache' | 'upstream'> = {
  patterns: ['-0001', '-0002'],
  tags: 'first',
  pathStyle: 'in-path',
  scenario: 'ramp',
  iterationMs: 60_000,
  tallyMs: 100,
  pullersPerPattern: 1,
  threads: 0,
  seed: 7,
  shuffle: false,
  onError: 'continue',
  maxInFlight: 50,
  platform: { os: 'linux', architecture: 'amd64' },
  layerConcurrency: 3,
  thresholds: [],
  dryRun: false,
  herd: { clients: 5, images: 2, kill: false, probeTimeoutMs: 1000 },
};

/** Runs the bench on a rig. */
export async function bench(
  rig: { readonly cache: { readonly url: string }; readonly upstream: { readonly url: string } },
  more: Partial<PullthroughBenchOptions> = {},
  context: Partial<PullthroughBenchContext> & { readonly credential?: Credential } = {},
): Promise<BenchRun> {
  const { credential, ...given } = context;
  const clients = new Map<string, RegistryClient>();
  const [cache, upstream] = [
    await clientOf(rig.cache.url, credential),
    await clientOf(rig.upstream.url, credential),
  ];
  clients.set(cache.domain, cache).set(upstream.domain, upstream);
  const log = recordingLog();
  const tallies: Tally[] = [];
  const samples: BenchSample[] = [];
  const result = await pullthroughBench(
    { ...QUICK, cache: cache.domain, upstream: upstream.domain, ...more },
    {
      signal: new AbortController().signal,
      clock: systemClock,
      progress: silentProgress,
      log,
      registry: async (domain) => clients.get(domain) as RegistryClient,
      onTally: (tally) => tallies.push(tally),
      onSample: (sample) => samples.push(sample),
      ...given,
    },
  );
  return { result, warnings: log.warnings, tallies, samples };
}

/** GETs of manifests by tag and of blobs, as an access log has them. */
export function pullsIn(lines: readonly RequestLine[]): { manifests: string[]; blobs: string[] } {
  const of = (part: RegExp): string[] =>
    lines.filter(({ method, path }) => method === 'GET' && part.test(path)).map(({ path }) => path);
  return { manifests: of(/\/manifests\//), blobs: of(/\/blobs\//) };
}
