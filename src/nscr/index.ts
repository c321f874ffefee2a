/**
 * nscr: the admin API of NSCR, the registry the torture test was born with: state, health, sessions,
 * repositories, blobs, storage and garbage collection, with the fields its documents leave out and the
 * quirks they do not mention. It is asked through a `Send` that somebody else has made; all it adds is the
 * paths, the shapes, and a bound on every reply.
 */
export { createNscrClient, type NscrClient } from './client.ts';
export type * from './replies.ts';
