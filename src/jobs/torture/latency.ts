import type { RegistryClient } from '../../registry/index.ts';

/** The same client, and the longest that any reply through it took to begin, in milliseconds. */
export function timedClient(client: RegistryClient): {
  readonly client: RegistryClient;
  worstMs(): number;
} {
  let worst = 0;
  return {
    client: {
      ...client,
      async request(request) {
        const begun = client.clock.now();
        try {
          return await client.request(request);
        } finally {
          worst = Math.max(worst, client.clock.now() - begun);
        }
      },
    },
    worstMs: () => worst,
  };
}

/** A moment as reports write it. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
