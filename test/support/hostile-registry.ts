import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';

/** A server that is not the registry, and to which a hostile registry would like secrets to go. */
export interface Elsewhere {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly host: string;
  /** Every request as it came: first line, headers, body. */
  readonly requests: readonly string[];
}

/** Starts one; it keeps all that it is sent, and unless told otherwise asks for credentials in every way. */
export async function openElsewhere(
  answer: (request: IncomingMessage, response: ServerResponse) => void = askForCredentials,
): Promise<Elsewhere> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const body: Buffer[] = [];
    const note = (): void => {
      const text = [`${request.method} ${request.url}`, ...request.rawHeaders, Buffer.concat(body)].join(
        '\n',
      );
      requests.push(text);
    };
    request.on('data', (chunk: Buffer) => body.push(chunk));
    // A client that goes away in the middle has told what it told.
    request.on('error', note);
    request.on('end', () => {
      note();
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url: `http://${host}`, host, requests };
}

function askForCredentials(request: IncomingMessage, response: ServerResponse): void {
  const realm = `http://${request.headers.host}/token`;
  response.writeHead(401, { 'www-authenticate': [`Bearer realm="${realm}"`, 'Basic realm="elsewhere"'] });
  response.end();
}

/** Every spelling in which a secret may turn up: plain, base64 at each offset, URL-encoded, hexadecimal, JSON. */
export function spellingsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  // In base64 the same bytes are written in three ways, by what stands before them; the ends are cut off.
  const encoded = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return text.slice(before === 0 ? 0 : before + 1, -1);
  });
  return [secret, ...encoded, encodeURIComponent(secret), bytes.toString('hex')];
}

/** Fails when one of the secrets can be read in one of the texts, by the name of the text. */
export function expectNoSecretIn(
  texts: Readonly<Record<string, string | readonly string[]>>,
  secrets: readonly string[],
): void {
  for (const [where, text] of Object.entries(texts)) {
    const all = [text].flat().join('\n');
    for (const secret of secrets) {
      for (const spelling of spellingsOf(secret)) {
        expect(all.includes(spelling), `${where} tells '${secret}' as '${spelling}'`).toBe(false);
      }
    }
  }
}

/** Every file below a folder, by path. */
export async function filesBelow(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found[path] = await readFile(path, 'latin1');
  }
  return found;
}

/** Writes as long as the other side takes it; a HEAD gets its end. */
export function writeWithoutEnd(response: ServerResponse, piece = 'x'.repeat(65_536)): void {
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  const go = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on('drain', go).on('error', () => {});
  go();
}
