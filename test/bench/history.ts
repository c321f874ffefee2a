/**
 * `node --max-semi-space-size=8 test/bench/history.ts` (V8 else keeps more garbage than the judge keeps history): how
 * long the judge takes for a register workload, and how much memory: 16 clients on 8 tags, one operation in four a
 * push, marked every 1,000 operations; once as it comes from a run, once from the file. Nothing passes or fails on a
 * time.
 *
 * CPU seconds count what other threads of the process did too (garbage collection, compilation).
 * REGOPS_BENCH_OPERATIONS (default 1,000,000) is how many; REGOPS_BENCH_ROUNDS (default 3) how often.
 */
import { createHash } from 'node:crypto';
import {
  HistoryDecoder,
  HistoryEncoder,
  HistoryJudge,
  type Judgement,
  type Operation,
  readHistory,
} from '../../src/history/index.ts';
import type { Digest } from '../../src/oci/index.ts';
import { highWaterMib, median, say } from './figures.ts';

const CLIENTS = 16;
const TAGS = 8;
const MARK_EVERY = 1000;
const PUSHES = 0.25;
const SPACING_US = 10;
const CHUNK = 64 * 1024;
const count = Number(process.env['REGOPS_BENCH_OPERATIONS'] ?? 1_000_000);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);

/** What a judgement took. */
interface Cost {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Adds up the time of pieces of work. */
class Watch {
  #ms = 0;
  #cpuUs = 0;

  time<Result>(work: () => Result): Result {
    const cpu = process.cpuUsage();
    const begun = performance.now();
    const result = work();
    this.#ms += performance.now() - begun;
    const { user, system } = process.cpuUsage(cpu);
    this.#cpuUs += user + system;
    return result;
  }

  get cost(): Cost {
    return { seconds: this.#ms / 1000, cpuSeconds: this.#cpuUs / 1e6 };
  }
}

/** A mark, or an operation. */
type Event = number | Operation;

/** What clients of a linearizable registry saw, each operation when it returns, which is when it takes effect. */
function* run(): Generator<Event> {
  const current: (Digest | null)[] = Array.from({ length: TAGS }, () => null);
  let state = 1;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return ((state >>> 8) / 2 ** 24) * below;
  };
  let atUs = CLIENTS * SPACING_US;
  for (let index = 0; index < count; index++) {
    atUs += SPACING_US;
    const tag = Math.floor(next(TAGS));
    const push = next(1) < PUSHES;
    const tookUs = Math.floor(next(CLIENTS * SPACING_US));
    if (push) current[tag] = `sha256:${createHash('sha256').update(`${index}`).digest('hex')}` as Digest;
    const value = current[tag] ?? null;
    yield {
      kind: push ? 'put-manifest' : 'get-manifest',
      client: index % CLIENTS,
      process: 0,
      callUs: atUs - tookUs,
      returnUs: atUs,
      repository: 'bench/app',
      reference: `tag-${tag}`,
      outcome: 'ok',
      status: push ? 201 : value === null ? 404 : 200,
      value,
      requestId: `${index}`,
      remote: '127.0.0.1:5000',
    };
    if (index % MARK_EVERY === 0) yield atUs - CLIENTS * SPACING_US;
  }
}

function give(judge: HistoryJudge, event: Event): void {
  if (typeof event === 'number') judge.mark(event);
  else judge.add(event);
}

function checked(judgement: Judgement): void {
  if (judgement.level !== 'linearizable' || judgement.operations !== count || judgement.inconclusive) {
    throw new Error(`the judge is wrong: ${judgement.level} after ${judgement.operations} operations`);
  }
}

/** What the judge takes, without what the run itself costs: operations are made in batches, off the clock. */
function judgeRun(): Cost {
  const judge = new HistoryJudge();
  const watch = new Watch();
  let batch: Event[] = [];
  const judgeBatch = (): void => {
    watch.time(() => {
      for (const event of batch) give(judge, event);
    });
    batch = [];
  };
  for (const event of run()) {
    batch.push(event);
    if (batch.length === MARK_EVERY) judgeBatch();
  }
  judgeBatch();
  checked(watch.time(() => judge.finish()));
  return watch.cost;
}

async function judgeFile(bytes: Buffer): Promise<Cost> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const judge = new HistoryJudge();
  const chunks = (function* () {
    for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
  })();
  for await (const entries of readHistory(chunks, new HistoryDecoder('bench'))) {
    for (const entry of entries) {
      if (entry.type === 'operation') judge.add(entry.operation);
      else if (entry.type === 'mark') judge.mark(entry.knownUs);
      else judge.closeRepository(entry.repository);
    }
  }
  checked(judge.finish());
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - begun) / 1000, cpuSeconds: (user + system) / 1e6 };
}

function encoded(): Buffer {
  const encoder = new HistoryEncoder();
  const parts = [Buffer.from(encoder.header({ workload: 'register', seed: 1 }))];
  let lines: string[] = [];
  const flush = (): void => {
    parts.push(Buffer.from(lines.join('')));
    lines = [];
  };
  for (const event of run()) {
    lines.push(typeof event === 'number' ? encoder.mark(event) : encoder.operation(event));
    if (lines.length === MARK_EVERY) flush();
  }
  flush();
  return Buffer.concat(parts);
}

function tell(what: string, costs: readonly Cost[]): void {
  const [seconds, cpu] = [costs.map((cost) => cost.seconds), costs.map((cost) => cost.cpuSeconds)];
  say(`${what}: ${median(seconds).toFixed(2)} s, ${median(cpu).toFixed(2)} s of CPU`);
}

const live = [judgeRun()];
const peakMib = highWaterMib(process.pid);
while (live.length < rounds) live.push(judgeRun());
tell(`${count} operations judged as they come`, live);
say(`  process at most ${peakMib.toFixed(0)} MiB, the run that makes them included`);
const file = encoded();
say(
  `as a file ${(file.length / 1024 / 1024).toFixed(0)} MiB, ${(file.length / count).toFixed(0)} bytes per operation`,
);
const costs: Cost[] = [];
for (let round = 0; round < rounds; round++) costs.push(await judgeFile(file));
tell('  read, checked and judged', costs);
