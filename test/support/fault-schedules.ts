/** Schedules of faults that a seed decides: which requests of a push and an inspection go wrong, and how. */

/** What one schedule does to a registry and how the image is sent to it. */
export interface FaultSchedule {
  readonly seed: number;
  /** As `--faults` takes it. */
  readonly faults: string;
  readonly tokenAuth: boolean;
  /** Flags of push-tar. */
  readonly push: readonly string[];
  /** Which archive: stored blobs, or layers that are compressed on their way. */
  readonly archive: 'oci' | 'docker';
}

type Draw = <T>(choices: readonly T[]) => T;

/** Numbers that a seed decides; kept apart from the testbed's own, which is under test (mulberry32). */
function drawing(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const READS = ['HEAD blobs', 'GET blobs', 'GET manifests', 'HEAD manifests', 'GET base'];
const WRITES = ['POST uploads', 'PATCH uploads', 'PUT uploads', 'PUT manifests'];
const UPLOAD_LOCATIONS = [
  'missing',
  'malformed',
  'wrong',
  'foreign',
  'http://169.254.169.254/latest',
  'http://10.0.0.1/x',
];

/** Gives the schedule of a seed: always the same one. */
export function faultSchedule(seed: number): FaultSchedule {
  const random = drawing(seed);
  const draw: Draw = (choices) => choices[Math.floor(random() * choices.length)] as (typeof choices)[number];
  const tokenAuth = random() < 0.4;
  const faults = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, at) => fault(draw, tokenAuth, at));
  const mode = draw(['whole', 'streamed', 'chunked']);
  return {
    seed,
    faults: faults.join('; '),
    tokenAuth,
    push: [
      ...['--concurrency', draw(['1', '2', '4'])],
      ...(mode === 'chunked' ? ['--chunk-size', draw(['4KiB', '16KiB'])] : []),
    ],
    archive: mode === 'streamed' ? 'docker' : 'oci',
  };
}

/**
 * One fault. Its name begins with `lost` when it keeps the client from learning, or from being heard at, where an
 * upload's session is: nobody can cancel that one.
 */
function fault(draw: Draw, tokenAuth: boolean, at: number): string {
  const often = draw([
    'first=1',
    'first=2',
    'nth=2',
    'nth=3',
    'every=3',
    'probability=0.2',
    'probability=0.6',
    'every=1',
  ]);
  const seldom = draw(['first=1', 'nth=2', 'nth=4']);
  const anywhere = draw([...READS, ...WRITES]);
  const read = draw(READS);
  const losing = (target: string): string => `name=${target.startsWith('POST') ? 'lost' : 'fault'}-${at}`;
  return draw<() => string>([
    () => `${anywhere} ${often} status=${draw(['429', '500', '502', '503', '504'])} ${losing('')}`,
    () => `${anywhere} ${often} status=429 retry-after=${draw(['0', '1', '5'])} ${losing('')}`,
    () => `${anywhere} ${often} status=${draw(['500', '503'])} handled ${losing(anywhere)}`,
    () => `${anywhere} ${often} reset=${draw(['before', 'after', 'head', 'mid'])} ${losing(anywhere)}`,
    () => `${anywhere} ${seldom} hang=${draw(['before', 'after', 'head', 'mid'])} ${losing(anywhere)}`,
    () => `PUT ${draw(['uploads', 'manifests'])} ${seldom} hang=after ${losing('')}`,
    () =>
      `${anywhere} ${seldom} status=${draw(['400', '401', '403', '404', '405', '413', '416'])} ${losing('')}`,
    () => `${anywhere} delay=0ms..30ms ${losing('')}`,
    () => `${draw(['GET blobs', 'GET manifests'])} ${often} ${damage(draw)} ${losing('')}`,
    () => `${read} ${often} status=500 endless=${draw(['2MiB', '8MiB'])} ${losing('')}`,
    () =>
      `${draw(['PATCH', 'PUT', 'PATCH,PUT'])} uploads ${often} dead${draw(['', '=5KiB', '=20KiB'])} ${losing('')}`,
    () =>
      `${draw(['PATCH uploads', 'PUT uploads', 'PUT manifests'])} ${seldom} sweep=${draw(['uploads', 'blobs'])} ${losing('')}`,
    () => `${draw(['POST', 'PATCH'])} uploads ${often} location=${draw(UPLOAD_LOCATIONS)} name=lost-${at}`,
    () =>
      `${draw([...READS, 'PATCH uploads', 'PUT uploads'])} ${often} redirect=${draw(['foreign', 'loop', 'http://10.0.0.1/x'])} name=lost-${at}`,
    () =>
      `${draw(['GET', 'HEAD'])} ${draw(['blobs', 'manifests'])} ${often} digest=${draw(['wrong', 'missing'])} ${losing('')}`,
    () => `HEAD blobs ${often} missing ${losing('')}`,
    () =>
      tokenAuth
        ? `${anywhere} ${often} expired ${losing('')}`
        : `${anywhere} ${seldom} status=401 ${losing('')}`,
    () => `DELETE uploads status=${draw(['403', '500'])} name=lost-${at}`,
  ])();
}

function damage(draw: Draw): string {
  return draw([
    'truncate=50%',
    'shorten=50%',
    'corrupt=3',
    'length=+10',
    'length=-10',
    'rate=2MiB/s',
    'endless=1MiB',
  ]);
}
