import { type Clock, isRegopsError, type Log, RegopsError } from '../base/index.ts';
import {
  compose,
  createAgent,
  DEFAULT_RETRY_POLICY,
  discardBody,
  followRedirects,
  type HttpRequest,
  type HttpResponse,
  isLoopbackHost,
  type ProxySettings,
  readBody,
  retry,
  setHeaders,
  type TlsMaterial,
  throttle,
  trace,
} from '../http/index.ts';
import { failure, jsonOf, type Occasion, saidBy } from './failure.ts';
import { openApiSchema, scheduleSchema, statusSchema } from './replies.ts';
import { checkRequest, type TaskRequest, toPayload } from './request.ts';
import { parseResult } from './result.ts';
import { parseSchedulerUrl } from './scheduler-url.ts';
import type { TaskStatus } from './state.ts';
import { TASK_ID } from './task-id.ts';
import { cleanToken } from './token.ts';

const SCHEDULE_PATH = '/tasks/schedule';
const RESULT_PATH = '/tasks/{task_id}/result';
const SMALL_BYTES = 64 * 1024;
const OPENAPI_BYTES = 4 * 1024 * 1024;
/** Thousands of integrity tests with their output, and room to spare. */
const RESULT_BYTES = 32 * 1024 * 1024;
/** The scheduler's web server takes a hundred requests at once, and each question for a result blocks it for up to a second. */
const CONNECTIONS = 4;

/** What a connection to a scheduler is made of; all of it comes from outside, nothing from the process. */
export interface SchedulerOptions {
  /** As {@link parseSchedulerUrl} takes it. */
  readonly url: string;
  /** As {@link cleanToken} takes it. */
  readonly token?: string | undefined;
  readonly tls?: TlsMaterial | undefined;
  readonly insecure?: boolean;
  readonly proxy?: ProxySettings | undefined;
  readonly timeoutMs: number;
  /** Repeats of a request after passing failures. A test is never sent again once it may have been queued. */
  readonly retries: number;
  readonly userAgent: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Ends every request; a call's own signal takes its place. */
  readonly signal?: AbortSignal | undefined;
}

/** A test that was queued. */
export interface Scheduled {
  readonly taskId: string;
  /** False when the scheduler queued it but could not write it down: the answer was a 400 with an id. */
  readonly recorded: boolean;
}

/** What the server at the URL offers, as its OpenAPI document says. */
export interface SchedulerAbilities {
  /** False when there is no such document: then nothing is known. */
  readonly documented: boolean;
  /** `POST /tasks/schedule`, which ALTS has had until November 2023. */
  readonly schedule: boolean;
  /** `GET /tasks/{task_id}/result`. */
  readonly result: boolean;
  /** What it calls itself. Foreign text. */
  readonly title?: string;
}

/**
 * An ALTS scheduler. Every call throws AUTHENTICATION_FAILED, PERMISSION_DENIED, RATE_LIMITED (503 too: it has too
 * much to do), TIMED_OUT, SERVER_ERROR, REQUEST_REFUSED, UNSUPPORTED_BY_SERVER (another server, or a version that no
 * longer has the call), PROTOCOL_VIOLATION, RESPONSE_TOO_LARGE, or the network's error. `details.status` holds the
 * HTTP status.
 */
