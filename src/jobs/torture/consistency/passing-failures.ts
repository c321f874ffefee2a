import { type Clock, isRegopsError, mapConcurrently } from '../../../base/index.ts';
import {
  type Digest,
  isDigest,
  isManifestMediaType,
  LIMITS,
  MANIFEST_ACCEPT,
  parseManifest,
  referencedDescriptors,
} from '../../../oci/index.ts';
import type { Examination } from './examination.ts';
import type { Fault } from './faults.ts';
import type { Evidence, Severity } from './result.ts';
import type { SeenPush, TagHistory } from './tag-history.ts';
import { readTagList } from './tag-list.ts';

/** Failures that can wait to be explained. */
const MAX_PENDING = 1000;
/** How often pushes are looked for before a failure is called one that nothing explains. */
const LOOKS = 3;
const MAX_ROUNDS = 8;
/** Tags of one repository that are asked in one look. */
const MAX_TAGS = 100;
const REPOSITORIES_AT_ONCE = 2;
const TAGS_AT_ONCE = 4;

const accept = MANIFEST_ACCEPT.join(', ');

interface Pending {
  readonly fault: Fault;
  readonly failure: Evidence;
  readonly repository: string;
  readonly reference: string;
  looks: number;
}

/** Told how a failure that passed is to be judged. */
type Tell = (fault: Fault, severity: Severity) => void;

/**
 * Replies 500 that were good when asked again, until it is known what they were.
 *
 * distribution (2.8, and what is built on it) writes the link files of tags, manifests and layers in place:
 * who reads one while it is empty gets a 500. So a 500 is a note when a push is seen that wrote just what was
 * asked for, at that time: the tag itself came or moved, another tag was pushed with the same manifest, or the
 * digest is part of what was pushed. With no such push it is the registry that is unreliable: a warning.
 * 502, 503 and 504 speak of gateways and load, which no push explains.
 */
export class PassingFailures {
  readonly #history: TagHistory;
  readonly #pending = new Set<Pending>();

  constructor(history: TagHistory) {
    this.#history = history;
  }

  /** @returns false for a failure that no push could explain: it is what it looks like */
  add(fault: Fault): boolean {
    const { repository, reference } = fault;
    const [failure] = fault.evidence;
    if (fault.kind !== 'server-error' || failure?.status !== 500) return false;
    if (repository === null || reference === null || this.#pending.size >= MAX_PENDING) return false;
    this.#pending.add({ fault, failure, repository, reference, looks: 0 });
    return true;
  }

  /** Looks for the pushes that explain them, with pauses between, and tells of each what it was. */
  async settle(
    examination: Examination,
    { clock, confirmMs }: { clock: Clock; confirmMs: number },
    tell: Tell,
  ): Promise<void> {
    const contents = new Map<Digest, Promise<ReadonlySet<string>>>();
    const contentsOf = (repository: string, digest: Digest): Promise<ReadonlySet<string>> => {
      const known = contents.get(digest) ?? everythingIn(examination, repository, digest);
      contents.set(digest, known);
      return known;
    };
    // To look is to ask, and what is asked may fail in the same way: each failure gets looks of its own.
    for (let round = 0; round < MAX_ROUNDS; round++) {
      for (const pending of [...this.#pending]) {
        const push = this.#pushTo(pending) ?? (await this.#pushWith(pending, contentsOf));
        if (push) tell(explained(pending.fault, push), 'note');
        else if (pending.looks >= LOOKS) tell(pending.fault, 'warning');
        else continue;
        this.#pending.delete(pending);
      }
      if (this.#pending.size === 0) return;
      await clock.sleep(confirmMs, examination.signal);
      await this.#look(examination);
    }
    this.end(tell);
  }

  /** Tells of what is left by what is known already, without asking any more. */
  end(tell: Tell): void {
    for (const pending of this.#pending) {
      const push = this.#pushTo(pending);
      if (push) tell(explained(pending.fault, push), 'note');
      else tell(pending.fault, 'warning');
    }
    this.#pending.clear();
  }

  /** A push of just what was asked for: this tag, another tag of the same manifest, this manifest. */
  #pushTo({ failure, repository, reference }: Pending): SeenPush | undefined {
    return this.#history
      .pushesDuring(repository, failure)
      .find(
        ({ tag, digest }) =>
          tag === reference || digest === reference || this.#history.leadsTo(repository, reference, digest),
      );
  }

  /** A push of an image that has this digest in it. */
  async #pushWith(
    { failure, repository, reference }: Pending,
    contentsOf: (repository: string, digest: Digest) => Promise<ReadonlySet<string>>,
  ): Promise<SeenPush | undefined> {
    if (!isDigest(reference)) return undefined;
    for (const push of this.#history.pushesDuring(repository, failure)) {
      if ((await contentsOf(repository, push.digest)).has(reference)) return push;
    }
    return undefined;
  }

  /** Reads where the tags of these repositories lead now; the history hears of every reply. */
  async #look(examination: Examination): Promise<void> {
    const repositories = new Set<string>();
    for (const pending of this.#pending) {
      pending.looks++;
      repositories.add(pending.repository);
    }
    const wanted = new Set([...this.#pending].map(({ reference }) => reference));
    await mapConcurrently(
      repositories,
      REPOSITORIES_AT_ONCE,
      examination.signal,
      async (repository, signal) => {
        const askedMs = examination.witness.nowMs;
        const { tags, broken } = await readTagList({ ...examination, signal }, repository);
        if (broken || !tags) return;
        // A tag that this list forgets is still one that was known: the next pass will miss it.
        this.#history.listed(repository, [...this.#history.tagsOf(repository), ...tags], askedMs);
        const listed = new Set(tags);
        const first = [...wanted, ...this.#history.restless(repository)].filter((tag) => listed.has(tag));
        const asked = [...new Set([...first, ...listed])].slice(0, MAX_TAGS);
        await mapConcurrently(asked, TAGS_AT_ONCE, signal, (tag, either) =>
          examination.witness.ask(
            { method: 'HEAD', to: `${repository}/manifests/${tag}`, repository, reference: tag, accept },
            either,
          ),
        );
      },
    );
  }
}

function explained(fault: Fault, { tag, evidence }: SeenPush): Fault {
  return {
    ...fault,
    message: `${fault.message} while ${fault.repository}:${tag} was pushed, and was good when asked again`,
    evidence: [...fault.evidence, evidence],
  };
}

/** The digests of a manifest and of all it refers to, down to the last child that can be read. */
async function everythingIn(
  { witness, signal }: Examination,
  repository: string,
  digest: Digest,
): Promise<ReadonlySet<string>> {
  const all = new Set<string>([digest]);
  let level = [digest];
  for (let depth = 0; level.length > 0 && depth <= LIMITS.indexDepth; depth++) {
    const next: Digest[] = [];
    for (const one of level) {
      const { bytes } = await witness.ask(
        {
          method: 'GET',
          to: `${repository}/manifests/${one}`,
          repository,
          reference: one,
          accept,
          body: { keep: LIMITS.manifestBytes },
        },
        signal,
      );
      if (!bytes) continue;
      try {
        const manifest = parseManifest(bytes, { what: one, digest: one });
        for (const descriptor of referencedDescriptors(manifest)) {
          const isNew = !all.has(descriptor.digest);
          all.add(descriptor.digest);
          if (isNew && manifest.kind === 'index' && isManifestMediaType(descriptor.mediaType)) {
            next.push(descriptor.digest);
          }
        }
      } catch (error) {
        if (!isRegopsError(error)) throw error;
      }
    }
    level = next;
  }
  return all;
}
