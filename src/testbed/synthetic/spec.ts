import { parseSize, RegopsError } from '../../base/index.ts';

/** A size that layers may have, and how often it comes beside the others. */
export interface LayerSize {
  /** Of the layer's blob; a tar is a whole number of 512 byte blocks, so this is rounded up to one. */
  readonly bytes: number;
  readonly weight: number;
}

/** Which images there are. Two registries with equal specifications on machines of one architecture hold the same bytes. */
export interface SyntheticSpec {
  readonly images: number;
  /** Of each image. */
  readonly layers: number;
  readonly sizes: readonly LayerSize[];
  readonly seed: number;
  /** Groups that repository names tell apart: `-0001`, `-0002` … */
  readonly batches: number;
  /** The images are spread over these as tags; as many as images: one `latest` in each. */
  readonly repositories: number;
  /** Each tag names an index of two images for different platforms. */
  readonly index: boolean;
}

const MOST = {
  images: 10_000_000,
  layers: 128,
  sizes: 16,
  weight: 1_000_000,
  batches: 9999,
  seed: 2 ** 32 - 1,
};
/** Fetches are counted blob by blob, four bytes each. */
const MOST_BLOBS = 100_000_000;
/** Header, one block of content, and the two empty blocks that end a tar. */
const SMALLEST_LAYER = 2048;
const LARGEST_LAYER = 1024 ** 3;
const LONGEST_SPEC = 1000;

const DEFAULTS = { images: 100_000, layers: 5, sizes: '50KiB:3,5MiB:1', seed: 0, batches: 10 };
const EXAMPLE = 'images=100000,layers=5,sizes=50KiB:3,5MiB:1,seed=7';
const KEYS = ['images', 'layers', 'sizes', 'seed', 'batches', 'repositories', 'index'];

/**
 * Reads `images=100000,layers=5,sizes=50KiB:3,5MiB:1,seed=7`, in any order; also `batches=10`,
 * `repositories=1000` and `index`. Sizes go on over commas, each with its weight (1 when left out). What is left out
 * is as in this example, with seed 0, ten batches, and a repository for each image.
 * @throws USAGE
 */
export function parseSynthetic(text: string): SyntheticSpec {
  if (text.length > LONGEST_SPEC) throw invalid(`longer than ${LONGEST_SPEC} characters`);
  const given = new Map<string, string>();
  let last = '';
  for (const item of text.split(',').map((part) => part.trim())) {
    const [, key = '', value] = /^([a-z]+)(?:=(.*))?$/s.exec(item) ?? [];
    if (key === '' && last === 'sizes' && item !== '') {
      given.set('sizes', `${given.get('sizes')},${item}`);
      continue;
    }
    if (!KEYS.includes(key)) throw invalid(`'${item.slice(0, 100)}' is none of its words`);
    if (given.has(key)) throw invalid(`${key} is there twice`);
    if (value === undefined && key !== 'index') throw invalid(`${key} has no value`);
    given.set(key, value ?? 'true');
    last = key;
  }
  const whole = (key: string, fallback: number): number => {
    const value = given.get(key);
    if (value !== undefined && !/^\d{1,15}$/.test(value)) throw invalid(`${key} must be a whole number`);
    return value === undefined ? fallback : Number(value);
  };
  const images = whole('images', DEFAULTS.images);
  const repositories = whole('repositories', images);
  const index = given.get('index') ?? 'false';
  if (index !== 'true' && index !== 'false') throw invalid('index is true or false');
  return checkSynthetic({
    images,
    layers: whole('layers', DEFAULTS.layers),
    sizes: parseSizes(given.get('sizes') ?? DEFAULTS.sizes),
    seed: whole('seed', DEFAULTS.seed),
    batches: whole('batches', Math.min(DEFAULTS.batches, repositories)),
    repositories,
    index: index === 'true',
  });
}

/** The specification as {@link parseSynthetic} reads it, with everything said. */
export function formatSynthetic(spec: SyntheticSpec): string {
  const { images, layers, sizes, seed, batches, repositories, index } = spec;
  const pairs = sizes.map(({ bytes, weight }) => `${bytes}:${weight}`).join(',');
  return [
    `images=${images},layers=${layers},sizes=${pairs},seed=${seed},batches=${batches}`,
    `repositories=${repositories},index=${index}`,
  ].join(',');
}

/** Gives the specification with its sizes rounded up to what a tar can have. Throws USAGE when it cannot be served. */
export function checkSynthetic(spec: SyntheticSpec): SyntheticSpec {
  const { images, layers, sizes, seed, batches, repositories, index } = spec;
  within('images', images, 1, MOST.images);
  within('layers', layers, 1, MOST.layers);
  within('seed', seed, 0, MOST.seed);
  within('repositories', repositories, 1, images);
  within('batches', batches, 1, Math.min(MOST.batches, repositories));
  within('the number of sizes', sizes.length, 1, MOST.sizes);
  for (const { bytes, weight } of sizes) {
    within('a size in bytes', bytes, 1, LARGEST_LAYER);
    within('the weight of a size', weight, 1, MOST.weight);
  }
  if (blobCount(spec) > MOST_BLOBS) throw invalid(`more than ${MOST_BLOBS} blobs`);
  const rounded = sizes.map(({ bytes, weight }) => ({
    bytes: Math.max(SMALLEST_LAYER, Math.ceil(bytes / 512) * 512),
    weight,
  }));
  return { images, layers, sizes: rounded, seed, batches, repositories, index };
}

/** How many blobs there are: layers and configurations. */
function blobCount({ images, layers, index }: SyntheticSpec): number {
  return images * (layers + 1) * (index ? 2 : 1);
}

function parseSizes(text: string): LayerSize[] {
  return text.split(',').map((pair) => {
    const [, size, weight] = /^([^:]+)(?::(\d{1,15}))?$/.exec(pair.trim()) ?? [];
    if (size === undefined) throw invalid(`'${pair.slice(0, 100)}' is not SIZE:WEIGHT`);
    return { bytes: parseSize(size), weight: Number(weight ?? 1) };
  });
}

function within(what: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw invalid(`${what} must be from ${least} to ${most}`);
  }
}

function invalid(why: string): RegopsError {
  return new RegopsError('USAGE', `invalid synthetic images: ${why}`, {
    hints: [`Write it like ${EXAMPLE}.`],
  });
}
