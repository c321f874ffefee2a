export { type JournalEntry, type NotedUpload, UploadJournal, type UploadName } from './journal.ts';
export { type BlobStatus, type PushBlobOptions, type PushedBlob, pushBlob } from './push-blob.ts';
export { hasPassed } from './setbacks.ts';
export {
  bytesSource,
  type KnownBlob,
  type PassingBlob,
  type StreamedBlob,
  type UploadSource,
} from './source.ts';
export { type UploadedBlob, type UploadOptions, uploadBlob } from './upload-blob.ts';
