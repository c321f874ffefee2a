import { MessageChannel, Worker } from 'node:worker_threads';
import { ERROR_KINDS, type ErrorCode, messageOf, RegopsError } from '../base/index.ts';
import { type Assignment, type Failure, type Message, type Order, type Port, runSession } from './session.ts';

/** The main thread's hold on one session, wherever it runs. */
export interface Seat {
  send(order: Order): void;
  /** Ends it, whatever it is doing. */
  terminate(): Promise<void>;
}

export interface SeatEvents {
  message(message: Exclude<Message, { type: 'failed' }>): void;
  /** Told at most once: the workload failed, or the thread died. */
  failed(error: RegopsError): void;
}

// Sources run as .ts under type stripping, the built program as .js: the worker is like this very module.
const WORKER = new URL(`./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** A session in a worker thread of its own. */
export function openThread(assignment: Assignment, events: SeatEvents): Seat {
  const name = `load worker ${assignment.place.index + 1} of ${assignment.place.of}`;
  const worker = new Worker(WORKER, { workerData: assignment, name });
  let over = false;
  const failed = (error: RegopsError): void => {
    if (over) return;
    over = true;
    events.failed(error);
  };
  worker.on('message', (message: Message) => {
    if (message.type === 'failed') failed(errorOf(message.failure, name));
    else if (!over) {
      over = message.type === 'closed';
      events.message(message);
    }
  });
  worker.on('messageerror', (error) => failed(died(name, messageOf(error), error)));
  worker.on('error', (error) => failed(died(name, messageOf(error), error)));
  worker.on('exit', (code) => failed(died(name, `its thread ended with code ${code}`)));
  return {
    send: (order) => worker.postMessage(order),
    async terminate() {
      over = true;
      await worker.terminate();
    },
  };
}

/** A session in the calling thread, behind the same messages. */
export function openInline(assignment: Assignment, events: SeatEvents): Seat {
  const { port1: ours, port2: theirs } = new MessageChannel();
  ours.on('message', (message: Message) => {
    if (message.type === 'failed') events.failed(errorOf(message.failure, 'the workload'));
    else events.message(message);
  });
  void runSession(assignment, theirs as Port);
  return {
    send: (order) => ours.postMessage(order),
    async terminate() {
      ours.close();
    },
  };
}

function errorOf({ message, stack, regops }: Failure, name: string): RegopsError {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  if (regops === undefined) return new RegopsError('BUG', `${name} failed: ${message}`, { cause });
  const { code, hints, details } = regops;
  return new RegopsError(code in ERROR_KINDS ? (code as ErrorCode) : 'BUG', message, {
    hints,
    details,
    cause,
  });
}

function died(name: string, how: string, cause?: unknown): RegopsError {
  return new RegopsError('BUG', `${name} died: ${how}`, cause === undefined ? {} : { cause });
}
