/**
 * The shortest excerpt of a history that shows what is wrong: of all findings the one with the fewest lines, and of these
 * the calls it is about, the grants and releases of the same lock meanwhile, and what was done to the run. Pure.
 */
import type { Finding } from './checker.js';
import type { Disturbance } from './disturbances.js';
import type { Entry } from './facts.js';

const LINES_MAX = 40;
/** Of so many findings the shortest is looked for. */
const FINDINGS_MAX = 50;
const MARGIN_MS = 5;

export interface Excerpt {
  readonly finding: Finding;
  readonly lines: readonly string[];
}

/** null: there is no finding. */
export function shortestExcerpt(
  findings: readonly Finding[],
  entries: readonly Entry[],
  disturbances: readonly Disturbance[],
): Excerpt | null {
  const excerpts = findings
    .slice(0, FINDINGS_MAX)
    .map((finding) => ({ finding, lines: linesOf(finding, entries, disturbances) }));
  // One that shows nothing explains nothing.
  const rank = ({ lines }: Excerpt): number => (lines.length === 0 ? Infinity : lines.length);
  const [shortest = null] = excerpts.sort((a, b) => rank(a) - rank(b));
  if (shortest === null || shortest.lines.length <= LINES_MAX) return shortest;
  const half = LINES_MAX / 2;
  const { lines, finding } = shortest;
  const left = `… ${lines.length - LINES_MAX} lines left out`;
  return { finding, lines: [...lines.slice(0, half), left, ...lines.slice(-half)] };
}

function linesOf(finding: Finding, entries: readonly Entry[], disturbances: readonly Disturbance[]): string[] {
  const { callers, from, to } = finding;
  const startAt = entries[0]?.at ?? 0;
  const about = new Set(callers);
  const keys = new Set(
    entries.flatMap((entry) => ('key' in entry && 'caller' in entry && about.has(entry.caller) ? entry.key : [])),
  );
  const rivals = new Set(
    entries.flatMap((entry) => (entry.kind === 'called' && keys.has(entry.key) ? entry.caller : [])),
  );
  const processes = new Set(
    entries.flatMap((entry) => ('caller' in entry && about.has(entry.caller) ? entry.process : [])),
  );
  const shown = entries.filter((entry) => {
    if ('caller' in entry && about.has(entry.caller)) return true;
    if (entry.at < from - MARGIN_MS || entry.at > to + MARGIN_MS) return false;
    if ('caller' in entry) return rivals.has(entry.caller) && TURNS.has(entry.kind);
    return processes.has(entry.process) && !NOISE.has(entry.kind);
  });
  const done = disturbances.filter((each) => each.from <= to && (each.to ?? Infinity) >= from && to > 0);
  return [
    ...shown.map((entry) => ({ at: entry.at, text: lineOf(entry) })),
    ...done.map((each) => ({
      at: each.from,
      text: `        ${each.fault}: ${each.processes.join(', ')} for ${lasted(each)}`,
    })),
  ]
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `${((at - startAt) / 1_000).toFixed(3).padStart(8)} s ${text}`);
}

const TURNS: ReadonlySet<Entry['kind']> = new Set(['granted', 'releasing', 'lost']);
const NOISE: ReadonlySet<Entry['kind']> = new Set(['deadline', 'event', 'delivered', 'resources']);

function lineOf({ process, kind, at: _, ...facts }: Entry): string {
  const { caller = process, ...others } = facts as Record<string, unknown>;
  const details = Object.entries(others).map(([name, value]) => `${name} ${String(value)}`);
  return `${String(caller).padEnd(8)} ${kind} ${details.join(', ')}`.trimEnd();
}

function lasted({ from, to }: Disturbance): string {
  return to === null ? 'ever' : `${Math.round(to - from)} ms`;
}
