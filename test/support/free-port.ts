import { createServer } from 'node:net';

/** Below those that systems give to whoever asks for any port, so that nobody gets one of these by chance. */
const [FIRST, PER_WORKER, WORKERS] = [10_000, 200, 100];

const worker = Number(process.env['VITEST_POOL_ID'] ?? 0) % WORKERS;
let given = 0;

/**
 * A loopback port for a server that another one must be told of first, or that comes back: nobody listens there, and
 * no test file that runs at the same time is given it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PER_WORKER; tries++) {
    const port = FIRST + worker * PER_WORKER + (given++ % PER_WORKER);
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
