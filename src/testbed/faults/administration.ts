import { jsonReply, type Reply } from '../exchange.ts';
import { bytesOf } from '../representation.ts';
import type { Route } from '../routes.ts';
import type { Drift } from './amounts.ts';
import { durationOf } from './amounts.ts';
import type { Rule } from './rule.ts';

type Json = Record<string, unknown>;

/** Changes what NSCR's administration tells: its counts, its health, its sessions. Gives the same reply when there is nothing to change. */
export async function alterAdministration(
  rule: Rule,
  reply: Reply,
  route: Route | undefined,
  now: number,
): Promise<Reply> {
  const { drift, effect } = rule;
  const isMeant = drift !== undefined || effect.health !== undefined || effect.session !== undefined;
  if (!isMeant || !route?.name.startsWith('nscr-') || reply.status !== 200) return reply;
  const told = JSON.parse((await bytesOf(reply.body ?? [])).toString()) as Json;
  const before = JSON.stringify(told);
  if (drift) addDrift(told, drift, route, rule.repository ?? (() => true));
  if (effect.session !== undefined) {
    const startTime = rule.setAt - durationOf(effect.session);
    addSession(told, { id: `fault-${rule.name}`, startTime, now });
  }
  if (effect.health === 'unhealthy' && route.name === 'nscr-health') {
    const message = 'made so by a fault';
    return jsonReply(500, { status: 'unhealthy', error: 'Health check failed', message, timestamp: now });
  }
  if (effect.health !== undefined) setHealth(told, effect.health);
  return JSON.stringify(told) === before ? reply : jsonReply(200, told);
}

function addDrift(told: Json, drift: Drift, { name }: Route, drifts: (repository: string) => boolean): void {
  for (const counts of [told, objectOf(told['summary']), objectOf(told['metrics'])]) {
    add(counts, 'totalRepositories', drift.repositories);
    add(counts, 'totalManifests', drift.manifests);
    add(counts, 'totalBlobs', drift.blobs);
  }
  if (name === 'nscr-repository') add(told, 'tagCount', drift.tags);
  if (name !== 'nscr-state') return;
  for (const repository of told['repositories'] as Json[]) {
    if (drifts(String(repository['name']))) add(repository, 'tagCount', drift.tags);
  }
}

function addSession(
  told: Json,
  { id, startTime, now }: { id: string; startTime: number; now: number },
): void {
  const session = { id, startTime, lastActivity: startTime, blobCount: 1, duration: now - startTime };
  const active = told['activeSessions'];
  if (Array.isArray(active)) {
    active.push(session);
    add(told, 'totalActiveSessions', 1);
  } else {
    const state = objectOf(active);
    (state['sessions'] as unknown[]).push(session);
    add(state, 'count', 1);
  }
}

/** In the state it is one field; the health check also says what is wrong. */
function setHealth(told: Json, status: string): void {
  const health = told['health'] === undefined ? told : objectOf(told['health']);
  health['status'] = status;
  if (health !== told) return;
  objectOf(told['checks'])['statisticsAccess'] = false;
  (told['warnings'] as unknown[]).push('Statistics cannot be read');
}

function add(counts: Json, key: string, amount: number): void {
  const count = counts[key];
  if (typeof count === 'number') counts[key] = Math.max(0, count + amount);
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
