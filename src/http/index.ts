/**
 * http: sends one request through a chain of small middlewares and gives the answer's head and stream.
 * Outermost first the chain is redirect → authenticate (room `auth`) → retry → throttle → trace → agent.
 * It knows origins, addresses, certificates and proxies; it knows nothing of registries.
 */
export { classifyHost, type HostClass, isLoopbackHost } from './address.ts';
export { type Agent, type AgentOptions, createAgent } from './agent.ts';
export { detachBody, discardBody, excerptOf, readBody, readJson } from './body.ts';
export { loadCertsDir } from './certs-dir.ts';
export {
  type FastLane,
  type FastLaneOptions,
  type LaneError,
  type LaneRequest,
  type LaneResult,
  openFastLane,
} from './fast-lane.ts';
export { type HeaderOptions, setHeaders } from './headers.ts';
export { ByteRate, limitRate } from './limit-rate.ts';
export * from './message.ts';
export { chooseProxy, type ProxySettings } from './proxy.ts';
export { followRedirects, type RedirectOptions } from './redirect.ts';
export { DEFAULT_RETRY_POLICY, type RetryPolicy, retry } from './retry.ts';
export { type ThrottlePolicy, throttle } from './throttle.ts';
export { type ClientCertificate, loadTlsFiles, type TlsFiles, type TlsMaterial } from './tls-files.ts';
export { trace } from './trace.ts';
