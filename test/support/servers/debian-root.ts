import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dockerd } from './dockerd.ts';
import { runProgram, temporaryFolder } from './processes.ts';

const OS_RELEASE = 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n';

/**
 * Makes two images without a hub, by one debootstrap (a minute or more, from the machine's own Debian mirror): `deb`, a
 * small Debian that knows no mirror, with bats, and `rpm`, the same with rpm and dnf, an empty rpm database, and a
 * name that says it is an AlmaLinux.
 */
export async function importDistributions(docker: Dockerd, deb: string, rpm: string): Promise<void> {
  const folder = await temporaryFolder('debian-root');
  try {
    const root = join(folder.path, 'root');
    await debootstrap(root);
    await rm(join(root, 'etc/apt/sources.list'));
    const tar = join(folder.path, 'root.tar');
    await runProgram('tar', ['--create', '--file', tar, '--directory', root, '.']);
    await docker.run(['import', tar, deb]);
    await docker.commitImage(rpm, deb, { 'usr/lib/os-release': OS_RELEASE });
  } finally {
    await folder.remove();
  }
}

async function debootstrap(root: string): Promise<void> {
  const child = spawn('debootstrap', ['--variant=minbase', '--include=rpm,dnf,bats', 'bookworm', root], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000);
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`debootstrap ended with ${code}: ${said}`);
}
