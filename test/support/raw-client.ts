import { connect } from 'node:net';
import type { Testbed } from '../../src/testbed/index.ts';

/** What came back on a connection of its own, byte for byte, and how it ended. */
export interface RawAnswer {
  readonly head: string;
  readonly body: Buffer;
  /** `end` when the server closed in order, `ECONNRESET` … when it did not, `open` when it stayed open. */
  readonly ended: string;
}

/**
 * Sends one request over a bare socket and reads until the connection ends.
 * @param keepsOpen the answer's length: reading stops when so many bytes of body are there
 */
export function rawCall(
  testbed: Pick<Testbed, 'host' | 'port'>,
  method: string,
  path: string,
  { body = Buffer.alloc(0), keepsOpen }: { body?: Buffer; keepsOpen?: number } = {},
): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const socket = connect(testbed.port, testbed.host);
    const chunks: Buffer[] = [];
    let ended = 'end';
    const answer = (): { head: string; body: Buffer } => {
      const bytes = Buffer.concat(chunks);
      const at = bytes.indexOf('\r\n\r\n');
      return { head: bytes.subarray(0, Math.max(0, at)).toString(), body: bytes.subarray(at + 4) };
    };
    socket.on('error', (error: NodeJS.ErrnoException) => {
      ended = error.code ?? error.message;
    });
    socket.on('close', () => resolve({ ...answer(), ended }));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (keepsOpen === undefined || answer().body.length < keepsOpen) return;
      ended = 'open';
      socket.destroy();
    });
    socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: ${testbed.host}:${testbed.port}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body);
  });
}
