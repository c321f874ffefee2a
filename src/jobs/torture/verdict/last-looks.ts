import type { Operation } from '../../../history/index.ts';

/**
 * Whether repositories could be looked at once more when all was quiet. That nothing was found wrong with one that no
 * longer answered is no verdict: what the load had left there nobody has seen.
 */
export class LastLooks {
  readonly #clients: number;
  /** Of each repository that is being looked at, whether anything was answered. */
  readonly #answered = new Map<string, boolean>();
  #unseen = 0;

  /** @param clients of the workload; those with a higher number look at what is left when all is quiet */
  constructor(clients = Number.POSITIVE_INFINITY) {
    this.#clients = clients;
  }

  /** Repositories that were looked at in vain. */
  get unseen(): number {
    return this.#unseen;
  }

  add({ client, repository, outcome }: Operation): void {
    if (client < this.#clients || repository === '') return;
    this.#answered.set(repository, outcome === 'ok' || this.#answered.get(repository) === true);
  }

  /** Nothing more comes of a repository. False when it was looked at in vain. */
  close(repository: string): boolean {
    const inVain = this.#answered.get(repository) === false;
    this.#answered.delete(repository);
    if (inVain) this.#unseen++;
    return !inVain;
  }
}
