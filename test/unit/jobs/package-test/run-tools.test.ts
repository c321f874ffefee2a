import { describe, expect, test } from 'vitest';
import { parseDpkgQuery, parsePolicy } from '../../../../src/jobs/package-test/run/deb-tools.ts';
import { parseVerify } from '../../../../src/jobs/package-test/run/package-tools.ts';
import {
  parseInstalledList,
  parseRpmQuery,
  rpmTools,
  rpmVersionsOf,
} from '../../../../src/jobs/package-test/run/rpm-tools.ts';
import { parseProbe } from '../../../../src/jobs/package-test/run/system.ts';

describe('dpkg and apt', () => {
  test('an installed package: the first line of several that is installed', () => {
    expect(parseDpkgQuery('installed\t7.88.1-10\tamd64\n')).toEqual({
      version: '7.88.1-10',
      architecture: 'amd64',
    });
    const multiArch = 'config-files\t1\ti386\ninstalled\t2\tamd64\n';
    expect(parseDpkgQuery(multiArch)).toEqual({ version: '2', architecture: 'amd64' });
    expect(parseDpkgQuery('not-installed\t\t\n')).toBeUndefined();
    expect(parseDpkgQuery('')).toBeUndefined();
  });

  test('where the installed version came from', () => {
    const output = `curl:
  Installed: 7.88.1-10
  Candidate: 7.88.1-11
  Version table:
     7.88.1-11 500
        500 https://security.example.com bookworm-security/main amd64 Packages
 *** 7.88.1-10 500
        500 https://packages.example.com/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
     7.0 -10
        -10 https://old.example.com ./ Packages
`;
    expect(parsePolicy(output)).toBe('https://packages.example.com/debian bookworm/main amd64');
    expect(parsePolicy(output.replace(/ {8}500 https:\/\/packages.*\n/, ''))).toBeUndefined();
    expect(parsePolicy('nothing:\n  Installed: (none)\n')).toBeUndefined();
  });
});

describe('rpm and dnf', () => {
  test('an installed package: the last line, and its epoch when it has one', () => {
    expect(parseRpmQuery('0\t2.0-1.el9\tx86_64\n')).toEqual({ version: '2.0-1.el9', architecture: 'x86_64' });
    const kernels = '0\t5.14.0-1\tx86_64\n1\t5.14.0-2\tx86_64\n';
    expect(parseRpmQuery(kernels)).toEqual({ version: '1:5.14.0-2', architecture: 'x86_64' });
    expect(parseRpmQuery('package nothing is not installed\n')).toBeUndefined();
  });

  test.each(['2.0-1.el9', '2.0', '1:2.0-1.el9', '1:2.0'])('%s asks for 1:2.0-1.el9', (wanted) => {
    const installed = { version: '1:2.0-1.el9', architecture: 'noarch' };
    expect(rpmTools.satisfies(wanted, installed)).toBe(true);
  });

  test.each(['2', '2.0-1', '2:2.0-1.el9', '0:2.0-1.el9', '.0-1.el9', ''])('%s does not', (wanted) => {
    expect(rpmVersionsOf('1:2.0-1.el9')).not.toContain(wanted);
  });

  test('no epoch is epoch 0', () => {
    expect(rpmVersionsOf('2.0-1')).toContain('0:2.0-1');
  });

  test('where it came from, in the words of dnf 4, dnf 5 and yum', () => {
    const dnf = 'Installed Packages\nnginx.x86_64     1:1.20.1-14.el9     @appstream\n';
    expect(parseInstalledList(dnf, 'nginx')).toBe('appstream');
    expect(parseInstalledList('nginx.x86_64 1:1.20 appstream\n', 'nginx')).toBe('appstream');
    expect(parseInstalledList('foo.noarch 1.0-1 @@commandline\n', 'foo')).toBeUndefined();
    expect(parseInstalledList('foo.noarch 1.0-1 @System\n', 'foo')).toBeUndefined();
    expect(parseInstalledList(dnf, 'nginx-core')).toBeUndefined();
    expect(parseInstalledList('foo.bar.noarch 1.0-1 @repo\n', 'foo.bar')).toBe('repo');
  });
});

test('rpm -V and dpkg -V: configuration may change, ghosts do not count, the rest is a fault', () => {
  const output = `S.5....T.  c /etc/foo.conf
??5?????? c /etc/bar.conf
missing   c /etc/gone.conf
missing     /usr/bin/foo
.......T.  g /var/log/foo.log
.M.......    /usr/share/foo
Unsatisfied dependencies for foo-1.0-1.noarch:

	bar is needed by (installed) foo-1.0-1.noarch
`;
  const { faults, configuration } = parseVerify(output);
  expect(configuration).toHaveLength(3);
  expect(faults).toEqual([
    'missing     /usr/bin/foo',
    '.M.......    /usr/share/foo',
    'Unsatisfied dependencies for foo-1.0-1.noarch:',
    '\tbar is needed by (installed) foo-1.0-1.noarch',
  ]);
  expect(parseVerify('')).toEqual({ faults: [], configuration: [] });
});

describe('what system a container is', () => {
  const debian =
    'ID=debian\nVERSION_ID="12"\nREGOPS_dpkg=yes\nREGOPS_dpkg_architecture=amd64\nREGOPS_machine=x86_64\n';

  test('by its own word, and its package manager', () => {
    expect(parseProbe(debian)).toEqual({ distribution: 'debian:12', architecture: 'amd64', family: 'deb' });
    const alma = `ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nREGOPS_dpkg=yes\nREGOPS_rpm=yes\nREGOPS_rpm_architecture=x86_64\n`;
    expect(parseProbe(alma)).toEqual({
      distribution: 'almalinux:9.4',
      architecture: 'x86_64',
      family: 'rpm',
    });
  });

  test('one that is like another', () => {
    const rocky = 'ID=rocky\nID_LIKE="rhel centos"\nREGOPS_dpkg=yes\nREGOPS_rpm=yes\nREGOPS_machine=x86_64\n';
    expect(parseProbe(rocky)).toMatchObject({ distribution: 'rocky', family: 'rpm', architecture: 'x86_64' });
  });

  test('nobody knows: the tool that is there', () => {
    expect(parseProbe('REGOPS_rpm=yes\n')).toMatchObject({ distribution: 'linux', family: 'rpm' });
    // A name without its tool.
    expect(parseProbe('ID=debian\nREGOPS_rpm=yes\n')).toMatchObject({ family: 'rpm' });
    expect(parseProbe('ID=debian\n')).toBeUndefined();
  });

  test('what it says of itself is foreign text', () => {
    const hostile = parseProbe('ID="\u001b[31m$(x)"\nVERSION_ID=\u202e1\nREGOPS_dpkg=yes\n');
    expect(hostile?.distribution).toBe('31mx:1');
  });
});
