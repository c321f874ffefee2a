import { type Installed, type PackageTools, parseVerify } from './package-tools.ts';

const PREPARE = `
set -e
for file in /etc/dpkg/dpkg.cfg /etc/dpkg/dpkg.cfg.d/*; do
  [ -f "$file" ] || continue
  if grep -q '^[[:space:]]*path-exclude' "$file"; then
    sed -i 's/^[[:space:]]*path-exclude/#&/' "$file"
    echo "files are no longer excluded: $file"
  fi
done
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  echo 'services are not started: /usr/sbin/policy-rc.d'
fi
`;

/** Everything that looks like a test of what is asked, and no surprises: apt takes \`name-\` for a removal. */
const INSTALL = `
exec apt-get install -y --allow-downgrades -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef \
  -o Dpkg::Options::=--force-confold -- "$@"
`;
const REINSTALL = INSTALL.replace('apt-get install', 'apt-get install --reinstall');

/** Debian and its kin: dpkg and apt. */
export const debTools: PackageTools = {
  family: 'deb',

  prepare: (stage) => stage.sh(PREPARE, [], { title: 'undo exclusions' }),

  addRepository(stage, { name, url }, number) {
    const file = `/etc/apt/sources.list.d/regops-${number}${name === undefined ? '' : `-${name}`}.list`;
    const line = url.replace(/^(deb(?:-src)?)\s+/, '$1 [trusted=yes] ');
    return stage.sh('printf \'%s\\n\' "$2" > "$1"', [file, line], { title: `add ${line}` });
  },

  refresh: (stage) =>
    // A repository that cannot be read is otherwise only warned of (apt 2.1.15 and later).
    stage.sh('exec apt-get -o APT::Update::Error-Mode=any update', [], { title: 'apt-get update' }),

  infoScript: 'show dpkg -l\nshow apt-cache policy',

  nameOf: (stage, file) => stage.sh('exec dpkg-deb --field "$1" Package', [file]),

  async find(stage, name) {
    const { exitCode, stdout } = await stage.sh(
      `exec dpkg-query -W -f '\${db:Status-Status}\\t\${Version}\\t\${Architecture}\\n' -- "$1"`,
      [name],
    );
    return exitCode === 0 ? parseDpkgQuery(stdout) : undefined;
  },

  async list(stage) {
    const { stdout } = await stage.sh(`exec dpkg-query -W -f '\${db:Status-Status} \${Package}\\n'`, [], {
      kept: 8 * 1024 * 1024,
    });
    return stdout
      .split('\n')
      .flatMap((line) => (line.startsWith('installed ') ? [line.slice('installed '.length)] : []));
  },

  install(stage, { name, version }, { files = [], fromFile = false, present }) {
    const words = [...(fromFile ? [] : [version === undefined ? name : `${name}=${version}`]), ...files];
    const again = present && (version === undefined || version === present.version);
    return stage.sh(again ? REINSTALL : INSTALL, words, {
      title: `apt-get install ${again ? '--reinstall ' : ''}${words.join(' ')}`,
    });
  },

  async origin(stage, name) {
    const { stdout } = await stage.sh('exec apt-cache policy -- "$1"', [name]);
    return parsePolicy(stdout);
  },

  satisfies: (wanted, { version }) => wanted === version,

  // Diversions are told between the paths, and the root is written as '/.'.
  filesScript: `dpkg-query -L -- "$1" | grep '^/' | grep -vx '/\\.'`,

  async verify(stage, name) {
    const { exitCode, stdout, stderr } = await stage.sh('exec dpkg --verify -- "$1"', [name]);
    // Before 1.17 dpkg did not know how.
    if (exitCode !== 0 && /unknown option/.test(stderr)) return undefined;
    const changes = parseVerify(stdout);
    const failed = exitCode !== 0 && changes.faults.length + changes.configuration.length === 0;
    return failed ? { ...changes, faults: [stderr.trim() || `exit code ${exitCode}`] } : changes;
  },

  async keeps(stage, name) {
    // apt refuses to remove what is essential, or what something essential needs: dpkg --force-depends would not.
    const { exitCode, stdout, stderr } = await stage.sh('exec apt-get -s -y remove -- "$1"', [name]);
    const refused = exitCode !== 0 && /essential packages|unmet dependencies/i.test(stdout + stderr);
    return refused ? 'essential packages need it' : undefined;
  },

  remove: (stage, name) =>
    stage.sh('exec dpkg --purge --force-depends -- "$1"', [name], { title: `dpkg --purge ${name}` }),

  tidy: (stage) =>
    stage.sh('exec apt-get autoremove -y --purge -o Dpkg::Use-Pty=0', [], {
      title: 'apt-get autoremove --purge',
    }),

  ownedScript: 'cat /var/lib/dpkg/info/*.list',

  ownTraces: [
    /^\/var\/(?:lib|cache)\/(?:apt|dpkg)(?:\/|$)/,
    /^\/var\/(?:cache|backups)(?:\/|$)/,
    /^\/var\/lib\/(?:debconf|ucf|misc|systemd\/deb-systemd-helper)/,
    /^\/var\/log\/(?:apt|dpkg\.log|alternatives\.log)/,
  ],
};

/** Reads `STATUS\tVERSION\tARCHITECTURE`: of several lines (multi-arch) the first that is installed. Pure. */
export function parseDpkgQuery(output: string): Installed | undefined {
  for (const line of output.split('\n')) {
    const [status, version, architecture] = line.split('\t');
    if (status === 'installed' && version && architecture) return { version, architecture };
  }
  return undefined;
}

/**
 * Where the installed version of a package can be had, from `apt-cache policy`: the sources below its line, without
 * their priorities and without dpkg's own list. Undefined when there are none. Pure.
 */
export function parsePolicy(output: string): string | undefined {
  const lines = output.split('\n');
  const at = lines.findIndex((line) => line.startsWith(' *** '));
  if (at === -1) return undefined;
  for (const line of lines.slice(at + 1)) {
    const source = /^ {5,}-?\d+ (.+)$/.exec(line)?.[1];
    if (source === undefined) return undefined;
    if (source !== '/var/lib/dpkg/status') return source.replace(/ Packages$/, '').slice(0, 300);
  }
  return undefined;
}
