/**
 * What regops uses of undici, part by part: its index would also load fetch, web sockets, caches and mocks,
 * four times as many modules, before the first request can go out.
 */
import request from 'undici/lib/api/api-request.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';

export { default as buildConnector } from 'undici/lib/core/connect.js';
export { default as Client } from 'undici/lib/dispatcher/client.js';
export { default as Pool } from 'undici/lib/dispatcher/pool.js';

// As the index does.
Object.assign(Dispatcher.prototype, { request });
