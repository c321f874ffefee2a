/**
 * The repro file, version 1: a counterexample as a play that can be staged again, one JSON object. Names of tags are
 * kept; content is only named (`m1`, `b1`, `u1`), for every staging makes its own.
 *
 * ```text
 * { "format": "regops-repro", "version": 1,
 *   "invariant": "stale-read", "sentence": "…",
 *   "registry": "http://127.0.0.1:5000", "workload": "register", "seed": 7, "startedAt": "…",
 *   "settleMs": 10000, "deleteGraceMs": 0,
 *   "prepare": [ { "client": 3, "kind": "put-manifest", "tag": "latest", "manifest": "m1" } ],
 *   "steps": [
 *     { "client": 1, "kind": "put-manifest", "tag": "latest", "manifest": "m2", "atMs": 0, "forMs": 3.1 },
 *     { "client": 2, "kind": "get-manifest", "tag": "latest", "atMs": 5.2, "forMs": 0.9 } ] }
 * ```
 *
 * - `prepare` is done one after the other before the play begins: what the steps find there.
 * - A step that began after another's return begins after its return, with the same pause; steps that overlapped
 *   overlap. `client` is the session; steps of one client never overlap.
 * - `kind` is one of a history's. Manifests and their deletes have `tag` or `manifest`, blobs `blob`, uploads `upload`,
 *   `list-referrers` the subject as `manifest`. A pushed manifest may have `blobs` and a `subject`; a pushed blob has
 *   its `bytes`, and the `upload` it ends. `repository` is a number from 0, which is left out.
 */
import {
  asRegopsError,
  messageOf,
  RegopsError,
  readNamedFile,
  writeFileAtomically,
} from '../../../base/index.ts';
import {
  INVARIANTS,
  type InvariantName,
  OPERATION_KINDS,
  type OperationKind,
} from '../../../history/index.ts';
import { isDigest, isTag } from '../../../oci/index.ts';
import type { OperationRecord, VerdictFinding, VerdictResult } from './result.ts';

const FORMAT = 'regops-repro';
const REPRO_VERSION = 1;

/** How much of a repro file is believed. */
const REPRO_LIMITS = {
  fileBytes: 1024 * 1024,
  /** Of the play, and of its preparation. */
  steps: 1000,
  clients: 64,
  repositories: 16,
  /** Of one blob, and of all. */
  blobBytes: 16 * 1024 * 1024,
  totalBytes: 64 * 1024 * 1024,
  /** Milliseconds from the first call to the last return. */
  spanMs: 60 * 60 * 1000,
  blobsOfManifest: 100,
  text: 1000,
} as const;

/** One request of the play. */
export interface ReproAct {
  readonly client: number;
  readonly kind: OperationKind;
  readonly repository?: number;
  readonly tag?: string;
  readonly manifest?: string;
  readonly blob?: string;
  readonly upload?: string;
  readonly blobs?: readonly string[];
  readonly subject?: string;
  readonly bytes?: number;
}

export interface ReproStep extends ReproAct {
  /** Of the call, since the first step's. */
  readonly atMs: number;
  readonly forMs: number;
}

export interface Repro {
  readonly invariant: InvariantName;
  readonly sentence: string;
  readonly registry: string | null;
  readonly workload: string | null;
  readonly seed: number | null;
  readonly startedAt: string | null;
  readonly settleMs: number;
  readonly deleteGraceMs: number;
  readonly prepare: readonly ReproAct[];
  readonly steps: readonly ReproStep[];
}

const DEFAULT_BLOB_BYTES = 1024;
/** Versions of a tag that is read and never written: a registry that mixes them up needs two. */
const VERSIONS = 2;
/** Elements of a list that are put there beforehand. */
const MAX_LISTED = 50;

/**
 * The play of a finding: its operations, the deletes and garbage collections that may be to blame, the pushes around
 * them, and what must have been there before.
 */
function reproOf(
  result: Pick<VerdictResult, 'registry' | 'workload' | 'seed' | 'startedAt' | 'settleMs' | 'deleteGraceMs'>,
  finding: VerdictFinding,
): Repro {
  const { registry, workload, seed, startedAt, settleMs, deleteGraceMs } = result;
  const { prepare, steps } = new Script(finding).play();
  return {
    invariant: finding.invariant,
    sentence: finding.sentence,
    registry,
    workload,
    seed,
    startedAt,
    settleMs,
    deleteGraceMs,
    prepare,
    steps: [...steps, ...lastLook(finding.invariant, steps, settleMs)],
  };
}

