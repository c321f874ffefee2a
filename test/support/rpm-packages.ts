import { mkdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { putFile } from './deb-packages.ts';
import { runProgram } from './servers/processes.ts';

/** An rpm to be built. */
export interface RpmPackage {
  readonly name: string;
  /** Default: `1.0`, release `1`. */
  readonly version?: string;
  readonly epoch?: number;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly links?: Readonly<Record<string, string>>;
  readonly configuration?: readonly string[];
  /** Paths it knows of and does not bring. */
  readonly ghosts?: readonly string[];
  /** Folders that are its own. */
  readonly folders?: readonly string[];
  readonly provides?: string;
  readonly requires?: string;
  /** Scriptlets by section: `post`, `postun`. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Builds a package with rpmbuild and gives the path of its file, `FOLDER/NAME-VERSION-1.noarch.rpm`. */
export async function buildRpm(folder: string, one: RpmPackage): Promise<string> {
  const { name, version = '1.0', epoch, provides, requires, files = {}, links = {} } = one;
  const { configuration = [], ghosts = [], folders = [], scripts = {} } = one;
  const build = join(folder, 'build', `${name}-${version}`);
  const source = join(build, 'files');
  await mkdir(source, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    await putFile(join(source, path), content, typeof content === 'string' ? 0o644 : 0o755);
  }
  for (const [path, target] of Object.entries(links)) {
    await mkdir(dirname(join(source, path)), { recursive: true });
    await symlink(target, join(source, path));
  }
  const listed = [...Object.keys(files), ...Object.keys(links)].map(
    (path) => `${configuration.includes(path) ? '%config ' : ''}"${path}"`,
  );
  const spec = [
    ...['%global __os_install_post %{nil}', '%global _build_id_links none', '%global debug_package %{nil}'],
    ...[`Name: ${name}`, `Version: ${version}`, 'Release: 1', 'Summary: for a test', 'License: none'],
    ...[
      'BuildArch: noarch',
      'AutoReqProv: no',
      ...(epoch === undefined ? [] : [`Epoch: ${epoch}`]),
      ...(provides === undefined ? [] : [`Provides: ${provides}`]),
      ...(requires === undefined ? [] : [`Requires: ${requires}`]),
    ],
    ...['%global _binaries_in_noarch_packages_terminate_build 0', '%description', 'For a test.', '%install'],
    ...[`mkdir -p %{buildroot}`, `cp -a ${source}/. %{buildroot}/`],
    ...Object.entries(scripts).flatMap(([section, text]) => [`%${section}`, text]),
    ...[
      '%files',
      ...listed,
      ...folders.map((path) => `%dir ${path}`),
      ...ghosts.map((path) => `%ghost ${path}`),
      '',
    ],
  ];
  await putFile(join(build, 'one.spec'), spec.join('\n'));
  const defines = {
    _topdir: build,
    _rpmdir: folder,
    _rpmfilename: '%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm',
  };
  await runProgram('rpmbuild', [
    ...['-bb', '--quiet', '--target', 'noarch'],
    ...Object.entries(defines).flatMap(([macro, value]) => ['--define', `${macro} ${value}`]),
    join(build, 'one.spec'),
  ]);
  return join(folder, `${name}-${version}-1.noarch.rpm`);
}

/** Makes a folder of rpms a repository. */
export async function indexRpms(folder: string): Promise<void> {
  await runProgram('createrepo_c', ['--quiet', folder]);
}
