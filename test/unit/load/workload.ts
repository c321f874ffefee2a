/** A workload for tests of real threads: counts what is done to it in shared memory, and fails as it is told. */
import { RegopsError } from '../../../src/base/index.ts';
import type { CreateWorkload } from '../../../src/load/index.ts';

export interface WorkloadOptions {
  /** Shared by all threads: created, fired, closed. */
  readonly counts: Int32Array<SharedArrayBuffer>;
  /** What goes wrong, and in which thread. */
  readonly trouble?: {
    readonly what:
      | 'create'
      | 'create-regops'
      | 'create-never'
      | 'fire'
      | 'uncaught'
      | 'exit'
      | 'never-done'
      | 'close'
      | 'close-never'
      | 'block'
      /** In every thread: worker n is done after n + 1 operations, and books each as a part of 3 bytes. */
      | 'goes-home';
    readonly index: number;
  };
}

export const CREATED = 0;
export const FIRED = 1;
export const CLOSED = 2;

const never = new Promise<never>(() => {});

export const createWorkload: CreateWorkload = async (options, { index, of, seed, concurrency }) => {
  const { counts, trouble } = options as WorkloadOptions;
  const what = trouble?.index === index ? trouble.what : undefined;
  if (what === 'create') throw new Error('no disk left');
  if (what === 'create-regops') {
    throw new RegopsError('CONNECTION_FAILED', 'cannot reach it', {
      hints: ['Start it.'],
      details: { port: 5 },
    });
  }
  if (what === 'create-never') await never;
  Atomics.add(counts, CREATED, 1);
  const kind = `thread ${index} of ${of}, ${concurrency} at once${Number.isInteger(seed) ? '' : ', no seed'}`;
  const timers = new Set<NodeJS.Timeout>();
  const firedBy = new Map<number, number>();
  return {
    fire(random, done, turn) {
      Atomics.add(counts, FIRED, 1);
      if (what === 'fire') throw new Error('the sky fell');
      if (what === 'exit') process.exit(3);
      if (what === 'never-done') return;
      if (what === 'block') {
        const until = performance.now() + 50;
        while (performance.now() < until);
      }
      const timer = setTimeout(() => {
        timers.delete(timer);
        if (what === 'uncaught') throw new Error('lost in a callback');
        if (trouble?.what !== 'goes-home') {
          done({ kind, ok: true, bytes: 1 });
          return;
        }
        const fired = (firedBy.get(turn.number) ?? 0) + 1;
        firedBy.set(turn.number, fired);
        turn.part({ kind: `worker ${turn.number}`, ok: true, bytes: 3 }, 1);
        const rest = new Promise<boolean>((resolve) => setTimeout(resolve, 5, fired <= turn.number));
        done({ kind, ok: true, bytes: 1, rest });
      }, 2 * random());
      timers.add(timer);
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      if (what === 'close') throw new Error('the door is stuck');
      if (what === 'close-never') await never;
      Atomics.add(counts, CLOSED, 1);
    },
  };
};
