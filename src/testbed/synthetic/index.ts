/**
 * synthetic: endless distinct images that are computed when they are asked for and take no room, as an upstream for
 * pull-through caches. The same specification always gives the same images; no two layers are equal, and none can
 * be compressed.
 */
export { checkSynthetic, formatSynthetic, parseSynthetic, type SyntheticSpec } from './spec.ts';
export { SyntheticStorage } from './storage.ts';
