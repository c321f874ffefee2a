/** alts: an ALTS scheduler with its queue and workers, for `package-test` to talk to. */
export type { AltsPayload } from './payload.ts';
export { altsFault } from './replies.ts';
export { answerAlts } from './scheduler.ts';
export { type RunTask, Tasks } from './tasks.ts';
