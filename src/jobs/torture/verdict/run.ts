import { asRegopsError, counted, messageOf, RegopsError } from '../../../base/index.ts';
import type { HistoryHeader } from '../../../history/index.ts';
import { randomStream } from '../../../load/index.ts';
import { digestOf } from '../../../oci/index.ts';
import { collect, listReferrers, listTags, type RegistryClient, statusOf } from '../../../registry/index.ts';
import type { JobContext } from '../../context.ts';
import { graceAfter } from '../grace.ts';
import { newRunId } from '../run-id.ts';
import { BlobSource } from '../workloads/blobs.ts';
import { WRITE_PREFIX } from '../workloads/ledger.ts';
import { CONFIG } from '../workloads/push.ts';
import { Cleaner } from './cleanup.ts';
import { Client, type Equipment, type Player } from './client.ts';
import { HistoryFile } from './history-file.ts';
import { checkVerdict, type VerdictOptions } from './options.ts';
import { Recorder } from './record.ts';
import { type VerdictResult, verdictResult } from './result.ts';
import { catalogGrants, LANES, openSite, type Site, withLanes } from './site.ts';
import { sweep } from './sweep.ts';
import { WORKLOADS } from './workloads/index.ts';
import type { Workload } from './workloads/workload.ts';

export interface VerdictContext extends JobContext {
  /** Has the registry collect its garbage, for the workload that races with it; rejects when that fails. */
  readonly collectGarbage?: ((signal: AbortSignal) => Promise<void>) | undefined;
}

const SWEEPERS = 4;
/** Repositories that wait until all is quiet, or are looked at for the last time. */
const MAX_SETTLING = 40;
const SITE_TRIES = 3;
/** A run that is not looked at by a terminal says so often that it is still there. */
const NEWS_MS = 10_000;
const BLOB_SIZES = [
  { bytes: 1024, weight: 6 },
  { bytes: 16 * 1024, weight: 3 },
  { bytes: 256 * 1024, weight: 1 },
];

/**
 * Runs a workload against a registry, records everything that every client did and saw, judges it while the run goes
 * on, and removes what was written. An aborted signal ends it early with what there is.
 *
 * @returns the result, and the error when the history could not be written or the registry no longer answered in the end:
 *   long work is not to be lost
 * @throws USAGE for options that do not go together, UNSUPPORTED_BY_SERVER when the registry has not what the workload is
 *   about, OUTPUT_FAILED when the history cannot be begun, and what keeps the registry from being written to at all
 */
export async function stressJudged(
  options: VerdictOptions,
  context: VerdictContext,
): Promise<{ readonly result: VerdictResult; readonly error?: RegopsError }> {
  checkVerdict(options, context.collectGarbage !== undefined);
  const { domain, workload, seed, settleMs, deleteGraceMs } = options;
  const { signal, clock, log, progress } = context;
  const runId = newRunId(clock);
  // A name that is new for sure: what another run left behind would be taken for what this one never wrote.
  const writePrefix = `${options.writePrefix ?? WRITE_PREFIX}/${runId}`;
  const run = { registry: domain, workload, seed, startedAt: new Date(clock.now()).toISOString() };
  const client = await context.registry(domain);
  const history = await historyFile(options, { ...run, clients: options.clients });
  const allowed = { settleUs: settleMs * 1000, deleteGraceUs: deleteGraceMs * 1000 };
  const recorder = new Recorder(allowed, history, options.clients);
  const grace = graceAfter(signal);
  const cleaner = new Cleaner(client, writePrefix, grace.signal);
  let lost: RegopsError | undefined;
  try {
    await withLanes(client, options.clients + 2 * SWEEPERS, context, async (lanes) => {
      const load = new Run(options, context, { recorder, lanes, runId, writePrefix, client, cleaner });
      progress.phase(`Recording what ${options.clients} clients of the workload ${workload} see`);
      const news = setInterval(
        () => progress.phase(`${counted(recorder.operations, 'operation')} so far`),
        NEWS_MS,
      );
      await load.play().finally(() => clearInterval(news));
      lost = await load.lost();
    });
    const judgement = recorder.finish();
    const { durationMs } = recorder;
    const unwritten = await history?.finish().then(
      () => undefined,
      (failure: unknown) => asRegopsError(failure),
    );
    const cleanup = cleaner.cleanup();
    if (cleanup.manifestsLeft > 0) {
      log.warn(`${cleanup.manifestsLeft} manifests below ${writePrefix} could not be removed`);
    }
    const result = verdictResult(judgement, options.required, {
      ...run,
      durationMs,
      kinds: recorder.kinds(),
      unseenRepositories: recorder.unseen,
      skewMs: 0,
      settleMs,
      deleteGraceMs,
      history: unwritten ? null : (options.history ?? null),
      repro: null,
      interrupted: signal.aborted,
      cleanup,
    });
    // What was found is found, whatever became of the registry.
    const error = unwritten ?? (result.verdict === 'violated' ? undefined : lost);
    return error ? { result, error } : { result };
  } finally {
    recorder.stop();
    grace.end();
    await history?.discard();
  }
}

