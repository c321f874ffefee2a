import { Readable } from 'node:stream';
import { type Clock, systemClock } from '../base/index.ts';
import type { BodyRecipe, Middleware } from './message.ts';

/** Pieces last so long at the least: shorter waits would only cost. */
const PIECE_MS = 20;
const SMALLEST_PIECE = 1024;
const LARGEST_PIECE = 64 * 1024;

/**
 * A rate that all who share it keep together, without bursts: each piece of bytes has its moment, right after the
 * one before it.
 */
export class ByteRate {
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  #nextAt = 0;
  /** Bytes to ask for at once. */
  readonly pieceBytes: number;

  constructor(bytesPerSecond: number, clock: Clock = systemClock) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#clock = clock;
    const piece = Math.floor(this.#bytesPerMs * PIECE_MS);
    this.pieceBytes = Math.min(LARGEST_PIECE, Math.max(SMALLEST_PIECE, piece));
  }

  /** Resolves when so many bytes may go. Throws INTERRUPTED. */
  async turn(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + bytes / this.#bytesPerMs;
    if (at > now) await this.#clock.sleep(at - now, signal);
  }
}

/** Lets the bodies of requests out no faster than the rate: those of all chains that share it together. */
export function limitRate(rate: ByteRate): Middleware {
  return (next) => async (request) => {
    const { body, signal } = request;
    if (body === undefined) return next(request);
    if (!(body instanceof Uint8Array)) return next({ ...request, body: paced(body, rate, signal) });
    await rate.turn(body.length, signal);
    return next(request);
  };
}

function paced(recipe: BodyRecipe, rate: ByteRate, signal: AbortSignal | undefined): BodyRecipe {
  return {
    ...(recipe.size === undefined ? {} : { size: recipe.size }),
    async open() {
      const source = await recipe.open();
      return Readable.from(pieces(source, rate, signal), {
        objectMode: false,
        highWaterMark: rate.pieceBytes,
      });
    },
  };
}

async function* pieces(
  source: Readable,
  rate: ByteRate,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  for await (const chunk of source as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += rate.pieceBytes) {
      const piece = chunk.subarray(at, at + rate.pieceBytes);
      await rate.turn(piece.length, signal);
      yield piece;
    }
  }
}
