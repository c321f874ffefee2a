import { arch, endianness } from 'node:os';
import { RegopsError } from '../base/index.ts';
import { z } from '../base/schema.ts';

const shortText = z.string().check(z.maxLength(128));

/** A platform object (OCI image spec, image-index.md). Fields we do not use are kept out. */
export const platformSchema = z.object({
  os: shortText,
  architecture: shortText,
  variant: z.optional(shortText),
  'os.version': z.optional(shortText),
  'os.features': z.optional(z.array(z.string())),
});

export type Platform = Readonly<z.infer<typeof platformSchema>>;

/** A map, not an object: an index may name an architecture `constructor`. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['x64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armhf', 'arm'],
  ['armel', 'arm'],
  ['i386', '386'],
  ['i686', '386'],
  ['ia32', '386'],
]);

/**
 * Reads `os/arch[/variant]`, as docker and containerd write it; common other names of an architecture
 * (`x86_64`, `aarch64`) are understood. Throws USAGE.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.trim().toLowerCase().split('/');
  const [os, architecture, variant] = parts;
  const wellFormed =
    parts.length >= 2 && parts.length <= 3 && parts.every((part) => /^[a-z0-9_.-]+$/.test(part));
  if (!wellFormed || !os || !architecture) {
    throw new RegopsError('USAGE', `invalid platform '${text.slice(0, 100)}'`, {
      hints: ['Write it as os/arch or os/arch/variant, like linux/amd64 or linux/arm/v7.'],
    });
  }
  return normalise({ os, architecture, ...(variant ? { variant } : {}) });
}

/** `linux/arm/v7`, with the OS version in brackets when there is one (Windows). */
export function formatPlatform(platform: Platform): string {
  const version = platform['os.version'] ? ` (${platform['os.version']})` : '';
  return `${[platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')}${version}`;
}

/** The platforms that entries of an index name, each once, as {@link formatPlatform} writes them. */
export function platformsOf(entries: readonly { readonly platform?: Platform | undefined }[]): string[] {
  return [...new Set(entries.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : [])))];
}

/** The platform containers of this machine use: Linux, whatever the host is. */
export function hostPlatform(): Platform {
  // Node says ppc64 for both byte orders; images know the little one by a name of its own.
  const architecture = arch() === 'ppc64' && endianness() === 'LE' ? 'ppc64le' : arch();
  return normalise({ os: 'linux', architecture });
}

/**
 * True when an entry for `candidate` serves somebody who asked for `wanted`: same OS and architecture,
 * and the same variant when one was asked for. arm64's `v8` is the same as no variant (containerd's
 * platforms package normalises it so).
 */
export function platformMatches(wanted: Platform, candidate: Platform): boolean {
  const a = normalise(wanted);
  const b = normalise(candidate);
  return (
    a.os === b.os &&
    a.architecture === b.architecture &&
    (a.variant === undefined || a.variant === b.variant) &&
    (a['os.version'] === undefined || a['os.version'] === b['os.version'])
  );
}

function normalise(platform: Platform): Platform {
  const architecture = ARCHITECTURES.get(platform.architecture) ?? platform.architecture;
  const { variant, ...rest } = platform;
  const redundant =
    !variant ||
    (architecture === 'arm64' && variant === 'v8') ||
    (architecture === 'amd64' && variant === 'v1');
  return { ...rest, architecture, ...(redundant ? {} : { variant }) };
}
