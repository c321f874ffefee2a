import { type Clock, type Log, messageOf, redactText } from '../../base/index.ts';
import { readBounded } from '../bounded.ts';
import { type ApiRequest, type Handler, jsonReply, type Layer, type Reply, wrap } from '../exchange.ts';
import { isAlts } from '../routes.ts';
import { answerErrors } from '../wire-errors.ts';
import { emailOf } from './bearer.ts';
import { apiText, openApi } from './openapi.ts';
import { isConfigured, readPayload } from './payload.ts';
import { API_VERSION, altsFault, notDone, textReply } from './replies.ts';
import { scriptOf } from './scripts.ts';
import type { Tasks } from './tasks.ts';

/** No request to schedule a test is longer. */
const BODY_BYTES = 1024 * 1024;

export interface SchedulerParts {
  readonly tasks: Tasks;
  /** What tokens are signed with; without one everybody is let in. */
  readonly secret: string | undefined;
  /** False for ALTS since November 2023. */
  readonly submissions: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly faults: Layer;
}

/**
 * The layer that answers as an ALTS scheduler. It asks for its own tokens: the registry's credentials do not count.
 * Faults stand behind them, as for the registry; whatever they answer has the form that FastAPI gives it.
 */
export function answerAlts(parts: SchedulerParts): Layer {
  const answer = wrap([answerErrors(parts.log), requireBearer(parts), parts.faults], endpoints(parts));
  return (next) => (request) => (request.route && isAlts(request.route) ? answer(request) : next(request));
}

function requireBearer({ secret, clock }: SchedulerParts): Layer {
  return (next) => async (request) => {
    const isPublic = request.route?.name === 'alts-openapi' || request.route?.name === 'alts-docs';
    if (secret === undefined || isPublic) return next(request);
    const token = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return altsFault(403);
    return emailOf(token, secret, clock.now()) === undefined ? altsFault(401) : next(request);
  };
}

function endpoints(parts: SchedulerParts): Handler {
  const { tasks, submissions } = parts;
  return async (request) => {
    const { method, route } = request;
    const allowed = route?.name === 'alts-schedule' ? 'POST' : 'GET';
    if (route?.name === 'alts-schedule' && !submissions) return altsFault(404);
    if (method !== allowed) return jsonReply(405, { detail: 'Method Not Allowed' }, { allow: allowed });
    switch (route?.name) {
      case 'alts-schedule':
        return schedule(request, parts);
      case 'alts-result':
        return jsonReply(200, { ...tasks.stateOf(route.reference), api_version: API_VERSION });
      case 'alts-openapi':
        return jsonReply(200, openApi(submissions));
      default:
        return textReply(200, apiText(submissions));
    }
  };
}

async function schedule(request: ApiRequest, { tasks, log }: SchedulerParts): Promise<Reply> {
  // As FastAPI, which reads nothing else as JSON; a page in a browser must not submit tests without asking first.
  const isJson = /^application\/json\b/i.test(request.headers['content-type'] ?? '');
  const body = await readBounded(request, BODY_BYTES);
  const read = readPayload(isJson ? body.toString('utf8') : '');
  if ('faults' in read) return jsonReply(422, { detail: read.faults });
  const { payload } = read;
  if (!isConfigured(payload)) return altsFault(500);
  try {
    const id = await tasks.submit(payload);
    if (scriptOf(payload.package_name)?.isUnrecorded) {
      return jsonReply(400, { ...notDone('Cannot save the task to the database'), task_id: id });
    }
    return jsonReply(201, { success: true, task_id: id, api_version: API_VERSION });
  } catch (error) {
    log.warn(`testbed: a test cannot be kept: ${redactText(messageOf(error))}`);
    return altsFault(400);
  }
}