/** Lists that have lost something: whatever they name in between, in the end they do not converge. */
const IN_THE_END: Partial<Record<InvariantName, InvariantName>> = {
  'tag-list-lost': 'tag-list-converges',
  'catalog-lost': 'catalog-converges',
};
/** What else the same play may come to: a tag that is lost before anybody saw it is a read of what was there before. */
const ALSO: Partial<Record<InvariantName, InvariantName>> = { ...IN_THE_END, 'tag-lost': 'stale-read' };

/** Whether a round that violated these is one in which the play came true again. */
export function cameTrue(invariant: InvariantName, violated: readonly InvariantName[]): boolean {
  return violated.some((name) => name === invariant || name === ALSO[invariant]);
}

/** The same list once more, when all is quiet and lists had their time. */
function lastLook(invariant: InvariantName, steps: readonly ReproStep[], settleMs: number): ReproStep[] {
  const last = steps.at(-1);
  if (!last || !(invariant in IN_THE_END)) return [];
  const endMs = Math.max(...steps.map(({ atMs, forMs }) => atMs + forMs));
  return [{ ...last, atMs: rounded(endMs + settleMs + 1) }];
}

/** Writes a repro file. Throws OUTPUT_FAILED. */
async function writeRepro(path: string, repro: Repro): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, version: REPRO_VERSION, ...repro }, null, 2)}\n`;
  try {
    await writeFileAtomically(path, text);
  } catch (error) {
    throw new RegopsError('OUTPUT_FAILED', `cannot write the repro file ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * The result with a repro file of its gravest finding, or of the one with that number; without any nothing is written.
 * @param number from 1, as the report has it
 * @returns the result without it, and the error, when the file cannot be written: long work is not to be lost
 * @throws USAGE when there is no such finding
 */
export async function withRepro(
  result: VerdictResult,
  path: string | undefined,
  number?: number,
): Promise<{ readonly result: VerdictResult; readonly error?: RegopsError }> {
  const finding = result.findings[(number ?? 1) - 1];
  if (path === undefined) return { result };
  if (!finding) {
    if (number === undefined) return { result };
    throw new RegopsError('USAGE', `there is no finding ${number}`, {
      hints: [`There are ${result.findings.length}.`],
    });
  }
  try {
    await writeRepro(path, reproOf(result, finding));
    return { result: { ...result, repro: path } };
  } catch (error) {
    return { result, error: asRegopsError(error) };
  }
}

