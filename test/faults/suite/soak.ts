/**
 * The soak: four processes work for many minutes under random faults, in legs, and rest between them. Two are never
 * killed: their heap and their resident memory must be flat. At every rest the servers' own account must have no cursor
 * and no connection that it should not (`looks.ts`), the database nothing that was left behind, and no process more timers
 * or handles than it started with. The history is judged like any other. It ends with a record in Markdown. A run too
 * short for a verdict on memory says so, and has failed. Called by `main.ts`, and by `self-check.ts` with leaks on purpose.
 */
import { createRequire } from 'node:module';
import type { Entry } from './facts.js';
import { type Allowance, type Growth, growthOf } from './growth.js';
import { type Leak, Looks } from './looks.js';
import { failureOf, lineOf, markdownOf, summaryOf, table } from './report.js';
import { type RunResult, type RunSettings, run } from './run.js';
import { type Row, SOAK } from './table.js';

export interface SoakSettings extends Omit<RunSettings, 'row' | 'rests'> {
  readonly durationMS: number;
}

export interface SoakRunSettings extends Omit<RunSettings, 'rests'> {
  readonly legsCount: number;
  readonly resourcesEveryMS: number;
  /** Less work than this is no soak. */
  readonly shortestMS: number;
}

/** The memory of a process that was never killed. */
interface Memory {
  readonly process: string;
  readonly heap: Growth;
  readonly resident: Growth;
}

export interface SoakResult {
  readonly result: RunResult;
  readonly looks: Looks;
  readonly memory: readonly Memory[];
  readonly leaks: readonly Leak[];
}

type Resources = Extract<Entry, { kind: 'resources' }>;

/** The parts of a soak's work; between two of them is a rest. */
const LEGS_COUNT = 5;
const LEG_MS = [20_000, 120_000] as const;
const RESOURCES_EVERY_MS = 2_000;
const SHORTEST_MS = 150_000;
/** In MB, after a collection: what a heap moves by itself. */
const HEAP: Allowance = { share: 0.1, least: 1.5 };
/** What a process has of the machine's memory is the allocators' affair as well. */
const RESIDENT: Allowance = { share: 0.15, least: 15 };

/** The driver's default. */
const DRIVER_POOL_SIZE = 100;

/** Whether nothing was found and nothing grew. */
export async function soak({ durationMS, ...settings }: SoakSettings): Promise<boolean> {
  const [least, most] = LEG_MS;
  const legMS = Math.min(most, Math.max(least, durationMS / LEGS_COUNT));
  const legsCount = Math.max(2, Math.round(durationMS / legMS));
  const row = { ...SOAK, durationMS };
  const about = { row, legsCount, resourcesEveryMS: RESOURCES_EVERY_MS, shortestMS: SHORTEST_MS };
  const soaked = await soakOnce({ ...settings, ...about });
  console.log(lineOf(soaked.result));
  for (const line of failureOf(soaked.result)) console.log(line);
  for (const { kind, what } of soaked.leaks) console.log(`FAILED ${kind}: ${what}`);
  console.log(`\n${recordOf(soaked)}`);
  return soaked.result.verdict.findings.length === 0 && soaked.leaks.length === 0;
}

/** A run with its rests, and everything that leaked in it. */
export async function soakOnce(settings: SoakRunSettings): Promise<SoakResult> {
  const { row, legsCount, resourcesEveryMS, shortestMS } = settings;
  const { maxPoolSize = DRIVER_POOL_SIZE } = row.workload;
  const looks = new Looks({ legsCount, resourcesEveryMS, maxPoolSize });
  const result = await run({ ...settings, rests: looks });
  const memory = memoryOf(result, row);
  const short = row.durationMS < shortestMS || memory.some(({ heap }) => heap.state === 'too short');
  const leaks = [...looks.findings, ...(short ? [tooShort(row, shortestMS)] : memory.flatMap(grownMemory))];
  return { result, looks, memory, leaks };
}

function tooShort({ durationMS }: Row, shortestMS: number): Leak {
  const what = `${seconds(durationMS)} is too short for a verdict on memory; from ${seconds(shortestMS)} on there is one`;
  return { kind: 'too short', what };
}

function memoryOf({ history }: RunResult, { sparedCount }: Row): Memory[] {
  const all = history.entries.filter((entry): entry is Resources => entry.kind === 'resources' && !entry.atRest);
  return Array.from({ length: sparedCount }, (_, index) => {
    const process = `p${index + 1}`;
    const samples = all.filter((sample) => sample.process === process);
    const heap = samples.map(({ at, heapMB: value }) => ({ at, value }));
    const resident = samples.map(({ at, rssMB: value }) => ({ at, value }));
    return { process, heap: growthOf(heap, HEAP), resident: growthOf(resident, RESIDENT) };
  });
}

function grownMemory({ process, heap, resident }: Memory): Leak[] {
  const said = ({ start, end, limit }: Growth): string => `${mb(start)} → ${mb(end)}, at most ${mb(limit)} is flat`;
  return [
    ...(heap.state === 'flat' ? [] : [{ kind: 'memory', what: `heap of ${process}: ${said(heap)}` } as const]),
    ...(resident.state === 'flat'
      ? []
      : [{ kind: 'memory', what: `resident, ${process}: ${said(resident)}` } as const]),
  ];
}

/** What a page of the docs may have of it. */
function recordOf({ result, looks, memory, leaks }: SoakResult): string {
  const { version } = createRequire(import.meta.url)('mongodb/package.json') as { version: string };
  const { row, tookMS, verdict } = result;
  const found = [...verdict.findings, ...leaks].map(({ kind, what }) => `- ${kind}: ${what}`);
  return [
    `Driver ${version}; ${seconds(row.durationMS)} of work in ${looks.legsCount} legs, ${seconds(tookMS)} with the rests.`,
    memoryTable(memory),
    restsTable(looks),
    markdownOf([summaryOf(result)]),
    found.length === 0 ? 'Nothing was found.' : `Found:\n\n${found.join('\n')}`,
  ].join('\n\n');
}

function memoryTable(memory: readonly Memory[]): string {
  const head = ['never killed', 'samples', 'heap, start', 'end', 'resident, start', 'end', 'verdict'];
  const rows = memory.map(({ process, heap, resident }) => {
    const states = new Set([heap.state, resident.state]);
    const verdict = states.has('too short') ? 'too short' : states.has('grown') ? 'grown' : 'flat';
    return [
      process,
      String(heap.samplesCount),
      ...[heap, resident].flatMap(({ start, end }) => [mb(start), mb(end)]),
      verdict,
    ];
  });
  return table(head, rows);
}

function restsTable({ records }: Looks): string {
  const cursors = ['cursors read at work', 'at rest', 'abandoned in faults', 'all cursors of the set'];
  const rows = records.map((record) => [
    record.name,
    String(record.readAtWorkCount),
    String(record.readCount),
    String(record.abandonedCount),
    String(record.allCursorsCount),
    String(record.connectionsCount),
  ]);
  return table(['rest', ...cursors, 'most connections of a process to a member'], rows);
}

function mb(value: number): string {
  return `${value.toFixed(1)} MB`;
}

function seconds(valueMS: number): string {
  return `${Math.round(valueMS / 1_000)} s`;
}
