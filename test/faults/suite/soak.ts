/**
 * The soak: four processes work for many minutes under random faults. Two of them are never killed, and must end with as
 * much memory and as many handles as they had early on; the history is judged like any other; and when all have closed,
 * by themselves, the server has no cursor of theirs. Called by `main.ts`.
 */
import type { Entry } from './facts.js';
import { failureOf, lineOf, markdownOf, percentile, summaryOf, table } from './report.js';
import { type RunSettings, run } from './run.js';
import { SOAK } from './table.js';

export interface SoakSettings extends Omit<RunSettings, 'row'> {
  readonly durationMS: number;
}

type Resources = Extract<Entry, { kind: 'resources' }>;

/** What of the run is compared: it warms up first. */
const EARLY = [0.2, 0.4] as const;
const LATE = [0.8, 1] as const;
/** A heap after a collection moves by this much by itself; a leak of 20 minutes is much more. */
const HEAP_GROWTH_MAX_MB = 4;
const HANDLES_GROWTH_MAX = 6;

/** Whether nothing was found and nothing grew. */
export async function soak({ durationMS, ...settings }: SoakSettings): Promise<boolean> {
  const result = await run({ ...settings, row: { ...SOAK, durationMS } });
  console.log(lineOf(result));
  for (const line of failureOf(result)) console.log(line);
  const samples = result.history.entries.filter((entry) => entry.kind === 'resources');
  const survivors = ['p1', 'p2'].map((name) =>
    growthOf(
      name,
      samples.filter(({ process }) => process === name),
    ),
  );
  const head = ['process', 'samples', 'heap early', 'late', 'resident early', 'late', 'handles early', 'late'];
  console.log(
    `\n${table(
      head,
      survivors.map(({ cells }) => cells),
    )}\n\n${markdownOf([summaryOf(result)])}`,
  );
  const grown = survivors.filter(({ flat }) => !flat);
  for (const { name } of grown) console.log(`FAILED ${name} has grown`);
  return result.verdict.findings.length === 0 && grown.length === 0;
}

function growthOf(name: string, samples: readonly Resources[]): { name: string; flat: boolean; cells: string[] } {
  const median = (part: readonly [number, number], of: (sample: Resources) => number): number => {
    const [from, to] = part.map((share) => Math.floor(share * samples.length));
    return percentile(samples.slice(from, to).map(of), 0.5);
  };
  const heap = [EARLY, LATE].map((part) => median(part, ({ heapMB }) => heapMB));
  const resident = [EARLY, LATE].map((part) => median(part, ({ rssMB }) => rssMB));
  const handles = [EARLY, LATE].map((part) => median(part, ({ handlesCount }) => handlesCount));
  const growth = ([early = Number.NaN, late = Number.NaN]: readonly number[]): number => late - early;
  const flat = growth(heap) <= HEAP_GROWTH_MAX_MB && growth(handles) <= HANDLES_GROWTH_MAX;
  const cells = [
    name,
    String(samples.length),
    ...[...heap, ...resident].map((value) => `${value.toFixed(1)} MB`),
    ...handles.map(String),
  ];
  return { name, flat, cells };
}
