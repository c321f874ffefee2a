import { type Installed, type PackageTools, parseVerify } from './package-tools.ts';
import type { Stage, Step } from './stage.ts';

const PREPARE = `
set -e
for file in /etc/dnf/dnf.conf /etc/yum.conf /etc/dnf/dnf5.conf; do
  [ -f "$file" ] || continue
  if grep -Eq '^[[:space:]]*(tsflags[[:space:]]*=.*nodocs|override_install_langs)' "$file"; then
    sed -i -e '/^[[:space:]]*tsflags[[:space:]]*=.*nodocs/d' -e '/^[[:space:]]*override_install_langs/d' "$file"
    echo "files are no longer excluded: $file"
  fi
done
for file in /etc/rpm/macros.image-language-conf /etc/rpm/macros.d/macros.image-language-conf; do
  [ -f "$file" ] || continue
  rm -f "$file"
  echo "languages are no longer excluded: $file"
done
`;

/** Sets "$tool" to the package manager, '' when there is only rpm. */
const TOOL = `
tool=
for name in dnf dnf5 yum microdnf; do
  if command -v "$name" > /dev/null; then tool=$name; break; fi
done
`;

const ADD_REPOSITORY = `
mkdir -p /etc/yum.repos.d
printf '[%s]\\nname=%s\\nbaseurl=%s\\nenabled=1\\ngpgcheck=0\\nskip_if_unavailable=0\\n' "$1" "$1" "$2" \
  > "/etc/yum.repos.d/$1.repo"
`;

const REFRESH = `
${TOOL}
case $tool in
  '') echo 'there is no package manager but rpm: only files can be installed' ;;
  microdnf) exec microdnf makecache ;;
  *) exec "$tool" -y makecache ;;
esac
`;

const SYSTEM_INFO = `
${TOOL}
show() { printf '\\n$ %s\\n' "$*"; "$@" 2>&1; }
show cat /etc/os-release
show uname -a
show uptime
show df -h
command -v ip > /dev/null && show ip address
show rpm -qa
[ -n "$tool" ] && [ "$tool" != microdnf ] && show "$tool" -C repolist
for file in /etc/yum.repos.d/*; do
  [ -f "$file" ] && show cat "$file"
done
exit 0
`;

/** "$1": what is asked for; the rest: files. */
const INSTALL = `
${TOOL}
case $tool in
  '')
    shift
    if [ $# = 0 ]; then
      echo 'there is no package manager but rpm, and no file to install' >&2
      exit 1
    fi
    exec rpm -Uvh --replacepkgs --oldpackage -- "$@" ;;
  dnf) exec dnf -y --allowerasing install "$@" ;;
  dnf5) exec dnf5 -y install --allowerasing --allow-downgrade "$@" ;;
  microdnf) exec microdnf -y install "$@" ;;
  yum) exec yum -y install "$@" ;;
esac
`;

const REINSTALL = `
${TOOL}
case $tool in
  '' | microdnf) exit 0 ;;
  *) exec "$tool" -y reinstall "$1" ;;
esac
`;

const ORIGIN = `
${TOOL}
case $tool in
  dnf | dnf5) exec "$tool" -q -C list --installed "$1" ;;
  yum) exec yum -q -C list installed "$1" ;;
esac
`;

/** Prints flags, state and path. Ghosts (64) and files left out on purpose (states 2, 3) need not be there. */
const FILES = `
rpm -q --qf '[%{FILEFLAGS} %{FILESTATES} %{FILENAMES}\\n]' -- "$1" | while read -r flags state path; do
  case $path in
    /usr/lib/.build-id | /usr/lib/.build-id/*) continue ;;
    /*) ;;
    *) continue ;;
  esac
  [ $((flags & 64)) = 0 ] || continue
  case $state in 2 | 3) continue ;; esac
  printf '%s\\n' "$path"
done
`;

/** Succeeds for what is protected, or needed by what is: dnf then refuses, and nothing is removed either way. */
const PROTECTED = `
${TOOL}
case $tool in
  dnf | dnf5) "$tool" -C --assumeno remove "$1" 2>&1 | grep -qi 'protected packages' && exit 0 ;;
esac
cat /etc/dnf/protected.d/*.conf /etc/yum/protected.d/*.conf 2> /dev/null | grep -qxF -- "$1"
`;

const TIDY = `
${TOOL}
case $tool in
  dnf | dnf5 | yum) exec "$tool" -y autoremove ;;
esac
`;

