import type { ApiRequest } from './exchange.ts';
import { refusal } from './wire-errors.ts';

/** A request's whole body, for what is held in memory. Refuses with 413 what is larger than the limit, in bytes. */
export async function readBounded(request: ApiRequest, limit: number): Promise<Buffer> {
  const tooLarge = (): Error => refusal('MANIFEST_INVALID', `larger than ${limit} bytes`, 413);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > limit) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
