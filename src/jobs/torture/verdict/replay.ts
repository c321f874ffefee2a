import { asRegopsError, RegopsError } from '../../../base/index.ts';
import type { InvariantName } from '../../../history/index.ts';
import { randomStream } from '../../../load/index.ts';
import type { RegistryClient, RegistryLane } from '../../../registry/index.ts';
import { graceAfter } from '../grace.ts';
import { newRunId } from '../run-id.ts';
import { checkWrites } from '../stress/plan.ts';
import type { Cleanup } from '../stress/result.ts';
import { BlobSource, type FreshBlob } from '../workloads/blobs.ts';
import { WRITE_PREFIX } from '../workloads/ledger.ts';
import { Cleaner } from './cleanup.ts';
import { Client, type Equipment, type Player, type Upload } from './client.ts';
import { type Manifest, manifestOf } from './manifest.ts';
import { Recorder } from './record.ts';
import { cameTrue, type Repro, type ReproAct, type ReproStep, readRepro } from './repro.ts';
import { type Requirement, type VerdictFinding, type VerdictResult, verdictResult } from './result.ts';
import type { VerdictContext } from './run.ts';
import { catalogGrants, openSite, type Site, withLanes } from './site.ts';

export interface ReplayOptions {
  /** The registry, by the domain of its references. */
  readonly domain: string;
  /** The repro file. */
  readonly file: string;
  readonly times: number;
  /** Clients that upload, push, pull and list beside the play, so that it is not alone. */
  readonly company: number;
  /** Everything is written below it; default `regops-torture/RUN`. */
  readonly writePrefix?: string | undefined;
  readonly yesWrite: boolean;
}

/** What one staging of the play came to. */
export interface ReplayRound {
  /** The invariant of the repro file was violated. */
  readonly reproduced: boolean;
  /** All invariants that were. */
  readonly violated: readonly InvariantName[];
  readonly durationMs: number;
}

/** The `result` of replay's JSON answer. */
export interface ReplayResult {
  readonly registry: string;
  readonly file: string;
  readonly invariant: InvariantName;
  /** The sentence of the repro file. */
  readonly sentence: string;
  /** Rounds that were asked for. */
  readonly times: number;
  /** Rounds in which the invariant was violated again. */
  readonly reproduced: number;
  /** Rounds in which only other invariants were. */
  readonly otherwise: number;
  readonly rounds: readonly ReplayRound[];
  /** Of the first round in which it was, or else of the first that violated something. */
  readonly finding: VerdictFinding | null;
  readonly interrupted: boolean;
  readonly cleanup: Cleanup;
}

const REQUIRED: Requirement = { level: 'linearizable', allowed: [] };
/** Findings to choose the one that is shown from. */
const MAX_FOUND = 1000;
/** A timer may be early; a pause must not be shorter than it was. */
const TIMER_GRAIN_MS = 2;
const DEFAULT_BLOB_BYTES = 1024;
/** The company's tags, so many of each client's, and its pauses. */
const COMPANY_TAGS = 8;
const COMPANY_PAUSE_MS = 10;
/** Before a pause that is as long as that the company leaves: the play may be about what is there when all is quiet. */
const LONG_PAUSE_MS = 1000;

/**
 * Plays a counterexample again and again, each time in a repository of its own, and judges what came of it. What
 * was written is removed at the end. An aborted signal ends it early with what there is.
 *
 * @returns the result, and the error that kept the last round from being played when the play never came true before:
 *   that it did not is then no answer
 * @throws USAGE, what {@link readRepro} throws, and what keeps the registry from being written to at all
 */
export async function replay(
  options: ReplayOptions,
  context: VerdictContext,
): Promise<{ readonly result: ReplayResult; readonly error?: RegopsError }> {
  checkWrites({ ...options, workload: 'replay' });
  const repro = await readRepro(options.file);
  if (repro.steps.some(({ kind }) => kind === 'collect-garbage') && !context.collectGarbage) {
    throw new RegopsError('USAGE', `${options.file} has a garbage collection in it`, {
      hints: ['Say with --gc-hook COMMAND how the registry collects its garbage.'],
    });
  }
  const { signal, clock, log, progress } = context;
  const runId = newRunId(clock);
  const writePrefix = `${options.writePrefix ?? WRITE_PREFIX}/${runId}`;
  const client = await context.registry(options.domain);
  const grace = graceAfter(signal);
  const cleaner = new Cleaner(client, writePrefix, grace.signal);
  try {
    const players = new Set([...repro.prepare, ...repro.steps].map((act) => act.client)).size;
    const { rounds, finding, failure } = await withLanes(
      client,
      players + options.company,
      context,
      (lanes) => {
        const { company, file, times } = options;
        const stage = new Stage(repro, context, { company, client, lanes, cleaner, runId, writePrefix });
        progress.phase(`Playing ${file} ${times} times`);
        return playAll(stage, repro.invariant, times, context);
      },
    );
    const cleanup = cleaner.cleanup();
    if (cleanup.manifestsLeft > 0) {
      log.warn(`${cleanup.manifestsLeft} manifests below ${writePrefix} could not be removed`);
    }
    const reproduced = rounds.filter((round) => round.reproduced).length;
    const result = {
      registry: options.domain,
      file: options.file,
      invariant: repro.invariant,
      sentence: repro.sentence,
      times: options.times,
      reproduced,
      otherwise: rounds.filter(({ violated }) => violated.length > 0).length - reproduced,
      rounds,
      finding,
      interrupted: signal.aborted,
      cleanup,
    };
    return failure && reproduced === 0 ? { result, error: failure } : { result };
  } finally {
    grace.end();
  }
}

