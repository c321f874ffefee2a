/** So long after the signal an interrupted run is over; the program leaves a second later, with an answer or without. */
const INTERRUPTED_MS = 3_500;

/** A signal that aborts some seconds after another one has: the time an interrupted run has for cleaning up. */
export function graceAfter(signal: AbortSignal): { readonly signal: AbortSignal; end(): void } {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(() => over.abort(), INTERRUPTED_MS);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: over.signal,
    end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
}
