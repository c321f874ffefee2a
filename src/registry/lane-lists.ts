import { formatBytes, redactUrl } from '../base/index.ts';
import type { LaneResult } from '../http/index.ts';
import { isTag, LIMITS } from '../oci/index.ts';
import { pullScope, type RegistryClient } from './client.ts';
import { type LaneGrant, LaneGrants, type RegistryLane } from './fast-lane.ts';
import { collect, listTags, namesIn, PAGE_SIZE } from './lists.ts';

const HEADERS = ['accept', 'application/json'];
/** So often in a row the lane may bring nothing before it is left alone. */
const MAX_FAILURES = 50;

/**
 * Lists the tags of very many repositories by a fast lane, at half the work and a tenth of the garbage. What the lane
 * brings no plain whole answer to (a challenge, a refusal, more pages) is asked again by the client, which
 * knows how to go on and what to say.
 */
export class TagLister {
  readonly #client: RegistryClient;
  readonly #lane: RegistryLane;
  readonly #grants: LaneGrants;
  #failures = 0;

  /** @param lane to the client's registry, that has learned how it wants a repository to be asked for */
  constructor(client: RegistryClient, lane: RegistryLane) {
    this.#client = client;
    this.#lane = lane;
    this.#grants = new LaneGrants(lane);
  }

  /** The first tags of a repository, as many as the registry gives at once. Throws what {@link listTags} throws. */
  async first(repository: string, signal?: AbortSignal): Promise<readonly string[]> {
    const page = await this.#page(repository);
    if (page && (page.tags.length > 0 || page.isLast)) return page.tags;
    const pages = listTags(this.#client, repository, { signal });
    const { done, value } = await pages.next();
    await pages.return(undefined);
    return done ? [] : value;
  }

  /** All tags of a repository. Throws what {@link listTags} throws. */
  async all(repository: string, signal?: AbortSignal): Promise<readonly string[]> {
    const page = await this.#page(repository);
    return page?.isLast ? page.tags : collect(listTags(this.#client, repository, { signal }));
  }

  /** The first page, if the lane brings it. */
  async #page(repository: string): Promise<{ tags: readonly string[]; isLast: boolean } | undefined> {
    if (this.#failures >= MAX_FAILURES) return undefined;
    this.#failures++;
    try {
      const grant = await this.#grants.grant([pullScope(repository)]);
      const { status, error, body, headers } = await this.#get(
        `/v2/${repository}/tags/list?n=${PAGE_SIZE}`,
        grant,
      );
      if (status !== 200 || error !== undefined || !body) return undefined;
      const tags = [...new Set(namesIn(body, 'tags', repository).filter(isTag))];
      this.#failures = 0;
      return { tags, isLast: headers['link'] === undefined };
    } catch {
      // No token, or no list: the client will say it better.
      return undefined;
    }
  }

  #get(path: string, grant: LaneGrant): Promise<LaneResult> {
    const begun = performance.now();
    return new Promise((resolve) =>
      this.#lane.send({
        method: 'GET',
        path,
        headers: grant.headers(HEADERS),
        keep: true,
        maxBytes: LIMITS.listPageBytes,
        onDone: (result) => {
          this.#trace(path, result, performance.now() - begun);
          resolve(result);
        },
      }),
    );
  }

  /** As a client does for each of its requests. */
  #trace(path: string, { status, error, bytes }: LaneResult, ms: number): void {
    const { log, origin } = this.#client;
    const outcome = error === undefined ? status : `${status} (${error})`;
    log.trace(
      `GET ${redactUrl(new URL(path, origin))} ${outcome} ${Math.round(ms)} ms ${formatBytes(bytes)}`,
    );
  }
}
