import { isRegopsError, mapConcurrently, RegopsError } from '../../base/index.ts';
import {
  listRepositories,
  openRegistryLane,
  pullScope,
  type RegistryClient,
  type RegistryLane,
  TagLister,
} from '../../registry/index.ts';
import { type ImageTable, ImageTableBuilder, NumberList } from './image-table.ts';
import { type Pattern, parseExpression } from './patterns.ts';

/** Tag lists that are asked for at once. */
const LISTS_AT_ONCE = 16;
/** Beyond that a list is a mistake, or wants a filter. */
const MAX_IMAGES = 5_000_000;

/** The images a pattern pulls, by their numbers in the table. */
export interface ImageGroup {
  readonly pattern: string;
  readonly images: Uint32Array<SharedArrayBuffer>;
}

/** What the upstream listed, and what is to be pulled of it. */
export interface Selection {
  readonly repositories: number;
  /** Repositories of the catalog without a tag. */
  readonly emptyRepositories: number;
  /** Images whose tag was wanted, and those of them that the filter let through. */
  readonly listedImages: number;
  readonly filteredImages: number;
  /** Images that at least one pattern matches. */
  readonly table: ImageTable;
  /** One per pattern, in their order; some may be empty. */
  readonly groups: readonly ImageGroup[];
  readonly overlap: Overlap | undefined;
}

/** Images that more than one pattern pulls. */
export interface Overlap {
  readonly images: number;
  /** The first of them, and the patterns that both match it. */
  readonly example: string;
  readonly patterns: readonly [string, string];
}

export interface ListingOptions {
  readonly patterns: readonly Pattern[];
  readonly filter: RegExp | undefined;
  readonly tags: TagChoice;
}

/** Which tags of a repository are wanted. */
export type TagChoice = 'first' | 'all' | RegExp;

/** Reads `first`, `all` or a regular expression. Throws USAGE. */
export function parseTagChoice(text: string): TagChoice {
  return text === 'first' || text === 'all' ? text : parseExpression(text, 'expression for tags');
}

/**
 * Lists the upstream and groups its images by the patterns, in the order of its catalog.
 *
 * @param onPage told how many repositories have been looked at
 * @throws what listing throws; IMAGE_NOT_FOUND when no pattern matches anything
 */
export async function selectImages(
  upstream: RegistryClient,
  options: ListingOptions,
  signal: AbortSignal,
  onPage: (repositories: number) => void = () => {},
): Promise<Selection> {
  const selector = new Selector(options);
  const { log, clock } = upstream;
  const lane = await openRegistryLane(await upstream.connection(), {
    connections: LISTS_AT_ONCE,
    log,
    clock,
  });
  const onAbort = (): void => void lane.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const lister = new TagLister(upstream, lane);
    for await (const page of listRepositories(upstream, { signal })) {
      if (selector.repositories === 0) await learnFrom(lane, page);
      const tags = await mapConcurrently(page, LISTS_AT_ONCE, signal, (repository, either) =>
        tagsOf(lister, repository, options.tags, either),
      );
      page.forEach((repository, at) => {
        selector.add(repository, tags[at] as readonly string[] | undefined);
      });
      onPage(selector.repositories);
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await lane.close();
  }
  const selection = selector.selection();
  if (selection.table.size === 0) throw nothingFound(upstream.domain, selection, options);
  return selection;
}

/** Has the lane learn from a list of tags how the registry wants one to be asked for. */
async function learnFrom(lane: RegistryLane, [repository]: readonly string[]): Promise<void> {
  if (repository === undefined) return;
  const path = `/v2/${repository}/tags/list`;
  // What fails here fails the lister too, which asks in another way then.
  await lane.learn(path, [pullScope(repository)]).catch(() => {});
}

