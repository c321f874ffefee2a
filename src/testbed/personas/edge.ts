import type { Layer, Reply } from '../exchange.ts';
import type { Route } from '../routes.ts';
import type { Persona } from './model.ts';

/** The layer around authentication: how a persona asks for credentials, and how it says that there were too many requests. */
export function playEdge(persona: Persona): Layer {
  return (next) => async (request) => {
    const reply = await next(request);
    if (reply.status === 401) return challenged(reply, request.route, persona);
    if (reply.status === 429 && persona.abuseLimit) return limited(reply, request.route, persona.abuseLimit);
    return reply;
  };
}

function challenged(reply: Reply, route: Route | undefined, persona: Persona): Reply {
  const { 'www-authenticate': challenge, ...headers } = reply.headers ?? {};
  if (challenge === undefined) return reply;
  if (persona.challenge === 'ping-alone' && route?.name !== 'base') return { ...reply, headers };
  // Who does not want to hear of an action does not ask for it either.
  const { refusedAction } = persona;
  if (refusedAction === undefined) return reply;
  return {
    ...reply,
    headers: { ...headers, 'www-authenticate': challenge.replace(`:${refusedAction}"`, ':*"') },
  };
}

/** Pulls are counted by manifests, and their limit speaks JSON. */
function limited(
  reply: Reply,
  route: Route | undefined,
  { text, retryAfterSeconds }: NonNullable<Persona['abuseLimit']>,
): Reply {
  if (route?.name === 'manifest') return reply;
  const headers = {
    'retry-after': String(retryAfterSeconds),
    ...reply.headers,
    'content-type': 'text/plain',
  };
  return { ...reply, headers, body: [Buffer.from(text)] };
}
