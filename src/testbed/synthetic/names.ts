import { compareNames, type NamePage, type PageRequest } from '../names.ts';
import type { SyntheticSpec } from './spec.ts';

const PREFIX = 'synthetic/image';
const ONLY_TAG = 'latest';

/**
 * Names of synthetic repositories and their tags, made from numbers and read back: `synthetic/image000042-0002` is
 * the 42nd repository, of batch 2. All numbers are padded, so that names sort as the numbers do, and none but
 * a batch's stands behind a hyphen: the pattern `-0002` finds just this batch. Repositories and images are dealt in
 * turn, to batches and repositories.
 */
export class SyntheticNames {
  readonly #spec: SyntheticSpec;
  readonly #digits: number;

  constructor(spec: SyntheticSpec) {
    this.#spec = spec;
    this.#digits = Math.max(6, String(spec.images).length);
  }

  /** @param number from 0 */
  repository(number: number): string {
    const batch = (number % this.#spec.batches) + 1;
    return `${PREFIX}${this.#padded(number + 1)}-${String(batch).padStart(4, '0')}`;
  }

  /** The number of a repository; undefined when there is none of that name. */
  repositoryNumber(name: string): number | undefined {
    const number = Number(/^synthetic\/image(\d{6,8})-\d{4}$/.exec(name)?.[1]) - 1;
    const exists = number >= 0 && number < this.#spec.repositories && this.repository(number) === name;
    return exists ? number : undefined;
  }

  repositories(page: PageRequest): NamePage {
    return pageOf(this.#spec.repositories, (number) => this.repository(number), page);
  }

  tags(repository: number, page: PageRequest): NamePage {
    return pageOf(this.imageCount(repository), (place) => this.#tag(place), page);
  }

  /** How many images a repository holds. */
  imageCount(repository: number): number {
    const { images, repositories } = this.#spec;
    return Math.floor((images - 1 - repository) / repositories) + 1;
  }

  /** The number of the image at a place of a repository, both from 0. */
  image(repository: number, place: number): number {
    return place * this.#spec.repositories + repository;
  }

  /** The number of the repository that holds an image. */
  repositoryOf(image: number): number {
    return image % this.#spec.repositories;
  }

  /** The number of the image a tag names; undefined when there is no such tag. */
  taggedImage(repository: number, tag: string): number | undefined {
    const place =
      this.#spec.images === this.#spec.repositories ? 0 : Number(/^v(\d{6,8})$/.exec(tag)?.[1]) - 1;
    const exists = place >= 0 && place < this.imageCount(repository) && this.#tag(place) === tag;
    return exists ? this.image(repository, place) : undefined;
  }

  #tag(place: number): string {
    return this.#spec.images === this.#spec.repositories ? ONLY_TAG : `v${this.#padded(place + 1)}`;
  }

  #padded(number: number): string {
    return String(number).padStart(this.#digits, '0');
  }
}

/** A page of names in order that are made when they are looked at. */
function pageOf(count: number, nameOf: (number: number) => string, { limit, after }: PageRequest): NamePage {
  let from = 0;
  for (let high = after === undefined ? 0 : count; from < high; ) {
    const middle = (from + high) >>> 1;
    if (compareNames(nameOf(middle), after as string) <= 0) from = middle + 1;
    else high = middle;
  }
  const length = Math.min(limit, count - from);
  return { names: Array.from({ length }, (_, at) => nameOf(from + at)), more: from + length < count };
}
