import type { z } from 'zod';
import { type ErrorCode, isRegopsError, RegopsError } from '../base/index.ts';
import { discardBody, excerptOf, type HttpResponse, readBody, readJson, type Send } from '../http/index.ts';
import {
  blobsSchema,
  collectionSchema,
  collectionStatsSchema,
  healthSchema,
  type NscrBlobs,
  type NscrCollection,
  type NscrCollectionStats,
  type NscrHealth,
  type NscrRepositories,
  type NscrRepository,
  type NscrSessions,
  type NscrState,
  type NscrStorage,
  repositoriesSchema,
  repositorySchema,
  sessionsSchema,
  stateSchema,
  storageReplySchema,
} from './replies.ts';

/** Ten thousand repositories of a hundred tags, and room to spare: NSCR pages nothing. */
const LIST_BYTES = 64 * 1024 * 1024;
const SMALL_BYTES = 1024 * 1024;
const ERROR_BYTES = 64 * 1024;

/**
 * NSCR's admin API. Every call throws AUTHENTICATION_FAILED, PERMISSION_DENIED, UNSUPPORTED_BY_SERVER (no such API
 * there), RATE_LIMITED, SERVER_ERROR, PROTOCOL_VIOLATION (a reply of another shape), RESPONSE_TOO_LARGE,
 * or the network's error; replies are judged by their status alone, since NSCR answers 401 *with* the data.
 */
export interface NscrClient {
  state(signal?: AbortSignal): Promise<NscrState>;
  /** Also for the 500 by which NSCR says `unhealthy`. */
  health(signal?: AbortSignal): Promise<NscrHealth>;
  sessions(signal?: AbortSignal): Promise<NscrSessions>;
  /** One that does not exist has no tags: NSCR answers 200. A tag that goes meanwhile gives SERVER_ERROR. */
  repository(name: string, signal?: AbortSignal): Promise<NscrRepository>;
  repositories(signal?: AbortSignal): Promise<NscrRepositories>;
  blobs(signal?: AbortSignal): Promise<NscrBlobs>;
  storage(signal?: AbortSignal): Promise<NscrStorage>;
  collectionStats(signal?: AbortSignal): Promise<NscrCollectionStats>;
  /** Collects garbage now. NSCR swallows its errors: nothing removed may also mean that it failed. */
  collectGarbage(signal?: AbortSignal): Promise<NscrCollection>;
}

/**
 * @param parts.origin where the registry is
 * @param parts.send the chain to it, credentials and TLS included (a registry client's `request` will do)
 */
export function createNscrClient(parts: { readonly origin: URL; readonly send: Send }): NscrClient {
  const { origin, send } = parts;

  async function ask<T>(
    path: string,
    schema: z.ZodType<T>,
    maxBytes: number,
    signal: AbortSignal | undefined,
    method: 'GET' | 'POST' = 'GET',
  ): Promise<T> {
    const response = await send({
      method,
      url: new URL(path, origin),
      headers: { accept: 'application/json' },
      ...(method === 'POST' ? { repeatable: false } : {}),
      ...(signal ? { signal } : {}),
    });
    if (response.status !== 200) throw await refused(response, path);
    return readJson(response, schema, maxBytes, path);
  }

  return {
    state: (signal) => ask('/api/registry/state', stateSchema, LIST_BYTES, signal),
    sessions: (signal) => ask('/api/registry/sessions', sessionsSchema, LIST_BYTES, signal),
    repositories: (signal) => ask('/api/registry/repositories', repositoriesSchema, LIST_BYTES, signal),
    blobs: (signal) => ask('/api/registry/blobs', blobsSchema, LIST_BYTES, signal),
    storage: (signal) => ask('/api/registry/storage', storageReplySchema, SMALL_BYTES, signal),
    collectionStats: (signal) =>
      ask('/api/garbage-collect/stats', collectionStatsSchema, SMALL_BYTES, signal),
    collectGarbage: (signal) => ask('/api/garbage-collect', collectionSchema, SMALL_BYTES, signal, 'POST'),
    repository: async (name, signal) =>
      ask(`/api/registry/repositories/${pathOf(name)}`, repositorySchema, LIST_BYTES, signal),

    async health(signal) {
      const path = '/api/registry/health';
      const response = await send({
        method: 'GET',
        url: new URL(path, origin),
        headers: { accept: 'application/json' },
        ...(signal ? { signal } : {}),
      });
      if (response.status === 200) return readJson(response, healthSchema, SMALL_BYTES, path);
      if (response.status < 500) throw await refused(response, path);
      const text = await textOf(response);
      const health = healthSchema.safeParse(jsonOf(text));
      if (health.success && health.data.status !== 'healthy') return health.data;
      throw refusal(response, path, text);
    },
  };
}

/** A repository's name as a path: NSCR takes its slashes as they are. */
function pathOf(name: string): string {
  const parts = name.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new RegopsError('REFERENCE_INVALID', `invalid repository name '${name.slice(0, 200)}'`);
  }
  return parts.map(encodeURIComponent).join('/');
}

async function refused(response: HttpResponse, path: string): Promise<RegopsError> {
  return refusal(response, path, await textOf(response));
}

/** @param text NSCR's `{"error": …, "message": …}`, or anything */
function refusal(response: HttpResponse, path: string, text: string): RegopsError {
  const { status, url } = response;
  const document = jsonOf(text) as { error?: unknown; message?: unknown } | undefined;
  const words = [document?.error, document?.message].filter((part) => typeof part === 'string');
  const said = excerptOf(words.length > 0 ? words.join(': ') : text);
  return new RegopsError(
    codeOf(status),
    `${path}: ${url.host} answered ${status}${said ? ` (${said})` : ''}`,
    {
      details: { status },
    },
  );
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return 'AUTHENTICATION_FAILED';
  if (status === 403) return 'PERMISSION_DENIED';
  if (status === 404 || status === 405 || status === 501) return 'UNSUPPORTED_BY_SERVER';
  if (status === 429) return 'RATE_LIMITED';
  if (status === 408 || status === 504) return 'TIMED_OUT';
  if (status >= 500) return 'SERVER_ERROR';
  return status >= 400 ? 'REQUEST_REFUSED' : 'PROTOCOL_VIOLATION';
}

/** The body of a failure; reading it never hides the failure itself. Throws INTERRUPTED only. */
async function textOf(response: HttpResponse): Promise<string> {
  try {
    return (await readBody(response, ERROR_BYTES, 'error response')).toString('utf8');
  } catch (error) {
    if (isRegopsError(error, 'INTERRUPTED')) throw error;
    await discardBody(response);
    return '';
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}