/** Reads a repro file. Throws FILE_NOT_FOUND, IO_FAILED, INPUT_INVALID. */
export async function readRepro(path: string): Promise<Repro> {
  const content = await readNamedFile(path, {
    maxBytes: REPRO_LIMITS.fileBytes,
    tooLarge: () => new RegopsError('INPUT_INVALID', `${path}: larger than a repro file may be`),
  });
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch (error) {
    throw new RegopsError('INPUT_INVALID', `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  return parseRepro(value, path);
}

/** Turns a finding's operations into acts, and finds out what they rest on. */
class Script {
  readonly #finding: VerdictFinding;
  readonly #operations: readonly OperationRecord[];
  readonly #names = new Map<string, string>();
  readonly #counts = { m: 0, b: 0, u: 0 };
  readonly #repositories = new Map<string, number>();
  readonly #prepare: ReproAct[] = [];
  /** A session of its own, for the preparation. */
  readonly #preparer: number;
  /** Tags and content that are put there by the preparation or a step. */
  readonly #there = new Set<string>();

  constructor(finding: VerdictFinding) {
    this.#finding = finding;
    // What is to blame may be one of the operations, too.
    const { operations, suspects, context } = finding;
    const all = new Set([...operations, ...suspects, ...context].map((one) => JSON.stringify(one)));
    this.#operations = [...all]
      .map((text) => JSON.parse(text) as OperationRecord)
      .sort((a, b) => a.callMs - b.callMs || a.returnMs - b.returnMs);
    this.#preparer = 1 + Math.max(...this.#operations.map(({ client }) => client));
  }

  play(): Pick<Repro, 'prepare' | 'steps'> {
    for (const operation of this.#operations) this.#noteWritten(operation);
    for (const operation of this.#operations) this.#prepareFor(operation);
    const [first] = this.#operations;
    const steps = this.#operations.map((operation) => ({
      ...this.#act(operation),
      atMs: rounded(operation.callMs - (first?.callMs ?? 0)),
      forMs: rounded(operation.returnMs - operation.callMs),
    }));
    return { prepare: this.#prepare, steps };
  }

  #noteWritten({ kind, repository, reference, value }: OperationRecord): void {
    if (kind !== 'put-manifest' && kind !== 'put-blob') return;
    this.#there.add(`${repository} ${reference}`);
    if (value !== null) this.#there.add(`${repository} ${value}`);
  }

  /** What the operation found and none of the steps puts there. */
  #prepareFor(operation: OperationRecord): void {
    const { kind, repository, reference, names = [], subject } = operation;
    switch (kind) {
      case 'get-manifest':
      case 'head-manifest':
        this.#manifest(repository, reference, VERSIONS);
        break;
      case 'delete-manifest':
        this.#deleted(repository, reference);
        break;
      case 'get-blob':
      case 'head-blob':
      case 'delete-blob':
        this.#blob(repository, reference, operation.size);
        break;
      case 'put-manifest':
        for (const blob of names) this.#blob(repository, blob);
        if (subject !== undefined) this.#manifest(repository, subject);
        break;
      case 'list-referrers':
        this.#manifest(repository, reference);
        for (const name of this.#listed(names)) this.#manifest(repository, name, 1, reference);
        break;
      case 'list-tags':
        for (const name of this.#listed(names)) this.#manifest(repository, name);
        break;
      default:
    }
  }

  /** What a list named has to be there, unless that is what is wrong. */
  #listed(names: readonly string[]): readonly string[] {
    return this.#finding.invariant.endsWith('-phantom') ? [] : names.slice(0, MAX_LISTED);
  }

  /**
   * A tag goes with a digest that is deleted, or with another tag of its manifest: what is deleted pointed there
   * before.
   */
  #deleted(repository: string, reference: string): void {
    if (this.#there.has(`${repository} ${reference}`)) return;
    this.#there.add(`${repository} ${reference}`);
    const { reference: about } = this.#finding;
    const put = { client: this.#preparer, kind: 'put-manifest' as const, ...this.#place(repository) };
    if (isDigest(reference)) {
      const tag = isTag(about) ? { tag: about } : {};
      this.#prepare.push({ ...put, ...tag, manifest: this.#name('m', reference) });
      return;
    }
    const shared = this.#operations.find(
      ({ kind, reference: tag, value }) => kind === 'put-manifest' && tag === about && value !== null,
    )?.value;
    this.#prepare.push({ ...put, tag: reference, manifest: this.#name('m', shared ?? `${reference} alone`) });
  }

  #manifest(repository: string, reference: string, versions = 1, subject?: string): void {
    const key = `${repository} ${reference}`;
    if (this.#there.has(key)) return;
    this.#there.add(key);
    const byTag = isTag(reference);
    for (let version = 1; version <= (byTag ? versions : 1); version++) {
      this.#prepare.push({
        client: this.#preparer,
        kind: 'put-manifest',
        ...this.#place(repository),
        ...(byTag ? { tag: reference } : {}),
        manifest: this.#name('m', byTag ? `${reference} ${version}` : reference),
        ...(subject === undefined ? {} : { subject: this.#name('m', subject) }),
      });
    }
  }

  #blob(repository: string, digest: string, size = DEFAULT_BLOB_BYTES): void {
    const key = `${repository} ${digest}`;
    if (this.#there.has(key)) return;
    this.#there.add(key);
    const act = { client: this.#preparer, kind: 'put-blob' as const, ...this.#place(repository) };
    this.#prepare.push({ ...act, blob: this.#name('b', digest), bytes: blobBytes(size) });
  }

  #act(operation: OperationRecord): ReproAct {
    const { kind, client, repository, reference, value, names, subject, size, upload } = operation;
    const act = { client, kind, ...(kind === 'list-repositories' ? {} : this.#place(repository)) };
    switch (kind) {
      case 'put-manifest':
        return {
          ...act,
          ...(isTag(reference) ? { tag: reference } : {}),
          manifest: this.#name('m', value ?? reference),
          ...(names && names.length > 0 ? { blobs: names.map((name) => this.#name('b', name)) } : {}),
          ...(subject === undefined ? {} : { subject: this.#name('m', subject) }),
        };
      case 'get-manifest':
      case 'head-manifest':
      case 'delete-manifest':
        return {
          ...act,
          ...(isTag(reference) ? { tag: reference } : { manifest: this.#name('m', reference) }),
        };
      case 'put-blob':
        return {
          ...act,
          blob: this.#name('b', reference),
          bytes: blobBytes(size ?? DEFAULT_BLOB_BYTES),
          ...(upload === undefined ? {} : { upload: this.#name('u', upload) }),
        };
      case 'get-blob':
      case 'head-blob':
      case 'delete-blob':
        return { ...act, blob: this.#name('b', reference) };
      case 'list-referrers':
        return { ...act, manifest: this.#name('m', reference) };
      case 'open-upload':
      case 'extend-upload':
      case 'cancel-upload':
        return { ...act, upload: this.#name('u', reference) };
      default:
        return act;
    }
  }

  #name(letter: 'm' | 'b' | 'u', what: string): string {
    const key = `${letter} ${what}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = `${letter}${++this.#counts[letter]}`;
    this.#names.set(key, name);
    return name;
  }

  #place(repository: string): Pick<ReproAct, 'repository'> {
    const number = this.#repositories.get(repository) ?? this.#repositories.size;
    this.#repositories.set(repository, number);
    return number === 0 ? {} : { repository: number };
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function blobBytes(size: number): number {
  return Math.min(Math.max(1, size), REPRO_LIMITS.blobBytes);
}

/**
 * Checks that a value is what a repro file holds; fields that are not known are left alone.
 * @param what names the file in errors
 * @throws INPUT_INVALID
 */
function parseRepro(value: unknown, what: string): Repro {
  const invalid = (why: string): RegopsError => new RegopsError('INPUT_INVALID', `${what}: ${why}`);
  if (!isObject(value) || value['format'] !== FORMAT) throw invalid('this is no repro file of regops');
  if (value['version'] !== REPRO_VERSION) {
    throw invalid(`version ${String(value['version']).slice(0, 20)} is not known here`);
  }
  const { invariant, sentence, registry, workload, seed, startedAt, settleMs, deleteGraceMs } = value;
  if (typeof invariant !== 'string' || !Object.hasOwn(INVARIANTS, invariant)) {
    throw invalid('invariant is none that is known here');
  }
  const prepare = listOf(value['prepare'], 'prepare', invalid).map((act, at) =>
    actOf(act, `prepare[${at}]`, invalid),
  );
  const steps = listOf(value['steps'], 'steps', invalid).map((step, at): ReproStep => {
    const act = actOf(step, `steps[${at}]`, invalid);
    const { atMs, forMs } = step as Record<string, unknown>;
    if (!isAmount(atMs, REPRO_LIMITS.spanMs) || !isAmount(forMs, REPRO_LIMITS.spanMs)) {
      throw invalid(`steps[${at}]: atMs and forMs are times of up to an hour`);
    }
    return { ...act, atMs, forMs };
  });
  if (steps.length === 0) throw invalid('there are no steps');
  checkWhole(prepare, steps, invalid);
  return {
    invariant: invariant as InvariantName,
    sentence: textOf(sentence) ?? '',
    registry: textOf(registry),
    workload: textOf(workload),
    seed: Number.isSafeInteger(seed) ? (seed as number) : null,
    startedAt: textOf(startedAt),
    settleMs: isAmount(settleMs, REPRO_LIMITS.spanMs) ? settleMs : 0,
    deleteGraceMs: isAmount(deleteGraceMs, REPRO_LIMITS.spanMs) ? deleteGraceMs : 0,
    prepare,
    steps: steps.toSorted((a, b) => a.atMs - b.atMs || a.forMs - b.forMs),
  };
}

type Invalid = (why: string) => RegopsError;

function checkWhole(prepare: readonly ReproAct[], steps: readonly ReproStep[], invalid: Invalid): void {
  const all = [...prepare, ...steps];
  if (new Set(all.map(({ client }) => client)).size > REPRO_LIMITS.clients) {
    throw invalid(`there are more than ${REPRO_LIMITS.clients} clients`);
  }
  if (all.reduce((sum, { bytes = 0 }) => sum + bytes, 0) > REPRO_LIMITS.totalBytes) {
    throw invalid('the blobs are larger than a play may need');
  }
  const ends = new Map<number, number>();
  for (const { client, atMs, forMs } of steps.toSorted((a, b) => a.atMs - b.atMs || a.forMs - b.forMs)) {
    if (atMs < (ends.get(client) ?? 0)) throw invalid(`steps of client ${client} overlap`);
    ends.set(client, atMs + forMs);
  }
}

function listOf(value: unknown, name: string, invalid: Invalid): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${name} is no list`);
  if (value.length > REPRO_LIMITS.steps) throw invalid(`${name} has more than ${REPRO_LIMITS.steps} entries`);
  return value;
}

/** Which of the fields that name something each kind must have; `reference` is a tag or a manifest. */
const NEEDS: Readonly<Record<OperationKind, 'manifest' | 'reference' | 'blob' | 'upload' | null>> = {
  'put-manifest': 'manifest',
  'get-manifest': 'reference',
  'head-manifest': 'reference',
  'delete-manifest': 'reference',
  'put-blob': 'blob',
  'get-blob': 'blob',
  'head-blob': 'blob',
  'delete-blob': 'blob',
  'list-tags': null,
  'list-referrers': 'manifest',
  'list-repositories': null,
  'open-upload': 'upload',
  'extend-upload': 'upload',
  'cancel-upload': 'upload',
  'collect-garbage': null,
};
const NAMES = { manifest: /^m\d{1,5}$/, blob: /^b\d{1,5}$/, upload: /^u\d{1,5}$/ } as const;

function actOf(value: unknown, where: string, invalid: Invalid): ReproAct {
  if (!isObject(value)) throw invalid(`${where} is no object`);
  const { client, kind, repository, tag, manifest, blob, upload, blobs, subject, bytes } = value;
  const wrong = (field: string): RegopsError => invalid(`${where}: ${field} is none`);
  if (!isCount(client, 2 ** 31 - 1)) throw wrong('client');
  if (!OPERATION_KINDS.includes(kind as OperationKind)) throw wrong('kind');
  if (repository !== undefined && !isCount(repository, REPRO_LIMITS.repositories - 1))
    throw wrong('repository');
  if (tag !== undefined && (typeof tag !== 'string' || !isTag(tag))) throw wrong('tag');
  if (manifest !== undefined && !isName(manifest, 'manifest')) throw wrong('manifest');
  if (blob !== undefined && !isName(blob, 'blob')) throw wrong('blob');
  if (upload !== undefined && !isName(upload, 'upload')) throw wrong('upload');
  if (subject !== undefined && !isName(subject, 'manifest')) throw wrong('subject');
  if (bytes !== undefined && (!isCount(bytes, REPRO_LIMITS.blobBytes) || bytes === 0)) throw wrong('bytes');
  if (blobs !== undefined) {
    const isList = Array.isArray(blobs) && blobs.length <= REPRO_LIMITS.blobsOfManifest;
    if (!isList || !blobs.every((name) => isName(name, 'blob'))) throw wrong('blobs');
  }
  const needed = NEEDS[kind as OperationKind];
  const isThere = needed === 'reference' ? (tag ?? manifest) : needed === null ? true : value[needed];
  if (isThere === undefined)
    throw invalid(`${where}: ${needed === 'reference' ? 'tag or manifest' : needed} is missing`);
  return {
    client,
    kind: kind as OperationKind,
    ...(repository === undefined ? {} : { repository: repository as number }),
    ...(tag === undefined ? {} : { tag: tag as string }),
    ...(manifest === undefined ? {} : { manifest: manifest as string }),
    ...(blob === undefined ? {} : { blob: blob as string }),
    ...(upload === undefined ? {} : { upload: upload as string }),
    ...(blobs === undefined ? {} : { blobs: blobs as readonly string[] }),
    ...(subject === undefined ? {} : { subject: subject as string }),
    ...(bytes === undefined ? {} : { bytes: bytes as number }),
  };
}

function isName(value: unknown, kind: keyof typeof NAMES): boolean {
  return typeof value === 'string' && NAMES[kind].test(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

function isAmount(value: unknown, max: number): value is number {
  return typeof value === 'number' && value >= 0 && value <= max;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, REPRO_LIMITS.text) : null;
}
