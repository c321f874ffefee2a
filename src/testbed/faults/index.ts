/** faults: makes an honest testbed lie, stall and break on request, always the same way for a seed (README.md). */
export { type FaultControl, type FaultCount, Faults } from './faults.ts';
export type { Fault, FaultEffect, FaultMatch } from './model.ts';
export { parseFaults } from './parse.ts';
