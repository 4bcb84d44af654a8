/**
 * The arithmetic of the benchmarks: percentiles of the samples of one round, and what several rounds say together. Pure. The questions call it for
 * their samples, the rounds for their summaries.
 */

/** What one case measured in one round, by name; the unit is in the name. */
export type Figures = Readonly<Record<string, number>>;

/** One figure over all rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** One for each round, in order. */
  readonly values: readonly number[];
}

/** By nearest rank; `share` from 0 to 1. NaN where there is no value. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] ?? Number.NaN;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

export function summaryOf(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), values };
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Between each instant and the next. */
export function gaps(instants: readonly number[]): number[] {
  const sorted = [...instants].sort((a, b) => a - b);
  return sorted.slice(1).map((at, index) => at - (sorted[index] ?? at));
}

/** Jain's index: 1 where all got the same, 1 / n where one got all. */
export function jain(shares: readonly number[]): number {
  const squares = sum(shares.map((share) => share * share));
  return squares === 0 ? Number.NaN : sum(shares) ** 2 / (shares.length * squares);
}
