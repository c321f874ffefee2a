import { RegopsError } from '../base/index.ts';
import { discardBody } from '../http/index.ts';
import type { RegistryClient } from './client.ts';
import { failure } from './failure.ts';

/**
 * Asks `GET /v2/` whether this is a registry and the credentials are good (distribution spec, end-1).
 * Throws AUTHENTICATION_FAILED, PERMISSION_DENIED, UNSUPPORTED_BY_SERVER (no registry there), or the network's error.
 */
export async function ping(client: RegistryClient, signal?: AbortSignal): Promise<void> {
  const response = await client.request({ method: 'GET', to: '', signal });
  if (response.status === 200) {
    await discardBody(response);
    return;
  }
  if (response.status === 404) {
    await discardBody(response);
    throw new RegopsError(
      'UNSUPPORTED_BY_SERVER',
      `${client.domain}: no registry answers there (GET /v2/ gave 404)`,
    );
  }
  throw await failure(client, response, 'check of the registry');
}
