/**
 * What holds were told of the hold before them in one run: each call that is followed has a `traceparent` of its own, so that a
 * hold that is told of another than the very last one is found. The observer keeps one and reports what it finds wrong, in words.
 */
import { Chance } from './chance.js';

/** A hold begins, as its event says. */
interface Served {
  readonly key: string;
  readonly token: number;
  /** The call. */
  readonly name: string;
  readonly previousTraceparent: string | undefined;
}

/** How many of the calls are followed: whoever is not leaves the trace of an earlier one behind. */
const FOLLOWED_RATE = 0.7;

export class Traces {
  /** How many holds were told of the one before. */
  toldCount = 0;
  readonly #seed: number;
  /** By key and token, who was served. */
  readonly #served = new Map<string, Map<number, string>>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** What the followers of a call write into it, and hand to the engine with it; undefined: nobody follows it. */
  acquisitionOf(name: string): { readonly traceparent: string } | undefined {
    if (!Chance.named(this.#seed, `whether ${name} is followed`).hit(FOLLOWED_RATE)) return undefined;
    const hex = Buffer.from(name).toString('hex');
    return { traceparent: `00-${hex.padStart(32, '0')}-${hex.slice(-16).padStart(16, '0')}-01` };
  }

  /** What is wrong with what a hold was told; null: nothing. */
  served({ key, token, name, previousTraceparent }: Served): string | null {
    const all = this.#served.get(key) ?? new Map<number, string>();
    const last = Math.max(0, ...[...all.keys()].filter((other) => other < token));
    const before = all.get(last) ?? 'nobody';
    this.#served.set(key, all.set(token, name));
    if (previousTraceparent === undefined) return null;
    this.toldCount += 1;
    const isTrue = this.acquisitionOf(before)?.traceparent === previousTraceparent;
    return isTrue ? null : `${name} holds ${key} after ${before}, and is told of ${previousTraceparent}`;
  }
}
