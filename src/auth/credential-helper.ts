import { spawn } from 'node:child_process';
import { escapeText, messageOf, RegopsError, redactText, systemCode } from '../base/index.ts';
import { z } from '../base/schema.ts';
import { type Credential, credentialFromPair } from './credential.ts';

const OUTPUT_BYTES = 1024 * 1024;
/** Some helpers ask a remote service, or the user for a PIN. */
const DEFAULT_TIMEOUT_MS = 60_000;
/** What docker-credential-helpers say when they have nothing (`credentials.NewErrCredentialsNotFound`). */
const NOT_FOUND = 'credentials not found';

export interface HelperOptions {
  /** The helper's whole environment; `PATH` is where it is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs?: number | undefined;
}

const answerSchema = z.object({ Username: z.string(), Secret: z.string() });

/**
 * Asks a docker credential helper for a registry's credential; undefined when it says that it has none.
 * Any other failure is CREDENTIAL_HELPER_FAILED: it never leads on to another registry's credential
 * (CVE-2021-41092).
 *
 * @param server the registry as docker calls it, see `dockerKey`
 */
export async function askHelper(
  helper: string,
  server: string,
  options: HelperOptions,
): Promise<Credential | undefined> {
  const answer = await run(helper, 'get', server, options);
  if (answer.status !== 0) {
    if (answer.said.includes(NOT_FOUND)) return undefined;
    throw failed(helper, `'get' for ${server} ended with ${answer.status}${saying(answer.said)}`);
  }
  let document: unknown;
  try {
    document = JSON.parse(answer.output);
  } catch {
    throw failed(helper, `'get' for ${server} gave no JSON`);
  }
  const parsed = answerSchema.safeParse(document);
  if (!parsed.success) throw failed(helper, `'get' for ${server} gave no Username and Secret`);
  return credentialFromPair(parsed.data.Username, parsed.data.Secret);
}

/** Gives a helper a name and secret to keep. Throws CREDENTIAL_HELPER_FAILED. */
export async function storeWithHelper(
  helper: string,
  entry: { server: string; username: string; secret: string },
  options: HelperOptions,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: entry.server, Username: entry.username, Secret: entry.secret });
  const answer = await run(helper, 'store', input, options);
  if (answer.status !== 0) {
    throw failed(
      helper,
      `'store' for ${entry.server} ended with ${answer.status}${saying(answer.said, entry.secret)}`,
    );
  }
}

/** Has a helper forget a registry; false when it knew nothing. Throws CREDENTIAL_HELPER_FAILED. */
export async function eraseWithHelper(
  helper: string,
  server: string,
  options: HelperOptions,
): Promise<boolean> {
  const answer = await run(helper, 'erase', server, options);
  if (answer.status === 0) return true;
  if (answer.said.includes(NOT_FOUND)) return false;
  throw failed(helper, `'erase' for ${server} ended with ${answer.status}${saying(answer.said)}`);
}

interface Answer {
  /** Exit code, or the signal that ended it. */
  readonly status: number | string;
  readonly output: string;
  /** What a failing helper had to say; by the protocol that is on stdout. */
  readonly said: string;
}

function run(
  helper: string,
  action: 'get' | 'store' | 'erase',
  input: string,
  { env, timeoutMs = DEFAULT_TIMEOUT_MS }: HelperOptions,
): Promise<Answer> {
  if (!/^[A-Za-z0-9._-]+$/.test(helper)) {
    throw new RegopsError('CREDENTIAL_HELPER_FAILED', 'a credential helper has an impossible name', {
      hints: [
        'A helper is named by letters, digits, dots, dashes and underscores: see credsStore and credHelpers.',
      ],
    });
  }
  const program = `docker-credential-${helper}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [action], { env: { ...env }, shell: false, stdio: 'pipe' });
    const output: Buffer[] = [];
    const complaints: Buffer[] = [];
    let size = 0;
    const stop = (error: RegopsError): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      // A grandchild may hold these open for as long as it likes.
      child.stdout.destroy();
      child.stderr.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => stop(failed(helper, `'${action}' gave no answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
      size += chunk.length;
      if (size > OUTPUT_BYTES) stop(failed(helper, `'${action}' gave more than ${OUTPUT_BYTES} bytes`));
      else chunks.push(chunk);
    };
    child.stdout.on('data', collect(output));
    child.stderr.on('data', collect(complaints));
    child.stdin.on('error', () => {
      // It may end without reading what it was given: its exit code tells.
    });
    child.on('error', (error) => {
      stop(
        systemCode(error) === 'ENOENT'
          ? failed(
              helper,
              `${program} is not in PATH`,
              'Install the helper, or correct credsStore and credHelpers.',
            )
          : failed(helper, messageOf(error)),
      );
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const stdout = Buffer.concat(output).toString('utf8');
      const stderr = Buffer.concat(complaints).toString('utf8');
      resolve({ status: code ?? signal ?? 'no status', output: stdout, said: `${stdout} ${stderr}`.trim() });
    });
    child.stdin.end(input);
  });
}

function saying(text: string, secret?: string): string {
  const safe = redactText(secret ? text.replaceAll(secret, 'REDACTED') : text);
  const line = escapeText(safe.replaceAll(/\s+/g, ' ').trim()).slice(0, 200);
  return line === '' ? '' : ` (${line})`;
}

function failed(helper: string, why: string, ...hints: string[]): RegopsError {
  return new RegopsError('CREDENTIAL_HELPER_FAILED', `credential helper ${helper}: ${why}`, { hints });
}
