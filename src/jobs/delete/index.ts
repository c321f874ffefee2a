/**
 * delete: takes tags or manifests out of registries, and nothing along with them that was not named.
 */
import { asRegopsError, type RegopsError, throwIfAborted } from '../../base/index.ts';
import { formatReference, type Reference, withDefaultTag } from '../../oci/index.ts';
import { type Deletion, deleteReference } from '../../registry/index.ts';
import type { Report } from '../../report/model.ts';
import type { JobContext } from '../context.ts';

export interface DeleteOptions {
  readonly references: readonly Reference[];
  /** Delete the manifest with every tag that points at it. */
  readonly allTags: boolean;
}

/** The `result` of delete's JSON answer. */
export interface DeleteResult {
  readonly deleted: readonly (Deletion & { readonly reference: string })[];
}

/**
 * Deletes one after the other, and stops at the first that fails: what is gone so far comes back as
 * `result` beside the `error`.
 */
export async function deleteReferences(
  options: DeleteOptions,
  context: JobContext,
): Promise<{ result: DeleteResult; error?: RegopsError }> {
  const deleted: (Deletion & { reference: string })[] = [];
  const { signal } = context;
  try {
    for (const named of options.references) {
      throwIfAborted(signal);
      const reference = withDefaultTag(named);
      const client = await context.registry(reference.domain);
      const deletion = await deleteReference(client, reference, { allTags: options.allTags, signal });
      deleted.push({ reference: formatReference(reference), ...deletion });
    }
    return { result: { deleted } };
  } catch (error) {
    return { result: { deleted }, error: asRegopsError(error) };
  }
}

/** delete's answer for people: one line for what is gone. */
export function reportDelete(result: DeleteResult): Report {
  return { lines: result.deleted.map(lineOf) };
}

function lineOf({
  reference,
  digest,
  removedTags,
  keptTags,
  manifestDeleted,
}: DeleteResult['deleted'][number]): string {
  if (manifestDeleted) {
    const tags = removedTags.length > 0 ? ` with its tags ${removedTags.join(', ')}` : '';
    return `deleted ${reference}: manifest ${digest}${tags}`;
  }
  const kept = keptTags.length > 0 ? `; ${digest} stays under ${keptTags.join(', ')}` : '';
  return `deleted ${reference}${kept}`;
}
