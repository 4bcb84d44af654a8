/**
 * What a benchmark is made of: a question, the cases it compares, and what a case measures in one round. Types only; `questions/` has one file for
 * each question, `rounds.ts` asks them.
 */
import type { Figures } from './figures.js';
import type { Stage } from './stage.js';

/** One thing that is measured, beside others of the same question, in every round. */
export interface Case {
  readonly name: string;
  /** One round. A figure that could not be measured is NaN, and fails the question. */
  readonly measure: (stage: Stage) => Promise<Figures>;
}

export interface Question {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  /** How it is measured, for whoever reads the result; Markdown. */
  readonly method: string;
  /** What is compared on this stage; called once, before the first round. */
  readonly cases: (stage: Stage) => Promise<readonly Case[]>;
  /** The figures that the plot shows, over the cases; none where there is nothing to draw. */
  readonly plotted?: readonly string[];
}
