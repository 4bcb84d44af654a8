/** How much is measured: rounds, and the length of what is measured in each. The command line makes one; the questions ask it. */

export interface Scale {
  /** Rounds that count; one more before them is dropped. */
  readonly roundsCount: number;
  /** Whether one round is dropped first. */
  readonly warmUp: boolean;
  /** How long one case is measured in one round; holds of 50 ms and waiting times take a multiple. */
  readonly windowMS: number;
  /** How long a case runs before it is measured. */
  readonly settleMS: number;
  /** For a look whether it works at all: one case of each kind, small counts. */
  readonly tiny: boolean;
  /** Only cases with this in their name, alternatives divided by a bar; empty for all. */
  readonly only: string;
}

export const FULL: Scale = { roundsCount: 5, warmUp: true, windowMS: 2_000, settleMS: 300, tiny: false, only: '' };
export const TINY: Scale = { roundsCount: 1, warmUp: false, windowMS: 150, settleMS: 50, tiny: true, only: '' };

/** The first of them only, where a look is enough. */
export function some<T>(scale: Scale, all: readonly T[]): readonly T[] {
  return scale.tiny ? all.slice(0, 1) : all;
}

/** A count, or a hundredth of it. */
export function atScale(scale: Scale, count: number): number {
  return scale.tiny ? Math.max(2, Math.ceil(count / 100)) : count;
}
