import type { PackageFamily } from '../../../alts/index.ts';
import { familyOf } from '../../../alts/index.ts';
import { RegopsError } from '../../../base/index.ts';
import type { Stage } from './stage.ts';

/** What is in a container. */
export interface System {
  /** `debian:12`. */
  readonly distribution: string;
  /** As the package manager calls it. */
  readonly architecture: string;
  readonly family: PackageFamily;
}

const PROBE = `
cat /etc/os-release /usr/lib/os-release 2> /dev/null
for tool in dpkg rpm; do
  command -v "$tool" > /dev/null && echo "REGOPS_$tool=yes"
done
echo "REGOPS_dpkg_architecture=$(dpkg --print-architecture 2> /dev/null)"
echo "REGOPS_rpm_architecture=$(rpm --eval '%{_arch}' 2> /dev/null)"
echo "REGOPS_machine=$(uname -m)"
`;

const INFO = `
show() { printf '\\n$ %s\\n' "$*"; "$@" 2>&1; }
show cat /etc/os-release
show uname -a
show uptime
show df -h
command -v ip > /dev/null && show ip address
for file in /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/*; do
  [ -f "$file" ] && show cat "$file"
done
`;

/** Shows in the transcript what the system is. @param infoScript the package manager's part */
export async function showSystem(stage: Stage, infoScript: string): Promise<void> {
  await stage.sh(`${INFO}${infoScript}\nexit 0`, [], { title: 'system info' });
}

/** Asks a container what system it is. Throws INPUT_INVALID for one with neither dpkg nor rpm. */
export async function probeSystem(stage: Stage): Promise<System> {
  const { stdout } = await stage.sh(PROBE);
  const system = parseProbe(stdout);
  if (!system) {
    throw new RegopsError(
      'INPUT_INVALID',
      'the image has neither dpkg nor rpm: no package can be tested in it',
      {
        hints: ['Use an image of a distribution, as in --image debian:bookworm or --image almalinux:9.'],
      },
    );
  }
  return system;
}

/** Reads what the probe prints: os-release(5), then lines of our own. Pure. */
export function parseProbe(output: string): System | undefined {
  const values = new Map<string, string>();
  for (const line of output.split('\n')) {
    const [, name, value = ''] = /^([A-Za-z_]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && !values.has(name)) values.set(name, value.replaceAll(/^["']|["']$/g, ''));
  }
  const read = (name: string): string => clean(values.get(name) ?? '');
  const families = [read('ID'), ...(values.get('ID_LIKE') ?? '').split(/\s+/)].map(familyOf);
  const tool = read('REGOPS_dpkg') === 'yes' ? 'deb' : read('REGOPS_rpm') === 'yes' ? 'rpm' : undefined;
  if (tool === undefined) return undefined;
  // A Debian may have rpm, and an AlmaLinux dpkg: the system says whose packages it is made of.
  const named = families.find((one) => one !== undefined);
  const family =
    named !== undefined && read(`REGOPS_${named === 'deb' ? 'dpkg' : 'rpm'}`) === 'yes' ? named : tool;
  const own = read(family === 'deb' ? 'REGOPS_dpkg_architecture' : 'REGOPS_rpm_architecture');
  return {
    distribution: `${read('ID') || 'linux'}${read('VERSION_ID') ? `:${read('VERSION_ID')}` : ''}`,
    architecture: own || read('REGOPS_machine') || 'unknown',
    family,
  };
}

function clean(value: string): string {
  return value.replaceAll(/[^\w.+-]/g, '').slice(0, 64);
}
