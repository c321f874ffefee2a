/**
 * What ALTS can be configured for. A scheduler answers anything else with a bare 500, so it is checked here;
 * a scheduler of one's own may know more. Sources: the seed and the project's history from 2021 to 2025.
 */

/** Who makes the environment; `any` lets the scheduler choose. */
export const RUNNERS = ['any', 'docker', 'opennebula'] as const;

export const ARCHITECTURES = [
  'x86_64',
  'x86_64_v2',
  'i386',
  'i486',
  'i586',
  'i686',
  'amd64',
  'arm64',
  'aarch64',
  'ppc64le',
  's390x',
] as const;

export const CHANNELS = ['stable', 'beta'] as const;

export type PackageFamily = 'rpm' | 'deb';

/** Distributions of every ALTS version, and what their packages are. */
export const DISTRIBUTIONS: Readonly<Record<string, PackageFamily>> = {
  almalinux: 'rpm',
  centos: 'rpm',
  cloudlinux: 'rpm',
  fedora: 'rpm',
  rhel: 'rpm',
  debian: 'deb',
  raspbian: 'deb',
  ubuntu: 'deb',
};

/** What a distribution's packages are; undefined for one that is not known. */
export function familyOf(distribution: string): PackageFamily | undefined {
  return Object.hasOwn(DISTRIBUTIONS, distribution) ? DISTRIBUTIONS[distribution] : undefined;
}

/** Architectures that one family names differently, as the other calls them. */
export const OWN_NAMES: Readonly<Record<PackageFamily, Readonly<Record<string, string>>>> = {
  deb: { x86_64: 'amd64', x86_64_v2: 'amd64', aarch64: 'arm64', i486: 'i386', i586: 'i386', i686: 'i386' },
  rpm: { amd64: 'x86_64', arm64: 'aarch64', i386: 'i686' },
};
