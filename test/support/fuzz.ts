/**
 * Runs properties over random values, and says how to run a failure again. Few runs of one fixed seed by default, so that the test command is
 * short and the same every time; `FUZZ_RUNS=20` makes it twenty times as many, of a seed of its own that is printed, or of `FUZZ_SEED`.
 * Called by the fuzz tests; what the values look like is in `arbitraries.ts`.
 */
import { randomInt } from 'node:crypto';
import { relative } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';

const { FUZZ_RUNS, FUZZ_SEED, FUZZ_PATH } = process.env;
const FIXED_SEED = 20_260;
const timesMore = FUZZ_RUNS === undefined ? 1 : Number(FUZZ_RUNS);
const seed = FUZZ_SEED === undefined ? (FUZZ_RUNS === undefined ? FIXED_SEED : randomInt(2 ** 31)) : Number(FUZZ_SEED);

/** What one fuzz test may take; pass it to `it`. */
export const FUZZ_LIMIT_MS: number = 20_000 * Math.max(1, timesMore);

export interface FuzzSettings {
  /** How many runs, before `FUZZ_RUNS`. */
  readonly runs: number;
  /** Whether to look for a smaller value that fails, too; not where a run takes long. Default true. */
  readonly shrinks?: boolean;
}

/** Asserts a property. A failure has the seed, the value, and the command that finds it again. */
export async function fuzz<T>(property: fc.IRawProperty<T>, { runs, shrinks = true }: FuzzSettings): Promise<void> {
  const numRuns = Math.ceil(runs * timesMore);
  const path = FUZZ_PATH === undefined ? {} : { path: FUZZ_PATH };
  const details = await fc.check(property, { seed, numRuns, endOnFailure: !shrinks, ...path });
  const { currentTestName = '', testPath = '' } = expect.getState();
  if (FUZZ_RUNS !== undefined) console.log(`${details.numRuns} runs of seed ${seed}: ${currentTestName}`);
  if (!details.failed) return;
  const replay = `FUZZ_RUNS=${timesMore} FUZZ_SEED=${seed} FUZZ_PATH=${details.counterexamplePath}`;
  const title = JSON.stringify(currentTestName.split(' > ').at(-1));
  const found = `${fc.defaultReportMessage(details)}\n${String(details.errorInstance)}`;
  throw new Error(`${found}\nAgain: ${replay} npx vitest run ${relative('', testPath)} -t ${title}`);
}

/** Whether a property fails for some value: for showing that it can. */
export async function finds<T>(property: fc.IRawProperty<T>, runs: number): Promise<boolean> {
  const details = await fc.check(property, { seed: FIXED_SEED, numRuns: runs, endOnFailure: true });
  return details.failed;
}