/** A round that could not be played is told and left out; the first one throws why, `failure` is that of the last. */
async function playAll(
  stage: Stage,
  invariant: InvariantName,
  times: number,
  { signal, log }: VerdictContext,
): Promise<Pick<ReplayResult, 'rounds' | 'finding'> & { readonly failure: RegopsError | undefined }> {
  const rounds: ReplayRound[] = [];
  let failure: RegopsError | undefined;
  const found: VerdictFinding[] = [];
  for (let number = 1; number <= times && !signal.aborted; number++) {
    try {
      const { invariants, findings, durationMs } = await stage.play(number);
      if (signal.aborted) break;
      failure = undefined;
      const violated = invariants.filter(({ state }) => state === 'violated').map(({ name }) => name);
      rounds.push({ reproduced: cameTrue(invariant, violated), violated, durationMs });
      if (found.length < MAX_FOUND) found.push(...findings);
    } catch (error) {
      if (signal.aborted) break;
      if (number === 1) throw error;
      failure = asRegopsError(error);
      log.warn(`round ${number}: ${failure.message}`);
    }
  }
  const shown = found.find((one) => cameTrue(invariant, [one.invariant])) ?? found[0] ?? null;
  return { rounds, finding: shown, failure };
}

/** A registry on which a play is staged. */
class Stage {
  readonly #repro: Repro;
  readonly #context: VerdictContext;
  readonly #client: RegistryClient;
  readonly #cleaner: Cleaner;
  readonly #lanes: readonly RegistryLane[];
  readonly #given: Pick<Equipment, 'runId' | 'writePrefix'>;
  readonly #blobs: BlobSource;
  readonly #company: number;

  constructor(
    repro: Repro,
    context: VerdictContext,
    given: Pick<Equipment, 'lanes' | 'runId' | 'writePrefix'> & {
      readonly client: RegistryClient;
      readonly cleaner: Cleaner;
      readonly company: number;
    },
  ) {
    const { client, cleaner, lanes, company, ...rest } = given;
    this.#company = company;
    this.#repro = repro;
    this.#context = context;
    this.#client = client;
    this.#cleaner = cleaner;
    this.#lanes = lanes;
    this.#given = rest;
    const sizes = new Set([DEFAULT_BLOB_BYTES]);
    for (const { bytes } of [...repro.prepare, ...repro.steps]) if (bytes !== undefined) sizes.add(bytes);
    this.#blobs = new BlobSource([...sizes].map((bytes) => ({ bytes, weight: 1 })));
  }

