import { randomStream } from '../../../load/index.ts';

/**
 * The order in which a pass looks at repositories: drawn from the seed, another in each pass, so that passes that
 * time cuts short do not see the same ones every time; without a seed the registry's own. Pure.
 */
export function visitingOrder(
  names: readonly string[],
  seed: number | undefined,
  pass: number,
): readonly string[] {
  if (seed === undefined) return names;
  const random = randomStream(seed, 'schedule', pass);
  const order = [...names];
  // Fisher and Yates, as Durstenfeld has it.
  for (let last = order.length - 1; last > 0; last--) {
    const chosen = Math.floor(random() * (last + 1));
    [order[last], order[chosen]] = [order[chosen] as string, order[last] as string];
  }
  return order;
}
