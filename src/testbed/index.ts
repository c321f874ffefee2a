/**
 * testbed: a disposable registry in this process, honest by the OCI distribution spec 1.1, for tests, for
 * the demo, and for anyone who wants one in CI. It shares no code with the registry client: it is the
 * witness the client is tested against. It also speaks NSCR's administration, and misbehaves on request
 * (faults/). A request goes through layers (errors, authentication, faults) to an
 * endpoint, which works on a storage; a reply is a value until it is sent.
 */

export { type Fault, type FaultControl, type FaultCount, parseFaults } from './faults/index.ts';
export type { RequestLine } from './server.ts';
export { startTestbed, type Testbed, type TestbedOptions } from './testbed.ts';
export type { Upstream, UpstreamRequest, UpstreamResponse } from './upstream.ts';
