import { type ApiRequest, changedRequest, jsonReply, type Layer, type Reply } from '../exchange.ts';
import { compareNames } from '../names.ts';
import { bytesOf } from '../representation.ts';
import type { Storage } from '../storage.ts';
import { errorReply } from '../wire-errors.ts';
import type { Persona } from './model.ts';

/** How a persona lists repositories and tags. */
export function playLists(persona: Persona, storage: Storage): Layer {
  return (next) => async (request) => {
    const { route } = request;
    if (route?.name === 'catalog') {
      if (persona.catalog) return errorReply('UNAUTHORIZED', 'the catalog is not for clients');
      return refuseLarge(request, persona.mostCatalogNames) ?? next(request);
    }
    if (route?.name !== 'tags') return next(request);
    if (persona.tagPages === 'none') return next(changedRequest(request, { query: new URLSearchParams() }));
    const { repository } = route;
    if (persona.tagPages === 'endless' && request.query.get('n') === '0') {
      return endless(
        jsonReply(200, { name: repository, tags: [] }),
        request.query.get('last') ?? '',
        repository,
      );
    }
    const reply = refuseLarge(request, persona.mostTags) ?? (await next(request));
    if (reply.status !== 200 || !(persona.strayTags || persona.tagPages)) return reply;
    const { tags } = JSON.parse((await bytesOf(reply.body ?? [])).toString()) as { tags: string[] };
    // On the first page alone: a list names nothing twice.
    const strayTags = request.query.has('last') ? undefined : persona.strayTags;
    const digests = strayTags === 'digests' ? (storage.contents(repository)?.manifests.keys() ?? []) : [];
    const told: (string | null)[] = [...tags, ...digests].toSorted(compareNames);
    if (strayTags === 'null') told.push(null);
    const { 'content-length': _, ...headers } = reply.headers ?? {};
    const answer = jsonReply(200, { name: repository, tags: told }, headers);
    return persona.tagPages === 'endless' ? endless(answer, tags.at(-1) ?? '', repository) : answer;
  };
}

function refuseLarge({ query }: ApiRequest, most: number | undefined): Reply | undefined {
  if (most === undefined || !(Number(query.get('n')) > most)) return undefined;
  return errorReply('UNSUPPORTED', `n must be at most ${most}`, { status: 400 });
}

/** Leads on to a page that leads to itself. */
function endless(reply: Reply, last: string, repository: string): Reply {
  const query = new URLSearchParams({ last, n: '0' });
  return {
    ...reply,
    headers: { ...reply.headers, link: `</v2/${repository}/tags/list?${query}>; rel="next"` },
  };
}