/** Red Hat's kin: rpm, and what there is above it: dnf, yum, microdnf or nothing. */
export const rpmTools: PackageTools = {
  family: 'rpm',

  prepare: (stage) => stage.sh(PREPARE, [], { title: 'undo exclusions' }),

  addRepository(stage, { name, url }, number) {
    const id = `regops-${number}${name === undefined ? '' : `-${name}`}`;
    return stage.sh(ADD_REPOSITORY, [id, url], { title: `add ${id} ${url}` });
  },

  refresh: (stage) => stage.sh(REFRESH, [], { title: 'makecache' }),

  systemInfo: (stage) => stage.sh(SYSTEM_INFO, [], { title: 'system info' }),

  nameOf: (stage, file) =>
    stage.sh(`exec rpm -qp --nosignature --nodigest --qf '%{NAME}\\n' -- "$1"`, [file]),

  find: findRpm,

  async list(stage) {
    const { stdout } = await stage.sh(`exec rpm -qa --qf '%{NAME}\\n'`, [], { kept: 8 * 1024 * 1024 });
    return stdout.split('\n').filter((name) => name !== '');
  },

  async install(stage, { name, version }, files, present) {
    const wanted = version === undefined ? name : `${name}-${version}`;
    const words = [wanted, ...files];
    const step = await stage.sh(INSTALL, words, { title: `install ${words.join(' ')}` });
    if (present && step.exitCode === 0 && (await findRpm(stage, name))?.version === present.version) {
      // The image may have been made without documentation. What is in no repository stays as it is.
      await stage.sh(REINSTALL, [wanted], { title: `reinstall ${wanted}` });
    }
    return step;
  },

  async origin(stage, name) {
    const { stdout } = await stage.sh(ORIGIN, [name]);
    return parseInstalledList(stdout, name);
  },

  satisfies: (wanted, { version }) => rpmVersionsOf(version).includes(wanted),

  filesScript: FILES,

  async verify(stage, name) {
    const { exitCode, stdout, stderr } = await stage.sh('exec rpm -V -- "$1"', [name]);
    const changes = parseVerify(stdout);
    const failed = exitCode !== 0 && changes.faults.length + changes.configuration.length === 0;
    // Where only ghosts have changed rpm counts them too.
    return failed && stderr.trim() !== '' ? { ...changes, faults: [stderr.trim()] } : changes;
  },

  async keeps(stage, name) {
    if (/^(?:kernel|dnf|yum|rpm|glibc|bash|coreutils(?:-single)?|filesystem|setup)$/.test(name)) {
      return `a system without ${name} is none`;
    }
    if (name.endsWith('-release')) return 'it says what the system is';
    return (await stage.sh(PROTECTED, [name])).exitCode === 0 ? 'it is a protected package' : undefined;
  },

  remove: (stage, name) =>
    stage.sh('exec rpm -e --nodeps -- "$1"', [name], { title: `rpm -e --nodeps ${name}` }),

  tidy: (stage) => stage.sh(TIDY, [], { title: 'autoremove' }),

  ownedScript: `rpm -qa --qf '[%{FILENAMES}\\n]' | sed -e p -e 's,^/\\(s*bin\\|lib[^/]*\\)/,/usr/\\1/,'`,

  ownTraces: [
    // Debian's rpm keeps its database in root's home.
    /^\/(?:var\/lib\/(?:rpm|dnf|yum)|root\/\.rpmdb)(?:\/|$)/,
    /^\/usr\/lib\/sysimage(?:\/|$)/,
    /^\/var\/cache(?:\/|$)/,
    /^\/var\/log\/(?:dnf|yum|hawkey)/,
    // The user's own configuration, which rpm keeps.
    /\.rpmsave$/,
  ],
};

async function findRpm(stage: Stage, name: string): Promise<Installed | undefined> {
  const step: Step = await stage.sh(
    `exec rpm -q --qf '%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\n' -- "$1"`,
    [name],
  );
  return step.exitCode === 0 ? parseRpmQuery(step.stdout) : undefined;
}

/** Reads `EPOCH\tVERSION-RELEASE\tARCHITECTURE`; of several lines (kernels, multilib) the last. Pure. */
export function parseRpmQuery(output: string): Installed | undefined {
  const lines = output.split('\n').map((line) => line.split('\t'));
  const [epoch, version, architecture] = lines.findLast((fields) => fields.length === 3) ?? [];
  if (!version || !architecture) return undefined;
  return { version: epoch === '0' || !epoch ? version : `${epoch}:${version}`, architecture };
}

/** Ways to ask for a version: with or without epoch and release. Pure. */
export function rpmVersionsOf(installed: string): string[] {
  const colon = installed.indexOf(':');
  const bare = installed.slice(colon + 1);
  const epoch = colon === -1 ? '0:' : installed.slice(0, colon + 1);
  const upstream = bare.slice(0, bare.lastIndexOf('-'));
  return [bare, upstream, epoch + bare, epoch + upstream];
}

/** The repository in `dnf list --installed`: `foo.x86_64  1.0-1  @repo`. Pure. */
export function parseInstalledList(output: string, name: string): string | undefined {
  for (const line of output.split('\n')) {
    const [title = '', , repository = ''] = line.trim().split(/\s+/);
    const dot = title.lastIndexOf('.');
    if (title.slice(0, dot) !== name) continue;
    const from = repository.replace(/^@+/, '');
    return /^(?:commandline|System|anaconda|<unknown>)?$/.test(from) ? undefined : from.slice(0, 300);
  }
  return undefined;
}
