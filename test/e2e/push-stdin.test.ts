import { expect, test } from 'vitest';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import { runShell } from '../support/run-cli.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, openTestbed } from '../support/testbed-client.ts';

const folder = useTempFolder();

test('an archive that a shell puts in the place of standard input is read where it lies', async () => {
  const registry = await openTestbed();
  const image = await makeImage({ seed: 'one', layers: [{ size: 30_000 }] });
  await writeDockerArchive(folder('a.tar'), [image]);
  const push = (line: string, ...flags: string[]) =>
    runShell(
      `${line} push-tar - --to ${new URL(registry.url).host}/app:1 --plain-http ${flags.join(' ')}`.replace(
        'REGOPS',
        'regops',
      ),
      {
        // Where nothing can be written.
        TMPDIR: folder('nowhere'),
      },
    );
  const spooled = await push(`cat '${folder('a.tar')}' | REGOPS`, '--spool');
  expect(spooled, spooled.stderr).toMatchObject({ exitCode: 74 });
  expect((await call(registry, 'GET', '/v2/app/tags/list')).status).toBe(404);
  const redirected = await push(`< '${folder('a.tar')}' REGOPS`, '--spool');
  expect(redirected, redirected.stderr).toMatchObject({ exitCode: 0 });
  expect((await call(registry, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['1']);
});

test('layers of a pipe go to the registry without a temporary file, packed as a whole or not', async () => {
  const registry = await openTestbed();
  const image = await makeImage({ seed: 'pipe', layers: [{ size: 12_000_000, compressible: 0 }] });
  await writeDockerArchive(folder('a.tar'), [image], { layout: 'docker25' });
  for (const [tag, pack] of [
    ['plain', 'cat'],
    ['packed', 'gzip -1'],
  ]) {
    const to = `${new URL(registry.url).host}/app:${tag}`;
    const line = `cat '${folder('a.tar')}' | ${pack} | regops push-tar - --to ${to} --plain-http`;
    const run = await runShell(line, { TMPDIR: folder('nowhere') });
    expect(run, run.stderr).toMatchObject({ exitCode: 0 });
  }
  expect((await call(registry, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['packed', 'plain']);
});