async function historyFile(
  { history }: VerdictOptions,
  header: HistoryHeader,
): Promise<HistoryFile | undefined> {
  return history === undefined ? undefined : HistoryFile.create(history, header);
}

/** A run from its first repository to the cleaning of its last. */
class Run {
  readonly #options: VerdictOptions;
  readonly #context: VerdictContext;
  readonly #client: RegistryClient;
  readonly #cleaner: Cleaner;
  readonly #equipment: Omit<Equipment, 'catalogGrants'>;
  readonly #workload: Workload;
  readonly #players: readonly Player[];
  readonly #endMs: number;
  /** Repositories that something was written to and that nobody has cleaned yet. */
  readonly #unclean = new Set<Site>();
  readonly #finishing = new Set<Promise<void>>();
  #catalogGrants: Equipment['catalogGrants'] = [];
  #clients: number;
  /** The last repository that was to be looked at, when it gave no answer. */
  #unseen: string | undefined;
  /** Why no further repository could be begun. */
  #unopened: RegopsError | undefined;

  constructor(
    options: VerdictOptions,
    context: VerdictContext,
    given: Pick<Equipment, 'recorder' | 'lanes' | 'runId' | 'writePrefix'> & {
      readonly client: RegistryClient;
      readonly cleaner: Cleaner;
    },
  ) {
    const { client, cleaner, ...equipment } = given;
    this.#options = options;
    this.#context = context;
    this.#client = client;
    this.#cleaner = cleaner;
    const { clock, signal } = context;
    this.#equipment = { ...equipment, clock, signal, blobs: new BlobSource(BLOB_SIZES) };
    this.#workload = WORKLOADS[options.workload];
    this.#players = Array.from({ length: options.clients }, (_, id) => this.#newPlayer(id));
    this.#clients = options.clients;
    this.#endMs = performance.now() + options.durationMs;
  }

