import { escapeText } from '../../base/index.ts';
import { createNscrClient, type NscrClient } from '../../nscr/index.ts';
import { isRepository } from '../../oci/index.ts';
import type { RegistryClient } from '../../registry/index.ts';
import { isoTime, timedClient } from './latency.ts';
import {
  type Health,
  isWanted,
  type RegistryState,
  type RegistryView,
  type Session,
  type ViewOptions,
} from './view.ts';

/** NSCR's admin API, reached through a registry's own chain. */
export function nscrClientOf(client: RegistryClient): NscrClient {
  return createNscrClient({
    origin: client.origin,
    send: ({ url, ...request }) => client.request({ ...request, to: url }),
  });
}

/** A registry as NSCR's admin API shows it. Its counters are of the whole registry, whatever is filtered. */
export function nscrView(client: RegistryClient, options: Omit<ViewOptions, 'api'>): RegistryView {
  const { clock } = client;

  async function timed<T>(
    ask: (nscr: NscrClient) => Promise<T>,
  ): Promise<{ answer: T; takenAt: string; latencyMs: number }> {
    const watched = timedClient(client);
    const takenAt = isoTime(clock.now());
    const answer = await ask(nscrClientOf(watched.client));
    return { answer, takenAt, latencyMs: watched.worstMs() };
  }

  return {
    api: 'nscr',

    async state(signal) {
      const { answer, ...taken } = await timed((nscr) => nscr.state(signal));
      // What is no repository's name never gets into a URL.
      const wanted = answer.repositories.filter(
        ({ name }) => isRepository(name) && isWanted(name, options.repository),
      );
      return {
        ...taken,
        api: 'nscr',
        repositories: answer.summary.totalRepositories,
        manifests: answer.summary.totalManifests,
        blobs: answer.summary.totalBlobs,
        sessions: answer.activeSessions?.count ?? null,
        health: healthOf(answer.health?.status),
        tagCounts: new Map(
          wanted.slice(0, options.maxRepositories).map(({ name, tagCount }) => [name, tagCount]),
        ),
        unreadable: 0,
        truncated: wanted.length > options.maxRepositories,
      } satisfies RegistryState;
    },

    async health(signal) {
      const { answer, ...taken } = await timed((nscr) => nscr.health(signal));
      const failed = Object.entries(answer.checks ?? {}).filter(([, passed]) => passed === false);
      const status = healthOf(answer.status);
      const why = [...failed.map(([name]) => `${name} failed`), ...(answer.warnings ?? [])].join('; ');
      // NSCR warns of every manifest it has; that says something only when it is not healthy.
      const detail = status === 'healthy' || why === '' ? null : escapeText(why.slice(0, 500));
      return { ...taken, status, detail };
    },

    async sessions(signal) {
      const { answer, ...taken } = await timed((nscr) => nscr.sessions(signal));
      const now = answer.timestamp ?? clock.now();
      const sessions = answer.activeSessions.map(
        ({ id, startTime, duration }): Session => ({
          id,
          startedAt: startTime === undefined ? null : dateOf(startTime),
          durationMs: duration ?? (startTime === undefined ? null : Math.max(0, now - startTime)),
        }),
      );
      return { ...taken, sessions };
    },

    async repository(name, signal) {
      const { answer } = await timed((nscr) => nscr.repository(name, signal));
      const { tagCount, tags } = answer;
      return {
        name,
        tagCount,
        tags: tags.map(({ tag, hasManifest, digest }) => ({ tag, hasManifest, digest: digest ?? null })),
      };
    },
  };
}

function healthOf(status: string | undefined): Health {
  return status === 'healthy' || status === 'degraded' || status === 'unhealthy' ? status : 'unknown';
}

function dateOf(ms: number): string | null {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
