import { type Digest, isDigest } from '../../oci/index.ts';
import { type ApiRequest, changedRequest, type Layer } from '../exchange.ts';
import type { References } from '../nscr-contents.ts';
import { overlaidStorage, type Storage } from '../storage.ts';
import { errorReply } from '../wire-errors.ts';
import type { Persona } from './model.ts';

/** How a persona takes a blob over from another repository. */
export function playMounts(persona: Persona, storage: Storage, references: References): Layer {
  return (next) => async (request) => {
    const { method, route, query } = request;
    const digest = query.get('mount');
    if (route?.name !== 'uploads' || method !== 'POST' || digest === null) return next(request);
    const from = query.get('from');
    if (persona.mountOrigin && query.has('origin')) {
      return errorReply('NAME_INVALID', 'invalid repository name', { status: persona.mountOrigin });
    }
    if (persona.mountWithoutFrom && from === null) {
      return errorReply('NAME_INVALID', 'invalid repository name', { status: persona.mountWithoutFrom });
    }
    if (persona.mountFromNowhere && from !== null && !hasProject(storage, from)) {
      return errorReply('UNAUTHORIZED', 'unauthorized to access the project', {
        status: persona.mountFromNowhere,
      });
    }
    const isAllowed =
      persona.mount === 'referred'
        ? isDigest(digest) && from !== null && (await isReferred(storage, references, from, digest))
        : persona.mount !== 'never';
    if (!isAllowed) return next(asPlainStart(request));
    const source = persona.mount === 'anywhere' && isDigest(digest) ? holderOf(storage, digest) : undefined;
    return next(source === undefined ? request : mountedFrom(request, source));
  };
}

/** A storage whose repositories also show the blobs of the others, as soon as a manifest refers to them. */
export function sharingBlobs(honest: Storage, references: References): Storage {
  /** The repository that lets this one see the blob; undefined when it has it itself, or nobody has. */
  const lender = async (repository: string, digest: Digest): Promise<string | undefined> => {
    if ((await honest.blobSize(repository, digest)) !== undefined) return undefined;
    for (const { name, blobs } of honest.inventory().repositories) {
      if (blobs.has(digest) && (await isReferred(honest, references, name, digest))) return name;
    }
    return undefined;
  };
  const shared: Partial<Storage> = {
    async blobSize(repository, digest) {
      return honest.blobSize((await lender(repository, digest)) ?? repository, digest);
    },
    async blob(repository, digest) {
      return honest.blob((await lender(repository, digest)) ?? repository, digest);
    },
  };
  return overlaidStorage(honest, shared);
}

/** True when a manifest of the repository refers to the blob. */
async function isReferred(
  storage: Storage,
  references: References,
  repository: string,
  digest: Digest,
): Promise<boolean> {
  for (const manifest of storage.contents(repository)?.manifests.keys() ?? []) {
    if ((await references.of(storage, repository, manifest)).includes(digest)) return true;
  }
  return false;
}

/** The first part of a name, as registries that have projects read it. */
function hasProject(storage: Storage, repository: string): boolean {
  const [project] = repository.split('/');
  return storage.inventory().repositories.some(({ name }) => name.split('/')[0] === project);
}

function holderOf(storage: Storage, digest: Digest): string | undefined {
  return storage.inventory().repositories.find(({ blobs }) => blobs.has(digest))?.name;
}

function mountedFrom(request: ApiRequest, from: string): ApiRequest {
  const query = new URLSearchParams(request.query);
  query.set('from', from);
  return changedRequest(request, { query });
}

function asPlainStart(request: ApiRequest): ApiRequest {
  const query = new URLSearchParams(request.query);
  query.delete('mount');
  query.delete('from');
  return changedRequest(request, { query });
}
