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
  const push = (line: string) =>
    runShell(
      `${line} push-tar - --to ${new URL(registry.url).host}/app:1 --plain-http`.replace('REGOPS', 'regops'),
      {
        // Where nothing can be written.
        TMPDIR: folder('nowhere'),
      },
    );
  const piped = await push(`cat '${folder('a.tar')}' | REGOPS`);
  expect(piped, piped.stderr).toMatchObject({ exitCode: 74 });
  expect((await call(registry, 'GET', '/v2/app/tags/list')).status).toBe(404);
  const redirected = await push(`< '${folder('a.tar')}' REGOPS`);
  expect(redirected, redirected.stderr).toMatchObject({ exitCode: 0 });
  expect((await call(registry, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['1']);
});
