/**
 * One report of several: what takes hours is measured in parts, and a part again where something was in its way. Pure.
 * The command line calls it.
 */
import type { QuestionResult } from '../rounds.js';
import { judge } from '../targets.js';
import type { Report } from './report.js';

/** The questions in the order in which they first appear; a case that was measured again counts as it was last. */
export function merged(reports: readonly [Report, ...Report[]]): Report {
  const results = new Map<string, QuestionResult>();
  for (const result of reports.flatMap((report) => report.results)) {
    const which = `${result.membersCount} ${result.name}`;
    const before = results.get(which);
    results.set(which, before === undefined ? result : joined(before, result));
  }
  const all = [...results.values()].sort((a, b) => a.membersCount - b.membersCount);
  const [first] = reports;
  const loadBefore = Math.max(...reports.map(({ machine }) => machine.loadBefore));
  const loadAfter = Math.max(...reports.map(({ machine }) => machine.loadAfter));
  return {
    machine: { ...first.machine, loadBefore, loadAfter },
    leftOut: Object.assign({}, ...reports.map(({ leftOut }) => leftOut)),
    results: all,
    targets: judge(all),
  };
}

function joined(before: QuestionResult, after: QuestionResult): QuestionResult {
  const again = new Set([...after.cases.map(({ name }) => name), ...Object.keys(after.failures)]);
  const kept = before.cases.filter(({ name }) => !again.has(name));
  const failures = Object.entries(before.failures).filter(([name]) => !again.has(name));
  const roundsCount = Math.min(before.roundsCount, after.roundsCount);
  return {
    ...after,
    roundsCount,
    cases: [...kept, ...after.cases],
    failures: { ...Object.fromEntries(failures), ...after.failures },
  };
}
