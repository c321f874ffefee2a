import { LIMITS } from '../../oci/index.ts';
import { readBounded } from '../bounded.ts';
import { type ApiRequest, changedRequest, type Layer, type Reply } from '../exchange.ts';
import { errorReply } from '../wire-errors.ts';
import type { Persona } from './model.ts';

/** How a persona takes, gives and deletes manifests, and what it knows of referrers. */
export function playManifests(persona: Persona): Layer {
  return (next) => async (request) => {
    const { method, route } = request;
    if (route?.name === 'referrers' && persona.referrers) return NO_SUCH_PAGE;
    if (route?.name !== 'manifest') return next(request);
    if (method === 'DELETE' && persona.deletesTags === false && !route.reference.includes(':')) {
      return errorReply('UNSUPPORTED', 'manifests are deleted by digest');
    }
    if (method === 'PUT') return withoutSubject(await put(request, next, persona), persona);
    const reply = await next(request);
    if (reply.status !== 404) return reply;
    if (method === 'HEAD' && persona.missingManifestHead) return { status: persona.missingManifestHead };
    return persona.missingManifestCode
      ? errorReply(persona.missingManifestCode, 'not found', { status: 404 })
      : reply;
  };
}

/** What a router says that knows no such path. */
const NO_SUCH_PAGE: Reply = {
  status: 404,
  headers: { 'content-type': 'text/plain' },
  body: [Buffer.from('404 page not found\n')],
};

async function put(
  request: ApiRequest,
  next: (request: ApiRequest) => Promise<Reply>,
  { typedReferrers }: Persona,
): Promise<Reply> {
  if (!typedReferrers) return next(request);
  const bytes = await readBounded(request, LIMITS.manifestBytes);
  if (isTypedReferrer(bytes)) return errorReply('UNSUPPORTED', 'invalid parameter at ImageManifest');
  async function* body(): AsyncGenerator<Buffer> {
    yield bytes;
  }
  return next(changedRequest(request, { body: body() }));
}

function isTypedReferrer(bytes: Buffer): boolean {
  try {
    const { artifactType, subject } = JSON.parse(bytes.toString()) as Record<string, unknown>;
    return artifactType !== undefined && subject !== undefined;
  } catch {
    // The endpoint says what is wrong with it.
    return false;
  }
}

function withoutSubject(reply: Reply, { referrers }: Persona): Reply {
  if (referrers !== 'absent') return reply;
  const { 'oci-subject': _, ...headers } = reply.headers ?? {};
  return { ...reply, headers };
}
