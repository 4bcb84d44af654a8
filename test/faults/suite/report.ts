/** What runs amount to: lines for people, and a table in Markdown for the docs. Pure. */
import type { FindingKind, Verdict } from './checker.js';
import type { RunResult } from './run.js';

/** What is kept of a run that is over. */
export interface Summarised extends Omit<Verdict, 'findings'> {
  readonly name: string;
  readonly seed: number;
  readonly durationMS: number;
  readonly findings: readonly FindingKind[];
  readonly faults: readonly (readonly [string, number])[];
}

export function summaryOf({ row, seed, verdict, faults }: RunResult): Summarised {
  const { findings, ...counts } = verdict;
  return {
    ...counts,
    name: row.name,
    seed,
    durationMS: row.durationMS,
    findings: findings.map(({ kind }) => kind),
    faults: [...faults],
  };
}

/** One line. */
export function lineOf({ row, seed, verdict, faults, writesMS, tookMS }: RunResult): string {
  const { findings, callsCount, grantsCount, comparedCount, lostCount, worstFreeMS, exemptOverlapsCount } = verdict;
  const facts = [
    `${callsCount} calls`,
    `${grantsCount} grants`,
    `${comparedCount} compared for order`,
    `${lostCount} lost`,
    `free at most ${worstFreeMS.calm} ms, ${worstFreeMS.disturbed} ms after a fault`,
    `write p50 ${percentile(writesMS, 0.5).toFixed(1)} ms`,
    `faults ${sum([...faults.values()])}`,
    ...(exemptOverlapsCount > 0 ? [`overlaps by wrong clocks ${exemptOverlapsCount}`] : []),
  ];
  const state = findings.length === 0 ? 'ok    ' : 'FAILED';
  return `${state} ${row.name} (seed ${seed}, ${(tookMS / 1_000).toFixed(0)} s): ${facts.join(', ')}`;
}

/** What went wrong, with the shortest excerpt that shows it, and how to do it again; nothing where all is well. */
export function failureOf({ row, seed, verdict, excerpt }: RunResult): string[] {
  if (excerpt === null) return [];
  const counts = countBy(verdict.findings.map(({ kind }) => kind));
  return [
    `       found: ${[...counts].map(([kind, count]) => `${kind} (${count})`).join(', ')}`,
    `       ${excerpt.finding.kind}: ${excerpt.finding.what}`,
    ...excerpt.lines.map((line) => `       ${line}`),
    `       again, with the same faults and delays: npm run test:faults -- --only ${row.name} --seed ${seed}`,
  ];
}

/** A row for each kind of run, and one below for all; then how often each fault happened. */
export function markdownOf(runs: readonly Summarised[]): string {
  const names = [...new Set(runs.map(({ name }) => name))];
  const head = ['run', 'repeats', 's', 'calls', 'grants', 'compared for order', 'guarded writes', 'lost', 'faults'];
  const tail = ['worst wait for a free lock, calm', 'after a fault', 'findings'];
  const rows = names.map((name) =>
    cells(
      name,
      runs.filter((run) => run.name === name),
    ),
  );
  const faults = new Map<string, number>();
  for (const [name, count] of runs.flatMap((run) => run.faults)) faults.set(name, (faults.get(name) ?? 0) + count);
  return [
    table([...head, ...tail], [...rows, cells('**all**', runs)]),
    '',
    table(
      ['fault', 'times'],
      [...faults].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) => [name, String(count)]),
    ),
  ].join('\n');
}

function cells(name: string, runs: readonly Summarised[]): string[] {
  const total = (of: (run: Summarised) => number): string => String(sum(runs.map(of)));
  const worst = (of: (run: Summarised) => number): string => `${Math.max(0, ...runs.map(of))} ms`;
  return [
    name,
    String(runs.length),
    total(({ durationMS }) => durationMS / 1_000),
    total(({ callsCount }) => callsCount),
    total(({ grantsCount }) => grantsCount),
    total(({ comparedCount }) => comparedCount),
    total(({ writesCount }) => writesCount),
    total(({ lostCount }) => lostCount),
    total(({ faults }) => sum(faults.map(([, count]) => count))),
    worst(({ worstFreeMS }) => worstFreeMS.calm),
    worst(({ worstFreeMS }) => worstFreeMS.disturbed),
    total(({ findings }) => findings.length),
  ];
}

/** A table in Markdown; the first column is text, the others are figures. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (columns: readonly string[]): string => `| ${columns.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : '--:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** By nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function countBy<T>(items: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}
