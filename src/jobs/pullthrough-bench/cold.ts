import { messageOf } from '../../base/index.ts';
import type { OperationOutcome } from '../../load/index.ts';
import type { LaneResult, RegistryLane } from '../../registry/index.ts';
import type { Counters } from './counters.ts';
import type { ColdBy } from './options.ts';

/** As the seed waits for a prune. */
const PRUNE_TIMEOUT_MS = 10_000;
/** The cache's log of what it removed; nobody reads it. */
const MAX_PRUNE_BYTES = 256 * 1024 * 1024;
const HEADERS: readonly string[] = [];

/** How making the cache forget went; `kind` is `prune` or `hook`. */
export type Chilled = OperationOutcome & { readonly ms: number };

/** Makes the cache forget what a pattern matches. Never rejects. */
export type Chill = (pattern: string) => Promise<Chilled>;

/** What there is to make a cache forget with. @param lane to the cache */
export function createChill(by: ColdBy, lane: RegistryLane, counters: Counters, hook: HookLine): Chill {
  return async (pattern) => {
    const begun = performance.now();
    counters.add(by);
    const outcome = by === 'prune' ? await prune(lane, pattern) : await hook(pattern);
    return { ...outcome, ms: performance.now() - begun };
  };
}

/** ociregistry's prune by pattern: `count=-1` is all, and without `dryRun=false` it only says what it would do. */
async function prune(lane: RegistryLane, pattern: string): Promise<OperationOutcome> {
  const query = new URLSearchParams({ type: 'pattern', expr: pattern, dryRun: 'false', count: '-1' });
  let result: LaneResult;
  try {
    const grant = await lane.grant([]);
    result = await new Promise((resolve) => {
      lane.send({
        method: 'DELETE',
        path: `/cmd/prune?${query}`,
        headers: grant.headers(HEADERS),
        timeoutMs: PRUNE_TIMEOUT_MS,
        maxBytes: MAX_PRUNE_BYTES,
        onDone: resolve,
      });
    });
  } catch {
    return { kind: 'prune', ok: false, error: 'authorization', bytes: 0 };
  }
  const { status, bytes, firstByteMs } = result;
  const error = result.error ?? (status >= 200 && status < 300 ? undefined : `status-${status}`);
  return {
    kind: 'prune',
    ok: error === undefined,
    bytes,
    ...(error === undefined ? {} : { error }),
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
  };
}

/** Has the hook run wherever it lives. Never rejects. */
export type HookLine = (pattern: string) => Promise<OperationOutcome>;

/** Runs a command of the user's with a pattern, and ends it when the signal aborts; rejects when it failed. */
export type RunColdHook = (pattern: string, signal: AbortSignal) => Promise<void>;

/** The hook in the thread that has it. @param onFailure told what it said, unless it was called off */
export function directHook(
  run: RunColdHook,
  signal: AbortSignal,
  onFailure: (message: string) => void,
): HookLine {
  return async (pattern) => {
    try {
      await run(pattern, signal);
      return { kind: 'hook', ok: true, bytes: 0 };
    } catch (error) {
      if (!signal.aborted) onFailure(messageOf(error));
      return { kind: 'hook', ok: false, error: 'hook', bytes: 0 };
    }
  };
}

/** For who may not run it: no hook was given. */
export const noHook: HookLine = async () => ({ kind: 'hook', ok: false, error: 'hook', bytes: 0 });

interface Question {
  readonly id: string;
  readonly pattern: string;
}

interface Answer {
  readonly id: string;
  readonly outcome: OperationOutcome;
}

/**
 * Answers the load threads' wishes to have the hook run: only cli/ may start programs, and a function cannot be
 * sent to a thread. Gives what ends it, which waits for what is still running: a cache half cleared helps nobody.
 */
export function answerHooks(name: string, hook: HookLine): () => Promise<void> {
  const channel = new BroadcastChannel(name);
  const running = new Set<Promise<void>>();
  channel.onmessage = ({ data }: MessageEvent) => {
    if (!isQuestion(data)) return;
    const { id, pattern } = data;
    const run = hook(pattern).then((outcome) => {
      channel.postMessage({ id, outcome } satisfies Answer);
      running.delete(run);
    });
    running.add(run);
  };
  return async () => {
    channel.onmessage = () => {};
    await Promise.all(running);
    channel.close();
  };
}

/** Asks the thread that answers under this name to run the hook. */
export function remoteHook(name: string): { readonly hook: HookLine; close(): void } {
  const channel = new BroadcastChannel(name);
  const waiting = new Map<string, (outcome: OperationOutcome) => void>();
  channel.onmessage = ({ data }: MessageEvent) => {
    const { id, outcome } = data as Partial<Answer>;
    if (id === undefined || outcome === undefined) return;
    waiting.get(id)?.(outcome);
    waiting.delete(id);
  };
  return {
    hook: (pattern) =>
      new Promise((resolve) => {
        const id = crypto.randomUUID();
        waiting.set(id, resolve);
        channel.postMessage({ id, pattern } satisfies Question);
      }),
    close: () => channel.close(),
  };
}

function isQuestion(data: unknown): data is Question {
  return typeof data === 'object' && data !== null && 'pattern' in data;
}
