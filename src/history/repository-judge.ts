import { Column } from './columns.ts';
import { ContentLedger, type Referrer } from './content-ledger.ts';
import type { InvariantName } from './invariants.ts';
import { endOf, isChange, isList, isManifestRead, isRead, type Operation } from './operation.ts';
import { type Numbered, OperationTable, sortByReturn } from './operation-table.ts';
import { SetCheck, type Visibility } from './set-check.ts';
import { type RegisterPlace, TagRegister, type TagVerdict } from './tag-register.ts';
import { UploadCheck } from './uploads.ts';

/** Deletes and collections remembered as suspects. */
const MAX_SUSPECTS = 1000;

/** What a push tells of its content. */
interface Pushed {
  readonly size?: number | undefined;
  readonly mediaType?: string | undefined;
}

/** Everything that is judged of one repository. */
export class RepositoryJudge {
  readonly #place: RegisterPlace;
  readonly #table: OperationTable;
  readonly #registers = new Map<string, TagRegister>();
  readonly #unsettled = new Set<TagRegister>();
  readonly #manifests: ContentLedger;
  readonly #blobs: ContentLedger;
  readonly #tags: SetCheck;
  readonly #referrers = new Map<string, SetCheck>();
  readonly #uploads: UploadCheck;
  /** By digest: the manifests that refer to it. */
  readonly #referrersTo = new Map<number, number[]>();
  readonly #sizes = Column.ofFloats(-1);
  readonly #sizeRows = Column.ofIntegers(-1);
  readonly #mediaTypes = Column.ofIntegers(-1);
  readonly #removals = new Map<number, Operation[]>();
  #suspects: Operation[] = [];
  /** What is judged when all that it can have seen is known. */
  #waiting: Numbered[] = [];

