import type { Archive, ArchiveImage } from '../../../src/archive/index.ts';
import { digestOf } from '../../../src/oci/index.ts';

export { recordingLog } from '../../support/recording-log.ts';

/** An archive of which only the images and their names matter. */
export function archiveOf(path: string, ...names: (readonly string[])[]): Archive {
  const images = names.map(
    (own, index): ArchiveImage => ({
      index,
      names: own,
      content: {
        kind: 'oci',
        root: {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: digestOf(`${path} ${index}`),
          size: 2,
        },
      },
    }),
  );
  return {
    path,
    format: 'oci-archive',
    outerCompression: 'none',
    images,
    blob: () => undefined,
    close: async () => {},
  };
}
