import { silentLog, systemClock } from '../../src/base/index.ts';
import type { CreateWorkload } from '../../src/load/index.ts';
import { openRegistryLane, type RegistryConnection } from '../../src/registry/index.ts';

/** Nothing but one GET again and again, its body hashed: the engine and the lane by themselves. */
export const createWorkload: CreateWorkload = async (given, place) => {
  const { connection, path, accept } = given as {
    connection: RegistryConnection;
    path: string;
    accept: string;
  };
  const lane = await openRegistryLane(connection, {
    connections: place.concurrency,
    log: silentLog,
    clock: systemClock,
  });
  const grant = await lane.grant([]);
  const headers = grant.headers(['accept', accept]);
  return {
    fire(_, done) {
      lane.send({
        method: 'GET',
        path,
        headers,
        hash: 'sha256',
        onDone: ({ status, bytes, error = `status-${status}` }) =>
          done(status === 200 ? { kind: 'get', ok: true, bytes } : { kind: 'get', ok: false, bytes, error }),
      });
    },
    close: () => lane.close(),
  };
};
