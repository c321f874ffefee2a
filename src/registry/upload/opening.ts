import { abortReason, throwIfAborted } from '../../base/index.ts';

/** How long an answer is waited for that only matters for cleaning up. */
export const PARTING_MS = 2000;

/**
 * Opens something at the registry. An abort does not cut the request off at once: of what it may have opened nobody
 * else would learn where it is. It is closed, and the abort's reason thrown.
 *
 * @param open given a signal that aborts a moment after `signal`
 */
export async function openedOrClosed<T>(
  signal: AbortSignal | undefined,
  open: (patient: AbortSignal) => Promise<T>,
  close: (opened: T) => Promise<void>,
): Promise<T> {
  throwIfAborted(signal);
  const patience = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(() => patience.abort(signal?.reason), PARTING_MS);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const opened = await open(patience.signal);
    if (!signal?.aborted) return opened;
    await close(opened);
    throw abortReason(signal);
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
