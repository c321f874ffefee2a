import { type Descriptor, digestParts } from '../../../oci/index.ts';
import type { Examination } from './examination.ts';
import type { Fault } from './faults.ts';
import { type Reply, troubleOf } from './witness.ts';

/**
 * Looks at one blob: that it is there with the size its descriptor says; with `deep`, that its bytes are
 * those of its digest and that HEAD speaks of the same blob as GET.
 *
 * @param parent which manifest refers to it
 */
export async function examineBlob(
  examination: Examination,
  repository: string,
  descriptor: Descriptor,
  parent: string,
): Promise<Fault[]> {
  const { digest, size } = descriptor;
  const question = { repository, reference: digest as string };
  const fault = (
    kind: Fault['kind'],
    message: string,
    replies: readonly Reply[],
    certain = false,
  ): Fault => ({
    kind,
    ...question,
    message: `blob ${digest} ${message}`,
    evidence: replies.map(({ evidence }) => evidence),
    certain,
  });
  const ask = (method: 'GET' | 'HEAD', read: boolean): Promise<Reply> =>
    examination.witness.ask(
      {
        method,
        to: `${repository}/blobs/${digest}`,
        ...question,
        ...(read ? { body: { hash: digestParts(digest).algorithm } } : {}),
      },
      examination.signal,
    );

  examination.checked.blobs++;
  const head = await ask('HEAD', false);
  const said = head.status === 200 ? lengthOf(head) : undefined;
  const read = examination.deep && head.status !== 404 && examination.claimDeepRead(digest);
  if (head.status === 200 && !read) {
    const claimed = head.header('docker-content-digest');
    if (claimed !== undefined && claimed !== digest) {
      return [fault('wrong-digest', `was announced as ${claimed.slice(0, 160)}`, [head], true)];
    }
    return said === undefined || said === size
      ? []
      : [fault('wrong-size', `has ${said} bytes, its descriptor in ${parent} says ${size}`, [head])];
  }
  const headTrouble = troubleOf(question, head);
  if (headTrouble && headTrouble.kind !== 'denied') return [headTrouble];

  // Artifactory answers 403 to a HEAD for what is missing, others 405: GET has the last word.
  const got = await ask('GET', read);
  if (got.status === 404) {
    return head.status === 200
      ? [fault('head-get-disagree', 'is there by HEAD, but not by GET', [head, got])]
      : [fault('missing-blob', `is missing; manifest ${parent} refers to it`, [head, got])];
  }
  const trouble = troubleOf(question, got);
  if (trouble) return [trouble];
  if (head.status === 404 && got.status === 200) {
    return [fault('head-get-disagree', 'is there by GET, but not by HEAD', [head, got])];
  }
  if (!read) return [];
  if (got.digest !== digest) {
    return [fault('wrong-digest', `has other bytes: they are ${got.digest ?? 'unreadable'}`, [got], true)];
  }
  if (got.size !== size) {
    return [fault('wrong-size', `has ${got.size} bytes, its descriptor in ${parent} says ${size}`, [got])];
  }
  return said === undefined || said === got.size
    ? []
    : [fault('head-get-disagree', `has ${said} bytes by HEAD, ${got.size} by GET`, [head, got])];
}

function lengthOf(reply: Reply): number | undefined {
  const length = reply.header('content-length');
  return length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined;
}
