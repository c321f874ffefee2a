import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { escapeText, messageOf, RegopsError, redactText } from '../base/index.ts';
import { z } from '../base/schema.ts';
import { type HttpResponse, headerOf } from './message.ts';

/** Up to here it is cheaper to read a body that nobody wants than to lose its connection. */
const DRAINED_BYTES = 64 * 1024;
const DRAINED_MS = 1000;
/** For a document of a few MiB over the slowest line; who sends a byte now and then would hold us for days. */
const DOCUMENT_MS = 5 * 60_000;
const EXCERPT_CHARACTERS = 300;

/**
 * The whole body, at most `maxBytes` of it. Throws RESPONSE_TOO_LARGE, TIMED_OUT when it trickles, or what the
 * connection threw.
 *
 * @param what names the document in the error
 */
export async function readBody(
  response: HttpResponse,
  maxBytes: number,
  what: string,
  deadlineMs = DOCUMENT_MS,
): Promise<Buffer> {
  const { body } = response;
  const tooLarge = (): RegopsError =>
    new RegopsError('RESPONSE_TOO_LARGE', `${what}: ${response.url.host} sent more than ${maxBytes} bytes`);
  if (declaredLength(response) > maxBytes) {
    body.destroy();
    throw tooLarge();
  }
  const chunks: Buffer[] = [];
  let size = 0;
  const late = setTimeout(() => {
    const why = `${what}: ${response.url.host} did not send all of it within ${deadlineMs / 1000} s`;
    body.destroy(new RegopsError('TIMED_OUT', why));
  }, deadlineMs);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      // Leaving the loop destroys the body.
      if (size > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  return Buffer.concat(chunks, size);
}

/**
 * The same answer with its body in memory, so that its connection is free for what has to be asked before
 * the answer can be used. A body that is too large or breaks off is dropped: only the head counts then.
 */
export async function detachBody(response: HttpResponse): Promise<HttpResponse> {
  const bytes = await readBody(response, DRAINED_BYTES, 'response').catch(() => Buffer.alloc(0));
  return { ...response, body: Readable.from([bytes], { objectMode: false }) };
}

/**
 * The body as JSON of the given shape. Throws RESPONSE_TOO_LARGE or PROTOCOL_VIOLATION; the content is
 * never quoted, since it may be a token.
 */
export async function readJson<T>(
  response: HttpResponse,
  schema: z.core.$ZodType<T>,
  maxBytes: number,
  what: string,
): Promise<T> {
  const bytes = await readBody(response, maxBytes, what);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new RegopsError('PROTOCOL_VIOLATION', `${what}: ${response.url.host} sent no JSON`);
  }
  const parsed = z.safeParse(schema, document);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue?.path.length ? `${issue.path.join('.')}: ` : '';
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `${what}: ${response.url.host} sent JSON of another shape (${place}${messageOf(issue?.message)})`,
    );
  }
  return parsed.data;
}

/**
 * Lets go of a body that nobody wants: a small one is read to its end, so that its connection is used
 * again; a large or slow one is torn down. Never throws.
 */
export async function discardBody(response: Pick<HttpResponse, 'body' | 'headers'>): Promise<void> {
  const { body } = response;
  if (declaredLength(response) > DRAINED_BYTES) body.destroy();
  let size = 0;
  body.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > DRAINED_BYTES) body.destroy();
  });
  const timer = setTimeout(() => body.destroy(), DRAINED_MS);
  try {
    await finished(body, { writable: false });
  } catch {
    // cut off by us or by the other side: it is gone either way
  } finally {
    clearTimeout(timer);
  }
}

/** Foreign text fit for a message: one line, no markup, no secrets, no terminal escapes, capped. */
export function excerptOf(text: string): string {
  const plain = text
    .slice(0, DRAINED_BYTES)
    .replaceAll(/<[^<>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  const line = escapeText(redactText(plain));
  return line.length > EXCERPT_CHARACTERS ? `${line.slice(0, EXCERPT_CHARACTERS)}…` : line;
}

/** Content-Length; 0 when it is missing or no number. */
function declaredLength(response: Pick<HttpResponse, 'headers'>): number {
  const length = Number(headerOf(response, 'content-length'));
  return Number.isSafeInteger(length) ? length : 0;
}
