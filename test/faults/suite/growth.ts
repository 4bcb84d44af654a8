/**
 * Whether a figure that was sampled over a run has grown: the first quarter is warm-up and does not count, and of what is
 * left the median of the last third is compared with that of the first. Pure. The soak judges memory with it.
 */
import { percentile } from './report.js';

export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** How much is no growth: a share of what there was, and in any case so much. */
export interface Allowance {
  readonly share: number;
  readonly least: number;
}

export interface Growth {
  readonly state: 'flat' | 'grown' | 'too short';
  readonly samplesCount: number;
  /** The medians of the first and of the last third; not a number where there are none. */
  readonly start: number;
  readonly end: number;
  /** The end that would still have been flat. */
  readonly limit: number;
}

const WARM_UP = 1 / 4;
const PARTS = 3;
/** Fewer in a third say nothing: a garbage collection or a fault moves the median. */
export const SAMPLES_MIN = 15;

export function growthOf(samples: readonly Sample[], { share, least }: Allowance): Growth {
  const from = Math.min(...samples.map(({ at }) => at));
  const to = Math.max(...samples.map(({ at }) => at));
  const warmAt = from + WARM_UP * (to - from);
  const third = (to - warmAt) / PARTS;
  const parts = Array.from({ length: PARTS }, (_, index) =>
    samples.filter(({ at }) => partOf(at, warmAt, third) === index).map(({ value }) => value),
  );
  const [start, end] = [parts[0] ?? [], parts.at(-1) ?? []].map((values) => percentile(values, 0.5)) as [
    number,
    number,
  ];
  const limit = start + Math.max(share * start, least);
  const short = parts.some(({ length }) => length < SAMPLES_MIN);
  // What is not below is above: also where it is no number.
  const state = short ? 'too short' : end <= limit ? 'flat' : 'grown';
  return { state, samplesCount: samples.length, start, end, limit };
}

/** -1 in the warm-up. */
function partOf(at: number, warmAt: number, third: number): number {
  return at < warmAt ? -1 : Math.min(PARTS - 1, Math.floor((at - warmAt) / third));
}
