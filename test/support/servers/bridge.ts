import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { runProgram } from './processes.ts';

/** A network bridge of this machine, to which an engine may connect containers. It leads nowhere else. */
export interface Bridge {
  readonly name: string;
  /** This machine's on it: where containers reach what a test serves. */
  readonly address: string;
  remove(): Promise<void>;
}

const bridges = new Set<string>();
process.on('exit', () => {
  for (const name of bridges) {
    try {
      execFileSync('ip', ['link', 'del', name], { stdio: 'ignore' });
    } catch {
      // It is gone.
    }
  }
});

/** Makes a bridge, in a network of its own of those that are kept for tests (RFC 2544). Needs root. */
export async function addBridge(): Promise<Bridge> {
  const name = `regops${randomBytes(4).toString('hex')}`;
  const address = await freeAddress();
  await runProgram('ip', ['link', 'add', name, 'type', 'bridge']);
  bridges.add(name);
  const remove = async (): Promise<void> => {
    await runProgram('ip', ['link', 'del', name]);
    bridges.delete(name);
  };
  try {
    await runProgram('ip', ['address', 'add', `${address}/24`, 'dev', name]);
    await runProgram('ip', ['link', 'set', name, 'up']);
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, address, remove };
}

/** An address whose network nobody here has. Test files that run at the same time look in networks of their own. */
async function freeAddress(): Promise<string> {
  const { stdout: taken } = await runProgram('ip', ['-4', '-oneline', 'address']);
  const worker = Number(process.env['VITEST_POOL_ID'] ?? 0) % 16;
  for (let at = 0; at < 16; at++) {
    const address = `198.18.${16 * worker + at}.1`;
    if (!taken.includes(` ${address}/`)) return address;
  }
  throw new Error('no network is free for a bridge');
}
