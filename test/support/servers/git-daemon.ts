import { join } from 'node:path';
import { putFile } from '../deb-packages.ts';
import { freePort } from '../free-port.ts';
import { runProgram, startServer, temporaryFolder } from './processes.ts';

/** Repositories that are served by git's own protocol on a loopback port. */
export interface GitDaemon {
  /** `git://127.0.0.1:PORT`. */
  readonly url: string;
  /** Runs git in a repository: `git('tests', 'tag', 'v1')`. Gives its output, trimmed. */
  git(repository: string, ...args: readonly string[]): Promise<string>;
  /** Writes files (path to content) into a repository, which is made, and commits them on `main`. Gives the commit. */
  commit(repository: string, files: Readonly<Record<string, string>>): Promise<string>;
  close(): Promise<void>;
}

/** Starts a server with no repositories; `commit('tests', …)` makes `URL/tests/.git`. */
export async function startGitDaemon(): Promise<GitDaemon> {
  const cleanup = new AsyncDisposableStack();
  const folder = await temporaryFolder('git-daemon');
  cleanup.defer(folder.remove);
  const port = await freePort();
  const { stdout: programs } = await runProgram('git', ['--exec-path']);
  const server = await startServer(
    join(programs.trim(), 'git-daemon'),
    [
      // A connection of another server there may only just have ended.
      ...['--verbose', '--export-all', '--reuseaddr', '--listen=127.0.0.1', `--port=${port}`],
      ...[`--base-path=${folder.path}`, folder.path],
    ],
    { logFile: join(folder.path, 'log') },
  );
  cleanup.defer(server.stop);
  await server.logged(/Ready to rumble/);
  const env = {
    PATH: process.env['PATH'],
    HOME: folder.path,
    ...{ GIT_AUTHOR_NAME: 'Nobody', GIT_AUTHOR_EMAIL: 'nobody@example.com' },
    ...{ GIT_COMMITTER_NAME: 'Nobody', GIT_COMMITTER_EMAIL: 'nobody@example.com' },
  };
  const git = async (repository: string, ...args: readonly string[]): Promise<string> =>
    (await runProgram('git', ['-C', join(folder.path, repository), ...args], { env })).stdout.trim();
  return {
    url: `git://127.0.0.1:${port}`,
    git,
    async commit(repository, files) {
      for (const [path, content] of Object.entries(files)) {
        await putFile(join(folder.path, repository, path), content);
      }
      await git(repository, 'init', '--quiet', '--initial-branch=main');
      await git(repository, 'add', '--all');
      await git(repository, 'commit', '--quiet', '--message=tests');
      return git(repository, 'rev-parse', 'HEAD');
    },
    close: () => cleanup.disposeAsync(),
  };
}
