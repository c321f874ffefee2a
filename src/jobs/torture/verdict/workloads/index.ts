import type { VerdictWorkload } from '../options.ts';
import { deleteRetag } from './delete-retag.ts';
import { gcRace } from './gc-race.ts';
import { herd } from './herd.ts';
import { ledger } from './ledger.ts';
import { listLag } from './list-lag.ts';
import { referrers } from './referrers.ts';
import { register } from './register.ts';
import { sessionHop } from './session-hop.ts';
import type { Workload } from './workload.ts';

export const WORKLOADS: Readonly<Record<VerdictWorkload, Workload>> = {
  register,
  ledger,
  herd,
  'delete-retag': deleteRetag,
  'list-lag': listLag,
  referrers,
  'session-hop': sessionHop,
  'gc-race': gcRace,
};
