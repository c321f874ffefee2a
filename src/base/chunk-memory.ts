/**
 * Memory of the chunks that layers are read, packed and sent in. V8 counts it and collects garbage each time some
 * 64 MiB of it have piled up, in the middle of a push again and again, with that much more memory at the peak. So
 * whoever has used up a chunk says so.
 */

const chunks = new WeakSet<ArrayBuffer>();

/** Room for bytes that are read into it, at once. */
export function allocateChunk(length: number): Buffer {
  const chunk = Buffer.allocUnsafeSlow(length);
  chunks.add(chunk.buffer);
  return chunk;
}

/**
 * Gives the memory of a chunk back now. The caller is its last user: the buffer is empty afterwards. Does
 * nothing for bytes that are not the whole of what {@link allocateChunk} gave: others may look at those.
 */
export function releaseChunk(chunk: Buffer): void {
  const { buffer } = chunk;
  if (!(buffer instanceof ArrayBuffer) || chunk.length !== buffer.byteLength) return;
  if (chunks.delete(buffer)) buffer.transfer(0);
}

/** The same chunks, each released when the next one is asked for: for a reader that is done with it by then. */
export async function* releasing(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    yield chunk;
    releaseChunk(chunk);
  }
}

/**
 * The same bytes, without the unused rest of the memory they lie in, and to be released as a chunk; the old buffer is
 * empty afterwards. Bytes that do not begin their memory are given as they are.
 */
export function shrunk(bytes: Buffer): Buffer {
  const { buffer, byteOffset, length } = bytes;
  if (byteOffset !== 0 || !(buffer instanceof ArrayBuffer)) return bytes;
  const memory = buffer.transfer(length);
  chunks.add(memory);
  return Buffer.from(memory);
}
