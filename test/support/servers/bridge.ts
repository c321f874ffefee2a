import { execFileSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
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

/** Makes a bridge, in a network that is kept for tests (RFC 2544). Needs root. */
export async function addBridge(): Promise<Bridge> {
  const name = `regops${randomBytes(4).toString('hex')}`;
  const address = `198.${randomInt(18, 20)}.${randomInt(256)}.1`;
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
