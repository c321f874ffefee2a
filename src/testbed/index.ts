/**
 * testbed: a disposable registry in this process, honest by the OCI distribution spec 1.1, for tests, for
 * the demo, and for anyone who wants one in CI. It shares no code with the registry client: it is the
 * witness the client is tested against. It also speaks NSCR's administration, misbehaves on request (faults/),
 * plays the registries that clients meet with their quirks (personas/), serves endless synthetic images
 * (synthetic/) or pulls through from an upstream, counts what is fetched, and schedules package tests as ALTS does
 * (alts/).
 * A request goes through layers (errors, authentication, faults) to an endpoint, which works on a storage; a
 * reply is a value until it is sent.
 */

export type { AltsPayload, RunTask } from './alts/index.ts';
export type { ForeignRequest } from './elsewhere.ts';
export { type Fault, type FaultControl, type FaultCount, parseFaults } from './faults/index.ts';
export { PERSONA_NAMES, PERSONAS, type Persona, type PersonaName } from './personas/index.ts';
export type { RequestLine } from './server.ts';
export { formatSynthetic, parseSynthetic, type SyntheticSpec } from './synthetic/index.ts';
export { type AltsOptions, startTestbed, type Testbed, type TestbedOptions } from './testbed.ts';
export type { Traffic, TrafficWatch } from './traffic.ts';
export type { Upstream, UpstreamRequest, UpstreamResponse } from './upstream.ts';
