import { RegopsError } from '../base/index.ts';
import { type Digest, isDigest } from '../oci/index.ts';
import { type Asked, engineError } from './failure.ts';

/** Where a layer is on its way. */
export type LayerPhase =
  | 'preparing'
  | 'waiting'
  | 'pushing'
  | 'pushed'
  /** The other side has it already. */
  | 'exists'
  /** Taken over from another repository of the registry. */
  | 'mounted'
  | 'retrying'
  | 'downloading'
  | 'verifying'
  | 'downloaded'
  | 'extracting'
  | 'pulled'
  | 'other';

/** One layer is further on. */
export interface LayerEvent {
  readonly kind: 'layer';
  /** The engine's short name of the layer: twelve digits. */
  readonly layer: string;
  readonly phase: LayerPhase;
  /** Bytes so far and in all, when the engine tells; never more than in all. */
  readonly currentBytes?: number;
  readonly totalBytes?: number;
  /** The engine's own words. */
  readonly status: string;
}

/** Something about the transfer as a whole. */
export interface StatusEvent {
  readonly kind: 'status';
  readonly status: string;
}

export type TransferEvent = LayerEvent | StatusEvent;

/** What became of the layers, by count. */
export interface LayerCounts {
  /** Sent, or fetched. */
  readonly moved: number;
  /** Already there. */
  readonly existing: number;
  readonly mounted: number;
}

/** What a stream of events came to. */
export interface TransferOutcome {
  /** Undefined when the engine spoke of no layer: podman counts none. */
  readonly layers: LayerCounts | undefined;
  readonly digest: Digest | undefined;
  /** Size of the manifest, when it is said. */
  readonly manifestBytes: number | undefined;
  /** A pull found nothing newer. */
  readonly upToDate: boolean;
}

const PHASES: readonly (readonly [pattern: RegExp, phase: LayerPhase])[] = [
  [/^Preparing/, 'preparing'],
  [/^Waiting/, 'waiting'],
  [/^Pushing/, 'pushing'],
  [/^Pushed/, 'pushed'],
  [/^(Layer )?already exists/i, 'exists'],
  [/^Mounted from/, 'mounted'],
  [/^Retrying in/, 'retrying'],
  [/^Pulling fs layer/, 'waiting'],
  [/^Downloading/, 'downloading'],
  [/^Verifying/, 'verifying'],
  [/^Download complete/, 'downloaded'],
  [/^Extracting/, 'extracting'],
  [/^Pull complete/, 'pulled'],
];
const LAYER_ID = /^[0-9a-f]{12,64}$/;
const PUSHED = /^(\S+): digest: (\S+)(?: size: (\d+))?$/;
const PULLED = /^Digest: (\S+)$/;
const LAYERS_MAX = 10_000;

/**
 * Follows a push or a pull through its events. The engine answers 200 before it has begun: whatever fails later
 * is an event, and no event is not yet success; that takes a digest.
 */
export class Transfer {
  readonly #asked: Asked;
  readonly #onEvent: ((event: TransferEvent) => void) | undefined;
  readonly #phases = new Map<string, LayerPhase>();
  #digest: Digest | undefined;
  #manifestBytes: number | undefined;
  #upToDate = false;

  constructor(asked: Asked, onEvent: ((event: TransferEvent) => void) | undefined) {
    this.#asked = asked;
    this.#onEvent = onEvent;
  }

  /** Takes one event that is no error. */
  take(event: Readonly<Record<string, unknown>>): void {
    this.#takeAux(event['aux']);
    const status = textOf(event['status']);
    if (status === undefined) return;
    const id = textOf(event['id']);
    if (id !== undefined && LAYER_ID.test(id)) this.#takeLayer(id, status, event['progressDetail']);
    else this.#takeStatus(status);
  }

  get outcome(): TransferOutcome {
    const phases = [...this.#phases.values()];
    const counted = (...which: readonly LayerPhase[]): number =>
      phases.filter((phase) => which.includes(phase)).length;
    return {
      layers:
        phases.length === 0
          ? undefined
          : {
              moved: counted('pushed', 'pulled'),
              existing: counted('exists'),
              mounted: counted('mounted'),
            },
      digest: this.#digest,
      manifestBytes: this.#manifestBytes,
      upToDate: this.#upToDate,
    };
  }

  #takeLayer(layer: string, status: string, detail: unknown): void {
    const phase = PHASES.find(([pattern]) => pattern.test(status))?.[1] ?? 'other';
    if (this.#phases.has(layer) || this.#phases.size < LAYERS_MAX) this.#phases.set(layer, phase);
    this.#onEvent?.({ kind: 'layer', layer, phase, status, ...bytesOf(detail) });
  }

  #takeStatus(status: string): void {
    const pushed = PUSHED.exec(status);
    // The containerd store (Docker 29) and podman say it here only.
    this.#found(pushed?.[2] ?? PULLED.exec(status)?.[1], pushed?.[3]);
    if (/^Status: Image is up to date/.test(status)) this.#upToDate = true;
    this.#onEvent?.({ kind: 'status', status });
  }

  #takeAux(aux: unknown): void {
    if (typeof aux !== 'object' || aux === null) return;
    const { Digest: digest, Size: size } = aux as Record<string, unknown>;
    this.#found(textOf(digest), typeof size === 'number' ? String(size) : undefined);
  }

  #found(digest: string | undefined, size: string | undefined): void {
    if (digest === undefined) return;
    if (!isDigest(digest) || (this.#digest !== undefined && this.#digest !== digest)) {
      throw new RegopsError(
        'PROTOCOL_VIOLATION',
        `${this.#asked.what}: the engine named ${isDigest(digest) ? `two digests, ${this.#digest} and ${digest}` : `a digest that is none: '${digest.slice(0, 100)}'`}`,
      );
    }
    this.#digest = digest;
    if (size !== undefined) this.#manifestBytes = Number(size);
  }
}

/**
 * Throws when an event of any of the engine's streams is an error: `errorDetail.message`, or the bare `error` that
 * is deprecated since API 1.48.
 */
export function throwIfError(asked: Asked, event: Readonly<Record<string, unknown>>): void {
  const detail = event['errorDetail'];
  const message =
    (typeof detail === 'object' && detail !== null
      ? textOf((detail as Record<string, unknown>)['message'])
      : undefined) ?? textOf(event['error']);
  if (message !== undefined) throw engineError(asked, message);
  if (detail != null || event['error'] != null) throw engineError(asked, 'an error without a message');
}

function bytesOf(detail: unknown): { currentBytes?: number; totalBytes?: number } {
  if (typeof detail !== 'object' || detail === null) return {};
  const { current, total } = detail as Record<string, unknown>;
  if (typeof current !== 'number' || !(current >= 0)) return {};
  // What a layer's tar headers add is not in the total.
  return typeof total === 'number' && total > 0
    ? { currentBytes: Math.min(current, total), totalBytes: total }
    : { currentBytes: current };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
