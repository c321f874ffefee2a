/**
 * torture consistency: makes sure that what a registry says about itself holds together: lists, tags,
 * manifests, blobs, HEAD and GET, and the admin API's counts. It reads only. Nothing is reported before it
 * was looked at again, so that pushes and deletes under way raise no alarm.
 */
import {
  asRegopsError,
  counted,
  isRegopsError,
  mapConcurrently,
  messageOf,
  type RegopsError,
} from '../../../base/index.ts';
import { digestOf, isDigest, isTag } from '../../../oci/index.ts';
import { isoTime } from '../latency.ts';
import { DigestCounter, fingerprint } from '../manifest-memory.ts';
import { openView } from '../open-view.ts';
import type { RegistryView } from '../view.ts';
import type { Examination, Looked } from './examination.ts';
import type { Fault } from './faults.ts';
import { Ledger } from './ledger.ts';
import { examineLists, type ListLook } from './list-check.ts';
import type { ConsistencyContext, ConsistencyOptions } from './options.ts';
import { PassingFailures } from './passing-failures.ts';
import { examineCounts, examineNames, listAll, oneSided, type Repositories } from './registry-check.ts';
import { type ConsistencyResult, FINDING_KINDS, type Severity } from './result.ts';
import { Suspicions } from './suspicions.ts';
import { examineTag } from './tag-check.ts';
import { TagHistory } from './tag-history.ts';
import { visitingOrder } from './visiting-order.ts';
import { type Question, type Reply, Witness } from './witness.ts';

export { CONSISTENCY_DEFAULTS, type ConsistencyContext, type ConsistencyOptions } from './options.ts';
export { consistencyTotals, findingLine, reportConsistency } from './report.ts';
export * from './result.ts';

const REPOSITORIES_AT_ONCE = 4;
const TAGS_AT_ONCE = 4;
/** Tries to learn which repositories there are. */
const LIST_TRIES = 3;
/** Blobs a deep pass knows it has read; beyond, one that repositories share may be read once more. */
const MAX_READ_BLOBS = 2_000_000;

/**
 * Checks once, or pass after pass until the duration is over. `error` is set when the registry cannot be
 * checked at all, or the work was interrupted; `result` then holds what was confirmed so far.
 */
export async function consistency(
  options: ConsistencyOptions,
  context: ConsistencyContext,
): Promise<{ result: ConsistencyResult; error?: RegopsError }> {
  const run = new ConsistencyRun(options, context);
  try {
    await run.passes();
    return { result: run.result(false) };
  } catch (thrown) {
    const error = asRegopsError(thrown);
    return { result: run.result(error.code === 'INTERRUPTED'), error };
  }
}

class ConsistencyRun {
  readonly #options: ConsistencyOptions;
  readonly #context: ConsistencyContext;
  readonly #begunMs: number;
  readonly #ledger = new Ledger();
  readonly #history = new TagHistory();
  readonly #passing = new PassingFailures(this.#history);
  readonly #checked = { tags: 0, manifests: 0, blobs: 0 };
  #witness: Witness | undefined;
  #api: RegistryView['api'] | null = null;
  #pass = 0;
  #passes = 0;
  #partial = false;
  #truncated = false;
  #repositories = 0;
  #tags = 0;
  #errors = 0;
  #unlooked = 0;

  constructor(options: ConsistencyOptions, context: ConsistencyContext) {
    this.#options = options;
    this.#context = context;
    this.#begunMs = context.clock.now();
  }