/** Undefined for a repository without any tag, or one that only the catalog knows. */
async function tagsOf(
  lister: TagLister,
  repository: string,
  choice: TagChoice,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  try {
    if (choice === 'first') {
      const [first] = await lister.first(repository, signal);
      return first === undefined ? undefined : [first];
    }
    const all = await lister.all(repository, signal);
    if (all.length === 0) return undefined;
    return choice === 'all' ? all : all.filter((tag) => choice.test(tag));
  } catch (error) {
    if (isRegopsError(error, 'REPOSITORY_NOT_FOUND') || isRegopsError(error, 'MANIFEST_NOT_FOUND')) {
      return undefined;
    }
    throw error;
  }
}

/** Takes up images one by one. */
class Selector {
  readonly #options: ListingOptions;
  readonly #images = new ImageTableBuilder();
  readonly #groups: readonly NumberList[];
  repositories = 0;
  #emptyRepositories = 0;
  #listed = 0;
  #filtered = 0;
  #overlapping = 0;
  #overlap: Pick<Overlap, 'example' | 'patterns'> | undefined;

  constructor(options: ListingOptions) {
    this.#options = options;
    this.#groups = options.patterns.map(() => new NumberList());
  }

  add(repository: string, tags: readonly string[] | undefined): void {
    this.repositories++;
    if (tags === undefined) this.#emptyRepositories++;
    for (const tag of tags ?? []) {
      this.#listed++;
      const name = `${repository}:${tag}`;
      if (this.#options.filter?.test(name) === false) continue;
      this.#filtered++;
      this.#take(name);
    }
  }

  #take(name: string): void {
    const { patterns } = this.#options;
    let first: Pattern | undefined;
    let isShared = false;
    patterns.forEach((pattern, group) => {
      if (!pattern.expression.test(name)) return;
      this.#groups[group]?.push(this.#images.size);
      if (first && !isShared) {
        isShared = true;
        this.#overlapping++;
        this.#overlap ??= { example: name, patterns: [first.text, pattern.text] };
      }
      first ??= pattern;
    });
    if (!first) return;
    if (this.#images.size >= MAX_IMAGES) {
      throw new RegopsError('USAGE', `the patterns match more than ${MAX_IMAGES} images`, {
        hints: ['Take fewer with --filter.'],
      });
    }
    this.#images.add(name);
  }

  selection(): Selection {
    return {
      repositories: this.repositories,
      emptyRepositories: this.#emptyRepositories,
      listedImages: this.#listed,
      filteredImages: this.#filtered,
      table: this.#images.table(),
      groups: this.#groups.map((images, group) => ({
        pattern: this.#options.patterns[group]?.text as string,
        images: images.shared(),
      })),
      overlap: this.#overlap && { images: this.#overlapping, ...this.#overlap },
    };
  }
}

function nothingFound(
  domain: string,
  { repositories, emptyRepositories, listedImages, filteredImages }: Selection,
  { patterns, filter }: ListingOptions,
): RegopsError {
  if (repositories === 0 || repositories === emptyRepositories) {
    return new RegopsError('IMAGE_NOT_FOUND', `${domain} has no images: nothing to pull`);
  }
  if (listedImages === 0) {
    return new RegopsError('IMAGE_NOT_FOUND', `no tag of ${domain} is wanted by --tags: nothing to pull`);
  }
  if (filteredImages === 0) {
    return new RegopsError(
      'IMAGE_NOT_FOUND',
      `none of the ${listedImages} images of ${domain} matches the filter '${filter?.source}'`,
      { hints: ['The filter is looked for in repo:tag.'] },
    );
  }
  const named = patterns.slice(0, 5).map(({ text }) => `'${text.slice(0, 100)}'`);
  const more = patterns.length > named.length ? ` and ${patterns.length - named.length} more` : '';
  return new RegopsError(
    'IMAGE_NOT_FOUND',
    `none of the ${filteredImages} images of ${domain} matches a pattern (${named.join(', ')}${more})`,
    { hints: ['Patterns are looked for in repo:tag, without any host.'] },
  );
}
