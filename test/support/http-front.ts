import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Testbed } from '../../src/testbed/index.ts';

/** A server before a testbed. */
export interface Front {
  readonly url: string;
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `METHOD path` of every request that came, without queries. */
  readonly seen: readonly string[];
}

/**
 * Puts a server before a testbed that passes everything on but what the test takes into its own hands:
 * for a registry that fails, refuses or stands still at a chosen moment. The end of the test closes it.
 *
 * @param take answers a request itself and gives true, or leaves it alone
 */
export async function openFront(
  testbed: Pick<Testbed, 'host' | 'port'>,
  take: (request: IncomingMessage, response: ServerResponse) => boolean,
): Promise<Front> {
  const seen: string[] = [];
  const server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url?.replace(/\?.*$/, '')}`);
    if (take(incoming, outgoing)) return;
    const { host, port } = testbed;
    const { method, url, headers } = incoming;
    const onward = request({ host, port, method, path: url, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url: `http://${host}`, host, seen };
}

/** Answers with an error as the distribution spec writes it. */
export function refuse(response: ServerResponse, status: number, code: string, message = 'refused'): true {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
  return true;
}
