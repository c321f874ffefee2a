/**
 * The little of dockerode that regops uses. `@types/dockerode` would bring the types of ssh2 and of another
 * Node along, and types hundreds of calls that nobody makes here.
 */
declare module 'dockerode' {
  import type { ClientRequestArgs, IncomingMessage } from 'node:http';
  import type { Readable } from 'node:stream';

  export type Dialled = (error: Error | null, reply: IncomingMessage | null) => void;

  export interface DialOptions {
    /** With a `?` at its end when there is a query. */
    readonly path: string;
    readonly method: string;
    readonly options: {
      readonly _query: Readonly<Record<string, unknown>>;
      readonly _body: Readonly<Record<string, unknown>>;
    };
    readonly file?: Readable | undefined;
    readonly headers?: Readonly<Record<string, string>>;
    readonly authconfig?: { readonly base64: string } | undefined;
    readonly abortSignal?: AbortSignal | undefined;
    readonly isStream: true;
    readonly statusCodes: Readonly<Record<number, true>>;
  }

  export interface Modem {
    dial(options: DialOptions, callback: Dialled): void;
    /** Sends what `dial` has put together. */
    buildRequest(
      options: ClientRequestArgs,
      context: DialOptions,
      data: string | Readable | undefined,
      callback: Dialled,
    ): void;
  }

  export default class Docker {
    constructor(options: Readonly<Record<string, unknown>>);
    readonly modem: Modem;
  }
}
