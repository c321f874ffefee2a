import type { Random } from './plan.ts';

/** What a stream of random numbers is for; streams of one seed and different purposes never follow each other. */
export type Purpose = 'worker' | 'think' | 'arrival' | 'schedule' | 'workload';

const PURPOSES: Readonly<Record<Purpose, number>> = {
  worker: 0x77,
  think: 0x74,
  arrival: 0x61,
  schedule: 0x73,
  workload: 0x6c,
};

/**
 * A stream of numbers in [0, 1) that the same seed, purpose and index always repeat: sfc32 (Chris
 * Doty-Humphrey, PractRand), whose 96 bits of state start from those three and whose counter keeps every
 * cycle longer than 2^32. Not for secrets.
 */
export function randomStream(seed: number, purpose: Purpose, index: number): Random {
  let a = seed | 0;
  let b = index | 0;
  // The seed's upper bits count too, so that seeds taken from a clock in milliseconds differ.
  let c = (Math.floor(seed / 2 ** 32) | 0) ^ (PURPOSES[purpose] << 24);
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 12; round++) next();
  return next;
}

/** A 32-bit seed for whoever wants one of its own. */
export function deriveSeed(seed: number, purpose: Purpose, index: number): number {
  return Math.floor(randomStream(seed, purpose, index)() * 2 ** 32);
}