  /** Throws what keeps the registry from being written to; what was written is removed all the same. */
  async play(): Promise<void> {
    try {
      if (this.#workload.listsCatalog) this.#catalogGrants = await catalogGrants(this.#equipment.lanes);
      for (let number = 0; !this.#isOver(); number++) await this.#playAt(number);
      await Promise.all(this.#finishing);
    } finally {
      await Promise.allSettled(this.#finishing);
      for (const site of this.#unclean) await this.#cleaner.clean(site);
    }
  }

  /** What keeps a registry from answering that no longer did in the end; undefined when it does. */
  async lost(): Promise<RegopsError | undefined> {
    const { signal } = this.#context;
    if (signal.aborted) return undefined;
    if (this.#unopened || this.#unseen === undefined) return this.#unopened;
    try {
      await collect(listTags(this.#client, this.#unseen, { signal }));
      return undefined;
    } catch (error) {
      // Where everything was removed from a repository it may be gone: that, too, is an answer.
      return signal.aborted || statusOf(error) === 404 ? undefined : asRegopsError(error);
    }
  }

  #isOver(): boolean {
    return this.#context.signal.aborted || performance.now() >= this.#endMs;
  }

  async #playAt(number: number): Promise<void> {
    const site = await this.#openSite(number);
    if (!site) return;
    const { collectGarbage, signal } = this.#context;
    const { operationsPerSite } = this.#workload;
    this.#unclean.add(site);
    await this.#workload.play({
      clients: this.#players.map((player) => this.#clientAt(site, player)),
      isOver: () => this.#isOver() || site.operations >= operationsPerSite,
      ...(collectGarbage ? { collectGarbage: () => this.#collect(collectGarbage, signal) } : {}),
    });
    const finishing = this.#finish(site).finally(() => this.#finishing.delete(finishing));
    this.#finishing.add(finishing);
    // Who awaits all of them later is told of a failure.
    finishing.catch(() => {});
    while (this.#finishing.size >= MAX_SETTLING) await Promise.race(this.#finishing);
  }

  async #collect(run: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<boolean> {
    try {
      await run(signal);
      return true;
    } catch (error) {
      if (!signal.aborted) this.#context.log.warn(`--gc-hook: ${messageOf(error)}`);
      return false;
    }
  }

  /** A new repository; undefined when a registry that took the first one does not take this one. */
  async #openSite(number: number): Promise<Site | undefined> {
    const { signal, log, clock } = this.#context;
    const { lanes, writePrefix } = this.#equipment;
    const repository = `${writePrefix}/w${number}`;
    for (let attempt = 1; ; attempt++) {
      try {
        const site = await openSite(this.#client, lanes, repository, signal);
        if (number === 0) await this.#checkSupport(repository);
        this.#unopened = undefined;
        return site;
      } catch (error) {
        if (signal.aborted) return undefined;
        if (attempt >= SITE_TRIES) {
          if (number === 0) throw error;
          // A registry that is gone is told of once.
          if (!this.#unopened) log.warn(`${repository}: ${messageOf(error)}`);
          this.#unopened = asRegopsError(error);
          return undefined;
        }
        await clock.sleep(100 * attempt, signal).catch(() => {});
      }
    }
  }

  async #checkSupport(repository: string): Promise<void> {
    const { workload, domain } = this.#options;
    if (workload !== 'referrers') return;
    const { source } = await listReferrers(this.#client, repository, digestOf(CONFIG));
    if (source === 'api') return;
    throw new RegopsError('UNSUPPORTED_BY_SERVER', `${domain} has no referrers API`, {
      hints: [
        'The fallback tag is written by clients, which overwrite each other: there is nothing to judge.',
      ],
    });
  }

  /** Looks at a repository once more when all is quiet, judges it to the end, and removes what was written. */
  async #finish(site: Site): Promise<void> {
    const { signal, clock } = this.#context;
    const { settleMs } = this.#options;
    const catalog = this.#workload.listsCatalog === true;
    if (!signal.aborted) {
      const sweepers = Array.from({ length: SWEEPERS }, (_, at) =>
        this.#clientAt(site, this.#newPlayer(this.#clients++)).by(1 + (at % (LANES - 1))),
      );
      await sweep(sweepers, site, { settleMs, catalog, clock, signal });
      const [manifest] = site.inventory.manifests;
      // From now on the repository may leave the catalog.
      if (catalog && manifest) await sweepers[0]?.deleteManifest(manifest);
    }
    const seen = this.#equipment.recorder.close(site.repository);
    this.#unseen = seen ? undefined : site.repository;
    await this.#cleaner.clean(site);
    this.#unclean.delete(site);
  }

  #newPlayer(id: number): Player {
    return { id, random: randomStream(this.#options.seed, 'workload', id), count: { written: 0 } };
  }

  #clientAt(site: Site, player: Player): Client {
    return new Client({ ...this.#equipment, catalogGrants: this.#catalogGrants }, player, site);
  }
}
