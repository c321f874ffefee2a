import { spawn } from 'node:child_process';
import { access, mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { inject } from 'vitest';
import { putFile } from '../deb-packages.ts';
import type { Dockerd } from './dockerd.ts';
import { runProgram, temporaryFolder } from './processes.ts';
import { CLAIMED } from './shared-folder.ts';

const OS_RELEASE = 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n';

/** What debootstrap leaves behind and no package brings: the smaller the image, the sooner it is there. */
const NEEDLESS = ['var/cache/apt', 'var/lib/apt/lists'];

/**
 * Makes two images without a hub: `deb`, a small Debian that knows no mirror, with bats, and `rpm`, the same with rpm
 * and dnf, an empty rpm database, and a name that says it is an AlmaLinux. The first call of a run takes a minute or
 * more (debootstrap, from the machine's own Debian mirror); others find what that one made.
 */
export async function importDistributions(docker: Dockerd, deb: string, rpm: string): Promise<void> {
  await docker.run(['import', await debianTar(), deb]);
  await docker.commitImage(rpm, deb, { 'usr/lib/os-release': OS_RELEASE });
}

/** The tar of a Debian's files, made once a run: by whoever asks first, while others wait. */
async function debianTar(): Promise<string> {
  const tar = join(inject('sharedFolder'), 'debian.tar');
  const claim = `${tar}${CLAIMED}`;
  while (!(await isThere(tar))) {
    const isOurs = await mkdir(claim).then(
      () => true,
      () => false,
    );
    if (isOurs) await makeDebianTar(tar).finally(() => rmdir(claim));
    else await wait(200);
  }
  return tar;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function makeDebianTar(tar: string): Promise<void> {
  const folder = await temporaryFolder('debian-root');
  try {
    const root = join(folder.path, 'root');
    // Nobody minds when the machine stops amid this: dpkg need not wait for the disk at every file.
    const dpkgSettings = join(root, 'etc/dpkg/dpkg.cfg.d/unsafe');
    await putFile(dpkgSettings, 'force-unsafe-io\n');
    await debootstrap(root);
    await rm(dpkgSettings);
    await rm(join(root, 'etc/apt/sources.list'));
    await runProgram('tar', [
      ...['--create', '--file', `${tar}.part`, '--directory', root],
      ...[...NEEDLESS.map((path) => `--exclude=./${path}/*`), '.'],
    ]);
    await rename(`${tar}.part`, tar);
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
