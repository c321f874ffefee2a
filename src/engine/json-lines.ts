import { StringDecoder } from 'node:string_decoder';
import { escapeText, RegopsError } from '../base/index.ts';

/** How much one answer that goes on for long may say. */
export interface LineLimits {
  /** Characters of one line. */
  readonly line: number;
  /** Characters of all lines. */
  readonly total: number;
}

/** A push of the largest image says some hundred thousand lines of two hundred characters. */
export const LINE_LIMITS: LineLimits = { line: 1024 * 1024, total: 512 * 1024 * 1024 };

/**
 * The JSON objects of a stream with one per line, as the engine tells of its pushes, pulls and loads. Unlike
 * docker-modem's followProgress it joins characters that were cut between chunks, takes a last line without a
 * newline, and fails with PROTOCOL_VIOLATION for a line that is no JSON object; more than `limits` is RESPONSE_TOO_LARGE.
 *
 * @param what names the answer in errors
 */
export async function* readJsonLines(
  chunks: AsyncIterable<Buffer>,
  what: string,
  limits: LineLimits = LINE_LIMITS,
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let total = 0;
  for await (const chunk of chunks) {
    const text = decoder.write(chunk);
    total += text.length;
    if (total > limits.total) throw tooLarge(what, `more than ${limits.total} characters`);
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.length > limits.line) throw tooLarge(what, `a line of more than ${limits.line} characters`);
      if (line.trim() !== '') yield objectOf(line, what);
    }
    if (rest.length > limits.line) throw tooLarge(what, `a line of more than ${limits.line} characters`);
  }
  rest += decoder.end();
  if (rest.trim() !== '') yield objectOf(rest, what);
}

function objectOf(line: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // the line is shown instead
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `${what}: the engine sent a line that is no JSON object: ${escapeText(line.trim().slice(0, 120))}`,
      { hints: ['Check that DOCKER_HOST leads to an engine, and not to a proxy that answers in its place.'] },
    );
  }
  return value as Record<string, unknown>;
}

function tooLarge(what: string, how: string): RegopsError {
  return new RegopsError('RESPONSE_TOO_LARGE', `${what}: the engine sent ${how}`);
}
