import type { Log } from '../../base/index.ts';
import { isDigest } from '../../oci/index.ts';
import type { Elsewhere } from '../elsewhere.ts';
import { type Handler, type Layer, wrap } from '../exchange.ts';
import type { References } from '../nscr-contents.ts';
import type { Storage } from '../storage.ts';
import type { Uploads } from '../uploads.ts';
import { answerErrors, errorReply } from '../wire-errors.ts';
import { playLists } from './lists.ts';
import { playManifests } from './manifests.ts';
import type { Persona } from './model.ts';
import { playMounts, sharingBlobs } from './mounts.ts';
import { playUploads } from './uploads.ts';

export interface PersonaParts {
  readonly uploads: Uploads;
  readonly references: References;
  readonly elsewhere: Elsewhere;
  /** Repositories that exist from the start. */
  readonly repositories: readonly string[];
  readonly log: Log;
}

/**
 * Turns what makes honest endpoints on a storage into what makes a persona's. What a persona remembers is shared
 * by all endpoints made so.
 */
export function personaEndpoints(
  persona: Persona,
  honest: (storage: Storage) => Handler,
  { uploads, references, elsewhere, repositories, log }: PersonaParts,
): (storage: Storage) => Handler {
  const known = new Set(repositories);
  const onUploads = playUploads(persona, uploads);
  return (held) => {
    const storage = persona.blobSharing ? sharingBlobs(held, references) : held;
    const layers: Layer[] = [playLists(persona, storage), playManifests(persona)];
    if (persona.repositories) layers.push(refuseUnknown(storage, known));
    if (persona.blobs) layers.push(redirectBlobs(storage, elsewhere));
    // What an endpoint throws is a reply too, which a persona may word otherwise.
    layers.push(playMounts(persona, storage, references), onUploads, answerErrors(log));
    return wrap(layers, honest(storage));
  };
}

/** Refuses to push where no repository was made before. */
function refuseUnknown(storage: Storage, known: ReadonlySet<string>): Layer {
  return (next) => async (request) => {
    const { method, route } = request;
    const pushes = route?.name === 'uploads' || (route?.name === 'manifest' && method === 'PUT');
    if (!pushes || known.has(route.repository) || (await storage.hasRepository(route.repository))) {
      return next(request);
    }
    return errorReply('NAME_UNKNOWN', 'the repository does not exist in the registry');
  };
}

/** Sends who pulls a blob to the storage behind the registry. */
function redirectBlobs(storage: Storage, elsewhere: Elsewhere): Layer {
  return (next) => async (request) => {
    const { method, path, route } = request;
    const isPull = method === 'GET' && route?.name === 'blob' && isDigest(route.reference);
    if (!isPull || (await storage.blobSize(route.repository, route.reference)) === undefined) {
      return next(request);
    }
    return { status: 307, headers: { location: await elsewhere.urlOf(path) } };
  };
}
