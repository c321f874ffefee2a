import { checkRequest, type TaskRequest, toPayload } from '../../../alts/index.ts';
import { isRegopsError, RegopsError } from '../../../base/index.ts';
import type { MatrixBlock } from './document.ts';

/** More tests in one call are a mistake in a matrix. */
export const MOST_TESTS = 2000;

/** What blocks leave out: the command line's. */
export type BlockDefaults = MatrixBlock;

/**
 * Every test of the blocks, checked as a scheduler would want it, each once, in the order of the blocks and of their
 * packages, distributions and architectures.
 *
 * @param options.fromFile whether what is wrong came from a file: then it is bad data, not bad usage
 * @throws USAGE or INPUT_INVALID for a test that cannot be, and for too many
 */
export function expandBlocks(
  blocks: readonly MatrixBlock[],
  defaults: BlockDefaults,
  options: { readonly unchecked: boolean; readonly fromFile: boolean },
): TaskRequest[] {
  const code = options.fromFile ? 'INPUT_INVALID' : 'USAGE';
  if (defaults.packages && blocks.every(({ packages }) => packages)) {
    throw new RegopsError('USAGE', 'packages are named on the command line, and the matrix has its own');
  }
  const tests = new Map<string, TaskRequest>();
  for (const [at, given] of blocks.entries()) {
    const block: MatrixBlock = { ...defaults, ...given };
    const where = blocks.length > 1 ? `block ${at + 1}: ` : '';
    for (const request of requestsOf(block, code, where)) {
      const checked = check(request, options.unchecked, code, where);
      tests.set(JSON.stringify(toPayload(checked)), checked);
      if (tests.size > MOST_TESTS) {
        throw new RegopsError(code, `more than ${MOST_TESTS} tests`, {
          hints: ['Submit them in several calls.'],
        });
      }
    }
  }
  return [...tests.values()];
}

function* requestsOf(
  block: MatrixBlock,
  code: 'USAGE' | 'INPUT_INVALID',
  where: string,
): Generator<TaskRequest> {
  const { packages = [], distributions = [], architectures = [], ...rest } = block;
  const missing = [
    ...(packages.length === 0 ? ['a package'] : []),
    ...(distributions.length === 0 ? ['a distribution (--dist NAME:VERSION)'] : []),
    ...(architectures.length === 0 ? ['an architecture (--arch)'] : []),
  ];
  if (missing.length > 0) throw new RegopsError(code, `${where}a test needs ${missing.join(' and ')}`);
  for (const wanted of packages) {
    for (const distribution of distributions) {
      for (const architecture of architectures) {
        yield {
          package: wanted,
          distribution,
          architecture,
          ...rest,
        };
      }
    }
  }
}

function check(
  request: TaskRequest,
  unchecked: boolean,
  code: 'USAGE' | 'INPUT_INVALID',
  where: string,
): TaskRequest {
  try {
    return checkRequest(request, { unchecked });
  } catch (error) {
    if (!isRegopsError(error, 'USAGE') || (code === 'USAGE' && where === '')) throw error;
    throw new RegopsError(code, `${where}${error.message}`, { hints: error.hints, cause: error });
  }
}
