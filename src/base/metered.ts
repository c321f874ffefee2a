import { pipeline, type Readable, Transform } from 'node:stream';

/** The same bytes as they pass, each chunk's length told to `onBytes`. Errors and destruction go both ways. */
export function metered(stream: Readable, onBytes: (bytes: number) => void): Readable {
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
  // Whoever reads the meter sees the error; the callback has nothing to add.
  pipeline(stream, meter, () => {});
  return meter;
}