  /** @param collections garbage collections of the whole registry, as they come in */
  constructor(
    place: Pick<RegisterPlace, 'repository' | 'notes' | 'options'>,
    collections: readonly Operation[],
  ) {
    const { repository, notes, options } = place;
    this.#table = new OperationTable(repository);
    this.#place = {
      ...place,
      table: this.#table,
      suspects: (fromUs, toUs) =>
        [...this.#suspects, ...collections].filter((one) => one.callUs <= toUs && endOf(one) >= fromUs),
      mayHaveHeld: (tag, value, removal) => this.#registers.get(tag)?.mayHaveHeld(value, removal) ?? false,
    };
    this.#manifests = new ContentLedger(this.#place, {
      lost: 'manifest-lost',
      collected: 'manifest-collected',
      deletedReadable: 'deleted-manifest-readable',
    });
    this.#blobs = new ContentLedger(this.#place, {
      lost: 'blob-lost',
      collected: 'blob-collected',
      deletedReadable: 'deleted-blob-readable',
    });
    this.#tags = new SetCheck({
      repository,
      reference: '',
      notes,
      options,
      lost: 'tag-list-lost',
      phantom: 'tag-list-phantom',
      converges: 'tag-list-converges',
    });
    this.#uploads = new UploadCheck(repository, notes);
  }

  /** An operation, in any order; see {@link settle}. */
  add(operation: Operation): void {
    const { kind, outcome, reference } = operation;
    this.#uploads.came(operation);
    if (isChange(kind)) {
      if (outcome !== 'fail') this.#change(operation);
      if (operation.upload !== undefined) this.#waiting.push({ operation, value: undefined, row: -1 });
    } else if (kind === 'collect-garbage') this.#suspect(operation);
    else {
      const read = { operation, value: this.#valueOf(operation), row: -1 };
      this.#waiting.push(read);
      if (outcome === 'ok' && isManifestRead(kind) && !isByDigest(reference)) {
        this.#register(reference).read(read);
      }
    }
  }

  /** Judges what is known: every operation called before `knownUs` was added. True when something is left. */
  settle(knownUs: number): boolean {
    const known: Numbered[] = [];
    const left: Numbered[] = [];
    for (const one of this.#waiting) (one.operation.returnUs < knownUs ? known : left).push(one);
    this.#waiting = left;
    sortByReturn(known);
    for (const { operation, value } of known) this.#judge(operation, value);
    for (const register of this.#unsettled) {
      if (!register.settle(knownUs)) this.#unsettled.delete(register);
    }
    return left.length > 0 || this.#unsettled.size > 0;
  }

  /** What every tag met and how long lists took; call once, when everything was settled. */
  verdicts(): {
    readonly tags: TagVerdict[];
    readonly tagList: Visibility;
    readonly referrers: Visibility[];
  } {
    for (const register of this.#registers.values()) register.settle(Number.POSITIVE_INFINITY);
    return {
      tags: Array.from(this.#registers.values(), (register) => register.verdict()),
      tagList: this.#tags.visibility(),
      referrers: Array.from(this.#referrers.values(), (set) => set.visibility()),
    };
  }

  #change(operation: Operation): void {
    const { kind, reference } = operation;
    if (kind === 'put-manifest' || kind === 'put-blob') this.#put(operation);
    else {
      this.#suspect(operation);
      if (kind === 'delete-blob') this.#blobs.remove(operation, this.#table.texts.number(reference));
      else if (isByDigest(reference)) this.#removeManifest(operation);
      else {
        this.#register(reference).remove(operation, undefined);
        this.#tags.remove(reference, operation);
      }
    }
  }

  #put(operation: Operation): void {
    const { kind, reference, names, subject } = operation;
    const row = this.#table.add(operation);
    const value = this.#valueOf(operation) as number;
    this.#checkAnnounced(operation);
    this.#learn(operation, value, row);
    if (kind === 'put-blob') {
      this.#blobs.put(operation, value, row);
      return;
    }
    this.#manifests.put(operation, value, row);
    for (const name of names ?? []) this.#refer(value, this.#table.texts.number(name));
    if (subject !== undefined) this.#referrersOf(subject).add(operation.value as string, operation);
    if (isByDigest(reference)) return;
    this.#tags.add(reference, operation);
    const register = this.#register(reference);
    register.write({ operation, value, row });
    for (const removal of this.#removals.get(value) ?? []) {
      if (endOf(removal) >= operation.callUs) this.#removeFrom(reference, register, removal, value);
    }
  }

  #removeManifest(operation: Operation): void {
    const value = this.#table.texts.number(operation.reference);
    this.#manifests.remove(operation, value);
    this.#removals.set(value, [...(this.#removals.get(value) ?? []), operation]);
    for (const [tag, register] of this.#registers) {
      if (register.mayHaveHeld(value, operation)) this.#removeFrom(tag, register, operation, value);
    }
    for (const set of this.#referrers.values()) set.remove(operation.reference, operation);
  }

  #removeFrom(tag: string, register: TagRegister, operation: Operation, value: number): void {
    register.remove(operation, value);
    this.#unsettled.add(register);
    this.#tags.remove(tag, operation);
  }

  #suspect(operation: Operation): void {
    this.#suspects.push(operation);
    if (this.#suspects.length > 2 * MAX_SUSPECTS) this.#suspects = this.#suspects.slice(-MAX_SUSPECTS);
  }

  #judge(operation: Operation, value: number | undefined): void {
    const { kind, outcome, reference } = operation;
    this.#uploads.judge(operation);
    if (isList(kind)) this.#judgeList(operation);
    if (!isRead(kind)) return;
    this.#checked('server-error');
    if (outcome === 'unknown' && operation.status === 500) {
      this.#broken('server-error', operation, 'The server said that it failed.');
    }
    if (outcome !== 'ok') return;
    const byDigest = isByDigest(reference);
    if (value !== undefined) {
      if (byDigest) this.#checkDigest(operation);
      // A tag's unknown manifest is told as torn or phantom by its register.
      if (byDigest || this.#manifests.putRow(value) !== -1) this.#checkAnnounced(operation);
      // What HEAD says of content that it calls by another name is of no use.
      if (!byDigest || kind.startsWith('get') || operation.value === reference) this.#agree(operation, value);
    }
    if (!byDigest) return;
    const asked = this.#table.texts.number(reference);
    const ledger = isManifestRead(kind) ? this.#manifests : this.#blobs;
    ledger.read(operation, asked, () => this.#whatRefersTo(asked));
  }

  #refer(manifest: number, to: number): void {
    const known = this.#referrersTo.get(to);
    if (!known) this.#referrersTo.set(to, [manifest]);
    else if (known.at(-1) !== manifest) known.push(manifest);
  }

  #whatRefersTo(value: number): Referrer[] {
    return (this.#referrersTo.get(value) ?? []).map((manifest) => ({
      ...this.#manifests.stay(manifest),
      row: this.#manifests.putRow(manifest),
    }));
  }

  #judgeList(operation: Operation): void {
    const { kind, names = [], outcome, reference, status } = operation;
    if (kind === 'list-referrers') {
      this.#checked('referrers-not-found');
      if (outcome === 'fail' && status === 404) {
        this.#broken(
          'referrers-not-found',
          operation,
          'The referrers API answered 404 instead of an empty list.',
        );
      }
    }
    if (outcome !== 'ok') return;
    this.#checked('list-duplicate');
    if (new Set(names).size < names.length) {
      const twice = names.find((name, index) => names.indexOf(name) !== index);
      const shown = { ...operation, names: names.filter((name) => name === twice) };
      this.#broken('list-duplicate', operation, `'${twice}' was listed twice.`, [shown]);
    }
    if (kind === 'list-referrers') {
      this.#referrersOf(reference).list(operation);
      return;
    }
    this.#checked('tag-list-order');
    const at = disorder(names);
    if (at !== -1) {
      const shown = { ...operation, names: names.slice(at, at + 2) };
      this.#broken('tag-list-order', operation, `'${names[at]}' was listed before '${names[at + 1]}'.`, [
        shown,
      ]);
    }
    this.#tags.list(operation);
  }

  #checkDigest(operation: Operation): void {
    const { kind, reference, value } = operation;
    const byBytes = kind.startsWith('get');
    const name = byBytes ? 'digest-integrity' : 'digest-header';
    this.#checked(name);
    if (value === reference) return;
    this.#broken(name, operation, `${byBytes ? 'The bytes that came have' : 'HEAD announced'} ${value}.`);
  }

  #checkAnnounced(operation: Operation): void {
    const { announced, value } = operation;
    this.#checked('digest-header');
    if (announced === undefined || announced === value) return;
    const sentence = `Docker-Content-Digest was ${announced}, the content has ${value}.`;
    this.#broken('digest-header', operation, sentence);
  }

  /** A push tells how long its content is and of which type, if nobody has yet. */
  #learn({ size, mediaType }: Pushed, value: number, row: number): void {
    if (size !== undefined && this.#sizes.get(value) === -1) {
      this.#sizes.set(value, size);
      this.#sizeRows.set(value, row);
    }
    if (mediaType !== undefined && this.#mediaTypes.get(value) === -1) {
      this.#mediaTypes.set(value, this.#table.texts.number(mediaType));
    }
  }

  /** HEAD and GET, and all reads and pushes, say the same of one digest. */
  #agree(operation: Operation, value: number): void {
    const { size, mediaType, kind } = operation;
    if (size !== undefined) {
      const known = this.#sizes.get(value);
      if (known === -1) this.#learn({ size, mediaType: undefined }, value, this.#table.add(operation));
      else this.#checked('size-agrees');
      if (known !== -1 && known !== size) {
        const sentence = `It has ${known} bytes by one operation and ${size} by the other.`;
        this.#broken('size-agrees', operation, sentence, [
          this.#table.get(this.#sizeRows.get(value)),
          operation,
        ]);
      }
    }
    const pushed = this.#mediaTypes.get(value);
    if (mediaType === undefined || pushed === -1 || !isManifestRead(kind)) return;
    this.#checked('media-type-agrees');
    const expected = this.#table.texts.text(pushed);
    if (mediaType === expected) return;
    this.#broken('media-type-agrees', operation, `It was pushed as ${expected} and came as ${mediaType}.`);
  }

  #checked(name: InvariantName): void {
    this.#place.notes.checked(name);
  }

  #broken(name: InvariantName, operation: Operation, sentence: string, operations = [operation]): void {
    const { notes, repository } = this.#place;
    const { reference } = operation;
    notes.violated(name, () => ({ repository, reference, sentence, operations, suspects: [] }));
  }

  #register(tag: string): TagRegister {
    let register = this.#registers.get(tag);
    if (!register) {
      register = new TagRegister(tag, this.#place);
      this.#registers.set(tag, register);
    }
    this.#unsettled.add(register);
    return register;
  }

  #referrersOf(subject: string): SetCheck {
    let set = this.#referrers.get(subject);
    if (!set) {
      const { repository, notes, options } = this.#place;
      set = new SetCheck({
        repository,
        reference: subject,
        notes,
        options,
        phantom: 'referrers-phantom',
        converges: 'referrer-lost',
      });
      this.#referrers.set(subject, set);
    }
    return set;
  }

  #valueOf({ value }: Operation): number | undefined {
    return value === null ? undefined : this.#table.texts.number(value);
  }
}

/** Of a reference that is a tag or a digest: no tag has a colon. */
function isByDigest(reference: string): boolean {
  return reference.includes(':');
}

/** Where a list leaves both orders the spec allows, ASCII and case-insensitive; -1 when it keeps one of them. */
function disorder(names: readonly string[]): number {
  const breaks = (key: (name: string) => string): number =>
    names.findIndex((name, index) => {
      const next = names[index + 1];
      return next !== undefined && key(name) > key(next);
    });
  const ascii = breaks((name) => name);
  return ascii === -1 || breaks((name) => name.toLowerCase()) === -1 ? -1 : ascii;
}
