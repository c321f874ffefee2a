import type { Operation } from '../../../../history/index.ts';
import type { Client } from '../client.ts';

/** One repository with the clients that play there. */
export interface Scene {
  readonly clients: readonly Client[];
  /** Told between two operations: the time is up, or the repository has seen enough. */
  isOver(): boolean;
  /** Runs the user's garbage collection; false when it failed. Undefined when there is none. */
  readonly collectGarbage?: (() => Promise<boolean>) | undefined;
}

/** What clients do to a repository so that a registry shows what it does not keep. */
export interface Workload {
  /** After so many operations the run goes on in another repository, and this one is judged. */
  readonly operationsPerSite: number;
  /** The catalog is judged too. */
  readonly listsCatalog?: boolean;
  /** Plays until the scene is over and every operation has ended. */
  play(scene: Scene): Promise<void>;
}

/** Every client does the same, each in its own time, again and again. */
export async function eachOnItsOwn(
  { clients, isOver }: Scene,
  turn: (client: Client) => Promise<unknown>,
): Promise<void> {
  await Promise.all(
    clients.map(async (client) => {
      while (!isOver()) await turn(client);
    }),
  );
}

/** Every client does it once, all at the same time: resolves when all have. */
export async function together<T>(
  clients: readonly Client[],
  act: (client: Client, at: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(clients.map(act));
}

export function isOk({ outcome }: Operation): boolean {
  return outcome === 'ok';
}
