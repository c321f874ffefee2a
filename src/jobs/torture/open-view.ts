import { isRegopsError, type RegopsError } from '../../base/index.ts';
import type { NscrClient } from '../../nscr/index.ts';
import type { RegistryClient } from '../../registry/index.ts';
import { nscrClientOf, nscrView } from './nscr-view.ts';
import { ociView } from './oci-view.ts';
import type { RegistryView, ViewOptions } from './view.ts';

/** The view that was asked for. `auto` makes a request or two; throws what keeps it from telling. */
export async function openView(
  client: RegistryClient,
  options: ViewOptions,
  signal: AbortSignal,
): Promise<RegistryView> {
  const nscr = nscrClientOf(client);
  const api = options.api === 'auto' ? await detectApi(nscr, signal) : options.api;
  return api === 'nscr' ? nscrView(client, options) : ociView(client, options);
}

/** A page that answers everything (a web front) has neither shape, so it is no NSCR. */
async function detectApi(nscr: NscrClient, signal: AbortSignal): Promise<'nscr' | 'oci'> {
  for (const probe of [nscr.health, nscr.state]) {
    try {
      await probe(signal);
      return 'nscr';
    } catch (error) {
      if (!isRegopsError(error) || !isAnswer(error)) throw error;
    }
  }
  return 'oci';
}

function isAnswer(error: RegopsError): boolean {
  return (
    error.details['status'] !== undefined ||
    error.code === 'PROTOCOL_VIOLATION' ||
    error.code === 'RESPONSE_TOO_LARGE' ||
    error.code === 'REDIRECT_REFUSED'
  );
}
