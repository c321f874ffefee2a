import { request } from 'node:http';
import type { Testbed, Upstream, UpstreamRequest, UpstreamResponse } from '../../src/testbed/index.ts';

/** Makes a testbed the upstream of another one, over plain http, and counts what is asked of it. */
export function upstreamOf(testbed: Pick<Testbed, 'host' | 'port'>): Upstream & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    domain: `${testbed.host}:${testbed.port}`,
    asked,
    fetch({ method, path, headers, signal }: UpstreamRequest): Promise<UpstreamResponse> {
      asked.push(`${method} ${path}`);
      return new Promise((resolve, reject) => {
        const { host, port } = testbed;
        const sent = request({ host, port, method, path, headers, agent: false, ...(signal && { signal }) });
        sent.on('error', reject);
        sent.on('response', (response) => {
          const { statusCode = 0, headers: answered } = response;
          resolve({ status: statusCode, headers: answered, body: response });
        });
        sent.end();
      });
    },
  };
}
