import type { Exchange, Reply } from '../../support/http-server.ts';

/** The exchanges that uploads to `team/app` are made of, for the scripted server. */

export const UPLOADS = '/v2/team/app/blobs/uploads/';

/** A session is opened; the Location's query is one that is easily spoiled. */
export const start = (
  location = `${UPLOADS}1?_state=a%2Bb`,
  headers: Record<string, string> = {},
): Exchange => ({
  expect: { method: 'POST', path: UPLOADS },
  reply: { status: 202, headers: { location, ...headers } },
});

export const cancel = (path: string | RegExp = /uploads\/1/): Exchange => ({
  expect: { method: 'DELETE', path },
  reply: { status: 204 },
});

export const put = (reply: Reply, path: string | RegExp = /uploads\/1\?.*digest=/): Exchange => ({
  expect: { method: 'PUT', path },
  reply,
});

/** @param range the Content-Range that the chunk must have */
export const patch = (reply: Reply, range?: string, path: string | RegExp = /uploads\/1/): Exchange => ({
  expect: { method: 'PATCH', path, ...(range === undefined ? {} : { headers: { 'content-range': range } }) },
  reply,
});

export const head = (digest: string, status: number): Exchange => ({
  expect: { method: 'HEAD', path: `/v2/team/app/blobs/${digest}` },
  reply: { status, headers: status === 200 ? { 'content-length': '5' } : {} },
});

/** An error body of the distribution spec. */
export const errors = (code: string, message = 'no'): string =>
  JSON.stringify({ errors: [{ code, message }] });