  /** One round: prepares, plays, judges, and removes what was written. */
  async play(round: number): Promise<VerdictResult> {
    const { settleMs, deleteGraceMs, prepare, steps, registry, workload, seed } = this.#repro;
    const { clock, signal } = this.#context;
    const recorder = new Recorder({ settleUs: settleMs * 1000, deleteGraceUs: deleteGraceMs * 1000 });
    const sites: Site[] = [];
    try {
      const numbers = new Set([0, ...[...prepare, ...steps].map(({ repository = 0 }) => repository)]);
      for (const number of numbers) {
        const name = `${this.#given.writePrefix}/r${round}${number === 0 ? '' : `-${number}`}`;
        sites[number] = await openSite(this.#client, this.#lanes, name, signal);
      }
      const equipment = {
        ...this.#given,
        recorder,
        lanes: this.#lanes,
        catalogGrants: await this.#catalogGrants(),
        blobs: this.#blobs,
        clock,
        signal,
      };
      const cast = new Cast(this.#repro, `${this.#given.runId} r${round}`, equipment, sites);
      for (const act of prepare) if (!signal.aborted) await cast.perform(act, this.#context);
      const leave = await cast.invite(this.#company);
      try {
        await inOrder(steps, {
          perform: async (step) => {
            if (!signal.aborted) await cast.perform(step, this.#context);
          },
          pause: async (ms) => {
            if (ms >= Math.min(settleMs, LONG_PAUSE_MS)) await leave();
            await clock.sleep(ms + TIMER_GRAIN_MS, signal).catch(() => {});
          },
        });
      } finally {
        await leave();
      }
      const judgement = recorder.finish();
      return verdictResult(judgement, REQUIRED, {
        registry,
        workload,
        seed,
        startedAt: null,
        durationMs: recorder.durationMs,
        kinds: recorder.kinds(),
        unseenRepositories: 0,
        skewMs: 0,
        settleMs,
        deleteGraceMs,
        history: null,
        repro: null,
        interrupted: signal.aborted,
      });
    } finally {
      recorder.stop();
      for (const site of sites) if (site) await this.#cleaner.clean(site);
    }
  }

  async #catalogGrants(): Promise<Equipment['catalogGrants']> {
    if (!this.#repro.steps.some(({ kind }) => kind === 'list-repositories')) return [];
    return catalogGrants(this.#lanes);
  }
}

/** Who plays in one round, and what the names of the play stand for there. */
class Cast {
  readonly #acts: readonly ReproAct[];
  readonly #puts: ReadonlyMap<string, ReproAct>;
  readonly #name: string;
  readonly #equipment: Equipment;
  readonly #sites: readonly Site[];
  readonly #players = new Map<number, Player>();
  readonly #clients = new Map<string, Client>();
  readonly #manifests = new Map<string, Manifest>();
  readonly #blobs = new Map<string, FreshBlob>();
  readonly #uploads = new Map<string, Upload>();
  readonly #ends: ReadonlyMap<string, string>;
  #turns = 0;

  constructor(repro: Repro, name: string, equipment: Equipment, sites: readonly Site[]) {
    const acts = [...repro.prepare, ...repro.steps];
    this.#acts = acts;
    this.#puts = new Map(
      acts
        .filter(({ kind }) => kind === 'put-manifest' || kind === 'put-blob')
        .map((act): [string, ReproAct] => [(act.kind === 'put-blob' ? act.blob : act.manifest) ?? '', act])
        .reverse(),
    );
    this.#ends = new Map(
      acts.flatMap(({ kind, upload, blob }): [string, string][] =>
        kind === 'put-blob' && upload !== undefined && blob !== undefined ? [[upload, blob]] : [],
      ),
    );
    this.#name = name;
    this.#equipment = equipment;
    this.#sites = sites;
  }

  /** Does one act; what it came to is recorded. An act on an upload that was never opened is left out. */
  async perform(act: ReproAct, { collectGarbage, signal }: VerdictContext): Promise<void> {
    const client = this.#clientOf(act);
    const { kind, tag, upload: uploadName = '' } = act;
    const reference = (): string => tag ?? this.#manifest(act.manifest).digest;
    const upload = this.#uploads.get(uploadName);
    switch (kind) {
      case 'put-manifest':
        await client.putManifest(reference(), this.#manifest(act.manifest));
        return;
      case 'get-manifest':
        await client.getManifest(reference());
        return;
      case 'head-manifest':
        await client.headManifest(reference());
        return;
      case 'delete-manifest':
        await client.deleteManifest(reference());
        return;
      case 'put-blob':
        if (upload) await client.endUpload(upload, this.#blob(act.blob));
        else if (act.upload === undefined) await client.putBlob(this.#blob(act.blob));
        return;
      case 'get-blob':
        await client.getBlob(this.#blob(act.blob).digest);
        return;
      case 'head-blob':
        await client.headBlob(this.#blob(act.blob).digest);
        return;
      case 'delete-blob':
        await client.deleteBlob(this.#blob(act.blob).digest);
        return;
      case 'list-tags':
        await client.listTags();
        return;
      case 'list-referrers':
        await client.listReferrers(this.#manifest(act.manifest).digest);
        return;
      case 'list-repositories':
        await client.listRepositories();
        return;
      case 'open-upload': {
        const opened = await client.openUpload();
        if (opened) this.#uploads.set(uploadName, opened);
        return;
      }
      case 'extend-upload': {
        if (!upload) return;
        const blob = this.#blob(this.#ends.get(uploadName) ?? `of ${uploadName}`);
        const end = upload.sent + Math.ceil((blob.size - upload.sent) / 2);
        if (end > upload.sent) await client.extendUpload(upload, blob, end);
        return;
      }
      case 'cancel-upload':
        if (upload) await client.cancelUpload(upload);
        return;
      case 'collect-garbage':
        if (collectGarbage) {
          await client.collectGarbage(() =>
            collectGarbage(signal).then(
              () => true,
              () => false,
            ),
          );
        }
    }
  }

  /**
   * Clients that upload, push to tags of their own, read and list in the first repository: they are recorded and
   * judged as well. They are there once each has had a turn: while all do the same at the same time they are a
   * company of one. Gives what ends that.
   */
  async invite(count: number): Promise<() => Promise<void>> {
    const { signal } = this.#equipment;
    const first = 1 + Math.max(...this.#acts.map(({ client }) => client));
    let over = false;
    const arrivals: Promise<void>[] = [];
    const guests = Array.from({ length: count }, async (_, at) => {
      const client = this.#clientOf({ client: first + at, kind: 'list-tags' });
      const turn = async (number: number): Promise<void> => {
        const tag = `company-${at}-${number % COMPANY_TAGS}`;
        const blob = client.freshBlob();
        await client.putBlob(blob);
        blob.release();
        await client.putManifest(tag, client.freshManifest());
        await client.getManifest(tag);
        await client.listTags();
        await client.pause(COMPANY_PAUSE_MS);
      };
      const arrival = turn(0);
      arrivals.push(arrival);
      await arrival;
      for (let number = 1; !over && !signal.aborted; number++) await turn(number);
    });
    await Promise.allSettled(arrivals);
    return async () => {
      over = true;
      await Promise.all(guests);
    };
  }

  /** The client of an act, in its repository. Steps of an upload take turns with the connections. */
  #clientOf({ client: id, repository = 0, kind, upload }: ReproAct): Client {
    const key = `${id} ${repository}`;
    let client = this.#clients.get(key);
    if (!client) {
      let player = this.#players.get(id);
      if (!player) {
        player = { id, random: randomStream(0, 'workload', id), count: { written: 0 } };
        this.#players.set(id, player);
      }
      client = new Client(this.#equipment, player, this.#sites[repository] as Site).by(this.#players.size);
      this.#clients.set(key, client);
    }
    return upload !== undefined || kind === 'open-upload' ? client.by(this.#turns++) : client;
  }

  #manifest(name = ''): Manifest {
    const known = this.#manifests.get(name);
    if (known) return known;
    // A manifest that is, by a play made up by hand, its own subject's subject has none.
    this.#manifests.set(name, manifestOf(`${this.#name} ${name}`));
    const { blobs = [], subject } = this.#puts.get(name) ?? {};
    const named = subject === undefined ? undefined : this.#manifest(subject);
    const manifest = manifestOf(
      `${this.#name} ${name}`,
      blobs.map((blob) => this.#blob(blob)),
      named && { digest: named.digest, size: named.body.length },
    );
    this.#manifests.set(name, manifest);
    return manifest;
  }

  #blob(name = ''): FreshBlob {
    let blob = this.#blobs.get(name);
    if (!blob) {
      const { bytes = DEFAULT_BLOB_BYTES } = this.#puts.get(name) ?? {};
      blob = this.#equipment.blobs.make(bytes, `${this.#name} ${name}`);
      this.#blobs.set(name, blob);
    }
    return blob;
  }
}

/**
 * Does steps in the order they were in: one that began after another's return begins after its return, with the same
 * pause; one that overlapped an earlier one begins as soon as that has begun. Steps of one client follow each other.
 */
export async function inOrder(
  steps: readonly ReproStep[],
  does: {
    perform(step: ReproStep): Promise<void>;
    pause(ms: number): Promise<void>;
  },
): Promise<void> {
  const begun = steps.map(() => Promise.withResolvers<void>());
  const done: Promise<void>[] = [];
  for (const [at, step] of steps.entries()) {
    const before: number[] = [];
    const beside: number[] = [];
    for (const [index, earlier] of steps.slice(0, at).entries()) {
      const follows = earlier.client === step.client || endOf(earlier) < step.atMs;
      (follows ? before : beside).push(index);
    }
    const quietMs = Math.max(0, ...before.map((index) => endOf(steps[index])));
    const pauseMs = beside.length > 0 || at === 0 ? 0 : step.atMs - quietMs;
    const run = async (): Promise<void> => {
      await Promise.all(before.map((index) => done[index]));
      await Promise.all(beside.map((index) => begun[index]?.promise));
      if (pauseMs > 0) await does.pause(pauseMs);
      const running = does.perform(step);
      begun[at]?.resolve();
      await running;
    };
    done.push(run());
  }
  await Promise.all(done);
}

function endOf(step: ReproStep | undefined): number {
  return step ? step.atMs + step.forMs : 0;
}
