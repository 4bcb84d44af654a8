/** All that one run of the benchmarks has to say; it is written as it is to the JSON file. Types only. */
import type { QuestionResult } from '../rounds.js';
import type { Judged } from '../targets.js';
import type { Machine } from './machine.js';

export interface Report {
  readonly machine: Machine;
  /** Peers that were not there, with the reason. */
  readonly leftOut: Readonly<Record<string, string>>;
  readonly results: readonly QuestionResult[];
  readonly targets: readonly Judged[];
}
