import { RegopsError } from '../base/index.ts';

/** Writes to a stream and waits until it is out: process.exit would cut what a pipe has not taken yet. */
export function writeAll(stream: NodeJS.WritableStream, text: string): Promise<void> {
  if (text === '') return Promise.resolve();
  return new Promise((resolve) => {
    // A reader that went away is no failure: `main` ends the program on EPIPE.
    stream.write(text, () => resolve());
  });
}

let stopWork: (() => void) | undefined;

/**
 * Work that writes to stdout while it runs says how it is to be stopped when the reader goes away (`| head`),
 * so that it can clean up first; undefined once it has ended.
 */
export function whenReaderLeaves(stop: (() => void) | undefined): void {
  stopWork = stop;
}

/** The reader of stdout has gone: stops the work under way, and says whether there is any. */
export function stopForReader(): boolean {
  stopWork?.();
  return stopWork !== undefined;
}

const PASSWORD_MAX_BYTES = 64 * 1024;

/**
 * The password on standard input: its first line, without the newline. Throws USAGE when there is a
 * terminal instead of a pipe, nothing, or more than 64 KiB.
 * @param flag what asked for it
 */
export async function readPasswordStdin(
  stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean },
  flag = '--password-stdin',
): Promise<string> {
  if (stdin.isTTY) {
    throw new RegopsError('USAGE', `${flag}: standard input is a terminal, not a pipe`, {
      hints: [`Pipe it in: pass show registry | regops … ${flag}`],
    });
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    chunks.push(bytes);
    size += bytes.length;
    if (size > PASSWORD_MAX_BYTES) {
      throw new RegopsError('USAGE', `${flag}: more than 64 KiB on standard input`);
    }
    if (bytes.includes(0x0a)) break;
  }
  const password = (Buffer.concat(chunks).toString('utf8').split('\n', 1)[0] ?? '').replace(/\r$/, '');
  if (password === '') {
    const what = flag.slice(2).replace(/-stdin$/, '');
    throw new RegopsError('USAGE', `${flag}: no ${what} on standard input`);
  }
  return password;
}
