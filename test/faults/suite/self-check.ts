/**
 * The checker, tried: locks that are broken on purpose, each under a short run, and what must be found of each; and the
 * real one under the same run, of which nothing may be. The soak too, by processes that leak on purpose. A checker that
 * finds nothing here finds nothing anywhere. `main.ts` runs all of them; the short test runs one.
 */
import type { FindingKind } from './checker.js';
import type { BrokenGuard, LeakName, VariantName, WorkloadSettings } from './facts.js';
import { LAG } from './faults/lag-faults.js';
import { LONG_PAUSE, PAUSES } from './faults/process-faults.js';
import type { Leak } from './looks.js';
import type { RunSettings } from './run.js';
import { run } from './run.js';
import { soakOnce } from './soak.js';
import { type Row, SOAK } from './table.js';
import { FAST, WORKLOADS } from './workloads.js';

export interface Broken {
  /** What is wrong with the lock. */
  readonly what: string;
  readonly variant: VariantName;
  readonly row: Row;
  /** What must be found, among others; nothing where nothing may be. */
  readonly finds: readonly FindingKind[];
}

function broken(
  variant: VariantName,
  finds: readonly FindingKind[],
  { workload = WORKLOADS.burst, durationMS = 3_000, ...row }: Partial<Row> = {},
): Broken {
  const name = `broken: ${variant}`;
  const common = {
    faults: [],
    processesCount: 3,
    sparedCount: 0,
    calmMS: [100, 500] as const,
    clockExcessMS: 0,
    each: false,
  };
  return { what: variant, variant, finds, row: { ...common, name, workload, durationMS, ...row } };
}

/** Nobody refuses the late write of a holder that was suspended: the lock is right, and its use is wrong. */
const UNFENCED: WorkloadSettings = { ...WORKLOADS.lockSetUnfenced, ids: ['a'] };

/** Only a new primary answers from an older state, and a process has to be served just before. */
const LAGGING: Partial<Row> = { workload: { ...WORKLOADS.burst, ...FAST }, faults: LAG, durationMS: 20_000 };

export const BROKEN: readonly [Broken, ...Broken[]] = [
  broken('real', []),
  broken('ignores the server', ['two valid holders', 'token not higher']),
  broken('last come, first served', ['overtaken']),
  broken('never deletes tickets', ['left behind']),
  broken('same token again', ['token not higher']),
  broken('deaf and blind', ['not settled once', 'free while somebody waits']),
  broken('checks its grants against older states', ['lost although it stood'], LAGGING),
  {
    ...broken('real', ['effect lost'], { workload: UNFENCED, faults: PAUSES.slice(0, 1), durationMS: 25_000 }),
    what: 'the lock is right, but nothing guards against a late write',
  },
  brokenGuard('a transaction that leaves the lock alone'),
  brokenGuard('a transaction that is written around'),
];

/** The lock is right, and its transactions are none. Most of a hold is inside of them, so that holders are stopped there. */
function brokenGuard(guard: BrokenGuard): Broken {
  const times = { holdMS: [0, 0], insideMS: [50, 250], restMS: [0, 20] } as const;
  const workload = { ...UNFENCED, name: guard, guard, ...times };
  return { ...broken('real', ['effect lost'], { workload, faults: [LONG_PAUSE], durationMS: 45_000 }), what: guard };
}

/** Whether everything was found that must be, and what was. */
export async function findsWhatIsBroken(
  { variant, row, finds }: Broken,
  settings: Omit<RunSettings, 'row' | 'variant'>,
): Promise<{ readonly passed: boolean; readonly found: ReadonlySet<FindingKind> }> {
  const { verdict } = await run({ ...settings, row, variant });
  const found = new Set(verdict.findings.map(({ kind }) => kind));
  const passed = finds.length === 0 ? found.size === 0 : finds.every((kind) => found.has(kind));
  return { passed, found };
}

/** A process that leaks, and what the soak must find of it; nothing where it does not leak. */
export interface Leaking {
  readonly variant: 'real' | LeakName;
  readonly finds: readonly Leak['kind'][];
}

export const LEAKING: readonly Leaking[] = [
  { variant: 'real', finds: [] },
  { variant: 'keeps memory', finds: ['memory'] },
  { variant: 'forgets cursors', finds: ['cursors'] },
  { variant: 'reads streams it has closed', finds: ['cursors'] },
  { variant: 'forgets timers', finds: ['handles'] },
];

/** Its samples come fast, so that a short run has enough of them. */
const SHORT_SOAK = {
  row: { ...SOAK, name: 'short soak', faults: [], processesCount: 2, durationMS: 8_000 },
  legsCount: 1,
  resourcesEveryMS: 200,
  shortestMS: 0,
} as const;

/** Whether the soak found what leaks, and nothing where nothing does. */
export async function findsWhatLeaks(
  { variant, finds }: Leaking,
  settings: Omit<RunSettings, 'row' | 'variant' | 'rests'>,
): Promise<{ readonly passed: boolean; readonly found: ReadonlySet<string> }> {
  const { result, leaks } = await soakOnce({ ...settings, ...SHORT_SOAK, variant });
  const found = new Set<string>([...leaks, ...result.verdict.findings].map(({ kind }) => kind));
  const passed = finds.length === 0 ? found.size === 0 : finds.every((kind) => found.has(kind));
  return { passed, found };
}
