import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type Agent, type IncomingHttpHeaders, request as requestHttp } from 'node:http';
import { type RequestOptions, request as requestHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { startTestbed, type Testbed, type TestbedOptions } from '../../src/testbed/index.ts';

/** A bare client, written apart from the registry client on purpose: what a test sends is what goes out. */

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of foreign JSON
  readonly json: any;
}

export interface Call {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
  readonly agent?: Agent;
  readonly tls?: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'servername'>;
}

/** Sends one request with exactly this path (nothing is normalised) and reads the whole answer. */
export function call(
  testbed: Pick<Testbed, 'url'>,
  method: string,
  path: string,
  options: Call = {},
): Promise<Answer> {
  const { protocol, hostname, port } = new URL(testbed.url);
  return new Promise((resolve, reject) => {
    const send = protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(
      {
        method,
        path,
        port,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        headers: options.headers,
        agent: options.agent ?? false,
        ...options.tls,
      } as RequestOptions,
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const body = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            get json() {
              return JSON.parse(body.toString('utf8'));
            },
          });
        });
      },
    );
    request.on('error', reject);
    if (options.body instanceof Readable) {
      options.body.on('error', (error) => request.destroy(error)).pipe(request);
    } else request.end(options.body);
  });
}

/** A testbed that the test's end closes. */
export async function openTestbed(options?: TestbedOptions): Promise<Testbed> {
  const testbed = await startTestbed(options);
  onTestFinished(() => testbed.close());
  return testbed;
}

/** A folder of the test's own, removed at its end. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regops-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export type StorageKind = 'memory' | 'folder';
export const STORAGE_KINDS: readonly StorageKind[] = ['memory', 'folder'];

/** A testbed of either storage. */
export async function openTestbedOn(kind: StorageKind, options: TestbedOptions = {}): Promise<Testbed> {
  return openTestbed(kind === 'folder' ? { ...options, dir: await temporaryFolder() } : options);
}

export function digestOf(bytes: string | Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** A digest that nothing has. */
export function unknownDigest(): string {
  return digestOf(randomBytes(16));
}

/** Begins an upload and gives its location. */
export async function beginUpload(testbed: Testbed, repository: string, options: Call = {}): Promise<string> {
  const answer = await call(testbed, 'POST', `/v2/${repository}/blobs/uploads/`, options);
  if (answer.status !== 202) throw new Error(`POST: ${answer.status} ${answer.body}`);
  return answer.headers.location as string;
}

/** A query on a location, which may have one already. */
export function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
}

/** Pushes a blob in one piece and gives its digest. */
export async function pushBlob(
  testbed: Testbed,
  repository: string,
  bytes: string | Uint8Array,
  options: Call = {},
): Promise<string> {
  const digest = digestOf(bytes);
  const location = await beginUpload(testbed, repository, options);
  const answer = await call(testbed, 'PUT', withDigest(location, digest), { ...options, body: bytes });
  if (answer.status !== 201) throw new Error(`PUT blob: ${answer.status} ${answer.body}`);
  return digest;
}

/** Pushes a manifest (a document, or the very text). */
export function putManifest(
  testbed: Testbed,
  repository: string,
  reference: string,
  manifest: string | object,
  options: Call = {},
): Promise<Answer> {
  const body = textOf(manifest);
  const contentType = (JSON.parse(body) as { mediaType?: string }).mediaType ?? OCI_MANIFEST;
  return call(testbed, 'PUT', `/v2/${repository}/manifests/${reference}`, {
    ...options,
    headers: { 'content-type': contentType, ...options.headers },
    body,
  });
}

export function textOf(manifest: string | object): string {
  return typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
}

export interface Image {
  readonly manifest: Record<string, unknown> & { config: unknown; layers: unknown[] };
  readonly text: string;
  readonly digest: string;
  readonly config: string;
  readonly layer: string;
}

/** Pushes what an image needs, but not its manifest. */
export async function prepareImage(
  testbed: Testbed,
  repository: string,
  extra: Record<string, unknown> = {},
  options: Call = {},
): Promise<Image> {
  const layerBytes = randomBytes(1000);
  const configBytes = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [digestOf(layerBytes)] },
  });
  const layer = await pushBlob(testbed, repository, layerBytes, options);
  const config = await pushBlob(testbed, repository, configBytes, options);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: config, size: configBytes.length },
    layers: [{ mediaType: OCI_LAYER, digest: layer, size: layerBytes.length }],
    ...extra,
  };
  const text = JSON.stringify(manifest);
  return { manifest, text, digest: digestOf(text), config, layer };
}

/** Pushes a whole image of random content under a tag. */
export async function pushImage(
  testbed: Testbed,
  repository: string,
  tag: string,
  extra: Record<string, unknown> = {},
  options: Call = {},
): Promise<Image> {
  const image = await prepareImage(testbed, repository, extra, options);
  const answer = await putManifest(testbed, repository, tag, image.text, options);
  if (answer.status !== 201) throw new Error(`PUT manifest: ${answer.status} ${answer.body}`);
  return image;
}

/** The descriptor of an image's manifest. */
export function descriptorOf(image: Image, mediaType = OCI_MANIFEST) {
  return { mediaType, digest: image.digest, size: image.text.length };
}

/** An index of images. */
export function indexOf(images: readonly Image[], extra: Record<string, unknown> = {}) {
  return {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: images.map((image) => descriptorOf(image)),
    ...extra,
  };
}

/** The code of an answer's first error. */
export function codeOf(answer: Answer): string {
  return (answer.json as { errors: { code: string }[] }).errors[0]?.code ?? '';
}
