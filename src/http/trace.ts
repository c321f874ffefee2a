import { type Clock, formatBytes, isRegopsError, type Log, redactUrl, systemClock } from '../base/index.ts';
import { type HttpRequest, type Middleware, mayHaveBody } from './message.ts';
import { Relay } from './relay.ts';

/**
 * Writes one line per request when its answer's body has ended: method, URL, status, milliseconds, bytes
 * received and sent. Nothing of the headers and bodies, and no query value but harmless ones
 * (GHSA-5jhf-2qmf-m8c5: traces that held tokens and signed URLs).
 */
export function trace(log: Pick<Log, 'trace'>, clock: Clock = systemClock): Middleware {
  return (next) => async (request) => {
    const begun = clock.now();
    const line = (outcome: string, received: number): void => {
      const sent = sizeOf(request);
      const bytes = [formatBytes(received), ...(sent ? [`sent ${formatBytes(sent)}`] : [])].join(', ');
      log.trace(`${request.method} ${redactUrl(request.url)} ${outcome} ${clock.now() - begun} ms ${bytes}`);
    };
    try {
      const response = await next(request);
      if (!mayHaveBody(request.method, response)) {
        line(String(response.status), 0);
        return response;
      }
      let received = 0;
      const body = new Relay(response.body, {
        onBytes(bytes) {
          received += bytes;
          return undefined;
        },
      });
      body.once('close', () =>
        line(body.readableEnded ? String(response.status) : `${response.status} (cut)`, received),
      );
      return { ...response, body };
    } catch (error) {
      line(isRegopsError(error) ? error.code : 'failed', 0);
      throw error;
    }
  };
}

function sizeOf({ body }: HttpRequest): number {
  if (body === undefined) return 0;
  return body instanceof Uint8Array ? body.length : (body.size ?? 0);
}
