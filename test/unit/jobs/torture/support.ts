import { onTestFinished } from 'vitest';
import { silentLog, systemClock } from '../../../../src/base/index.ts';
import type { JobContext } from '../../../../src/jobs/context.ts';
import { silentProgress } from '../../../../src/progress/events.ts';
import { connectRegistry, parseTarget, type RegistryClient } from '../../../../src/registry/index.ts';

/** A client without retries: what they hide is what the torture jobs look for. */
export async function connect(url: string): Promise<RegistryClient> {
  const client = await connectRegistry({
    target: parseTarget(url),
    credentials: async () => undefined,
    timeoutMs: 60_000,
    retries: 0,
    userAgent: 'regops-test',
    log: silentLog,
    clock: systemClock,
  });
  onTestFinished(() => client.close());
  return client;
}

/** What a job is given. */
export function contextFor(client: RegistryClient, signal = new AbortController().signal): JobContext {
  return {
    signal,
    clock: systemClock,
    progress: silentProgress,
    log: silentLog,
    registry: async () => client,
  };
}