  async passes(): Promise<void> {
    const { once, durationMs, intervalMs, registry } = this.#options;
    const { clock, signal } = this.#context;
    const client = await this.#context.registry(registry);
    this.#witness = new Witness(client, this.#options, {
      replied: (question, reply) => this.#replied(question, reply),
      passing: (fault) => {
        if (!this.#passing.add(fault)) this.#note(fault, 'warning');
      },
    });
    const view = await openView(this.#witness.client, this.#options, signal);
    this.#api = view.api;
    const deadline = once ? Number.POSITIVE_INFINITY : clock.now() + durationMs;
    for (;;) {
      const begun = clock.now();
      await this.#onePass(view, this.#witness, deadline);
      const next = Math.max(clock.now(), begun + intervalMs);
      if (once || next >= deadline) return;
      await clock.sleep(next - clock.now(), signal);
    }
  }

  /** What was seen so far; of what passed by itself no explanation is looked for any more. */
  result(interrupted: boolean): ConsistencyResult {
    this.#passing.end((fault, severity) => this.#note(fault, severity));
    const { registry, deep } = this.#options;
    return {
      registry,
      api: this.#api,
      deep,
      startedAt: isoTime(this.#begunMs),
      durationMs: this.#context.clock.now() - this.#begunMs,
      interrupted,
      passes: this.#passes,
      partial: this.#partial,
      truncated: this.#truncated,
      operations: this.#repositories + this.#tags,
      errors: this.#errors,
      checked: {
        repositories: this.#repositories,
        tags: this.#tags,
        manifests: this.#checked.manifests,
        blobs: this.#checked.blobs,
        readBytes: this.#witness?.readBytes ?? 0,
        requests: this.#witness?.requests ?? 0,
      },
      findings: this.#ledger.findings,
      findingsDropped: this.#ledger.dropped + this.#unlooked,
    };
  }

  async #onePass(view: RegistryView, witness: Witness, deadline: number): Promise<void> {
    const { clock, signal } = this.#context;
    const { confirmMs } = this.#options;
    this.#pass++;
    this.#partial = true;
    const read = new DigestCounter(MAX_READ_BLOBS);
    const examination: Examination = {
      witness,
      view,
      signal,
      deep: this.#options.deep,
      checked: this.#checked,
      claimDeepRead: (digest) => !isDigest(digest) || read.add(fingerprint(digest)) || read.full,
    };
    const suspicions = new Suspicions();
    const begunMs = witness.nowMs;
    const all = await this.#listAll(examination);
    if (!all) return;
    this.#context.progress.phase(
      `checking ${counted(all.names.length, 'repository', 'repositories')} of ${this.#options.registry}`,
    );
    this.#truncated ||= all.truncated;
    const empty = new Set(oneSided(all));
    const drifting: string[] = [];
    let skipped = false;
    let complete = !all.truncated;
    const names = visitingOrder(all.names, this.#options.seed, this.#pass);
    await mapConcurrently(names, REPOSITORIES_AT_ONCE, signal, async (name, either) => {
      if (clock.now() >= deadline) {
        skipped = true;
        return;
      }
      const within = { ...examination, signal: either };
      const look = await this.#repository(within, name, suspicions, () => {
        skipped ||= clock.now() >= deadline;
        return skipped;
      });
      complete &&= look.tags !== undefined || look.faults.length === 0;
      const stated = all.state?.tagCounts.get(name);
      if (look.details && stated !== undefined && stated !== look.details.tagCount) drifting.push(name);
      if (look.faults.length === 0 && (look.tags ?? []).length === 0) empty.add(name);
    });
    this.#suspectNames(examination, suspicions, [...empty], drifting);
    this.#errors += await suspicions.settle({ clock, signal, confirmMs }, (fault, confirmed) => {
      if (confirmed) this.#note(fault);
      else if (fault.certain) this.#note(fault, 'warning');
    });
    this.#unlooked += suspicions.dropped;
    await this.#passing.settle(again(examination, signal), { clock, confirmMs }, (fault, severity) =>
      this.#note(fault, severity),
    );
    if (skipped) return;
    if (complete) this.#history.complete(begunMs);
    this.#passes++;
    this.#partial = false;
  }

  /** All repositories; undefined when a later pass could not learn them in three tries. */
  async #listAll(examination: Examination): Promise<Repositories | undefined> {
    const { clock, signal } = this.#context;
    for (let attempt = 1; ; attempt++) {
      try {
        return await listAll(examination, this.#options);
      } catch (error) {
        const passing =
          isRegopsError(error) && ['SERVER_ERROR', 'TIMED_OUT', 'CONNECTION_FAILED'].includes(error.code);
        if (!passing) throw error;
        if (attempt >= LIST_TRIES && this.#passes === 0) throw error;
        const kind = error.code === 'SERVER_ERROR' ? 'server-error' : 'no-reply';
        const fault: Fault = {
          ...{ kind, repository: null, reference: 'repositories', message: messageOf(error), evidence: [] },
        };
        this.#note(fault, attempt >= LIST_TRIES ? 'error' : 'warning');
        if (attempt >= LIST_TRIES) return undefined;
        await clock.sleep(this.#options.confirmMs, signal);
      }
    }
  }

  async #repository(
    examination: Examination,
    name: string,
    suspicions: Suspicions,
    isOver: () => boolean,
  ): Promise<ListLook> {
    const known = this.#history.tagsOf(name);
    const askedMs = examination.witness.nowMs;
    const look = await examineLists(examination, name, known);
    this.#repositories++;
    suspicions.add(`lists ${name}`, look.faults, async (signal) => {
      return (await examineLists(again(examination, signal), name, known)).faults;
    });
    // A list that could not be read says nothing of what there is.
    if (look.tags || look.faults.length === 0) this.#history.listed(name, look.tags ?? [], askedMs);
    const looked: Looked = new Map();
    await mapConcurrently(look.tags ?? [], TAGS_AT_ONCE, examination.signal, async (tag, signal) => {
      if (isOver()) return;
      const faults = await examineTag(name, tag, { ...examination, signal }, looked);
      this.#tags++;
      suspicions.add(`tag ${name} ${tag}`, faults, (either) =>
        examineTag(name, tag, again(examination, either), new Map()),
      );
    });
    return look;
  }

  #suspectNames(
    examination: Examination,
    suspicions: Suspicions,
    names: readonly string[],
    drifting: readonly string[],
  ): void {
    const guess = (kind: Fault['kind'], repository: string): Fault => ({
      ...{ kind, repository, reference: null, message: '', evidence: [] },
    });
    const kinds = ['ghost-repository', 'lists-disagree'] as const;
    suspicions.add(
      'names',
      names.flatMap((name) => kinds.map((kind) => guess(kind, name))),
      (signal) => examineNames(again(examination, signal), this.#options, names),
    );
    suspicions.add(
      'counts',
      drifting.map((name) => guess('count-drift', name)),
      (signal) => examineCounts(again(examination, signal), drifting),
    );
  }

  /** Remembers where tags lead: what has moved since shows a push. */
  #replied({ repository, reference }: Question, reply: Reply): void {
    if (reply.status !== 200 || reference === null || !isTag(reference)) return;
    const said = reply.header('docker-content-digest');
    const digest = isDigest(said) ? said : reply.bytes && digestOf(reply.bytes);
    if (digest) this.#history.resolved(repository, reference, digest, reply.evidence);
  }

  /** @param most no graver than this: it passed by itself */
  #note(fault: Fault, most?: Severity): void {
    const own = FINDING_KINDS[fault.kind].severity;
    const severity = most !== undefined && own === 'error' ? most : own;
    const added = this.#ledger.add(fault, this.#pass, isoTime(this.#context.clock.now()), severity);
    if (added) this.#context.onFinding?.(added);
  }
}

/** For another look: under another signal, counting nothing twice, reading blobs again. */
function again(examination: Examination, signal: AbortSignal): Examination {
  return {
    ...examination,
    signal,
    checked: { tags: 0, manifests: 0, blobs: 0 },
    claimDeepRead: () => true,
  };
}