export interface Scheduler {
  readonly url: URL;
  /**
   * Checks and queues a test. An error with `details.maybeQueued` came when the scheduler may have taken it.
   *
   * @param options.unchecked as in {@link checkRequest}
   * @throws USAGE as {@link checkRequest}
   */
  schedule(
    request: TaskRequest,
    options?: { readonly unchecked?: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<Scheduled>;
  /** Asks once. An id that the scheduler does not know is PENDING. Throws USAGE for what can be no id. */
  result(taskId: string, signal?: AbortSignal): Promise<TaskStatus>;
  /** Reads `/openapi.json`, without the token. */
  probe(signal?: AbortSignal): Promise<SchedulerAbilities>;
  close(): Promise<void>;
}

/**
 * Makes a scheduler's client; no request is made.
 *
 * @throws USAGE for the URL, CREDENTIALS_INVALID for the token
 */
export function openScheduler(options: SchedulerOptions): Scheduler {
  const { clock, log, timeoutMs } = options;
  const url = parseSchedulerUrl(options.url);
  const token = options.token === undefined ? undefined : cleanToken(options.token);
  if (token !== undefined && url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    log.warn(`the token goes to ${url.host} unencrypted: use https`);
  }
  const origin = new URL(url.origin);
  const agent = createAgent({
    boundOrigin: origin,
    timeoutMs,
    tls: options.tls,
    insecure: options.insecure ?? false,
    proxy: options.proxy,
    connections: CONNECTIONS,
  });
  const send = compose(
    [
      followRedirects({ origin }),
      retry({ ...DEFAULT_RETRY_POLICY, attempts: options.retries + 1 }, { clock, log }),
      throttle({ concurrent: CONNECTIONS }, clock),
      trace(log, clock),
      setHeaders({ origin, userAgent: options.userAgent, headers: { accept: 'application/json' } }),
    ],
    agent.send,
  );
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const at = (path: string): URL => new URL(url.pathname.replace(/\/$/, '') + path, url);
  const withSignal = (signal: AbortSignal | undefined): { signal?: AbortSignal } => {
    const either = signal ?? options.signal;
    return either ? { signal: either } : {};
  };
  const occasionOf = (doing: string, scheduling: boolean): Occasion => ({
    doing,
    scheduling,
    token,
    now: clock.now(),
  });

  async function probe(signal?: AbortSignal): Promise<SchedulerAbilities> {
    const unknown = { documented: false, schedule: false, result: false };
    const response = await send({ method: 'GET', url: at('/openapi.json'), ...withSignal(signal) });
    if (response.status !== 200) {
      await discardBody(response);
      return unknown;
    }
    const bytes = await readBody(response, OPENAPI_BYTES, 'openapi.json');
    const document = openApiSchema.safeParse(jsonOf(bytes.toString('utf8'))).data;
    if (!document) return unknown;
    const has = (path: string, method: string): boolean =>
      Object.hasOwn(document.paths, path) && Object.hasOwn(document.paths[path] ?? {}, method);
    const title = document.info?.title;
    return {
      documented: true,
      schedule: has(SCHEDULE_PATH, 'post'),
      result: has(RESULT_PATH, 'get'),
      ...(title === undefined ? {} : { title: saidBy(title, token) }),
    };
  }

  /** Tells apart a wrong URL and a scheduler that does not have the call (any more). */
  async function missing(
    response: HttpResponse,
    occasion: Occasion,
    signal?: AbortSignal,
  ): Promise<RegopsError> {
    const { status } = response;
    const found = await probe(signal).catch((error: unknown) => {
      if (isRegopsError(error, 'INTERRUPTED')) throw error;
      return undefined;
    });
    const { why, hints, scheduler } = explainMissing(found, occasion.scheduling);
    return new RegopsError(
      'UNSUPPORTED_BY_SERVER',
      `${occasion.doing}: ${url.host} answered ${status}: ${why}`,
      {
        hints,
        details: { status, scheduler },
      },
    );
  }

  /** The body of an answer that is no success; reading it never hides the status. Throws INTERRUPTED only. */
  async function textOf(response: HttpResponse): Promise<string> {
    try {
      return (await readBody(response, SMALL_BYTES, 'error response')).toString('utf8');
    } catch (error) {
      if (isRegopsError(error, 'INTERRUPTED')) throw error;
      await discardBody(response);
      return '';
    }
  }

  async function schedule(
    request: TaskRequest,
    {
      unchecked = false,
      signal,
    }: { readonly unchecked?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Scheduled> {
    const checked = checkRequest(request, { unchecked });
    const { name, version } = checked.distribution;
    const occasion = occasionOf(
      `scheduling of ${checked.package.name} on ${name}:${version} ${checked.architecture}`,
      true,
    );
    const posted: HttpRequest = {
      method: 'POST',
      url: at(SCHEDULE_PATH),
      headers: { ...authorization, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(toPayload(checked))),
      repeatable: false,
      ...withSignal(signal),
    };
    let response: HttpResponse;
    let text: string;
    try {
      response = await send(posted);
      text = isSuccess(response.status)
        ? (await readBody(response, SMALL_BYTES, occasion.doing)).toString('utf8')
        : await textOf(response);
    } catch (error) {
      throw maybeQueued(error, occasion.doing);
    }
    const { status } = response;
    const reply = scheduleSchema.safeParse(jsonOf(text)).data;
    if (reply?.task_id && (isSuccess(status) || status === 400)) {
      const recorded = isSuccess(status) && reply.success !== false;
      if (!recorded) {
        const said = saidBy(reply.error_description ?? '', token);
        log.warn(
          `${occasion.doing}: it is queued as ${reply.task_id}, but the scheduler could not write it down${said ? ` (${said})` : ''}`,
        );
      }
      return { taskId: reply.task_id, recorded };
    }
    if (status === 404 || status === 405) throw await missing(response, occasion, signal);
    if (!isSuccess(status)) {
      const error = failure(response, text, occasion);
      // A proxy gave up waiting; the scheduler behind it may not have.
      throw status === 502 || status === 504 ? maybeQueued(error, occasion.doing) : error;
    }
    if (reply?.success === false) throw failure(response, text, occasion);
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `${occasion.doing}: ${url.host} answered ${status} without the id of a test`,
      { hints: ['Is this the URL of an ALTS scheduler?'], details: { status, maybeQueued: true } },
    );
  }

  async function result(taskId: string, signal?: AbortSignal): Promise<TaskStatus> {
    if (!TASK_ID.test(taskId)) throw new RegopsError('USAGE', 'this is no id of a test');
    const occasion = occasionOf(`result of ${taskId}`, false);
    const response = await send({
      method: 'GET',
      url: at(`/tasks/${taskId}/result`),
      headers: authorization,
      ...withSignal(signal),
    });
    const { status } = response;
    if (status !== 200) {
      const text = await textOf(response);
      throw status === 404 || status === 405
        ? await missing(response, occasion, signal)
        : failure(response, text, occasion);
    }
    const bytes = await readBody(response, RESULT_BYTES, occasion.doing);
    const reply = statusSchema.safeParse(jsonOf(bytes.toString('utf8'))).data;
    if (!reply) {
      throw new RegopsError(
        'PROTOCOL_VIOLATION',
        `${occasion.doing}: ${url.host} sent something else than the state of a test`,
        { hints: ['Is this the URL of an ALTS scheduler?'], details: { status } },
      );
    }
    if (reply.result === undefined) return { state: reply.state };
    // A failed task's result is Celery's exception in some back ends: no stages to be had there.
    if (reply.result === null || reply.state !== 'SUCCESS') return { state: reply.state, result: null };
    return { state: reply.state, result: parseResult(reply.result) };
  }

  return { url, schedule, result, probe, close: () => agent.close() };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** An error after which the test may be queued all the same says so: whoever sends it again has it twice. */
function maybeQueued(error: unknown, doing: string): unknown {
  if (!isRegopsError(error) || error.details['sent'] === false) return error;
  const passing = [
    'CONNECTION_FAILED',
    'TIMED_OUT',
    'SERVER_ERROR',
    'PROTOCOL_VIOLATION',
    'RESPONSE_TOO_LARGE',
  ];
  if (!passing.includes(error.code)) return error;
  const message = error.message.startsWith(doing) ? error.message : `${doing}: ${error.message}`;
  return new RegopsError(error.code, message, {
    hints: [...error.hints, 'The test may have been queued all the same: sending it again may run it twice.'],
    details: { ...error.details, maybeQueued: true },
    cause: error,
  });
}

/** @param found what the probe said; undefined when it failed */
function explainMissing(
  found: SchedulerAbilities | undefined,
  scheduling: boolean,
): { why: string; hints: string[]; scheduler: string } {
  if (scheduling && found?.result && !found.schedule) {
    return {
      why: 'this scheduler no longer takes submissions',
      hints: [
        'ALTS took POST /tasks/schedule away in November 2023 (#63): since then it fetches its tests from its build system.',
        'Submit through that build system, or run the test here: regops package-test run.',
      ],
      scheduler: 'no-submissions',
    };
  }
  if (found?.documented && !(scheduling ? found.schedule : found.result)) {
    return {
      why: `the server there is no ALTS scheduler${found.title ? ` (it calls itself '${found.title}')` : ''}`,
      hints: ['Check --scheduler-url.'],
      scheduler: 'other',
    };
  }
  if (found?.documented) {
    return {
      why: 'although its documents name the call',
      hints: ['A proxy in between may let only some paths pass.'],
      scheduler: 'documented',
    };
  }
  return {
    why: 'there is no ALTS scheduler at this URL',
    hints: ['Check --scheduler-url, also its path: /docs below it should show the API.'],
    scheduler: 'none',
  };
}
