import type { Readable } from 'node:stream';
import { tarStream } from '../../archive/index.ts';
import { metered } from '../../base/index.ts';
import {
  digestParts,
  formatReference,
  isForeignLayer,
  type Manifest,
  type Reference,
} from '../../oci/index.ts';
import { openBlob, type RegistryClient } from '../../registry/index.ts';
import type { SnapshotContext } from './options.ts';

/**
 * An image of a registry as `docker load` reads it. The layers stay packed as they are; each is verified as it
 * passes, so that a wrong one ends the stream and with it the load.
 *
 * @param held so many layers, from the lowest on, are named but left out
 */
export function dockerArchive(
  client: RegistryClient,
  repository: string,
  { document }: Extract<Manifest, { kind: 'image' }>,
  name: Reference,
  held: number,
  { progress, signal }: SnapshotContext,
): Readable {
  const { config } = document;
  const configName = `${digestParts(config.digest).hex}.json`;
  // Empty layers are the same blob many times; the archive holds it once.
  const layers = [...new Map(document.layers.slice(held).map((layer) => [layer.digest, layer])).values()];
  const layerName = (digest: (typeof layers)[number]['digest']): string => `${digestParts(digest).hex}.tar`;
  const index = Buffer.from(
    JSON.stringify([
      {
        Config: configName,
        RepoTags: [formatReference(name)],
        Layers: document.layers.map(({ digest }) => layerName(digest)),
      },
    ]),
  );
  progress.expect(
    layers.length,
    layers.reduce((sum, { size }) => sum + size, 0),
  );
  return tarStream([
    { name: 'manifest.json', size: index.length, open: async () => [index] },
    { name: configName, size: config.size, open: () => openBlob(client, repository, config, signal) },
    ...layers
      .filter(({ mediaType }) => !isForeignLayer(mediaType))
      .map((layer) => ({
        name: layerName(layer.digest),
        size: layer.size,
        open: async () => {
          const task = progress.task(
            `${client.domain} ${digestParts(layer.digest).hex.slice(0, 12)}`,
            layer.size,
          );
          const body = metered(await openBlob(client, repository, layer, signal), (bytes) =>
            task.advance(bytes),
          );
          body.once('close', () => task.end('pulled'));
          return body;
        },
      })),
  ]);
}
