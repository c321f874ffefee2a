import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What real-server tests can ask for. */
export type ServerName =
  | 'docker-registry'
  | 'dockerd'
  | 'podman'
  | 'skopeo'
  | 'chromium'
  | 'debootstrap'
  | 'rpm-tools'
  | 'git'
  | 'bridge';

/** The programs each of them takes, and the Debian package that brings it. */
const PROGRAMS: Readonly<Record<ServerName, Readonly<Record<string, string>>>> = {
  'docker-registry': {
    'docker-registry': 'docker-registry',
    htpasswd: 'apache2-utils',
    openssl: 'openssl',
    setpriv: 'util-linux',
  },
  dockerd: { dockerd: 'docker.io', docker: 'docker.io', setpriv: 'util-linux' },
  podman: { podman: 'podman', setpriv: 'util-linux' },
  skopeo: { skopeo: 'skopeo' },
  chromium: { chromium: 'chromium', setpriv: 'util-linux' },
  debootstrap: { debootstrap: 'debootstrap', 'dpkg-deb': 'dpkg' },
  'rpm-tools': { rpmbuild: 'rpm', createrepo_c: 'createrepo-c' },
  git: { git: 'git', setpriv: 'util-linux' },
  bridge: { ip: 'iproute2' },
};

const ROOT: readonly ServerName[] = ['dockerd', 'podman', 'debootstrap', 'bridge'];

export const SERVERS = Object.keys(PROGRAMS) as readonly ServerName[];

/** Something that keeps a server from starting here. */
export interface Missing {
  /** `skopeo`, or `root`. */
  readonly what: string;
  /** The Debian package that brings it; not for `root`. */
  readonly package?: string;
}

/** What these servers lack on this machine, each thing once. */
export function missing(servers: readonly ServerName[] = SERVERS): readonly Missing[] {
  const programs = new Map(servers.flatMap((server) => Object.entries(PROGRAMS[server])));
  const absent: Missing[] = [...programs]
    .filter(([program]) => !onPath(program))
    .map(([program, debianPackage]) => ({ what: program, package: debianPackage }));
  return ROOT.some((server) => servers.includes(server)) && process.getuid?.() !== 0
    ? [...absent, { what: 'root' }]
    : absent;
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
