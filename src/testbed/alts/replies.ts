import { jsonReply, type Reply } from '../exchange.ts';

/** As ALTS calls it in every answer. */
export const API_VERSION = '20210512';

type Headers = Readonly<Record<string, string>>;

/** The body of a 400 of ALTS' own. */
export function notDone(why: string): object {
  return { success: false, error_description: why, api_version: API_VERSION };
}

/** What FastAPI and ALTS say with a status that is no success. */
export function altsFault(status: number, headers: Headers = {}): Reply {
  switch (status) {
    case 400:
      return jsonReply(400, notDone('Unable to queue the task: broker is not available'), headers);
    case 401:
      return jsonReply(
        401,
        { detail: 'Could not validate credentials' },
        { 'www-authenticate': 'Bearer', ...headers },
      );
    case 403:
      return jsonReply(403, { detail: 'Not authenticated' }, headers);
    case 404:
      return jsonReply(404, { detail: 'Not Found' }, headers);
    case 422: {
      const fault = { loc: ['body', 'verbose'], msg: 'field required', type: 'value_error.missing' };
      return jsonReply(422, { detail: [fault] }, headers);
    }
    case 503:
      return textReply(503, 'Service Unavailable', headers);
    default:
      return status >= 500
        ? textReply(status, 'Internal Server Error', headers)
        : jsonReply(status, { detail: 'made so by a fault' }, headers);
  }
}

/** A reply that is plain text, as of what FastAPI does not handle. */
export function textReply(status: number, text: string, headers: Headers = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
    body: [Buffer.from(text)],
  };
}
