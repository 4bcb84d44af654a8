/** A report as Markdown, and its tables as lines for the terminal. Pure. The command line calls it. */
import type { Summary } from '../figures.js';
import type { CaseResult, QuestionResult } from '../rounds.js';
import type { Judged } from '../targets.js';
import { type Machine, QUIET_LOAD } from './machine.js';
import type { Report } from './report.js';

/** `plotOf`: the file of a question's plot, where it has one. */
export function markdownOf(report: Report, plotOf: (result: QuestionResult) => string | null): string {
  const { machine, results, targets, leftOut } = report;
  const left = Object.entries(leftOut).map(([name, reason]) => `- ${name}: ${reason}`);
  const parts = [
    '# Benchmarks',
    headOf(machine),
    ...(left.length > 0 ? ['Not measured:', left.join('\n')] : []),
    '## Targets',
    targetsTable(targets),
    ...results.flatMap((result) => sectionOf(result, plotOf(result))),
  ];
  return `${parts.join('\n\n')}\n`;
}

function headOf(machine: Machine): string {
  const { date, processor, coresCount, memoryGB, system, node, mongodb, loadBefore, loadAfter } = machine;
  const busy = loadBefore > QUIET_LOAD ? ' **The machine was busy: the times are worth little, the counts hold.**' : '';
  return (
    `${date} UTC. ${coresCount} × ${processor}, ${memoryGB} GB, ${system}; Node ${node}, MongoDB ${mongodb}; everything on this one machine. ` +
    `Load ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after.${busy}`
  );
}

function sectionOf(result: QuestionResult, plot: string | null): string[] {
  const { title, method, membersCount, roundsCount } = result;
  const failures = Object.entries(result.failures).map(([name, reason]) => `- failed: ${name}: ${reason}`);
  return [
    `## ${title} (${members(membersCount)})`,
    `${method} Medians of ${roundsCount} rounds, with the lowest and the highest; windows of ${windows(result)} ms.`,
    ...(plot === null ? [] : [`![${title}](${plot})`]),
    ...tablesOf(result),
    ...(failures.length > 0 ? [failures.join('\n')] : []),
  ];
}

/** They differ where results of several runs were put together. */
function windows({ cases }: QuestionResult): string {
  return [...new Set(cases.map(({ windowMS }) => windowMS))].sort((a, b) => a - b).join(', ');
}

export function members(count: number): string {
  return count === 1 ? 'one member' : `${count} members`;
}

/** Cases that measure the same share a table. */
export function tablesOf({ cases }: QuestionResult): string[] {
  const shapes = new Map<string, CaseResult[]>();
  for (const each of cases) {
    const shape = Object.keys(each.figures).join();
    shapes.set(shape, [...(shapes.get(shape) ?? []), each]);
  }
  return [...shapes.values()].map((group) => {
    const names = Object.keys(group[0]?.figures ?? {});
    const rows = group.map(({ name, figures }) => [name, ...names.map((each) => cell(figures[each]))]);
    return table(['', ...names], rows);
  });
}

export function targetsTable(targets: readonly Judged[]): string {
  const rows = targets.map(({ what, membersCount, bound, value, verdict }) => [
    what,
    members(membersCount),
    bound,
    Number.isNaN(value) ? '' : shown(value),
    verdict === 'missed' ? '**missed**' : verdict,
  ]);
  return table(['target', 'servers', 'bound', 'measured', ''], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function cell(summary: Summary | undefined): string {
  if (summary === undefined) return '';
  const { median, min, max } = summary;
  return min === max ? shown(median) : `${shown(median)} (${shown(min)}–${shown(max)})`;
}

/** Three digits that say something. */
function shown(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return String(Math.round(value));
  if (value > 0.99 && value < 1) return value.toFixed(4);
  return String(Number(value.toPrecision(3)));
}
