/** GETs of one URL over undici's dispatch, one connection per operation under way: what the load bench fires. */
import { Pool } from 'undici';
import type { CreateWorkload } from '../../src/load/index.ts';

export interface LoadBenchOptions {
  /** null fires nothing at all: what is left is the cost of the engine itself. */
  readonly url: string | null;
}

export const createWorkload: CreateWorkload = async (options, { concurrency }) => {
  const { url } = options as LoadBenchOptions;
  if (url === null) {
    return {
      fire: (_random, done) => void setImmediate(done, { kind: 'nothing', ok: true, bytes: 0 }),
      close: async () => {},
    };
  }
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, { connections: concurrency, pipelining: 1, allowH2: false });
  const request = { path: pathname, method: 'GET' as const, headers: ['accept', '*/*'] };
  return {
    fire(_random, done) {
      let status = 0;
      let bytes = 0;
      pool.dispatch(request, {
        onRequestStart() {},
        onResponseStart(_controller, statusCode) {
          status = statusCode;
        },
        onResponseData(_controller, chunk) {
          bytes += chunk.length;
        },
        onResponseEnd() {
          const ok = status === 200;
          done(ok ? { kind: 'get', ok, bytes } : { kind: 'get', ok, error: `status-${status}`, bytes });
        },
        onResponseError() {
          done({ kind: 'get', ok: false, error: 'connection', bytes });
        },
      });
    },
    close: () => pool.destroy(),
  };
};
