/**
 * Seeded chance: the only source of it in the simulation, so that a run follows from its seed alone. Streams are forked
 * by name, so that what one part draws does not change what another part sees: a shrunk scenario stays close to its
 * original. Called by everything here.
 */

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A stream of its own, the same for the same seed and name. */
  static named(seed: number, name: string): Chance {
    let hash = (seed ^ 0x9e3779b9) >>> 0;
    for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193) >>> 0;
    const chance = new Chance(hash);
    chance.fraction();
    return chance;
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** True that often. */
  hit(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.fraction();
  }

  /** A whole number, both ends included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[Math.floor(this.fraction() * items.length)] as T;
  }
}
