import type { Notes } from './invariants.ts';
import { isChange, type Operation } from './operation.ts';

interface Upload {
  open: Operation | undefined;
  /** First call that may have ended it. */
  endCallUs: number;
  told: boolean;
}

/** Uploads of one repository: what was opened is known until somebody ends it. */
export class UploadCheck {
  readonly #repository: string;
  readonly #notes: Notes;
  readonly #uploads = new Map<string, Upload>();

  constructor(repository: string, notes: Notes) {
    this.#repository = repository;
    this.#notes = notes;
  }

  /** An operation as it comes in: what opens or ends an upload. */
  came(operation: Operation): void {
    const name = uploadOf(operation);
    if (name === undefined || operation.outcome === 'fail') return;
    const upload = this.#uploads.get(name) ?? {
      open: undefined,
      endCallUs: Number.POSITIVE_INFINITY,
      told: false,
    };
    this.#uploads.set(name, upload);
    if (operation.kind === 'open-upload') {
      if (operation.outcome === 'ok') upload.open = operation;
    } else if (operation.kind !== 'extend-upload') {
      upload.endCallUs = Math.min(upload.endCallUs, operation.callUs);
    }
  }

  /** The same operation when everything called before it returned has come in. */
  judge(operation: Operation): void {
    const upload = this.#uploads.get(uploadOf(operation) ?? '');
    const open = upload?.open;
    if (!open || operation === open || open.returnUs >= operation.callUs) return;
    this.#notes.checked('upload-lost');
    const lost =
      operation.outcome === 'fail' && operation.status === 404 && upload.endCallUs > operation.returnUs;
    if (isChange(operation.kind) && operation.outcome === 'ok')
      this.#uploads.delete(uploadOf(operation) ?? '');
    if (!lost || upload.told) return;
    upload.told = true;
    this.#notes.violated('upload-lost', () => ({
      repository: this.#repository,
      reference: uploadOf(operation) ?? '',
      sentence: 'The upload was opened and nobody had ended it, yet it was not known any more.',
      operations: [open, operation],
      suspects: [],
    }));
  }
}

/** The upload an operation belongs to. */
function uploadOf({ kind, reference, upload }: Operation): string | undefined {
  if (kind === 'put-blob') return upload;
  return kind === 'open-upload' || kind === 'extend-upload' || kind === 'cancel-upload'
    ? reference
    : undefined;
}
