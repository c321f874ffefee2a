import { type Clock, messageOf, parseDuration } from '../base/index.ts';
import type { Digest } from '../oci/index.ts';
import type { Endpoints } from './endpoints.ts';
import type { ApiRequest } from './exchange.ts';
import type { References } from './nscr-contents.ts';
import type { PullThroughStorage } from './pull-through.ts';
import { refusal } from './wire-errors.ts';

const DEFAULT_COUNT = 50;
const LONGEST_EXPRESSION = 1000;
/** What Go's strconv.ParseBool reads. */
const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

export interface PruneParts {
  readonly cache: PullThroughStorage;
  readonly references: References;
  /** The upstream's `host[:port]`, with which the names of images begin. */
  readonly domain: string | undefined;
  readonly clock: Clock;
}

/** An image of the cache: a tag under the name that ociregistry knows it by. */
interface CachedImage {
  /** `registry.example.com:5000/team/app:1` */
  readonly name: string;
  readonly repository: string;
  readonly tag: string;
}

interface PruneOrder {
  readonly isDryRun: boolean;
  readonly most: number;
  readonly includes: (image: CachedImage) => boolean;
}

/**
 * ociregistry's `DELETE /cmd/prune` (v1.17): takes cached images away, so that the next pull goes to the upstream
 * again. `type=pattern&expr=a,b` are those whose name one of the regular expressions finds, `type=created&dur=30d`
 * and `type=accessed&dur=12h` those not pulled, or not asked for, so long. Without `dryRun=false` it only tells what
 * it would do; `count` is how many at most (default 50, -1 all). Answers with a line for each image.
 */
export function pruneEndpoints(parts: PruneParts): Endpoints {
  const { cache, domain } = parts;
  let last: Promise<unknown> = Promise.resolve();

  const prune = async ({ isDryRun, most, includes }: PruneOrder): Promise<string> => {
    const images = imagesOf(cache, domain).filter(includes).slice(0, most);
    if (!isDryRun) {
      for (const [repository, some] of Map.groupBy(images, (image) => image.repository)) {
        await removeTags(
          parts,
          repository,
          some.map(({ tag }) => tag),
        );
      }
    }
    return images.map(({ name }) => `${isDryRun ? 'would prune' : 'pruned'} ${name}\n`).join('');
  };

  return {
    prune: {
      DELETE: async (request) => {
        const order = readOrder(request, parts);
        // One after another: two at once would each keep what the other is about to remove.
        const mine = last.then(() => prune(order));
        last = mine.catch(() => {});
        const headers = { 'content-type': 'text/plain; charset=utf-8' };
        return { status: 200, headers, body: [Buffer.from(await mine)] };
      },
    },
  };
}

function imagesOf(cache: PullThroughStorage, domain: string | undefined): readonly CachedImage[] {
  const prefix = domain === undefined ? '' : `${domain}/`;
  return cache
    .inventory()
    .repositories.flatMap(({ name, tags }) =>
      tags.map(([tag]) => ({ name: `${prefix}${name}:${tag}`, repository: name, tag })),
    );
}

/** Removes tags of one repository, their manifests unless another tag needs them, and blobs that no manifest needs any longer. */
async function removeTags(
  { cache, references }: PruneParts,
  repository: string,
  tags: readonly string[],
): Promise<void> {
  const before = new Map(cache.contents(repository)?.tags);
  for (const tag of tags) await cache.deleteTag(repository, tag);
  const contents = cache.contents(repository);
  if (!contents) return;
  const { manifests, blobs } = contents;
  /** Manifests here that are reached from these, themselves among them: what is not here must not be fetched. */
  const closure = async (from: readonly Digest[]): Promise<Set<Digest>> => {
    const reached = new Set<Digest>();
    const open = [...from];
    for (let digest = open.pop(); digest; digest = open.pop()) {
      if (reached.has(digest) || !manifests.has(digest)) continue;
      reached.add(digest);
      open.push(...(await references.of(cache, repository, digest)));
    }
    return reached;
  };
  const stillTagged = await closure(contents.tags.flatMap(([, digest]) => digest ?? []));
  const removed = new Set<Digest>();
  const untagged = await closure(tags.flatMap((tag) => before.get(tag) ?? []));
  for (const manifest of untagged) {
    if (stillTagged.has(manifest)) continue;
    for (const part of await references.of(cache, repository, manifest)) removed.add(part);
    await cache.deleteManifest(repository, manifest);
  }
  for (const manifest of [...manifests.keys()]) {
    for (const part of await references.of(cache, repository, manifest)) removed.delete(part);
  }
  for (const blob of removed) if (blobs.has(blob)) await cache.deleteBlob(repository, blob);
}

/** Throws a refusal with 400 for anything it cannot read. */
function readOrder({ query }: ApiRequest, parts: PruneParts): PruneOrder {
  const dryRun = query.get('dryRun') ?? 'true';
  if (![...TRUE, ...FALSE].includes(dryRun)) throw invalid('dryRun is true or false');
  const count = query.get('count') ?? String(DEFAULT_COUNT);
  if (!/^(?:-1|\d{1,9})$/.test(count)) throw invalid('count is a number, or -1 for all');
  return {
    isDryRun: TRUE.includes(dryRun),
    most: count === '-1' ? Number.POSITIVE_INFINITY : Number(count),
    includes: readType(query, parts),
  };
}

function readType(query: URLSearchParams, { cache, clock }: PruneParts): PruneOrder['includes'] {
  const type = query.get('type');
  if (type === 'pattern') {
    const expressions = readExpressions(query.get('expr') ?? '');
    return ({ name }) => expressions.some((expression) => expression.test(name));
  }
  if (type !== 'created' && type !== 'accessed') throw invalid('type is created, accessed or pattern');
  const dur = query.get('dur') ?? '';
  if (!/^(?:\d+[dhm])+$/.test(dur)) throw invalid('dur is a duration like 30d, 12h or 5m');
  const latest = clock.now() - parseDuration(dur);
  return ({ repository, tag }) => {
    const { createdAt, accessedAt } = cache.timesOf(repository, tag);
    return (type === 'created' ? createdAt : accessedAt) <= latest;
  };
}

function readExpressions(text: string): readonly RegExp[] {
  if (text === '') throw invalid('expr is missing');
  if (text.length > LONGEST_EXPRESSION) throw invalid(`expr is longer than ${LONGEST_EXPRESSION} characters`);
  return text.split(',').map((expression) => {
    try {
      return new RegExp(expression);
    } catch (error) {
      throw invalid(`expr: ${messageOf(error)}`);
    }
  });
}

function invalid(why: string): Error {
  return refusal('UNSUPPORTED', `invalid prune: ${why}`, 400);
}
