import { invalidArchive, quoted } from './failures.ts';
import type { FileLease } from './random-access-file.ts';
import {
  type ArchiveFiles,
  FileRange,
  normaliseName,
  type StoredFile,
  symlinkTarget,
} from './stored-file.ts';

/** As many as Linux follows. */
const LINK_HOPS = 40;

/** What lies under a name. */
export type TarMember =
  | { readonly kind: 'file'; readonly offset: number; readonly size: number }
  /** A file that is somewhere else than in the tar. */
  | { readonly kind: 'elsewhere'; readonly file: StoredFile }
  | { readonly kind: 'hardlink' | 'symlink'; readonly target: string }
  | { readonly kind: 'other' };

/** The file in which the members lie. */
export type TarFile = FileLease['file'] & {
  readonly identity?: string | undefined;
  close(): Promise<void>;
};

/** Where every member of a tar lies. Nothing is ever extracted: names and links mean something only inside. */
export class TarIndex implements ArchiveFiles {
  /** By normalised name; of several members of one name the last, as tar itself extracts them. */
  readonly members: ReadonlyMap<string, TarMember>;
  readonly #file: TarFile;
  readonly #foundNames: readonly string[];

  constructor(file: TarFile, members: ReadonlyMap<string, TarMember>, foundNames: readonly string[]) {
    this.#file = file;
    this.members = members;
    this.#foundNames = foundNames;
  }

  get path(): string {
    return this.#file.path;
  }

  find(name: string): StoredFile | undefined {
    let current = normaliseName(name);
    for (let hops = 0; hops <= LINK_HOPS; hops++) {
      const member = current === undefined ? undefined : this.members.get(current);
      if (current === undefined || member === undefined || member.kind === 'other') return undefined;
      if (member.kind === 'elsewhere') return member.file;
      if (member.kind === 'file') return this.#storedFile(current, member.offset, member.size);
      const { kind, target } = member;
      const next = kind === 'symlink' ? symlinkTarget(current, target) : normaliseName(target);
      if (next === undefined) {
        throw invalidArchive(
          this.path,
          `the link ${quoted(current)} leads out of the archive (to ${quoted(target)})`,
        );
      }
      current = next;
    }
    throw invalidArchive(this.path, `the links from ${quoted(name)} run in a circle`);
  }

  someNames(): readonly string[] {
    return this.#foundNames;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #storedFile(name: string, offset: number, size: number): StoredFile {
    const { identity } = this.#file;
    const lease = { file: this.#file, release: async () => {} };
    return new FileRange(name, {
      acquire: async () => lease,
      offset,
      size,
      identity: identity === undefined ? undefined : `${identity}@${offset}+${size}`,
    });
  }
}
