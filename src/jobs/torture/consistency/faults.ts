import type { Evidence, FindingKind } from './result.ts';

/** What one look saw. It becomes a finding when further looks see it too. */
export interface Fault {
  readonly kind: FindingKind;
  readonly repository: string | null;
  readonly reference: string | null;
  readonly message: string;
  readonly evidence: readonly Evidence[];
  /**
   * One reply contradicts itself, which no push under way explains: reported, as a warning, even when the
   * next look is good.
   */
  readonly certain?: boolean;
}

/** Two looks saw the same when these agree. */
export function faultKey({ kind, repository, reference }: Fault): string {
  return `${kind} ${repository ?? ''} ${reference ?? ''}`;
}

/** Something about the registry as a whole, told once with its first example. */
export function traitFault(kind: FindingKind, message: string, evidence: readonly Evidence[]): Fault {
  return { kind, repository: null, reference: null, message, evidence };
}
