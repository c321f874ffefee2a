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
  microdnf)
    said=$(microdnf -y makecache 2>&1)
    code=$?
    printf '%s\\n' "$said"
    # Before 3.8 (2021) it did not know how.
    case $said in *'Unknown command'*) exit 0 ;; esac
    exit "$code" ;;
  *) exec "$tool" -y makecache ;;
esac
`;

const INFO = `
${TOOL}
show rpm -qa
[ -n "$tool" ] && [ "$tool" != microdnf ] && show "$tool" -C repolist
`;

/** "$1": what is asked for, '' when it is one of the files, which are the rest. */
const INSTALL = `
${TOOL}
wanted=$1
shift
case $tool in
  '')
    if [ $# = 0 ]; then
      echo 'there is no package manager but rpm, and no file to install' >&2
      exit 1
    fi
    exec rpm -Uvh --replacepkgs --oldpackage -- "$@" ;;
  microdnf)
    [ $# != 0 ] || exec microdnf -y install "$wanted"
    # It takes no files (microdnf issue 20): rpm does, once there is what they need.
    set -f
    needs=$(rpm -U --test --replacepkgs --oldpackage -- "$@" 2>&1 |
      sed -n 's/^[[:space:]]\\{1,\\}\\([^(][^[:space:]]*\\).* is needed by .*/\\1/p' | sort -u)
    [ -z "$needs" ] || microdnf -y install $needs || exit
    rpm -Uvh --replacepkgs --oldpackage -- "$@" || exit
    [ -z "$wanted" ] || rpm -q -- "$wanted" > /dev/null || exec microdnf -y install "$wanted" ;;
  yum)
    # It takes an epoch only with an architecture behind, and installs nothing older than what there is (yum(8)).
    wanted=$(printf '%s\\n' "$wanted" | sed 's/-[0-9]\\{1,\\}:/-/')
    yum -y install \${wanted:+"$wanted"} "$@" || exit
    [ -z "$wanted" ] || rpm -q -- "$wanted" > /dev/null || exec yum -y downgrade "$wanted" ;;
  *)
    # dnf is dnf 5 since Fedora 41: that takes this option behind the command alone, and allows downgrades by itself.
    exec "$tool" -y install --allowerasing \${wanted:+"$wanted"} "$@" ;;
esac
`;

const REINSTALL = `
${TOOL}
[ -z "$tool" ] || exec "$tool" -y reinstall "$@"
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

  infoScript: INFO,

  nameOf: (stage, file) =>
    stage.sh(`exec rpm -qp --nosignature --nodigest --qf '%{NAME}\\n' -- "$1"`, [file]),

  find: findRpm,

  async list(stage) {
    const { stdout } = await stage.sh(`exec rpm -qa --qf '%{NAME}\\n'`, [], { kept: 8 * 1024 * 1024 });
    return stdout.split('\n').filter((name) => name !== '');
  },

  async install(stage, { name, version }, { files = [], fromFile = false, present }) {
    const wanted = version === undefined ? name : `${name}-${version}`;
    const words = fromFile ? files : [wanted, ...files];
    const step = await stage.sh(INSTALL, [fromFile ? '' : wanted, ...files], {
      title: `install ${words.join(' ')}`,
    });
    if (present && step.exitCode === 0 && (await findRpm(stage, name))?.version === present.version) {
      // The image may have been made without documentation. What is in no repository stays as it is.
      const again = fromFile ? files : [wanted];
      await stage.sh(REINSTALL, again, { title: `reinstall ${again.join(' ')}` });
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

  ownedScript: `rpm -qa --qf '[%{FILENAMES}\\n]'`,

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
