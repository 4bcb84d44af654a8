/** Callers who come when they come, whatever the lock does. Pure. The questions about waiting times call it. */

/** Instants after the start, so many a second in the mean, in no order but chance's (Poisson); the same for the same seed: mulberry32. */
export function byChance({
  perSecond,
  lengthMS,
  seed,
}: {
  perSecond: number;
  lengthMS: number;
  seed: number;
}): number[] {
  const found: number[] = [];
  let state = seed;
  let at = 0;
  for (;;) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    const chance = ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    at += (-Math.log(1 - chance) * 1_000) / perSecond;
    if (at > lengthMS) return found;
    found.push(at);
  }
}
