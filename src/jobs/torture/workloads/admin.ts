/**
 * The load of the NSCR torture client: four reads, picked evenly. On registries without NSCR's admin API their
 * nearest kin of `/v2/`: the catalog, the base, and the catalog with one repository's tags; nobody there tells of
 * sessions. An empty registry has no repository to look at, which is no error.
 */
import { silentLog, systemClock } from '../../../base/index.ts';
import type { CreateWorkload, Workload } from '../../../load/index.ts';
import { isRepository } from '../../../oci/index.ts';
import {
  CATALOG_SCOPE,
  faultOf,
  headerIn,
  type LaneGrant,
  type LaneResult,
  openRegistryLane,
  pullScope,
  type RegistryConnection,
} from '../../../registry/index.ts';
import { countedExchanger, type Done } from './exchange.ts';
import { Ledger, type RequestKind } from './ledger.ts';

/** What the job gives to every thread. */
export interface AdminOptions {
  readonly connection: RegistryConnection;
  readonly ledger: SharedArrayBuffer;
  readonly api: 'nscr' | 'oci';
}

const HEADERS = ['accept', 'application/json'];
/** Ten thousand repositories of a hundred tags, and room to spare. */
const MAX_BYTES = 64 * 1024 * 1024;

interface Read {
  readonly name: string;
  readonly path: string;
  readonly request: RequestKind;
}

const NSCR_READS: readonly Read[] = [
  { name: 'get_state', path: '/api/registry/state', request: 'state' },
  { name: 'get_health', path: '/api/registry/health', request: 'health' },
  { name: 'get_sessions', path: '/api/registry/sessions', request: 'sessions' },
];
const OCI_READS: readonly Read[] = [
  { name: 'get_state', path: '/v2/_catalog?n=1000', request: 'catalog' },
  { name: 'get_health', path: '/v2/', request: 'base' },
];
const DETAILS = 'get_repository_details';

export const createWorkload: CreateWorkload = async (given, place): Promise<Workload> => {
  const { connection, ledger, api } = given as AdminOptions;
  const lane = await openRegistryLane(connection, {
    connections: place.concurrency,
    log: silentLog,
    clock: systemClock,
  });
  const exchanger = countedExchanger(lane, Ledger.over(ledger), place.index);
  const reads = api === 'nscr' ? NSCR_READS : OCI_READS;
  const list = reads[0] as Read;
  let grant: LaneGrant;

  /** The repository's details; a token of its own may have to be fetched first. */
  function readDetails(name: string, before: LaneResult, done: Done): void {
    const scopes = api === 'nscr' ? [CATALOG_SCOPE] : [pullScope(name)];
    const escaped = name.split('/').map(encodeURIComponent).join('/');
    const path = api === 'nscr' ? `/api/registry/repositories/${escaped}` : `/v2/${name}/tags/list?n=1000`;
    const go = (own: LaneGrant): void =>
      exchanger.read(
        {
          kind: api === 'nscr' ? 'repository' : 'tags',
          method: 'GET',
          path,
          grant: own,
          headers: HEADERS,
          maxBytes: MAX_BYTES,
        },
        (result) => finish(DETAILS, result, done, before),
      );
    const own = lane.granted(scopes);
    if (own) go(own);
    else {
      lane
        .grant(scopes)
        .then(go, () => done({ kind: DETAILS, ok: false, error: 'authorization', bytes: before.bytes }));
    }
  }

  return {
    async start() {
      await lane.learn('/v2/', [CATALOG_SCOPE]);
      await lane.learn(api === 'nscr' ? '/api/registry/storage' : '/v2/_catalog?n=1', [CATALOG_SCOPE]);
      grant = await lane.grant([CATALOG_SCOPE]);
    },
    fire(random, done) {
      const read = reads[Math.floor(random() * (reads.length + 1))];
      const choice = random();
      const { path, request } = read ?? list;
      exchanger.read(
        {
          kind: request,
          method: 'GET',
          path,
          grant,
          headers: HEADERS,
          maxBytes: MAX_BYTES,
          keep: read === undefined,
        },
        (result) => {
          if (read) finish(read.name, result, done);
          else if (faultOf(result, 200) || isPage(result)) finish(DETAILS, result, done);
          else {
            const names = namesIn(result.body);
            const name = names[Math.floor(choice * names.length)];
            if (name !== undefined) readDetails(name, result, done);
            else done({ ...outcome(DETAILS, result), ok: true });
          }
        },
      );
    },
    close: () => lane.close(),
  };
};

function finish(kind: string, result: LaneResult, done: Done, before?: LaneResult): void {
  const error = faultOf(result, 200) ?? (isPage(result) ? 'not-json' : undefined);
  done({
    ...outcome(kind, before ?? result),
    bytes: result.bytes + (before?.bytes ?? 0),
    ok: error === undefined,
    ...(error === undefined ? {} : { error }),
  });
}

/** A portal or a proxy's page is no answer of a registry's, whatever its status. */
function isPage(result: LaneResult): boolean {
  return headerIn(result, 'content-type')?.toLowerCase().startsWith('text/html') === true;
}

function outcome(kind: string, { bytes, firstByteMs }: LaneResult) {
  return { kind, bytes, ...(firstByteMs === undefined ? {} : { firstByteMs }) };
}

/** Repositories of NSCR's state or of a catalog page; none when it is something else. */
function namesIn(body: Buffer | undefined): string[] {
  try {
    const { repositories } = JSON.parse(body?.toString('utf8') ?? '') as { repositories?: unknown };
    return (Array.isArray(repositories) ? repositories : [])
      .map((entry) => (typeof entry === 'string' ? entry : (entry as { name?: unknown } | null)?.name))
      .filter((name) => typeof name === 'string' && isRepository(name)) as string[];
  } catch {
    return [];
  }
}
