/**
 * Asks one question: every case once in each round, in another order each time, so that what the machine does meanwhile falls on all alike. The first
 * round is dropped. A case that measured nothing has failed, and so has its question.
 */
import { type Figures, type Summary, summaryOf } from './figures.js';
import type { Case, Question } from './question.js';
import type { Stage } from './stage.js';

export interface CaseResult {
  readonly name: string;
  /** The window of the scale it was measured with; a question may take a multiple. */
  readonly windowMS: number;
  readonly figures: Readonly<Record<string, Summary>>;
}

export interface QuestionResult {
  readonly name: string;
  readonly title: string;
  readonly method: string;
  readonly plotted: readonly string[];
  readonly membersCount: number;
  readonly roundsCount: number;
  readonly cases: readonly CaseResult[];
  /** What went wrong, by case; a case in here has no result. */
  readonly failures: Readonly<Record<string, string>>;
}

export async function ask(question: Question, stage: Stage): Promise<QuestionResult> {
  const { roundsCount, warmUp, windowMS } = stage.scale;
  const cases = (await question.cases(stage)).filter(({ name }) =>
    stage.scale.only.split('|').some((words) => name.includes(words)),
  );
  const rounds = new Map<string, Figures[]>(cases.map(({ name }) => [name, []]));
  const failures: Record<string, string> = cases.length === 0 ? { [question.name]: 'it has no cases' } : {};
  for (let round = warmUp ? 0 : 1; round <= roundsCount; round += 1) {
    for (const each of turned(cases, round)) {
      if (failures[each.name] !== undefined) continue;
      try {
        const figures = await measured(each, stage);
        if (round > 0) rounds.get(each.name)?.push(figures);
      } catch (error) {
        failures[each.name] = error instanceof Error ? error.message : String(error);
        stage.say(`FAILED ${question.name}, ${each.name}: ${failures[each.name]}`);
      }
    }
    stage.say(`${question.name}: round ${round} of ${roundsCount}${round === 0 ? ', dropped' : ''}`);
  }
  const whole = cases.filter(({ name }) => failures[name] === undefined);
  const { name, title, method, plotted = [] } = question;
  const results = whole.map((each) => ({
    name: each.name,
    windowMS,
    figures: summarised(rounds.get(each.name) ?? []),
  }));
  return { name, title, method, plotted, membersCount: stage.membersCount, roundsCount, cases: results, failures };
}

async function measured({ measure }: Case, stage: Stage): Promise<Figures> {
  const figures = await measure(stage);
  const empty = Object.entries(figures).filter(([, value]) => !Number.isFinite(value));
  if (empty.length > 0) throw new Error(`no samples for ${empty.map(([name]) => name).join(', ')}`);
  if (Object.keys(figures).length === 0) throw new Error('nothing was measured');
  return figures;
}

/** Each round begins with another case. */
function turned(cases: readonly Case[], round: number): readonly Case[] {
  const start = cases.length === 0 ? 0 : round % cases.length;
  return [...cases.slice(start), ...cases.slice(0, start)];
}

function summarised(rounds: readonly Figures[]): Record<string, Summary> {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, summaryOf(rounds.map((figures) => figures[name] ?? Number.NaN))]),
  );
}
