import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** What the front answers by itself. */
export interface FrontReply {
  readonly status: number;
  readonly body?: string;
  /** The request is passed on all the same; only its answer is lost. */
  readonly passOn?: boolean;
}

/**
 * A server before a testbed that answers some requests by itself and passes the others on: a registry that
 * lacks something. Closed with the test.
 *
 * @param answer told of each request; what it gives is answered, undefined passes the request on
 */
export async function startFront(
  testbedUrl: string,
  answer: (method: string, path: string) => FrontReply | undefined,
): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const own = answer(method, url);
    if (own && !own.passOn) {
      incoming.resume();
      outgoing.writeHead(own.status).end(own.body);
      return;
    }
    const passed = forward(new URL(url, testbedUrl), { method, headers }, (reply) => {
      if (own) {
        reply.resume();
        outgoing.writeHead(own.status).end(own.body);
        return;
      }
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
