import { type Digest, digestOf, digestParts, isDigest } from '../../oci/index.ts';

/** What an engine before 25 makes the ID of a lower layer's folder from, beside the layer: moby, image/v1.CreateID. */
const NO_CONFIG = {
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Image: '',
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
};

/**
 * Which layer a file of `docker save` is, by its name alone: since 25 it is named by its digest, before that by an ID
 * that follows from the layers below it. The top layer's has the whole configuration in it, so it is the one that is
 * none of the others. A name is a hint: who uses it verifies the layer.
 *
 * @param diffIds of the one image in the archive, the lowest layer first
 */
export function savedLayerNames(diffIds: readonly Digest[]): (name: string) => Digest | undefined {
  const names = new Map(diffIds.map((diffId) => [blobName(diffId), diffId]));
  let chainId: Digest | undefined;
  let parent: Digest | undefined;
  for (const diffId of diffIds.slice(0, -1)) {
    chainId = chainId === undefined ? diffId : digestOf(`${chainId} ${diffId}`);
    // Go writes the keys of a map in order, and leaves out a parent that there is not.
    parent = digestOf(
      JSON.stringify({
        container_config: NO_CONFIG,
        created: '1970-01-01T00:00:00Z',
        layer_id: chainId,
        parent,
      }),
    );
    names.set(`${digestParts(parent).hex}/layer.tar`, diffId);
  }
  return (name) => names.get(name) ?? (/^[0-9a-f]{64}\/layer\.tar$/.test(name) ? diffIds.at(-1) : undefined);
}

/** Whether a file of `docker save` is the configuration of an image. */
export function isSavedConfig(name: string, imageId: string): boolean {
  if (!isDigest(imageId)) return false;
  return name === `${digestParts(imageId).hex}.json` || name === blobName(imageId);
}

function blobName(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return `blobs/${algorithm}/${hex}`;
}
