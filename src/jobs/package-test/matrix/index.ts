/**
 * matrix: which tests a batch is made of: blocks of packages, distributions and architectures, from a document
 * (YAML or JSON, already parsed) or CSV, each block multiplied out.
 */
export { parseCsv } from './csv.ts';
export { type MatrixBlock, parseMatrix } from './document.ts';
export { type BlockDefaults, expandBlocks, MOST_TESTS } from './expand.ts';
