import type { RegistryClient } from './client.ts';
import { UploadSession } from './upload/session.ts';

/**
 * Asks whether a repository may be pushed to, by opening an upload and taking it back: nothing else tells it without
 * leaving something behind. Throws AUTHENTICATION_FAILED, PERMISSION_DENIED and what `failure` maps.
 */
export async function checkPushAccess(
  client: RegistryClient,
  repository: string,
  signal?: AbortSignal,
): Promise<void> {
  const session = await UploadSession.start(client, repository, signal);
  await session.cancel();
}
