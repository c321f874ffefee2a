/**
 * base: words every other room may use: errors, time, bounded concurrency, sizes and durations,
 * redaction, escaping, atomic files. It knows nothing of registries and imports no other room.
 */
export * from './atomic-file.ts';
export * from './backoff.ts';
export * from './chunk-memory.ts';
export * from './clock.ts';
export * from './concurrency.ts';
export * from './errors.ts';
export * from './escape.ts';
export * from './log.ts';
export * from './make-folder.ts';
export * from './metered.ts';
export * from './named-file.ts';
export * from './quantities.ts';
export * from './redact.ts';
export * from './text-width.ts';
