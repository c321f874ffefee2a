import { createHash, type Hash } from 'node:crypto';
import { Transform } from 'node:stream';
import { RegopsError } from '../base/index.ts';

/** Algorithms registered by the OCI image spec (descriptor.md, "Registered Algorithms") that Node can compute. */
export const DIGEST_ALGORITHMS = { sha256: 64, sha512: 128 } as const;
export type DigestAlgorithm = keyof typeof DIGEST_ALGORITHMS;

/** `sha256:<64 hex>` or `sha512:<128 hex>`, checked: it may be joined into a URL or a path. */
export type Digest = `${DigestAlgorithm}:${string}` & { readonly __digest: true };

const DIGEST = new RegExp(
  `^(?:${Object.entries(DIGEST_ALGORITHMS)
    .map(([algorithm, digits]) => `${algorithm}:[0-9a-f]{${digits}}`)
    .join('|')})$`,
);

/** True when the text is a digest of a registered algorithm with its exact, lower-case length. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && DIGEST.test(text);
}

/**
 * Checks a digest that came from outside before it is used anywhere (CVE-2024-3727: an unchecked digest
 * reached URLs and paths). Throws DIGEST_INVALID.
 */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new RegopsError('DIGEST_INVALID', `invalid digest '${text.slice(0, 160)}'`, {
      hints: ['A digest is sha256: and 64, or sha512: and 128, lower-case hexadecimal digits.'],
    });
  }
  return text;
}

/** The two halves of a digest. */
export function digestParts(digest: Digest): { readonly algorithm: DigestAlgorithm; readonly hex: string } {
  const [algorithm, hex] = digest.split(':') as [DigestAlgorithm, string];
  return { algorithm, hex };
}

/** First twelve digits, for tables on a terminal. */
export function shortDigest(digest: Digest): string {
  return digestParts(digest).hex.slice(0, 12);
}

/** The digest of bytes that are already in memory. */
export function digestOf(bytes: string | Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** Computes a digest and a length as bytes pass. */
export class Digester {
  readonly #hash: Hash;
  readonly #algorithm: DigestAlgorithm;
  #size = 0;

  constructor(algorithm: DigestAlgorithm = 'sha256') {
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  /** Bytes seen so far. */
  get size(): number {
    return this.#size;
  }

  /** The digest of all bytes seen; call once, at the end. */
  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.digest('hex')}` as Digest;
  }
}

/**
 * A pass-through stream that fails with DIGEST_MISMATCH or SIZE_MISMATCH unless exactly the expected
 * bytes went through it (CVE-2025-24882: a pinned digest that nobody compared). It never passes on more
 * than the expected size, and with a size the last bytes only when the digest is right: a request whose
 * body it is never comes to its end with wrong content.
 *
 * @param what names the blob in the error
 * @param onBytes told of every chunk that passed
 */
export function verifyingStream(
  expected: { readonly digest: Digest; readonly size?: number },
  what: string,
  onBytes?: (bytes: number) => void,
): Transform {
  const { digest, size } = expected;
  const digester = new Digester(digestParts(digest).algorithm);
  let checked = false;
  const wrongDigest = (): RegopsError | null => {
    if (checked) return null;
    checked = true;
    const actual = digester.digest();
    return actual === digest ? null : digestMismatch(what, digest, actual);
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (size !== undefined && digester.size + chunk.length > size) {
        done(sizeMismatch(what, size, `more than ${size}`));
        return;
      }
      if (chunk.length > 0) digester.update(chunk);
      const wrong = digester.size === size ? wrongDigest() : null;
      if (wrong) {
        done(wrong);
        return;
      }
      onBytes?.(chunk.length);
      done(null, chunk);
    },
    flush(done) {
      done(
        size !== undefined && digester.size !== size
          ? sizeMismatch(what, size, String(digester.size))
          : wrongDigest(),
      );
    },
  });
}

/** The error for content whose digest is not the promised one. */
export function digestMismatch(what: string, expected: Digest, actual: Digest): RegopsError {
  return new RegopsError('DIGEST_MISMATCH', `${what}: expected ${expected}, got ${actual}`, {
    details: { expected, actual },
  });
}

function sizeMismatch(what: string, expected: number, actual: string): RegopsError {
  return new RegopsError('SIZE_MISMATCH', `${what}: expected ${expected} bytes, got ${actual}`, {
    details: { expected, actual },
  });
}
